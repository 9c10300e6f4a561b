"""Only those who know the credentials of this start are served."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from localaws.client import LocalAws
from tests.localaws.ministack.support import SampleStack, error_from, function, role, unique_name
from tests.support.plain_http import send

ACCOUNT = "123456789012"
# Services and a harmless call of each, in all protocols.
CALLS = {
    "cloudformation": "list_stacks",
    "cloudhsmv2": "describe_clusters",
    "ec2": "describe_vpcs",
    "iam": "list_roles",
    "lambda": "list_functions",
    "logs": "describe_log_groups",
    "s3": "list_buckets",
    "secretsmanager": "list_secrets",
    "stepfunctions": "list_state_machines",
    "sts": "get_caller_identity",
}
REFUSALS = {
    "AuthFailure",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}


def client(aws: LocalAws, service: str, key: str, secret: str, token: str | None = None) -> Any:
    return boto3.client(
        service,
        endpoint_url=aws.endpoint,
        region_name=aws.region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(proxies={}, retries={"total_max_attempts": 1}),
    )


def test_every_service_refuses_other_credentials(aws: LocalAws) -> None:
    strangers = {
        "well-known": ("test", "test"),
        "account": (ACCOUNT, "test"),
        "another account": ("999999999999", "test"),
        "unknown": ("AKIAIOSFODNN7EXAMPLE", aws.secret_access_key),
        "wrong secret": (aws.access_key_id, "test"),
        "with a token": (aws.access_key_id, aws.secret_access_key, "token"),
    }
    served = [
        (service, name)
        for service, call in CALLS.items()
        for name, credentials in strangers.items()
        if error_from(getattr(client(aws, service, *credentials), call))[0] not in REFUSALS
    ]
    assert served == []
    for service, call in CALLS.items():
        assert getattr(aws.client(service), call)()["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_the_credentials_are_those_of_the_root_user(aws: LocalAws) -> None:
    identity = aws.client("sts").get_caller_identity()
    assert (identity["Account"], identity["Arn"]) == (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root")


def test_each_start_has_its_own_credentials(aws: LocalAws) -> None:
    with LocalAws() as other:
        assert other.access_key_id != aws.access_key_id
        assert other.secret_access_key != aws.secret_access_key
        assert other.admin._headers != aws.admin._headers


def test_the_credentials_of_a_role_cannot_be_derived_from_names(stack: SampleStack) -> None:
    code = (
        "import os\ndef handler(e, c): return [os.environ['AWS_ACCESS_KEY_ID'], "
        "os.environ['AWS_SECRET_ACCESS_KEY'], os.environ['AWS_SESSION_TOKEN']]"
    )
    stack.create({"FunctionRole": role("lambda"), "Function": function(code)})
    key, secret, token = stack.invoke("Function")["payload"]
    known = client(stack.aws, "sts", key, secret, token)
    assert ":assumed-role/" in known.get_caller_identity()["Arn"]
    lambdas = stack.aws.client("lambda")
    found = lambdas.get_function(FunctionName=stack.physical_id("Function"))["Configuration"]
    # As ministack derives them.
    digest = hashlib.sha256(f"{found['FunctionArn']}:{found['Role']}".encode()).hexdigest()
    assert key != f"ASIA{digest[:16].upper()}"
    assert secret != hashlib.sha256(f"secret:{digest}".encode()).hexdigest()


@pytest.fixture(name="bucket")
def _bucket(aws: LocalAws) -> Iterator[str]:
    """A bucket with a private and a public object."""
    s3, bucket = aws.client("s3"), unique_name("objects")
    s3.create_bucket(Bucket=bucket)
    s3.delete_public_access_block(Bucket=bucket)
    for key in ("private/object", "public/object"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"content")
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}
    statement = {**allow, "Resource": f"arn:aws:s3:::{bucket}/public/*"}
    policy = {"Version": "2012-10-17", "Statement": statement}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    yield bucket
    for each in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        s3.delete_object(Bucket=bucket, Key=each["Key"])
    s3.delete_bucket(Bucket=bucket)


def test_unsigned_requests_read_public_objects_only(aws: LocalAws, bucket: str) -> None:
    assert send(aws.endpoint, "GET", f"/{bucket}/public/object") == (200, b"content")
    refused = {
        (method, path): send(aws.endpoint, method, path, body)[0]
        for method, path, body in (
            ("GET", f"/{bucket}/private/object", ""),
            ("GET", f"/{bucket}", ""),
            ("GET", "/", ""),
            ("PUT", f"/{bucket}/uploaded", "content"),
            ("DELETE", f"/{bucket}/public/object", ""),
            ("POST", "/", "Action=ListRoles&Version=2010-05-08"),
            ("GET", "/2015-03-31/functions/", ""),
            ("OPTIONS", "/", ""),
        )
    }
    assert {request for request, status in refused.items() if status < 400} == set()


def test_a_presigned_url_authorizes_its_bearer(aws: LocalAws, bucket: str) -> None:
    given = {"Bucket": bucket, "Key": "private/object"}
    path = aws.client("s3").generate_presigned_url("get_object", given).removeprefix(aws.endpoint)
    assert send(aws.endpoint, "GET", path) == (200, b"content")
    other = path.replace("private", "public")
    assert send(aws.endpoint, "GET", other)[0] == 403
    forged = client(aws, "s3", "test", "test").generate_presigned_url("get_object", given)
    assert send(aws.endpoint, "GET", forged.removeprefix(aws.endpoint))[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "/_ministack/config",
        "/_ministack/eks-auth/clusters",
        "/_ministack/health",
        "/_ministack/lambda-code/warm",
        "/_ministack/rds/iam-auth",
        "/_ministack/reset",
        "/_localstack/health",
        "/health",
    ],
)
def test_nothing_of_the_engine_is_served(aws: LocalAws, path: str) -> None:
    scope = "Credential=AKIA/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
    for headers in ({}, {"Authorization": f"AWS4-HMAC-SHA256 {scope}"}):
        for method in ("GET", "POST"):
            assert send(aws.endpoint, method, path, "{}", headers)[0] >= 400
    assert aws.client("s3").list_buckets()["Buckets"]


def test_requests_to_another_host_are_refused(aws: LocalAws, bucket: str) -> None:
    port = aws.endpoint.rpartition(":")[2]
    for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1:{int(port) - 1}", ""):
        status, _ = send(aws.endpoint, "GET", f"/{bucket}/public/object", headers={"Host": host})
        assert status == 403, host


def test_a_web_socket_is_refused(aws: LocalAws) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert send(aws.endpoint, "GET", "/", headers=upgrade)[0] == 403


def test_no_auth_requires_signatures_all_the_same() -> None:
    with LocalAws("--no-auth") as aws:
        assert aws.client("iam").list_roles()["Roles"] == []
        with pytest.raises(ClientError, match="InvalidClientTokenId"):
            client(aws, "iam", "test", "test").list_roles()
        assert send(aws.endpoint, "POST", "/", "Action=ListRoles&Version=2010-05-08")[0] == 403
