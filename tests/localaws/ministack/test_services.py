from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.exceptions import ConnectionClosedError

from localaws.client import LocalAws
from tests.localaws.ministack.support import Json, elapsed, fresh, refusal


@pytest.fixture(name="cluster")
def _cluster(aws: LocalAws) -> Iterator[str]:
    """A cluster without HSMs."""
    client = aws.client("cloudhsmv2")
    cluster: str = client.create_cluster(**given(aws))["Cluster"]["ClusterId"]
    aws.admin.advance(300)
    yield cluster
    client.delete_cluster(ClusterId=cluster)
    aws.admin.advance(300)


def given(aws: LocalAws) -> Json:
    return {"HsmType": "hsm2m.medium", "Mode": "FIPS", "SubnetIds": aws.subnets[:1]}


def clusters(aws: LocalAws) -> list[str]:
    found = aws.client("cloudhsmv2").describe_clusters(
        Filters={"states": ["CREATE_IN_PROGRESS", "UNINITIALIZED"]}
    )
    return [cluster["ClusterId"] for cluster in found["Clusters"]]


# --- InjectedFault faults ---


def test_a_call_fails_as_planted_and_then_no_more(aws: LocalAws, cluster: str) -> None:
    planted = {"code": "CloudHsmServiceException", "message": "Try later.", "times": 2}
    aws.admin.fault(operation="DescribeClusters", **planted)
    describe = aws.client("cloudhsmv2").describe_clusters
    assert refusal(describe) == ("CloudHsmServiceException", "Try later.")
    assert refusal(describe)[0] == "CloudHsmServiceException"
    assert cluster in clusters(aws)


def test_a_call_that_fails_before_its_effect_has_none(aws: LocalAws) -> None:
    before = clusters(aws)
    aws.admin.fault(operation="CreateCluster", code="CloudHsmServiceException", when="before")
    refusal(aws.client("cloudhsmv2").create_cluster, **given(aws))
    assert clusters(aws) == before


def test_a_call_that_fails_after_its_effect_has_it(aws: LocalAws) -> None:
    before = clusters(aws)
    aws.admin.fault(operation="CreateCluster", code="CloudHsmServiceException", when="after")
    refusal(aws.client("cloudhsmv2").create_cluster, **given(aws))
    (made,) = set(clusters(aws)) - set(before)
    aws.admin.advance(300)
    aws.client("cloudhsmv2").delete_cluster(ClusterId=made)
    aws.admin.advance(300)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_may_be_lost(aws: LocalAws, when: str) -> None:
    name = f"/{fresh('secret')}"
    client = aws.client("secretsmanager")
    aws.admin.fault(operation="CreateSecret", code="ConnectionLost", when=when)
    with pytest.raises(ConnectionClosedError):
        client.create_secret(Name=name, SecretString="s")
    assert (name in aws.admin.inventory()["secretsmanager"]) == (when == "after")
    if when == "after":
        client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)


PLANTED: list[tuple[str, str, str, Json, str]] = [
    ("ec2", "DescribeVpcs", "describe_vpcs", {}, "RequestLimitExceeded"),
    ("secretsmanager", "ListSecrets", "list_secrets", {}, "InternalServiceError"),
    ("stepfunctions", "ListStateMachines", "list_state_machines", {}, "ServiceUnavailable"),
    ("ssm", "ListCommands", "list_commands", {}, "InternalServerError"),
    ("ssm", "DescribeParameters", "describe_parameters", {}, "InternalServerError"),
    ("kms", "DescribeCustomKeyStores", "describe_custom_key_stores", {}, "KMSInternalException"),
    ("kms", "ListKeys", "list_keys", {}, "KMSInternalException"),
    ("cloudformation", "ListStacks", "list_stacks", {}, "Throttling"),
    ("logs", "DescribeLogGroups", "describe_log_groups", {}, "ServiceUnavailableException"),
    ("iam", "ListRoles", "list_roles", {}, "ServiceFailure"),
]


@pytest.mark.parametrize(
    ("service", "operation", "method", "arguments", "code"),
    PLANTED,
    ids=[f"{row[0]}-{row[1]}" for row in PLANTED],
)
def test_every_service_fails_in_its_own_protocol(
    aws: LocalAws, service: str, operation: str, method: str, arguments: Json, code: str
) -> None:
    call = getattr(aws.client(service), method)
    aws.admin.fault(operation=operation, code=code, message="Because.", status=503)
    assert refusal(call, **arguments) == (code, "Because.")
    call(**arguments)


def test_time_may_be_stopped_in_the_middle(aws: LocalAws) -> None:
    aws.admin.pause_after("CreateCluster")
    cluster = aws.client("cloudhsmv2").create_cluster(**given(aws))["Cluster"]["ClusterId"]
    aws.admin.wait_for_pause()
    began = elapsed(aws)
    assert elapsed(aws) == began
    aws.admin.resume()
    aws.admin.advance(300)
    aws.client("cloudhsmv2").delete_cluster(ClusterId=cluster)
    aws.admin.advance(300)


# --- The wire ---


def test_a_refusal_of_cloudhsm_arrives_under_its_name(aws: LocalAws) -> None:
    client = aws.client("cloudhsmv2")
    with pytest.raises(client.exceptions.CloudHsmResourceNotFoundException):
        client.delete_cluster(ClusterId="cluster-abcdefghijk")


def test_a_refusal_of_key_stores_arrives_under_its_name(aws: LocalAws) -> None:
    client = aws.client("kms")
    with pytest.raises(client.exceptions.CustomKeyStoreNotFoundException):
        client.connect_custom_key_store(CustomKeyStoreId="cks-1234567890abcdef0")


def test_a_key_in_a_key_store_that_is_not_there_is_not_made(aws: LocalAws) -> None:
    client = aws.client("kms")
    before = len(client.list_keys()["Keys"])
    code, _ = refusal(
        client.create_key, Origin="AWS_CLOUDHSM", CustomKeyStoreId="cks-1234567890abcdef0"
    )
    assert code == "CustomKeyStoreNotFoundException"
    assert len(client.list_keys()["Keys"]) == before


def test_an_ordinary_key_is_still_made(aws: LocalAws) -> None:
    client = aws.client("kms")
    key = client.create_key()["KeyMetadata"]["KeyId"]
    text = client.encrypt(KeyId=key, Plaintext=b"plain")["CiphertextBlob"]
    assert client.decrypt(CiphertextBlob=text)["Plaintext"] == b"plain"


def test_a_region_of_its_own_has_clusters_of_its_own(aws: LocalAws, cluster: str) -> None:
    import boto3

    elsewhere = boto3.client(
        "cloudhsmv2",
        endpoint_url=aws.endpoint,
        region_name="eu-central-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    assert elsewhere.describe_clusters()["Clusters"] == []
    assert cluster in clusters(aws)
