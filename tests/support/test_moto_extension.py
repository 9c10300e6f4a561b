from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from moto import mock_aws

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2.settings import Quotas, Timings
from rehearsal import test_ca
from tests.localaws.services.cloudhsm import PASSWORD, START, ZONES, StillClock
from tests.support.moto_extension import MockedHsms, MotoEc2, extended_moto

TIMINGS = Timings()


class Aws:
    """Mocked AWS with two subnets, and the model behind it."""

    def __init__(self, clock: StillClock, hsms: MockedHsms) -> None:
        once = Config(retries={"total_max_attempts": 1})
        self.clock, self.hsms = clock, hsms
        self.ec2 = boto3.client("ec2")
        self.hsm = boto3.client("cloudhsmv2", config=once)
        self.kms = boto3.client("kms")
        self.vpc = self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [
            self.ec2.create_subnet(
                VpcId=self.vpc, CidrBlock=f"10.0.{place}.0/28", AvailabilityZone=zone
            )["Subnet"]["SubnetId"]
            for place, zone in enumerate(ZONES[:2])
        ]
        self.ca = test_ca.make_ca(START)

    def cluster(self, cluster_id: str) -> Any:
        (cluster,) = self.hsm.describe_clusters(Filters={"clusterIds": [cluster_id]})["Clusters"]
        return cluster

    def with_csr(self) -> str:
        cluster_id: str = self.hsm.create_cluster(
            HsmType="hsm2m.medium", Mode="FIPS", SubnetIds=self.subnets
        )["Cluster"]["ClusterId"]
        self.clock.advance(TIMINGS.create_cluster)
        self.hsm.create_hsm(ClusterId=cluster_id, AvailabilityZone=ZONES[0])
        self.clock.advance(TIMINGS.create_hsm)
        return cluster_id

    def run_client(self) -> tuple[str, str]:
        """An instance in a security group of its own."""
        group = self.ec2.create_security_group(
            GroupName="client", Description="client", VpcId=self.vpc
        )["GroupId"]
        instance = self.ec2.run_instances(
            ImageId="ami-00000001",
            MinCount=1,
            MaxCount=1,
            SubnetId=self.subnets[0],
            SecurityGroupIds=[group],
        )["Instances"][0]["InstanceId"]
        return instance, group


@pytest.fixture(autouse=True)
def _no_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not create moto's hundreds of default images, which no test uses."""
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")


@pytest.fixture(name="aws")
def _aws() -> Iterator[Aws]:
    clock = StillClock()
    with mock_aws(), extended_moto(clock) as hsms:
        yield Aws(clock, hsms)


