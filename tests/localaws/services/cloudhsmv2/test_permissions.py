from __future__ import annotations

import pytest

from localaws.core.api_error import ApiError
from tests.localaws.services.region import ACCOUNT, ZONES, Life

GROUP = {
    "ec2:AuthorizeSecurityGroupEgress",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:CreateSecurityGroup",
    "ec2:DescribeSecurityGroups",
    "ec2:RevokeSecurityGroupEgress",
}
# F5.2, F4.26, F5.6.
TO_CREATE_CLUSTER = {
    *GROUP,
    "cloudhsm:TagResource",
    "ec2:DescribeSubnets",
    "iam:CreateServiceLinkedRole",
}
TO_CREATE_HSM = {
    *GROUP,
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
}
TO_DELETE_CLUSTER = {"ec2:DeleteNetworkInterface", "ec2:DeleteSecurityGroup"}
TAGS = [{"Key": "stack", "Value": "one"}]


def demanded(life: Life) -> set[str]:
    """What has been demanded since this was last asked."""
    actions = {action for action, _, _ in life.caller.demanded}
    life.caller.demanded.clear()
    return actions


def test_each_call_demands_what_the_reference_lists(life: Life) -> None:
    cluster_id = life.uninitialized(TagList=TAGS)
    assert demanded(life) == TO_CREATE_CLUSTER
    life.add_hsm(cluster_id)
    assert demanded(life) == TO_CREATE_HSM
    life.initialize(cluster_id)
    life.wait(life.timings.initialize)
    assert demanded(life) == set()
    life.call("DeleteHsm", ClusterId=cluster_id, HsmId=life.hsms(cluster_id)[0]["HsmId"])
    assert demanded(life) == {"ec2:DeleteNetworkInterface"}
    life.wait(life.timings.delete_hsm + 100)
    life.call("DeleteCluster", ClusterId=cluster_id)
    assert demanded(life) == TO_DELETE_CLUSTER


def test_without_tags_none_need_be_allowed(life: Life) -> None:
    life.create()
    assert demanded(life) == TO_CREATE_CLUSTER - {"cloudhsm:TagResource"}


def test_the_service_linked_role_is_made_once(life: Life) -> None:
    life.create()
    demanded(life)
    life.create()
    assert "iam:CreateServiceLinkedRole" not in demanded(life)
    assert life.caller.roles == ["cloudhsm.amazonaws.com"]


@pytest.mark.parametrize("action", sorted(TO_CREATE_CLUSTER))
def test_a_caller_who_lacks_one_makes_no_cluster(life: Life, action: str) -> None:
    life.caller.denied = {action}
    with pytest.raises(ApiError, match=action) as refusal:
        life.create(TagList=TAGS)
    assert refusal.value.code == "CloudHsmAccessDeniedException"
    assert life.call("DescribeClusters")["Clusters"] == []
    assert life.network.groups == {}
    life.caller.denied = set()
    life.create(TagList=TAGS)


@pytest.mark.parametrize("action", sorted(TO_CREATE_HSM))
def test_a_caller_who_lacks_one_makes_no_hsm(life: Life, action: str) -> None:
    cluster_id = life.uninitialized()
    life.caller.denied = {action}
    with pytest.raises(ApiError, match=action) as refusal:
        life.add_hsm(cluster_id)
    assert refusal.value.code == "CloudHsmAccessDeniedException"
    assert life.hsms(cluster_id) == []
    assert life.network.enis == {}


def test_a_caller_who_may_not_delete_interfaces_deletes_no_hsm(life: Life) -> None:
    cluster_id = life.with_csr()
    life.caller.denied = {"ec2:DeleteNetworkInterface"}
    with pytest.raises(ApiError) as refusal:
        life.call("DeleteHsm", ClusterId=cluster_id, HsmId=life.hsms(cluster_id)[0]["HsmId"])
    assert refusal.value.code == "CloudHsmAccessDeniedException"
    assert life.states(cluster_id) == ["ACTIVE"]


@pytest.mark.parametrize("action", sorted(TO_DELETE_CLUSTER))
def test_a_caller_who_lacks_one_deletes_no_cluster(life: Life, action: str) -> None:
    cluster_id = life.uninitialized()
    life.caller.denied = {action}
    with pytest.raises(ApiError) as refusal:
        life.call("DeleteCluster", ClusterId=cluster_id)
    assert refusal.value.code == "CloudHsmAccessDeniedException"
    assert life.cluster(cluster_id)["State"] == "UNINITIALIZED"


def test_tags_are_demanded_for_the_cluster_with_their_keys_and_values(life: Life) -> None:
    cluster_id = life.create(TagList=TAGS)
    ((_, resource, context),) = [
        demand for demand in life.caller.demanded if demand[0] == "cloudhsm:TagResource"
    ]
    assert resource == f"arn:aws:cloudhsm:us-east-1:{ACCOUNT}:cluster/{cluster_id}"
    assert context == {"aws:RequestTag/stack": "one", "aws:TagKeys": ["stack"]}


def test_an_interface_is_demanded_in_its_subnet_and_with_its_group(life: Life) -> None:
    cluster_id = life.with_csr()
    group = life.cluster(cluster_id)["SecurityGroup"]
    resources = {
        resource
        for action, resource, _ in life.caller.demanded
        if action == "ec2:CreateNetworkInterface"
    }
    assert resources == {
        f"arn:aws:ec2:us-east-1:{ACCOUNT}:{resource}"
        for resource in ("network-interface/*", "subnet/subnet-0000000a", f"security-group/{group}")
    }


@pytest.mark.parametrize("action", ["cloudhsm:DescribeClusters", "iam:CreateServiceLinkedRole"])
def test_a_caller_who_lacks_one_makes_no_key_store(life: Life, action: str) -> None:
    request = {
        "CustomKeyStoreName": "store",
        "CloudHsmClusterId": life.active(ZONES[1]),
        "TrustAnchorCertificate": life.ca.pem,
        "KeyStorePassword": "Kmsuser123",
    }
    life.caller.denied = {action}
    with pytest.raises(ApiError, match=action) as refusal:
        life.call("CreateCustomKeyStore", **request)
    assert refusal.value.code == "AccessDeniedException"
    assert life.call("DescribeCustomKeyStores")["CustomKeyStores"] == []
    life.caller.denied = set()
    demanded(life)
    life.call("CreateCustomKeyStore", **request)
    assert demanded(life) == {"cloudhsm:DescribeClusters", "iam:CreateServiceLinkedRole"}
    assert life.caller.roles[-1] == "cks.kms.amazonaws.com"


def test_a_key_in_a_store_takes_leave_to_see_the_cluster(life: Life) -> None:
    cluster_id = life.active(ZONES[1])
    life.add_user(cluster_id, "kmsuser", "Kmsuser123")
    store_id = life.call(
        "CreateCustomKeyStore",
        CustomKeyStoreName="store",
        CloudHsmClusterId=cluster_id,
        TrustAnchorCertificate=life.ca.pem,
        KeyStorePassword="Kmsuser123",
    )["CustomKeyStoreId"]
    life.call("ConnectCustomKeyStore", CustomKeyStoreId=store_id)
    life.wait(life.timings.connect)
    life.caller.denied = {"cloudhsm:DescribeClusters"}
    with pytest.raises(ApiError) as refusal:
        life.region.create_key(store_id, "key-1")
    assert refusal.value.code == "AccessDeniedException"
