"""The stub of the AWS CLI signs as botocore does."""

from __future__ import annotations

import datetime as dt

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from localaws.sandbox.fake_bin.sigv4 import sign

HEADERS = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "secretsmanager.Some"}


@pytest.mark.parametrize("token", ["token", None])
@pytest.mark.parametrize("body", ["{}", '{"SecretId": "ä"}'])
def test_signatures_are_those_of_botocore(body: str, token: str | None) -> None:
    own = {**HEADERS, "Host": "localhost", **({"X-Amz-Security-Token": token} if token else {})}
    for _ in range(3):  # the second may pass between the two
        request = AWSRequest("POST", "http://localhost/", dict(HEADERS), body.encode())
        before = dt.datetime.now(dt.UTC).replace(microsecond=0)
        SigV4Auth(Credentials("key", "secret", token), "secretsmanager", "us-east-1").add_auth(
            request
        )
        signed = sign(own, body, "secretsmanager", "us-east-1", "key", "secret")
        if dt.datetime.now(dt.UTC).replace(microsecond=0) == before:
            break
    assert signed["Authorization"] == request.headers["Authorization"]
    assert signed["X-Amz-Date"] == request.headers["X-Amz-Date"]


def test_downloads_from_s3_are_signed_as_botocore_does() -> None:
    for _ in range(3):  # the second may pass between the two
        request = AWSRequest("GET", "http://localhost/bucket/a-1.0/b.rpm", {})
        before = dt.datetime.now(dt.UTC).replace(microsecond=0)
        S3SigV4Auth(Credentials("key", "secret"), "s3", "us-east-1").add_auth(request)
        target = "GET\n/bucket/a-1.0/b.rpm"
        signed = sign({"Host": "localhost"}, "", "s3", "us-east-1", "key", "secret", target)
        if dt.datetime.now(dt.UTC).replace(microsecond=0) == before:
            break
    assert signed["Authorization"] == request.headers["Authorization"]