def test_boto3_can_set_up_a_cluster_with_a_connected_key_store(aws: Aws) -> None:
    cluster_id = aws.with_csr()
    cluster = aws.cluster(cluster_id)
    assert cluster["State"] == "UNINITIALIZED"
    assert cluster["CreateTimestamp"].timestamp() == START
    signed = test_ca.sign(aws.ca, cluster["Certificates"]["ClusterCsr"], START)
    aws.hsm.initialize_cluster(ClusterId=cluster_id, SignedCert=signed, TrustAnchor=aws.ca.pem)
    aws.clock.advance(TIMINGS.initialize)
    client, client_group = aws.run_client()
    request = {"ip": cluster["Hsms"][0]["EniIp"], "ca": aws.ca.pem, "instance_id": client}
    provider = aws.hsms.provider()
    with pytest.raises(Exception, match="timed out"):
        provider.data_plane("activate", {**request, "password": PASSWORD})
    aws.ec2.authorize_security_group_ingress(
        GroupId=cluster["SecurityGroup"],
        IpPermissions=[
            {
                "IpProtocol": "tcp",
                "FromPort": 2223,
                "ToPort": 2225,
                "UserIdGroupPairs": [{"GroupId": client_group}],
            }
        ],
    )
    provider.data_plane("activate", {**request, "password": PASSWORD})
    aws.clock.advance(TIMINGS.activate)
    assert aws.cluster(cluster_id)["State"] == "ACTIVE"
    aws.hsm.create_hsm(ClusterId=cluster_id, AvailabilityZone=ZONES[1])
    aws.clock.advance(TIMINGS.create_hsm)
    login = {"login_role": "admin", "username": "admin", "password": PASSWORD}
    kmsuser = {"new_username": "kmsuser", "new_password": "Kmsuser123", "role": "crypto-user"}
    provider.data_plane("user-create", {**request, **login, **kmsuser})
    key_store_id = aws.kms.create_custom_key_store(
        CustomKeyStoreName="store",
        CloudHsmClusterId=cluster_id,
        TrustAnchorCertificate=aws.ca.pem,
        KeyStorePassword="Kmsuser123",
    )["CustomKeyStoreId"]
    aws.kms.connect_custom_key_store(CustomKeyStoreId=key_store_id)
    aws.clock.advance(TIMINGS.connect)
    (key_store,) = aws.kms.describe_custom_key_stores()["CustomKeyStores"]
    assert key_store["ConnectionState"] == "CONNECTED"
    assert aws.hsms.event_log.events()[-1]["event"] == "CONNECTED"
    groups = boto3.client("logs").describe_log_groups()["logGroups"]
    assert [group["logGroupName"] for group in groups] == [f"/aws/cloudhsm/{cluster_id}"]
    aws.kms.disconnect_custom_key_store(CustomKeyStoreId=key_store_id)
    aws.clock.advance(TIMINGS.disconnect)
    aws.kms.describe_custom_key_stores()
    assert not aws.ec2.describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["kms-*"]}]
    )["SecurityGroups"]


def test_interfaces_and_security_group_exist_in_motos_ec2(aws: Aws) -> None:
    cluster_id = aws.with_csr()
    (hsm,) = aws.cluster(cluster_id)["Hsms"]
    (interface,) = aws.ec2.describe_network_interfaces(NetworkInterfaceIds=[hsm["EniId"]])[
        "NetworkInterfaces"
    ]
    assert interface["PrivateIpAddress"] == hsm["EniIp"] == "10.0.0.10"
    assert interface["SubnetId"] == aws.subnets[0]
    group = aws.cluster(cluster_id)["SecurityGroup"]
    (described,) = aws.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    for direction in ("IpPermissions", "IpPermissionsEgress"):
        (rule,) = described[direction]
        assert (rule["FromPort"], rule["ToPort"]) == (2223, 2225)
        assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [group]
    aws.hsm.delete_hsm(ClusterId=cluster_id, HsmId=hsm["HsmId"])
    aws.clock.advance(TIMINGS.delete_hsm + 60)
    aws.hsm.delete_cluster(ClusterId=cluster_id)
    aws.clock.advance(TIMINGS.delete_cluster)
    assert aws.cluster(cluster_id)["State"] == "DELETED"
    with pytest.raises(ClientError):
        aws.ec2.describe_security_groups(GroupIds=[group])
    assert not aws.ec2.describe_network_interfaces()["NetworkInterfaces"]


def test_a_cluster_whose_group_another_group_refers_to_is_not_deleted(aws: Aws) -> None:
    cluster_id = aws.hsm.create_cluster(HsmType="hsm2m.medium", Mode="FIPS", SubnetIds=aws.subnets)[
        "Cluster"
    ]["ClusterId"]
    aws.clock.advance(TIMINGS.create_cluster)
    _, client_group = aws.run_client()
    aws.ec2.authorize_security_group_egress(
        GroupId=client_group,
        IpPermissions=[
            {
                "IpProtocol": "tcp",
                "FromPort": 2223,
                "ToPort": 2225,
                "UserIdGroupPairs": [{"GroupId": aws.cluster(cluster_id)["SecurityGroup"]}],
            }
        ],
    )
    aws.hsm.delete_cluster(ClusterId=cluster_id)
    aws.clock.advance(TIMINGS.delete_cluster)
    assert "DependencyViolation" in aws.cluster(cluster_id)["StateMessage"]


