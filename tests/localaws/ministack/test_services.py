from __future__ import annotations

import time
from collections.abc import Iterator

import boto3
import pytest
from botocore import xform_name
from botocore.exceptions import ConnectionClosedError

from localaws.client import LocalAws
from tests.localaws.ministack.support import Json, elapsed, error_from, unique_name


@pytest.fixture(name="cluster")
def _cluster(aws: LocalAws) -> Iterator[str]:
    """A cluster without HSMs."""
    client = aws.client("cloudhsmv2")
    cluster: str = client.create_cluster(**request(aws))["Cluster"]["ClusterId"]
    aws.admin.advance(300)
    yield cluster
    client.delete_cluster(ClusterId=cluster)
    aws.admin.advance(300)


def request(aws: LocalAws) -> Json:
    return {"HsmType": "hsm2m.medium", "Mode": "FIPS", "SubnetIds": aws.subnets[:1]}


def clusters(aws: LocalAws) -> list[str]:
    found = aws.client("cloudhsmv2").describe_clusters(
        Filters={"states": ["CREATE_IN_PROGRESS", "UNINITIALIZED"]}
    )
    return [cluster["ClusterId"] for cluster in found["Clusters"]]


# --- Injected faults ---


def test_a_fault_fails_the_given_number_of_calls(aws: LocalAws, cluster: str) -> None:
    fault = {"code": "CloudHsmServiceException", "message": "SampleStack later.", "times": 2}
    aws.admin.fault(operation="DescribeClusters", **fault)
    describe = aws.client("cloudhsmv2").describe_clusters
    assert error_from(describe) == ("CloudHsmServiceException", "SampleStack later.")
    assert error_from(describe)[0] == "CloudHsmServiceException"
    assert cluster in clusters(aws)


def test_a_call_failed_before_its_effect_has_none(aws: LocalAws) -> None:
    before = clusters(aws)
    aws.admin.fault(operation="CreateCluster", code="CloudHsmServiceException", when="before")
    error_from(aws.client("cloudhsmv2").create_cluster, **request(aws))
    assert clusters(aws) == before


def test_a_call_failed_after_its_effect_has_one(aws: LocalAws) -> None:
    before = clusters(aws)
    aws.admin.fault(operation="CreateCluster", code="CloudHsmServiceException", when="after")
    error_from(aws.client("cloudhsmv2").create_cluster, **request(aws))
    (created,) = set(clusters(aws)) - set(before)
    aws.admin.advance(300)
    aws.client("cloudhsmv2").delete_cluster(ClusterId=created)
    aws.admin.advance(300)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_fault_can_drop_the_connection_before_or_after_the_effect(
    aws: LocalAws, when: str
) -> None:
    name = f"/{unique_name('secret')}"
    client = aws.client("secretsmanager")
    aws.admin.fault(operation="CreateSecret", code="ConnectionLost", when=when)
    with pytest.raises(ConnectionClosedError):
        client.create_secret(Name=name, SecretString="s")
    assert (name in aws.admin.inventory()["secretsmanager"]) == (when == "after")
    if when == "after":
        client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)


ERRORS = [
    ("ec2", "DescribeVpcs", "RequestLimitExceeded"),
    ("secretsmanager", "ListSecrets", "InternalServiceError"),
    ("stepfunctions", "ListStateMachines", "ServiceUnavailable"),
    ("ssm", "ListCommands", "InternalServerError"),
    ("ssm", "DescribeParameters", "InternalServerError"),
    ("kms", "DescribeCustomKeyStores", "KMSInternalException"),
    ("kms", "ListKeys", "KMSInternalException"),
    ("cloudformation", "ListStacks", "Throttling"),
    ("logs", "DescribeLogGroups", "ServiceUnavailableException"),
    ("iam", "ListRoles", "ServiceFailure"),
]


def test_injected_errors_use_the_protocol_of_each_service(aws: LocalAws) -> None:
    wrong = []
    for service, operation, code in ERRORS:
        call = getattr(aws.client(service), xform_name(operation))
        aws.admin.fault(operation=operation, code=code, message="Because.", status=503)
        if (error := error_from(call)) != (code, "Because."):
            wrong.append((service, operation, error))
        call()
    assert wrong == []


def test_a_fault_can_pause_the_clock_after_a_call(aws: LocalAws) -> None:
    aws.admin.pause_after("CreateCluster")
    cluster = aws.client("cloudhsmv2").create_cluster(**request(aws))["Cluster"]["ClusterId"]
    aws.admin.wait_for_pause()
    began = elapsed(aws)
    time.sleep(0.05)
    assert elapsed(aws) == began
    aws.admin.resume()
    aws.admin.advance(300)
    aws.client("cloudhsmv2").delete_cluster(ClusterId=cluster)
    aws.admin.advance(300)


# --- Protocols and Regions ---


def test_boto3_raises_the_exceptions_of_cloudhsm(aws: LocalAws) -> None:
    client = aws.client("cloudhsmv2")
    with pytest.raises(client.exceptions.CloudHsmResourceNotFoundException):
        client.delete_cluster(ClusterId="cluster-abcdefghijk")


def test_boto3_raises_the_exceptions_of_key_stores(aws: LocalAws) -> None:
    client = aws.client("kms")
    with pytest.raises(client.exceptions.CustomKeyStoreNotFoundException):
        client.connect_custom_key_store(CustomKeyStoreId="cks-1234567890abcdef0")


def test_no_key_is_created_in_a_missing_key_store(aws: LocalAws) -> None:
    client = aws.client("kms")
    before = len(client.list_keys()["Keys"])
    code, _ = error_from(
        client.create_key, Origin="AWS_CLOUDHSM", CustomKeyStoreId="cks-1234567890abcdef0"
    )
    assert code == "CustomKeyStoreNotFoundException"
    assert len(client.list_keys()["Keys"]) == before


def test_a_key_outside_a_key_store_encrypts_and_decrypts(aws: LocalAws) -> None:
    client = aws.client("kms")
    key = client.create_key()["KeyMetadata"]["KeyId"]
    text = client.encrypt(KeyId=key, Plaintext=b"plain")["CiphertextBlob"]
    assert client.decrypt(CiphertextBlob=text)["Plaintext"] == b"plain"


def test_each_region_has_its_own_clusters(aws: LocalAws, cluster: str) -> None:
    elsewhere = boto3.client(
        "cloudhsmv2",
        endpoint_url=aws.endpoint,
        region_name="eu-central-1",
        aws_access_key_id=aws.access_key_id,
        aws_secret_access_key=aws.secret_access_key,
    )
    assert elsewhere.describe_clusters()["Clusters"] == []
    assert cluster in clusters(aws)
