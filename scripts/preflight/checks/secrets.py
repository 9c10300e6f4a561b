"""Secrets that must exist, and what must be in them; no value is ever shown."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator

from botocore.exceptions import ClientError

from hsm_lifecycle import pki
from hsm_lifecycle.errors import CertificateError
from scripts.preflight.account import error_code
from scripts.preflight.findings import Check, Finding
from scripts.preflight.subject import Subject


def ca_certificate(
    subject: Subject, check: Check, parameter: str, name: str, cluster_certificate: str = ""
) -> Iterator[Finding]:
    """The secret has CA certificates, which issued the cluster's if that is known."""
    text = yield from _value(subject, check, parameter, name)
    if not text:
        return
    try:
        certificates = pki.ca_certificates(text, f"the secret {name}")
        if cluster_certificate:
            pki.check_trust(certificates, cluster_certificate, f"the secret {name}")
    except CertificateError as error:
        yield check.error(f"{parameter}: {error}")
        return
    whose = "the cluster's CA certificate" if cluster_certificate else "a CA certificate"
    yield check.ok(f"{name} has {whose}")


def credentials(subject: Subject, check: Check, parameter: str, name: str) -> Iterator[Finding]:
    """The secret has a user name and a password as JSON."""
    text = yield from _value(subject, check, parameter, name)
    if not text:
        return
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(
        isinstance(found.get(key), str) and found[key] for key in ("username", "password")
    ):
        yield check.error(
            f"{parameter}: the secret {name} is not of the form"
            ' {"username": "…", "password": "…"}.',
            f"Correct the secret, or name another in {parameter}.",
        )
        return
    yield check.ok(f"{name} has a user name and a password")


def _value(
    subject: Subject, check: Check, parameter: str, name: str
) -> Generator[Finding, None, str]:
    """The text of a secret; empty with a finding if it has none."""
    try:
        secret = subject.account.ask("secretsmanager", "describe_secret", SecretId=name)
        if "DeletedDate" in secret:
            yield check.error(
                f"{parameter}: the secret {name} is scheduled for deletion.",
                f"aws secretsmanager restore-secret --secret-id {name}",
            )
            return ""
        found = subject.account.ask("secretsmanager", "get_secret_value", SecretId=name)
    except ClientError as error:
        if error_code(error) != "ResourceNotFoundException":
            raise
        found = {}
    if not found.get("SecretString"):
        yield check.error(
            f"{parameter}: the secret {name} does not exist or has no text value.",
            f"Name an existing secret in {parameter}.",
        )
    return str(found.get("SecretString") or "")