def test_a_released_address_is_not_reused_at_once(aws: Aws) -> None:
    cluster_id = aws.with_csr()
    (hsm,) = aws.cluster(cluster_id)["Hsms"]
    aws.hsm.delete_hsm(ClusterId=cluster_id, HsmId=hsm["HsmId"])
    aws.clock.advance(TIMINGS.delete_hsm)
    aws.hsm.create_hsm(ClusterId=cluster_id, AvailabilityZone=ZONES[0])
    (created,) = (each for each in aws.cluster(cluster_id)["Hsms"] if each["HsmId"] != hsm["HsmId"])
    assert (hsm["EniIp"], created["EniIp"]) == ("10.0.0.10", "10.0.0.11")


def test_an_error_of_the_model_is_a_client_error(aws: Aws) -> None:
    with pytest.raises(ClientError, match="does not exist") as error:
        aws.hsm.delete_cluster(ClusterId="cluster-22222222222")
    assert error.value.response["Error"]["Code"] == "CloudHsmResourceNotFoundException"
    with pytest.raises(aws.kms.exceptions.CustomKeyStoreNotFoundException):
        aws.kms.connect_custom_key_store(CustomKeyStoreId="cks-1")


def test_a_lost_connection_is_a_connection_error(aws: Aws) -> None:
    aws.hsms.faults.inject(
        {"operation": "CreateCluster", "code": "ConnectionLost", "when": "after"}
    )
    with pytest.raises(ConnectionClosedError):
        aws.hsm.create_cluster(HsmType="hsm2m.medium", Mode="FIPS", SubnetIds=aws.subnets)
    assert len(aws.hsm.describe_clusters()["Clusters"]) == 1


def test_a_denied_action_is_access_denied(aws: Aws) -> None:
    aws.hsms.denied.add("ec2:CreateSecurityGroup")
    with pytest.raises(ClientError) as error:
        aws.hsm.create_cluster(HsmType="hsm2m.medium", Mode="FIPS", SubnetIds=aws.subnets)
    assert error.value.response["Error"]["Code"] == "CloudHsmAccessDeniedException"


def test_each_region_has_its_own_model(aws: Aws) -> None:
    aws.with_csr()
    elsewhere = boto3.client("cloudhsmv2", region_name="eu-west-1")
    assert elsewhere.describe_clusters()["Clusters"] == []
    assert len(aws.hsms.provider().inventory()["cloudhsm"]["clusters"]) == 1


def test_settings_apply_and_moto_is_restored_afterwards() -> None:
    clock = StillClock()
    with mock_aws():
        with extended_moto(clock, quotas=Quotas(clusters=0)) as hsms:
            aws = Aws(clock, hsms)
            with pytest.raises(ClientError, match="limit of 0 clusters"):
                aws.with_csr()
        created = aws.hsm.create_cluster(HsmType="hsm1.medium", SubnetIds=aws.subnets)["Cluster"]
        assert created["ClusterId"]
        with pytest.raises(NotImplementedError):
            aws.kms.describe_custom_key_stores()


def test_unknown_resources_give_no_access_and_are_deleted_idempotently(aws: Aws) -> None:
    network = MotoEc2("us-east-1")
    assert network.subnet("subnet-0000dead") is None
    assert not network.client_may_reach("i-0000dead", "sg-0000dead", "eni-0000dead")
    assert not network.cluster_group_intact("sg-0000dead")
    network.delete_security_group("sg-0000dead")
    network.delete_eni("eni-0000dead")


def test_a_subnet_assigns_each_address_once(aws: Aws) -> None:
    network = MotoEc2("us-east-1")
    subnet, group = aws.subnets[0], network.create_security_group("one", "one", aws.vpc)
    given = [network.create_eni(subnet, group, "")[1] for _ in range(5)]
    assert given == [f"10.0.0.{host}" for host in range(10, 15)]
    with pytest.raises(ApiError, match="no free address"):
        network.create_eni(subnet, group, "")
    with pytest.raises(ApiError, match="is in use"):
        network.create_eni(subnet, group, "", "10.0.0.10")
    assert network.create_eni(subnet, group, "", "10.0.0.9")[1] == "10.0.0.9"
