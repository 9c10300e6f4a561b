from __future__ import annotations

import pytest

from localaws.core.api_error import ApiError
from tests.localaws.services.cloudhsm import ACCOUNT, ZONES, CloudHsm

GROUP = {
    "ec2:AuthorizeSecurityGroupEgress",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:CreateSecurityGroup",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeVpcs",
    "ec2:RevokeSecurityGroupEgress",
}
# F5.2, F4.26, F5.6, F5.10.
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
    "ec2:DescribeNetworkInterfaceAttribute",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
}
TO_DELETE_HSM = {"ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaceAttribute"}
TO_DELETE_CLUSTER = {"ec2:DeleteNetworkInterface", "ec2:DeleteSecurityGroup"}
TAGS = [{"Key": "stack", "Value": "one"}]


def checked(cloudhsm: CloudHsm) -> set[str]:
    """The actions checked since the last call."""
    actions = {action for action, _, _ in cloudhsm.caller.authorized}
    cloudhsm.caller.authorized.clear()
    return actions


def test_each_operation_checks_the_permissions_in_the_reference(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.uninitialized(TagList=TAGS)
    assert checked(cloudhsm) == TO_CREATE_CLUSTER
    cloudhsm.add_hsm(cluster_id)
    assert checked(cloudhsm) == TO_CREATE_HSM
    cloudhsm.initialize(cluster_id)
    cloudhsm.wait(cloudhsm.timings.initialize)
    assert checked(cloudhsm) == set()
    cloudhsm.call("DeleteHsm", ClusterId=cluster_id, HsmId=cloudhsm.hsms(cluster_id)[0]["HsmId"])
    assert checked(cloudhsm) == TO_DELETE_HSM
    cloudhsm.wait(cloudhsm.timings.delete_hsm + 100)
    cloudhsm.call("DeleteCluster", ClusterId=cluster_id)
    assert checked(cloudhsm) == TO_DELETE_CLUSTER


def test_tag_resource_is_not_required_without_tags(cloudhsm: CloudHsm) -> None:
    cloudhsm.create()
    assert checked(cloudhsm) == TO_CREATE_CLUSTER - {"cloudhsm:TagResource"}


def test_the_service_linked_role_is_created_once(cloudhsm: CloudHsm) -> None:
    cloudhsm.create()
    checked(cloudhsm)
    cloudhsm.create()
    assert "iam:CreateServiceLinkedRole" not in checked(cloudhsm)
    assert cloudhsm.caller.roles == ["cloudhsm.amazonaws.com"]


def test_create_cluster_requires_each_permission(cloudhsm: CloudHsm) -> None:
    for action in sorted(TO_CREATE_CLUSTER):
        cloudhsm.caller.denied = {action}
        with pytest.raises(ApiError, match=action) as error:
            cloudhsm.create(TagList=TAGS)
        assert error.value.code == "CloudHsmAccessDeniedException"
    assert cloudhsm.call("DescribeClusters")["Clusters"] == []
    assert cloudhsm.network.groups == {}
    cloudhsm.caller.denied = set()
    cloudhsm.create(TagList=TAGS)


def test_create_hsm_requires_each_permission(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.uninitialized()
    for action in sorted(TO_CREATE_HSM):
        cloudhsm.caller.denied = {action}
        with pytest.raises(ApiError, match=action) as error:
            cloudhsm.add_hsm(cluster_id)
        assert error.value.code == "CloudHsmAccessDeniedException"
    assert cloudhsm.hsms(cluster_id) == []
    assert cloudhsm.network.enis == {}


def test_delete_hsm_requires_each_permission(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.with_csr()
    hsm_id = cloudhsm.hsms(cluster_id)[0]["HsmId"]
    for action in sorted(TO_DELETE_HSM):
        cloudhsm.caller.denied = {action}
        with pytest.raises(ApiError, match=action) as error:
            cloudhsm.call("DeleteHsm", ClusterId=cluster_id, HsmId=hsm_id)
        assert error.value.code == "CloudHsmAccessDeniedException"
    assert cloudhsm.states(cluster_id) == ["ACTIVE"]


def test_modify_cluster_requires_describe_subnets(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.uninitialized()
    cloudhsm.caller.denied = {"ec2:DescribeSubnets"}
    policy = {"Type": "DAYS", "Value": "30"}
    with pytest.raises(ApiError) as error:
        cloudhsm.call("ModifyCluster", ClusterId=cluster_id, BackupRetentionPolicy=policy)
    assert error.value.code == "CloudHsmAccessDeniedException"
    assert cloudhsm.cluster(cluster_id)["BackupRetentionPolicy"]["Value"] == "90"


def test_the_rules_of_the_clusters_group_are_checked_on_that_group(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.uninitialized()
    group = cloudhsm.cluster(cluster_id)["SecurityGroup"]
    cloudhsm.caller.authorized.clear()
    cloudhsm.add_hsm(cluster_id)
    resources = {
        resource
        for action, resource, _ in cloudhsm.caller.authorized
        if action.startswith(("ec2:Authorize", "ec2:Revoke"))
    }
    assert resources == {f"arn:aws:ec2:us-east-1:{ACCOUNT}:security-group/{group}"}


def test_delete_cluster_requires_each_permission(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.uninitialized()
    for action in sorted(TO_DELETE_CLUSTER):
        cloudhsm.caller.denied = {action}
        with pytest.raises(ApiError, match=action) as error:
            cloudhsm.call("DeleteCluster", ClusterId=cluster_id)
        assert error.value.code == "CloudHsmAccessDeniedException"
    assert cloudhsm.cluster(cluster_id)["State"] == "UNINITIALIZED"


def test_tag_resource_is_checked_on_the_cluster_with_the_tags(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.create(TagList=TAGS)
    ((_, resource, context),) = [
        check for check in cloudhsm.caller.authorized if check[0] == "cloudhsm:TagResource"
    ]
    assert resource == f"arn:aws:cloudhsm:us-east-1:{ACCOUNT}:cluster/{cluster_id}"
    assert context == {"aws:RequestTag/stack": "one", "aws:TagKeys": ["stack"]}


def test_create_network_interface_is_checked_on_interface_subnet_and_group(
    cloudhsm: CloudHsm,
) -> None:
    cluster_id = cloudhsm.with_csr()
    group = cloudhsm.cluster(cluster_id)["SecurityGroup"]
    resources = {
        resource
        for action, resource, _ in cloudhsm.caller.authorized
        if action == "ec2:CreateNetworkInterface"
    }
    assert resources == {
        f"arn:aws:ec2:us-east-1:{ACCOUNT}:{resource}"
        for resource in ("network-interface/*", "subnet/subnet-0000000a", f"security-group/{group}")
    }


def test_create_custom_key_store_requires_each_permission(cloudhsm: CloudHsm) -> None:
    request = {
        "CustomKeyStoreName": "store",
        "CloudHsmClusterId": cloudhsm.active(ZONES[1]),
        "TrustAnchorCertificate": cloudhsm.ca.pem,
        "KeyStorePassword": "Kmsuser123",
    }
    required = {"cloudhsm:DescribeClusters", "iam:CreateServiceLinkedRole"}
    for action in sorted(required):
        cloudhsm.caller.denied = {action}
        with pytest.raises(ApiError, match=action) as error:
            cloudhsm.call("CreateCustomKeyStore", **request)
        assert error.value.code == "AccessDeniedException"
    assert cloudhsm.call("DescribeCustomKeyStores")["CustomKeyStores"] == []
    cloudhsm.caller.denied = set()
    checked(cloudhsm)
    cloudhsm.call("CreateCustomKeyStore", **request)
    assert checked(cloudhsm) == required
    assert cloudhsm.caller.roles[-1] == "cks.kms.amazonaws.com"


def test_create_key_requires_describe_clusters(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active(ZONES[1])
    cloudhsm.add_user(cluster_id, "kmsuser", "Kmsuser123")
    key_store_id = cloudhsm.call(
        "CreateCustomKeyStore",
        CustomKeyStoreName="store",
        CloudHsmClusterId=cluster_id,
        TrustAnchorCertificate=cloudhsm.ca.pem,
        KeyStorePassword="Kmsuser123",
    )["CustomKeyStoreId"]
    cloudhsm.call("ConnectCustomKeyStore", CustomKeyStoreId=key_store_id)
    cloudhsm.wait(cloudhsm.timings.connect)
    cloudhsm.caller.denied = {"cloudhsm:DescribeClusters"}
    with pytest.raises(ApiError) as error:
        cloudhsm.provider.create_key(key_store_id, "key-1")
    assert error.value.code == "AccessDeniedException"
