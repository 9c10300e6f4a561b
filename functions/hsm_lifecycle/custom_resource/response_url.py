"""The ResponseURL of a request: where it may lead, and how it gets to the response function.

It is a credential: CloudFormation believes whatever is sent there (F6.15). The input of an
execution is visible to all who may read histories, and EventBridge sends it to the default event
bus, so the URL is encrypted with a key that only the two functions of the custom resource can read.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hsm_lifecycle import aws, currency, secret_store
from hsm_lifecycle.errors import RefusedError, SecretNotFoundError, TransientError

Sealed = Mapping[str, str]  # {"KeyVersion": ..., "Text": ...}
_TEXTS = ("RequestType", "RequestId", "StackId", "LogicalResourceId", "ResponseURL")
# Of texts that become part of names, tags and URLs. A RequestId is a UUID in practice; more
# characters would not fit into the name of an execution (F6.1).
_FORMS = {
    "RequestId": re.compile(r"[A-Za-z0-9-]{1,54}"),
    "LogicalResourceId": re.compile(r"[A-Za-z0-9]{1,255}"),
    # Without blanks and line breaks, which urlsplit removes.
    "ResponseURL": re.compile(r"[!-~]*"),
}
_REQUEST_TYPES = ("Create", "Update", "Delete")
_NONCE_BYTES = 12  # as NIST SP 800-38D recommends
_KEY_ATTEMPTS = 4
_KEY_PAUSE = 5  # seconds; the secret and the permission to read it may be a few seconds old


def problem(request: Any) -> str | None:
    """Why nothing can be done about an event: CloudFormation did not send it.

    No response can be sent either, so CloudFormation would wait if it had.
    """
    if not isinstance(request, Mapping):
        return "The event is not an object."
    kind = request.get("RequestType")
    texts, objects = list(_TEXTS), ["ResourceProperties"]
    if kind in ("Update", "Delete"):
        texts.append("PhysicalResourceId")
    if kind == "Update":
        objects.append("OldResourceProperties")
    missing = [
        *(name for name in texts if not isinstance(request.get(name), str)),
        *(name for name in objects if not isinstance(request.get(name), Mapping)),
    ]
    if missing:
        return f"The event lacks {', '.join(missing)}."
    if kind not in _REQUEST_TYPES:
        return "Its RequestType is not Create, Update or Delete."
    for name, form in _FORMS.items():
        if not form.fullmatch(request[name]):
            return f"Its {name} has a form that CloudFormation does not use."
    if not _leads_to_cloudformation(request["ResponseURL"]):
        return "Its ResponseURL is not an address of CloudFormation's bucket for responses."
    return None


def _leads_to_cloudformation(url: str) -> bool:
    """Whether the URL leads to the bucket of this Region and nowhere else."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme == "https"
        and "@" not in parts.netloc
        and port in (None, 443)
        and parts.hostname in _hosts()
    )


def _hosts() -> set[str]:
    """The names that S3 gives the bucket: with the Region, as older URLs have it, and without.

    The bucket's name has the Region without dashes:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cfn-vpce-bucketnames.html
    """
    region, suffix = os.environ["AWS_REGION"], os.environ["URL_SUFFIX"]
    return {
        f"cloudformation-custom-resource-response-{name}.{s3}.{suffix}"
        for name in (region, region.replace("-", ""))
        for s3 in ("s3", f"s3.{region}", f"s3-{region}", f"s3.dualstack.{region}")
    }


def seal(request: Mapping[str, Any]) -> Sealed:
    """The request's URL, encrypted for the response function and for this request only."""
    version, key = _key()
    nonce = os.urandom(_NONCE_BYTES)
    url, bound_to = request["ResponseURL"].encode(), _identity(request)
    text = nonce + AESGCM(key).encrypt(nonce, url, bound_to)
    return {"KeyVersion": version, "Text": base64.b64encode(text).decode()}


def unseal(sealed: Sealed, request: Mapping[str, Any]) -> str:
    """The URL of the request. InvalidTag: it is another request's or was changed."""
    text = base64.b64decode(sealed["Text"])
    nonce, encrypted = text[:_NONCE_BYTES], text[_NONCE_BYTES:]
    _, key = _key(VersionId=sealed["KeyVersion"])
    return AESGCM(key).decrypt(nonce, encrypted, _identity(request)).decode()


def sealed_event(request: Mapping[str, Any]) -> dict[str, Any]:
    """The event as it is delivered again: with its URL encrypted."""
    others = {key: value for key, value in request.items() if key != "ResponseURL"}
    return {**others, currency.RETRY: seal(request)}


def opened(event: Any) -> Any:
    """An event with its ResponseURL; one that is delivered again has it encrypted."""
    if not isinstance(event, Mapping) or currency.RETRY not in event:
        return event
    return {**event, "ResponseURL": unseal(event[currency.RETRY], event)}


def _identity(request: Mapping[str, Any]) -> bytes:
    return f"{request['StackId']} {request['RequestId']}".encode()


def _key(**version: str) -> tuple[str, bytes]:
    """The version of the stack's key, and the key."""
    for attempt in range(_KEY_ATTEMPTS):
        try:
            found = aws.client("secretsmanager", attempts=aws.ATTEMPTS).get_secret_value(
                SecretId=os.environ["RESPONSE_SECRET"], **version
            )
            return found["VersionId"], hashlib.sha256(found["SecretString"].encode()).digest()
        except (BotoCoreError, ClientError) as cause:
            error = aws.to_workflow_error(cause)
            # Reads may not show a new secret at once (F6.72).
            is_missing = "ResourceNotFoundException" in str(error)
            may_pass = is_missing or isinstance(error, TransientError)
            if not may_pass or attempt + 1 == _KEY_ATTEMPTS:
                raise _without_key(cause, error) from cause
        time.sleep(_KEY_PAUSE)
    raise AssertionError


def _without_key(cause: Exception, error: Exception) -> Exception:
    """The error without a key: of a deleted secret, it says whether that can be restored."""
    what = "The key of the ResponseURL"
    code = aws.error_code(cause) if isinstance(cause, ClientError) else ""
    # Of the ARN, the name that CloudFormation generated: Secrets Manager adds six characters.
    name = os.environ["RESPONSE_SECRET"].rpartition(":")[2].rpartition("-")[0]
    if code == "InvalidRequestException":
        return RefusedError(f"{what}: the secret {name} {secret_store.SCHEDULED}.")
    if code == "ResourceNotFoundException":
        return SecretNotFoundError(
            f"{what}: the secret {name} is gone. Update the stack with another Name of"
            " rResponseSecret, or delete it: see docs/troubleshooting.md."
        )
    return type(error)(f"{what}: {error}")
