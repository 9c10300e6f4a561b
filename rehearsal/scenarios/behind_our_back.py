"""What others do to a cluster behind the stack's back: repaired where it can be, else told."""

from __future__ import annotations

from rehearsal.drivers.operator import (
    delete_secret,
    last_warnings,
    read_secret,
    run_on_client,
    secret_name,
    secrets_of,
)
from rehearsal.drivers.stack import LEFT_WITH_BACKUPS, StackDriver

# Virtual seconds within which AWS has made or deleted an HSM or a cluster.
A_WHILE = 500
PORTS = {"IpProtocol": "tcp", "FromPort": 2223, "ToPort": 2225}


def hsms_come_and_go(driver: StackDriver) -> None:
    """Others delete an HSM, add one, close the client's way; AWS replaces one: all is put right."""
    hsm = driver.aws.client("cloudhsmv2")
    with driver.step("Create: 1 HSM per subnet"):
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        cluster = driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        own, first = cluster["ClusterId"], cluster["Hsms"][0]

    with driver.step("An HSM is deleted, and the client's way closed"):
        hsm.delete_hsm(ClusterId=own, HsmId=first["HsmId"])
        driver.admin.advance(A_WHILE)
        _close_way(driver)
        driver.request(pReconcile="deleted")
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        answer = run_on_client(driver, "/opt/cloudhsm/bin/cloudhsm-cli user list")
        driver.expect("error code of user list", '"error_code": 0' in answer, True)

    with driver.step("Nothing but the client's way is closed"), driver.cluster_untouched():
        _close_way(driver)
        driver.request(pReconcile="closed")
        driver.expect_stack("UPDATE_COMPLETE")
        answer = run_on_client(driver, "/opt/cloudhsm/bin/cloudhsm-cli user list")
        driver.expect("error code of user list", '"error_code": 0' in answer, True)

    with driver.step("An HSM is added"):
        hsm.create_hsm(ClusterId=own, AvailabilityZone=first["AvailabilityZone"])
        driver.admin.advance(A_WHILE)
        driver.request(pReconcile="added")
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    with driver.step("AWS replaces an HSM: that is the same one"):
        new = driver.admin.act("replace_hsm", hsm_id=driver.cluster()["Hsms"][0]["HsmId"])
        with driver.untouched():
            driver.request(pReconcile="replaced")
            driver.expect_stack("UPDATE_COMPLETE")
        ids = [each["HsmId"] for each in driver.cluster()["Hsms"]]
        driver.expect(f"{new} among {ids}", new in ids, True)

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def secrets_are_deleted(driver: StackDriver) -> None:
    """A secret is gone: an update says which and how it is put back, and passes once it is."""
    with driver.step("Create: 1 HSM per subnet"):
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        password = read_secret(driver, "initial-crypto-officer-password")

    with (
        driver.step("The request and the certificate: not needed any more"),
        driver.cluster_untouched(),
    ):
        delete_secret(driver, "cluster-csr")
        delete_secret(driver, "cluster-cert")
        driver.request(pReconcile="not needed")
        driver.expect_stack("UPDATE_COMPLETE")

    with driver.step("The admin's password"), driver.cluster_untouched():
        delete_secret(driver, "initial-crypto-officer-password")
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("initial-crypto-officer-password is gone. Store the admin's password")
        _put_back(driver, "initial-crypto-officer-password", password)
        driver.request(pHsmsPerSubnet=1, pReconcile="password")
        driver.expect_stack("UPDATE_COMPLETE")

    with driver.step("The CA certificate"), driver.cluster_untouched():
        delete_secret(driver, "customer-ca-cert")
        driver.request(pReconcile="CA certificate is gone")
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("customer-ca-cert is gone. Store customerCA.crt of a client")
        kept = run_on_client(driver, "cat /opt/cloudhsm/etc/customerCA.crt")
        _put_back(driver, "customer-ca-cert", kept)
        driver.request(pReconcile="CA certificate")
        driver.expect_stack("UPDATE_COMPLETE")

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def cluster_is_deleted(driver: StackDriver) -> None:
    """The cluster itself is gone: an update says so and is undone, and the stack can be deleted."""
    with driver.step("Create: 1 HSM per subnet"):
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")

    with driver.step("Others delete the cluster"):
        hsm, cluster = driver.aws.client("cloudhsmv2"), driver.cluster()
        _close_way(driver)
        for each in cluster["Hsms"]:
            hsm.delete_hsm(ClusterId=cluster["ClusterId"], HsmId=each["HsmId"])
        driver.admin.advance(A_WHILE)
        hsm.delete_cluster(ClusterId=cluster["ClusterId"])
        driver.admin.advance(A_WHILE)

    with driver.step("Grow to 2 per subnet"):
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("no longer exists", "from a backup")
        warnings = last_warnings(driver)
        driver.expect(f"warning: {warnings}", "no longer exists" in warnings, True)

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def security_group_is_in_use(driver: StackDriver) -> None:
    """An application uses the cluster's group: AWS refuses the deletion as long as it does."""
    with driver.step("Create: 1 HSM in 1 subnet"):
        driver.request(pSubnets=driver.aws.subnets[0])
        driver.expect_stack("CREATE_COMPLETE")
        group, before = driver.cluster()["SecurityGroup"], secrets_of(driver)
        driver.expect("secrets", len(before), 4)

    with driver.step("Delete: the group is in use"):
        ec2 = driver.aws.client("ec2")
        others = ec2.create_security_group(
            GroupName="others", Description="An application's", VpcId=driver.aws.vpc
        )["GroupId"]
        way = [{**PORTS, "UserIdGroupPairs": [{"GroupId": group}]}]
        ec2.authorize_security_group_egress(GroupId=others, IpPermissions=way)
        driver.delete()
        driver.expect_stack("DELETE_FAILED")
        driver.expect_reason("DeleteCluster", group, "in use")
        driver.expect_cluster(state="ACTIVE", hsms=0)
        driver.expect("secrets", secrets_of(driver), before)

    with driver.step("Delete, when it is not"):
        ec2.delete_security_group(GroupId=others)
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def _close_way(driver: StackDriver) -> None:
    """Take away both rules between the client and the HSMs."""
    ec2, theirs = driver.aws.client("ec2"), driver.cluster()["SecurityGroup"]
    groups = ec2.describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["cloudhsm-1-client"]}]
    )["SecurityGroups"]
    ours = groups[0]["GroupId"]
    ec2.revoke_security_group_ingress(
        GroupId=theirs, IpPermissions=[{**PORTS, "UserIdGroupPairs": [{"GroupId": ours}]}]
    )
    ec2.revoke_security_group_egress(
        GroupId=ours, IpPermissions=[{**PORTS, "UserIdGroupPairs": [{"GroupId": theirs}]}]
    )


def _put_back(driver: StackDriver, kind: str, text: str) -> None:
    """Make the secret anew as the stack event says: with the text, and with the stack's tag."""
    stack = driver.aws.client("cloudformation").describe_stacks(StackName=driver.stack.name)
    tag = {"Key": "hsm-lifecycle:stack-id", "Value": stack["Stacks"][0]["StackId"]}
    driver.aws.client("secretsmanager").create_secret(
        Name=secret_name(driver, kind), SecretString=text, Tags=[tag]
    )
