"""With the credentials of one stack's roles, nothing of another stack can be taken over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from localaws.client import LocalAws
from rehearsal.checks import invariants
from rehearsal.drivers.deployment import Stack
from rehearsal.drivers.stack import StackDriver
from rehearsal.fixtures import existing_cluster
from rehearsal.timings import QUICK
from tests.iam.decisions import KEY_STORE_TEMPLATE
from tests.iam.roles import ANYWHERE, STACK_TAG, Role, role_of_stack, stack_tags

pytestmark = pytest.mark.long

Json = dict[str, Any]


class Stacks:
    """The victim's stack, the attacker's stack, and a cluster of neither."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self.victim = StackDriver(aws)
        self.victim.stack.parameters["pSubnets"] = aws.subnets[0]
        self.attacker = self.victim.second_stack("attacker")
        for driver in (self.victim, self.attacker):
            driver.start()
        for driver in (self.victim, self.attacker):
            driver.wait()
            driver.expect_stack("CREATE_COMPLETE")
        self.cluster, self.own_cluster = (
            driver.stack.outputs()["oClusterId"] for driver in (self.victim, self.attacker)
        )

    def role(self, logical_id: str) -> Role:
        """One of the attacker's roles."""
        return role_of_stack(self.aws, "attacker", logical_id)

    def tags(self) -> list[Json]:
        """The tag with which the attacker's stack marks what it owns."""
        return stack_tags(self.aws, "attacker")

    def client_group(self, stack: str) -> str:
        """The security group of a stack's client."""
        resource = self.aws.client("cloudformation").describe_stack_resource(
            StackName=stack, LogicalResourceId="rClientSecurityGroup"
        )
        return str(resource["StackResourceDetail"]["PhysicalResourceId"])


@pytest.fixture(scope="module", name="stacks")
def _stacks() -> Iterator[Stacks]:
    with LocalAws(timings=QUICK) as aws:
        yield Stacks(aws)
        assert invariants.violations(aws.admin.event_log()) == []


def reachable(stacks: Stacks) -> list[str]:
    """The operations that the attacker's cluster role may call on the victim's cluster."""
    role, cluster = stacks.role("rClusterRole"), {"ClusterId": stacks.cluster}
    attempts: dict[str, Json] = {
        "tag_resource": {"ResourceId": stacks.cluster, "TagList": stacks.tags()},
        "untag_resource": {"ResourceId": stacks.cluster, "TagKeyList": [STACK_TAG]},
        "create_hsm": {**cluster, "AvailabilityZone": "us-east-1a"},
        "modify_cluster": {**cluster, "HsmType": "hsm2m.medium"},
        "delete_cluster": cluster,
    }
    return [name for name, request in attempts.items() if role.may(f"cloudhsmv2.{name}", **request)]


def test_a_cluster_role_cannot_tag_or_change_another_stacks_cluster(stacks: Stacks) -> None:
    assert reachable(stacks) == []
    own = {"ResourceId": stacks.own_cluster, "TagList": [{"Key": "team", "Value": "crypto"}]}
    assert stacks.role("rClusterRole").may("cloudhsmv2.tag_resource", **own)


def test_a_cluster_role_creates_clusters_with_the_stacks_tag_only(stacks: Stacks) -> None:
    request = {"HsmType": "hsm2m.medium", "Mode": "FIPS", "SubnetIds": stacks.aws.subnets[:1]}
    other: Json = {"TagList": [{"Key": STACK_TAG, "Value": "none"}]}
    role = stacks.role("rClusterRole")
    assert not role.may("cloudhsmv2.create_cluster", **request)
    assert not role.may("cloudhsmv2.create_cluster", **request, **other)


def test_a_cluster_with_any_stack_tag_cannot_be_taken_over(stacks: Stacks) -> None:
    # docs/operations.md recommends such a tag for clusters that no stack owns.
    cluster_id = stacks.aws.client("cloudhsmv2").create_cluster(
        HsmType="hsm2m.medium",
        Mode="FIPS",
        SubnetIds=stacks.aws.subnets[:1],
        TagList=[{"Key": STACK_TAG, "Value": "none"}],
    )["Cluster"]["ClusterId"]
    role = stacks.role("rClusterRole")
    assert not role.may("cloudhsmv2.tag_resource", ResourceId=cluster_id, TagList=stacks.tags())
    assert not role.may("cloudhsmv2.delete_cluster", ClusterId=cluster_id)


def test_an_initialization_of_another_stacks_cluster_is_denied(stacks: Stacks) -> None:
    request = {"SignedCert": "a", "TrustAnchor": "b"}
    role = stacks.role("rCertificateRole")
    assert not role.may("cloudhsmv2.initialize_cluster", ClusterId=stacks.cluster, **request)
    assert role.may("cloudhsmv2.initialize_cluster", ClusterId=stacks.own_cluster, **request)


