"""Steps: remember failed logins of the cluster's admin, in a tag of its secret.

Five failed logins lock the admin (F3.16). The tag has the version of the secret and the executions
that used it without success. It outlives clients and stacks, and every stack that uses the secret
sees it. It never has any part of the password.
"""

from __future__ import annotations

import hashlib
from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import aws
from hsm_lifecycle.custom_resource import failure_reason
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import ParameterError

_PARAMETER = "pCloudHsmAdminPasswordSecretName"
_REFUSED = "refused"
_MAX_FAILURES = 3
# run-on-client's errors after which the HSMs have refused no login.
_WITHOUT_LOGIN = ("AgentNotOnline", "ClientStopped", "ClientTerminated", "CommandFailed")


def check_login(event: Event) -> dict[str, Any]:
    """Record a login before it happens, so that it counts even if its outcome is lost.

    ParameterError: the secret's current version must not be used again.
    """
    secret, login = _describe(event), _login(event)
    version = secret["Version"]
    logins = secret["Logins"].get(version, [])
    if logins == [_REFUSED]:
        raise ParameterError(
            f"{_PARAMETER}: the HSMs refused this version before. Store the correct password as a"
            f" new version of {_name(event)}."
        )
    if login not in logins:
        if len(logins) >= _MAX_FAILURES:
            raise ParameterError(
                f"{_PARAMETER}: three logins failed; five lock the admin. Fix the cause, then"
                f" remove the secret's tag {_tag(event)}."
            )
        _write(event, version, [*logins, login])
    return {"VersionId": version}


def record_login(event: Event) -> dict[str, Any]:
    """Record the outcome: forget a login that did not take place, and all after a successful one.

    A successful login resets the HSMs' counters.
    """
    version, outcome = event["VersionId"], event["Outcome"]
    if "Error" not in outcome:
        _untag(event)
        return {}
    error, login = failure_reason.error_of(outcome), _login(event)
    logins = _describe(event)["Logins"].get(version, [])
    if error == "LoginRefused":
        _write(event, version, [_REFUSED])
    elif error in _WITHOUT_LOGIN and login in logins:
        _write(event, version, [each for each in logins if each != login])
    return {}


def _name(event: Event) -> str:
    return str(event["CloudHsmAdminPasswordSecretName"])


def _tag(event: Event) -> str:
    """Clusters have different admins, even if one secret is used for several."""
    return f"hsm-lifecycle:admin-logins:{event['ClusterId']}"


def _login(event: Event) -> str:
    """Identifies this execution's login, so that a repeated step counts it once."""
    return hashlib.sha256(event["ExecutionId"].encode()).hexdigest()[:12]


def _describe(event: Event) -> dict[str, Any]:
    """The secret's current version, and the recorded logins by version."""
    try:
        secret = aws.client("secretsmanager").describe_secret(SecretId=_name(event))
    except ClientError as error:
        if aws.error_code(error) != "ResourceNotFoundException":
            raise
        secret = {}
    stages = secret.get("VersionIdsToStages") or {}
    current = next((id_ for id_, labels in stages.items() if "AWSCURRENT" in labels), None)
    if current is None or "DeletedDate" in secret:
        raise ParameterError(f"{_PARAMETER}: the secret {_name(event)} does not exist.")
    tags = {tag["Key"]: tag["Value"] for tag in secret.get("Tags") or []}
    version, *logins = tags.get(_tag(event), "").split() or [""]
    return {"Version": current, "Logins": {version: logins}}


def _write(event: Event, version: str, logins: list[str]) -> None:
    if not logins:
        _untag(event)
        return
    aws.client("secretsmanager").tag_resource(
        SecretId=_name(event), Tags=[{"Key": _tag(event), "Value": " ".join([version, *logins])}]
    )


def _untag(event: Event) -> None:
    aws.client("secretsmanager").untag_resource(SecretId=_name(event), TagKeys=[_tag(event)])
