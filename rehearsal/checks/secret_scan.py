"""Find secrets outside of where they belong: in all that AWS records and shows, and on clients."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterable, Iterator
from weakref import WeakKeyDictionary

from localaws.client import LocalAws

# Where a text was found, such as "log /aws/lambda/...", and the text.
Observed = tuple[str, str]

# Where a password belongs besides its secret (decision 0011).
BELONGS = ("arguments of cloudhsm-cli on ",)
RESPONSE_URL = "ResponseURL"
# Shorter texts in a secret are placeholders or mistakes of an operator; passwords are longer.
MIN_LENGTH = 8
# Characters of a private key that are searched together.
PIECE = 32
# What a private key looks like, also one that never was in a secret.
PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\sn]*[A-Za-z0-9+/=]{20}")
_KEY_BLOCK = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----(.*?)-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL
)
_PEM_BLOCK = re.compile(r"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", re.DOTALL)
_SIGNATURE = re.compile(r"Signature=([^&\s\"]+)")


# Response URLs that a released version has shown, by local AWS.
_accepted: WeakKeyDictionary[LocalAws, set[str]] = WeakKeyDictionary()


def accept_response_urls(aws: LocalAws) -> None:
    """Accept that response URLs so far can be read: version 1.0.0 did not encrypt them."""
    urls = {value for name, value in aws.admin.secrets() if name == RESPONSE_URL}
    _accepted.setdefault(aws, set()).update(urls)


def violations(aws: LocalAws) -> list[str]:
    """Every place where a secret of this run can be read, except where it belongs."""
    accepted = _accepted.get(aws, set())
    secrets = [(name, value) for name, value in aws.admin.secrets() if value not in accepted]
    return disclosures(observable_texts(aws), secrets)


def disclosures(observed: Iterable[Observed], secrets: Iterable[tuple[str, str]]) -> list[str]:
    """A line for each secret and place where it can be read and does not belong."""
    texts = [(place, text) for place, text in observed if not place.startswith(BELONGS)]
    everything = "\n".join(text for _, text in texts)
    found: dict[str, None] = {}
    for name, value in secrets:
        # Most are nowhere, so look everywhere at once first.
        for needle in [each for each in needles(name, value) if each in everything]:
            for place in leaks(texts, [needle]):
                found[f"{name} can be read in: {place}"] = None
    if PRIVATE_KEY.search(everything):
        for place, text in texts:
            if PRIVATE_KEY.search(text):
                found[f"a private key can be read in: {place}"] = None
    return list(found)


def needles(name: str, value: str) -> list[str]:
    """The texts that disclose a secret; none if it is public, such as a certificate."""
    if name == RESPONSE_URL:
        # Without its signature, the URL is worthless.
        return list(_SIGNATURE.findall(value))
    # In pieces, because a reason that quotes a key may be truncated.
    keys = [
        line[start : start + PIECE]
        for block in _KEY_BLOCK.findall(value)
        for line in block.split()
        for start in range(0, len(line), PIECE)
    ]
    rest = _PEM_BLOCK.sub("", value).strip()
    # Records are without backslashes, because JSON nests in strings.
    found = [each.replace("\\", "") for each in (*keys, *_passwords(rest))]
    plain = [each for each in found if len(each) >= MIN_LENGTH]
    return [*plain, *(base64.b64encode(each.encode()).decode().rstrip("=") for each in plain)]


def _passwords(text: str) -> list[str]:
    """The password in JSON such as {"username": ..., "password": ...}, or the whole text."""
    try:
        credentials = json.loads(text)
    except ValueError:
        return [text]
    if isinstance(credentials, dict) and isinstance(credentials.get("password"), str):
        return [credentials["password"]]
    return [text]


def leaks(observed: Iterable[Observed], secrets: Collection[str]) -> list[str]:
    """The places where one of the secrets can be read."""
    return [place for place, text in observed if any(secret in text for secret in secrets)]


def observable_texts(aws: LocalAws) -> Iterator[Observed]:
    """Every text that AWS has recorded or shown, or that is on an instance, except secrets."""
    yield from aws.admin.records()
    yield "standard error of the local AWS", aws.server_log()


def process_arguments(aws: LocalAws) -> Iterator[list[str]]:
    """The arguments of every process started on an instance, visible to all its users."""
    for processes in aws.admin.processes().values():
        yield from processes
