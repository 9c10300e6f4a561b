"""What others do to a cluster behind the stack's back: repaired where it can be, else told."""

from __future__ import annotations

from rehearsal.by_hand import (
    delete_secret,
    last_warnings,
    read_secret,
    run_on_client,
    secret_name,
    secrets_of,
)
from rehearsal.life import LEFT_WITH_BACKUPS, Life

# Virtual seconds within which AWS has made or deleted an HSM or a cluster.
A_WHILE = 500
PORTS = {"IpProtocol": "tcp", "FromPort": 2223, "ToPort": 2225}


def hsms_come_and_go(life: Life) -> None:
    """Others delete an HSM, add one, close the client's way; AWS replaces one: all is put right."""
    hsm = life.aws.client("cloudhsmv2")
    with life.step("Create: 1 HSM per subnet"):
        life.request()
        life.expect_stack("CREATE_COMPLETE")
        cluster = life.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        own, first = cluster["ClusterId"], cluster["Hsms"][0]

    with life.step("An HSM is deleted, and the client's way closed"):
        hsm.delete_hsm(ClusterId=own, HsmId=first["HsmId"])
        life.control.advance(A_WHILE)
        _close_way(life)
        life.request(pReconcile="deleted")
        life.expect_stack("UPDATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        answer = run_on_client(life, "/opt/cloudhsm/bin/cloudhsm-cli user list")
        life.expect("error code of user list", '"error_code": 0' in answer, True)

    with life.step("Nothing but the client's way is closed"), life.cluster_untouched():
        _close_way(life)
        life.request(pReconcile="closed")
        life.expect_stack("UPDATE_COMPLETE")
        answer = run_on_client(life, "/opt/cloudhsm/bin/cloudhsm-cli user list")
        life.expect("error code of user list", '"error_code": 0' in answer, True)

    with life.step("An HSM is added"):
        hsm.create_hsm(ClusterId=own, AvailabilityZone=first["AvailabilityZone"])
        life.control.advance(A_WHILE)
        life.request(pReconcile="added")
        life.expect_stack("UPDATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    with life.step("AWS replaces an HSM: that is the same one"):
        new = life.control.act("replace_hsm", hsm_id=life.cluster()["Hsms"][0]["HsmId"])
        with life.untouched():
            life.request(pReconcile="replaced")
            life.expect_stack("UPDATE_COMPLETE")
        ids = [each["HsmId"] for each in life.cluster()["Hsms"]]
        life.expect(f"{new} among {ids}", new in ids, True)

    with life.step("Delete"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS)


def secrets_are_deleted(life: Life) -> None:
    """A secret is gone: an update says which and how it is put back, and passes once it is."""
    with life.step("Create: 1 HSM per subnet"):
        life.request()
        life.expect_stack("CREATE_COMPLETE")
        password = read_secret(life, "initial-crypto-officer-password")

    with (
        life.step("The request and the certificate: not needed any more"),
        life.cluster_untouched(),
    ):
        delete_secret(life, "cluster-csr")
        delete_secret(life, "cluster-cert")
        life.request(pReconcile="not needed")
        life.expect_stack("UPDATE_COMPLETE")

    with life.step("The admin's password"), life.cluster_untouched():
        delete_secret(life, "initial-crypto-officer-password")
        life.request(pHsmsPerSubnet=2)
        life.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        life.expect_reason("initial-crypto-officer-password is gone. Store the admin's password")
        _put_back(life, "initial-crypto-officer-password", password)
        life.request(pHsmsPerSubnet=1, pReconcile="password")
        life.expect_stack("UPDATE_COMPLETE")

    with life.step("The CA certificate"), life.cluster_untouched():
        delete_secret(life, "customer-ca-cert")
        life.request(pReconcile="CA certificate is gone")
        life.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        life.expect_reason("customer-ca-cert is gone. Store customerCA.crt of a client")
        kept = run_on_client(life, "cat /opt/cloudhsm/etc/customerCA.crt")
        _put_back(life, "customer-ca-cert", kept)
        life.request(pReconcile="CA certificate")
        life.expect_stack("UPDATE_COMPLETE")

    with life.step("Delete"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS)


def cluster_is_deleted(life: Life) -> None:
    """The cluster itself is gone: an update says so and is undone, and the stack can be deleted."""
    with life.step("Create: 1 HSM per subnet"):
        life.request()
        life.expect_stack("CREATE_COMPLETE")

    with life.step("Others delete the cluster"):
        hsm, cluster = life.aws.client("cloudhsmv2"), life.cluster()
        _close_way(life)
        for each in cluster["Hsms"]:
            hsm.delete_hsm(ClusterId=cluster["ClusterId"], HsmId=each["HsmId"])
        life.control.advance(A_WHILE)
        hsm.delete_cluster(ClusterId=cluster["ClusterId"])
        life.control.advance(A_WHILE)

    with life.step("Grow to 2 per subnet"):
        life.request(pHsmsPerSubnet=2)
        life.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        life.expect_reason("no longer exists", "from a backup")
        warnings = last_warnings(life)
        life.expect(f"warning: {warnings}", "no longer exists" in warnings, True)

    with life.step("Delete"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS)


def security_group_is_in_use(life: Life) -> None:
    """An application uses the cluster's group: AWS refuses the deletion as long as it does."""
    with life.step("Create: 1 HSM in 1 subnet"):
        life.request(pSubnets=life.aws.subnets[0])
        life.expect_stack("CREATE_COMPLETE")
        group, before = life.cluster()["SecurityGroup"], secrets_of(life)
        life.expect("secrets", len(before), 4)

    with life.step("Delete: the group is in use"):
        ec2 = life.aws.client("ec2")
        others = ec2.create_security_group(
            GroupName="others", Description="An application's", VpcId=life.aws.vpc
        )["GroupId"]
        way = [{**PORTS, "UserIdGroupPairs": [{"GroupId": group}]}]
        ec2.authorize_security_group_egress(GroupId=others, IpPermissions=way)
        life.delete()
        life.expect_stack("DELETE_FAILED")
        life.expect_reason("DeleteCluster", group, "in use")
        life.expect_cluster(state="ACTIVE", hsms=0)
        life.expect("secrets", secrets_of(life), before)

    with life.step("Delete, when it is not"):
        ec2.delete_security_group(GroupId=others)
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS)


def _close_way(life: Life) -> None:
    """Take away both rules between the client and the HSMs."""
    ec2, theirs = life.aws.client("ec2"), life.cluster()["SecurityGroup"]
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


def _put_back(life: Life, kind: str, text: str) -> None:
    """Make the secret anew as the stack event says: with the text, and with the stack's tag."""
    stack = life.aws.client("cloudformation").describe_stacks(StackName=life.stack.name)
    tag = {"Key": "hsm-lifecycle:stack-id", "Value": stack["Stacks"][0]["StackId"]}
    life.aws.client("secretsmanager").create_secret(
        Name=secret_name(life, kind), SecretString=text, Tags=[tag]
    )
