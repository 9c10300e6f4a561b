from __future__ import annotations

import pytest

from localaws.core.api_error import ApiError
from tests.localaws.services.cloudhsm import ACCOUNT, ZONES, CloudHsm

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


def demanded(cloudhsm: CloudHsm) -> set[str]:
    """What has been demanded since this was last asked."""
    actions = {action for action, _, _ in cloudhsm.caller.demanded}
    cloudhsm.caller.demanded.clear()
    return actions


def test_each_call_demands_what_the_reference_lists(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.uninitialized(TagList=TAGS)
    assert demanded(cloudhsm) == TO_CREATE_CLUSTER
    cloudhsm.add_hsm(cluster_id)
    assert demanded(cloudhsm) == TO_CREATE_HSM
    cloudhsm.initialize(cluster_id)
    cloudhsm.wait(cloudhsm.timings.initialize)
    assert demanded(cloudhsm) == set()
    cloudhsm.call("DeleteHsm", ClusterId=cluster_id, HsmId=cloudhsm.hsms(cluster_id)[0]["HsmId"])
    assert demanded(cloudhsm) == {"ec2:DeleteNetworkInterface"}
    cloudhsm.wait(cloudhsm.timings.delete_hsm + 100)
    cloudhsm.call("DeleteCluster", ClusterId=cluster_id)
    assert demanded(cloudhsm) == TO_DELETE_CLUSTER


def test_without_tags_none_need_be_allowed(cloudhsm: CloudHsm) -> None:
    cloudhsm.create()
    assert demanded(cloudhsm) == TO_CREATE_CLUSTER - {"cloudhsm:TagResource"}


def test_the_service_linked_role_is_made_once(cloudhsm: CloudHsm) -> None:
    cloudhsm.create()
    demanded(cloudhsm)
    cloudhsm.create()
    assert "iam:CreateServiceLinkedRole" not in demanded(cloudhsm)
    assert cloudhsm.caller.roles == ["cloudhsm.amazonaws.com"]


@pytest.mark.parametrize("action", sorted(TO_CREATE_CLUSTER))
def test_a_caller_who_lacks_one_makes_no_cluster(cloudhsm: CloudHsm, action: str) -> None:
    cloudhsm.caller.denied = {action}
    with pytest.raises(ApiError, match=action) as refusal:
        cloudhsm.create(TagList=TAGS)
    assert refusal.value.code == "CloudHsmAccessDeniedException"
    assert cloudhsm.call("DescribeClusters")["Clusters"] == []
    assert cloudhsm.network.groups == {}
    cloudhsm.caller.denied = set()
    cloudhsm.create(TagList=TAGS)


@pytest.mark.parametrize("action", sorted(TO_CREATE_HSM))
def test_a_caller_who_lacks_one_makes_no_hsm(cloudhsm: CloudHsm, action: str) -> None:
    cluster_id = cloudhsm.uninitialized()
    cloudhsm.caller.denied = {action}
    with pytest.raises(ApiError, match=action) as refusal:
        cloudhsm.add_hsm(cluster_id)
    assert refusal.value.code == "CloudHsmAccessDeniedException"
    assert cloudhsm.hsms(cluster_id) == []
    assert cloudhsm.network.enis == {}


def test_a_caller_who_may_not_delete_interfaces_deletes_no_hsm(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.with_csr()
    cloudhsm.caller.denied = {"ec2:DeleteNetworkInterface"}
    with pytest.raises(ApiError) as refusal:
        cloudhsm.call(
            "DeleteHsm", ClusterId=cluster_id, HsmId=cloudhsm.hsms(cluster_id)[0]["HsmId"]
        )
    assert refusal.value.code == "CloudHsmAccessDeniedException"
    assert cloudhsm.states(cluster_id) == ["ACTIVE"]


@pytest.mark.parametrize("action", sorted(TO_DELETE_CLUSTER))
def test_a_caller_who_lacks_one_deletes_no_cluster(cloudhsm: CloudHsm, action: str) -> None:
    cluster_id = cloudhsm.uninitialized()
    cloudhsm.caller.denied = {action}
    with pytest.raises(ApiError) as refusal:
        cloudhsm.call("DeleteCluster", ClusterId=cluster_id)
    assert refusal.value.code == "CloudHsmAccessDeniedException"
    assert cloudhsm.cluster(cluster_id)["State"] == "UNINITIALIZED"


def test_tags_are_demanded_for_the_cluster_with_their_keys_and_values(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.create(TagList=TAGS)
    ((_, resource, context),) = [
        demand for demand in cloudhsm.caller.demanded if demand[0] == "cloudhsm:TagResource"
    ]
    assert resource == f"arn:aws:cloudhsm:us-east-1:{ACCOUNT}:cluster/{cluster_id}"
    assert context == {"aws:RequestTag/stack": "one", "aws:TagKeys": ["stack"]}


def test_an_interface_is_demanded_in_its_subnet_and_with_its_group(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.with_csr()
    group = cloudhsm.cluster(cluster_id)["SecurityGroup"]
    resources = {
        resource
        for action, resource, _ in cloudhsm.caller.demanded
        if action == "ec2:CreateNetworkInterface"
    }
    assert resources == {
        f"arn:aws:ec2:us-east-1:{ACCOUNT}:{resource}"
        for resource in ("network-interface/*", "subnet/subnet-0000000a", f"security-group/{group}")
    }


@pytest.mark.parametrize("action", ["cloudhsm:DescribeClusters", "iam:CreateServiceLinkedRole"])
def test_a_caller_who_lacks_one_makes_no_key_store(cloudhsm: CloudHsm, action: str) -> None:
    request = {
        "CustomKeyStoreName": "store",
        "CloudHsmClusterId": cloudhsm.active(ZONES[1]),
        "TrustAnchorCertificate": cloudhsm.ca.pem,
        "KeyStorePassword": "Kmsuser123",
    }
    cloudhsm.caller.denied = {action}
    with pytest.raises(ApiError, match=action) as refusal:
        cloudhsm.call("CreateCustomKeyStore", **request)
    assert refusal.value.code == "AccessDeniedException"
    assert cloudhsm.call("DescribeCustomKeyStores")["CustomKeyStores"] == []
    cloudhsm.caller.denied = set()
    demanded(cloudhsm)
    cloudhsm.call("CreateCustomKeyStore", **request)
    assert demanded(cloudhsm) == {"cloudhsm:DescribeClusters", "iam:CreateServiceLinkedRole"}
    assert cloudhsm.caller.roles[-1] == "cks.kms.amazonaws.com"


def test_a_key_in_a_store_takes_leave_to_see_the_cluster(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active(ZONES[1])
    cloudhsm.add_user(cluster_id, "kmsuser", "Kmsuser123")
    store_id = cloudhsm.call(
        "CreateCustomKeyStore",
        CustomKeyStoreName="store",
        CloudHsmClusterId=cluster_id,
        TrustAnchorCertificate=cloudhsm.ca.pem,
        KeyStorePassword="Kmsuser123",
    )["CustomKeyStoreId"]
    cloudhsm.call("ConnectCustomKeyStore", CustomKeyStoreId=store_id)
    cloudhsm.wait(cloudhsm.timings.connect)
    cloudhsm.caller.denied = {"cloudhsm:DescribeClusters"}
    with pytest.raises(ApiError) as refusal:
        cloudhsm.provider.create_key(store_id, "key-1")
    assert refusal.value.code == "AccessDeniedException"