def test_the_secrets_of_another_stack_cannot_be_tagged_or_read(stacks: Stacks) -> None:
    certificate, client = stacks.role("rCertificateRole"), stacks.role("rClientInstanceRole")
    password = f"/cloudhsm/{stacks.cluster}/initial-crypto-officer-password"
    own = f"/cloudhsm/{stacks.own_cluster}/initial-crypto-officer-password"
    assert not certificate.may("secretsmanager.tag_resource", SecretId=password, Tags=stacks.tags())
    assert not client.may("secretsmanager.get_secret_value", SecretId=password)
    for operation in ("get_secret_value", "delete_secret"):
        csr = {"SecretId": f"/cloudhsm/{stacks.cluster}/cluster-csr"}
        assert not certificate.may(f"secretsmanager.{operation}", **csr)
    assert not certificate.may(
        "secretsmanager.delete_secret", SecretId=password, ForceDeleteWithoutRecovery=True
    )
    assert certificate.may("secretsmanager.tag_resource", SecretId=own, Tags=stacks.tags())
    assert client.may("secretsmanager.get_secret_value", SecretId=own)


def test_only_the_groups_of_the_own_cluster_and_client_can_be_changed(stacks: Stacks) -> None:
    role, cloudhsm, ec2 = (
        stacks.role("rClusterRole"),
        stacks.aws.client("cloudhsmv2"),
        stacks.aws.client("ec2"),
    )
    groups = {
        cluster["ClusterId"]: cluster["SecurityGroup"]
        for cluster in cloudhsm.describe_clusters()["Clusters"]
    }
    marked = ec2.create_security_group(
        GroupName="marked", Description="of no stack", VpcId=stacks.aws.vpc
    )["GroupId"]
    ec2.create_tags(Resources=[marked], Tags=[{"Key": STACK_TAG, "Value": "none"}])
    others = {
        "cluster": groups[stacks.cluster],
        "client": stacks.client_group("hsm"),
        "marked": marked,
    }
    attempts: list[tuple[str, Json]] = [
        ("create_tags", {"Tags": stacks.tags()}),
        ("authorize_security_group_ingress", {"IpPermissions": ANYWHERE}),
        ("authorize_security_group_egress", {"IpPermissions": ANYWHERE}),
        ("revoke_security_group_ingress", {"IpPermissions": ANYWHERE}),
        ("revoke_security_group_egress", {"IpPermissions": ANYWHERE}),
        ("delete_security_group", {}),
    ]

    def allowed(group_id: str) -> set[str]:
        return {
            name
            for name, request in attempts
            if role.may(
                f"ec2.{name}",
                **request,
                **({"Resources": [group_id]} if name == "create_tags" else {"GroupId": group_id}),
            )
        }

    assert {name: allowed(group) for name, group in others.items()} == {
        name: set() for name in others
    }
    assert allowed(stacks.client_group("attacker")) == {
        "authorize_security_group_egress",
        "revoke_security_group_egress",
    }
    assert allowed(groups[stacks.own_cluster]) == {name for name, _ in attempts}


def test_a_wider_scope_still_excludes_other_stacks_if_iam_evaluates_tags(stacks: Stacks) -> None:
    stacks.attacker.request(pCloudHsmIamScope="ANY")
    stacks.attacker.expect_stack("UPDATE_COMPLETE")
    assert reachable(stacks) == []
    request = {"SignedCert": "a", "TrustAnchor": "b"}
    certificate = stacks.role("rCertificateRole")
    assert not certificate.may("cloudhsmv2.initialize_cluster", ClusterId=stacks.cluster, **request)


def test_a_key_store_role_cannot_take_over_a_secret() -> None:
    with LocalAws(timings=QUICK) as aws:
        parameters = existing_cluster(aws).parameters
        driver = StackDriver(aws)
        driver.stack = Stack(aws, "store", KEY_STORE_TEMPLATE, pKeyStoreName="store", **parameters)
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        secret = {"Name": "/cloudhsm-ks/1/kmsuser-password", "SecretString": "text"}
        foreign = [{"Key": STACK_TAG, "Value": "none"}]
        aws.client("secretsmanager").create_secret(**secret, Tags=foreign)
        role, tags = role_of_stack(aws, "store", "rKeyStoreRole"), stack_tags(aws, "store")
        secret_id = {"SecretId": secret["Name"]}
        assert not role.may("secretsmanager.tag_resource", **secret_id, Tags=tags)
        assert not role.may("secretsmanager.get_secret_value", **secret_id)
        assert role.may("secretsmanager.create_secret", **secret, Tags=tags)
