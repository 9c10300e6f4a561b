"""Signature Version 4 of a request; importing botocore would take four times as long as aws.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac

ALGORITHM = "AWS4-HMAC-SHA256"


def sign(
    headers: dict[str, str],
    body: str,
    service: str,
    region: str,
    key_id: str,
    secret_key: str,
    target: str = "POST\n/",
) -> dict[str, str]:
    """The headers of a request, Host among them, with X-Amz-Date and Authorization added.

    `target` is method and path, which must need no encoding. S3 wants the body's hash as well.
    """
    now = dt.datetime.now(dt.UTC)
    headers = {**headers, "X-Amz-Date": f"{now:%Y%m%dT%H%M%SZ}"}
    if service == "s3":
        headers["X-Amz-Content-SHA256"] = _sha256(body)
    lowered = sorted((name.lower(), value.strip()) for name, value in headers.items())
    names = ";".join(name for name, _ in lowered)
    lines = "".join(f"{name}:{value}\n" for name, value in lowered)
    request = f"{target}\n\n{lines}\n{names}\n{_sha256(body)}"
    scope = f"{now:%Y%m%d}/{region}/{service}/aws4_request"
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    text = f"{ALGORITHM}\n{headers['X-Amz-Date']}\n{scope}\n{_sha256(request)}"
    signature = _hmac(key, text).hex()
    return {
        **headers,
        "Authorization": f"{ALGORITHM} Credential={key_id}/{scope},"
        f" SignedHeaders={names}, Signature={signature}",
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
