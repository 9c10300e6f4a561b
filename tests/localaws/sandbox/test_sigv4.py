"""The stub of the AWS CLI signs as botocore does."""

from __future__ import annotations

import datetime as dt

import pytest
from botocore.auth import SigV4Auth
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
