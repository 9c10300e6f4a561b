"""Changes made outside the stack: repaired where possible, reported otherwise."""

from __future__ import annotations

from rehearsal.drivers.operator import (
    delete_secret,
    expect_cli_works,
    last_warnings,
    read_secret,
    run_on_client,
    secret_name,
    secrets_of,
)
from rehearsal.drivers.stack import RETAINED_WITH_BACKUPS, StackDriver

# Virtual seconds; AWS creates or deletes an HSM or a cluster faster.
OPERATION_SECONDS = 500
PORTS = {"IpProtocol": "tcp", "FromPort": 2223, "ToPort": 2225}


def hsm_drift(driver: StackDriver) -> None:
    """HSMs deleted, added or replaced outside the stack and closed ports: pReconcile repairs it."""
    hsm = driver.aws.client("cloudhsmv2")
    cluster = driver.create_step("Create: 1 HSM per subnet", hsms=2, zones=2)
    cluster_id, first = cluster["ClusterId"], cluster["Hsms"][0]

    with driver.step("An HSM is deleted and the client's access revoked"):
        hsm.delete_hsm(ClusterId=cluster_id, HsmId=first["HsmId"])
        driver.admin.advance(OPERATION_SECONDS)
        _revoke_access(driver)
        driver.request(pReconcile="deleted")
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        expect_cli_works(driver)

    with driver.step("Only the client's access is revoked"), driver.expect_no_cluster_changes():
        _revoke_access(driver)
        driver.request(pReconcile="revoked")
        driver.expect_stack("UPDATE_COMPLETE")
        expect_cli_works(driver)

    with driver.step("An HSM is added"):
        hsm.create_hsm(ClusterId=cluster_id, AvailabilityZone=first["AvailabilityZone"])
        driver.admin.advance(OPERATION_SECONDS)
        driver.request(pReconcile="added")
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    with driver.step("AWS replaces an HSM: no drift"):
        new = driver.admin.aws_event("replace_hsm", hsm_id=driver.cluster()["Hsms"][0]["HsmId"])
        with driver.expect_no_changes():
            driver.request(pReconcile="replaced")
            driver.expect_stack("UPDATE_COMPLETE")
        ids = [each["HsmId"] for each in driver.cluster()["Hsms"]]
        driver.expect(f"{new} among {ids}", new in ids, True)

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def secrets_deleted(driver: StackDriver) -> None:
    """A secret is gone: the update fails, says how to restore it, and succeeds once restored."""
    with driver.step("Create: 1 HSM per subnet"):
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        password = read_secret(driver, "initial-crypto-officer-password")

    with (
        driver.step("The CSR and the certificate: no longer needed"),
        driver.expect_no_cluster_changes(),
    ):
        delete_secret(driver, "cluster-csr")
        delete_secret(driver, "cluster-cert")
        driver.request(pReconcile="not needed")
        driver.expect_stack("UPDATE_COMPLETE")

    with driver.step("The admin's password"), driver.expect_no_cluster_changes():
        delete_secret(driver, "initial-crypto-officer-password")
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("initial-crypto-officer-password is gone. Store the admin's password")
        _restore_secret(driver, "initial-crypto-officer-password", password)
        driver.request(pHsmsPerSubnet=1, pReconcile="password")
        driver.expect_stack("UPDATE_COMPLETE")

    with driver.step("The admin's password can be restored"), driver.expect_no_cluster_changes():
        secrets = driver.aws.client("secretsmanager")
        name = secret_name(driver, "initial-crypto-officer-password")
        secrets.delete_secret(SecretId=name, RecoveryWindowInDays=7)
        driver.request(pReconcile="scheduled for deletion")
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason(f"{name} is scheduled for deletion. Restore it with", "restore-secret")
        secrets.restore_secret(SecretId=name)
        driver.request(pReconcile="restored")
        driver.expect_stack("UPDATE_COMPLETE")

    with driver.step("The CA certificate"), driver.expect_no_cluster_changes():
        delete_secret(driver, "customer-ca-cert")
        driver.request(pReconcile="CA certificate is gone")
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("customer-ca-cert is gone. Store customerCA.crt of a client")
        certificate = run_on_client(driver, "cat /opt/cloudhsm/etc/customerCA.crt")
        _restore_secret(driver, "customer-ca-cert", certificate)
        driver.request(pReconcile="CA certificate")
        driver.expect_stack("UPDATE_COMPLETE")

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def cluster_deleted(driver: StackDriver) -> None:
    """The cluster itself was deleted: an update fails and rolls back; stack deletion succeeds."""
    with driver.step("Create: 1 HSM per subnet"):
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")

    with driver.step("The cluster is deleted outside the stack"):
        hsm, cluster = driver.aws.client("cloudhsmv2"), driver.cluster()
        _revoke_access(driver)
        for each in cluster["Hsms"]:
            hsm.delete_hsm(ClusterId=cluster["ClusterId"], HsmId=each["HsmId"])
        driver.admin.advance(OPERATION_SECONDS)
        hsm.delete_cluster(ClusterId=cluster["ClusterId"])
        driver.admin.advance(OPERATION_SECONDS)

    with driver.step("Scale up to 2 HSMs per subnet"):
        driver.request(pHsmsPerSubnet=2)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("no longer exists", "from a backup")
        driver.expect_in("warnings", last_warnings(driver), "no longer exists")

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def security_group_in_use(driver: StackDriver) -> None:
    """Another security group refers to the cluster's: deletion fails until the rule is gone."""
    with driver.step("Create: 1 HSM in 1 subnet"):
        driver.request(pSubnets=driver.aws.subnets[0])
        driver.expect_stack("CREATE_COMPLETE")
        group, before = driver.cluster()["SecurityGroup"], secrets_of(driver)
        driver.expect("secrets", len(before), 4)

    with driver.step("Delete: the security group is in use"):
        ec2 = driver.aws.client("ec2")
        application = ec2.create_security_group(
            GroupName="application", Description="Of an application", VpcId=driver.aws.vpc
        )["GroupId"]
        rule = {**PORTS, "UserIdGroupPairs": [{"GroupId": group}]}
        ec2.authorize_security_group_egress(GroupId=application, IpPermissions=[rule])
        driver.delete()
        driver.expect_stack("DELETE_FAILED")
        driver.expect_reason("DeleteCluster", group, "in use")
        driver.expect_cluster(state="ACTIVE", hsms=0)
        driver.expect("secrets", secrets_of(driver), before)

    ec2.delete_security_group(GroupId=application)
    driver.delete_step(*RETAINED_WITH_BACKUPS, title="Delete: the security group is free")


def _revoke_access(driver: StackDriver) -> None:
    """Remove both security group rules between the client and the HSMs."""
    ec2, hsms = driver.aws.client("ec2"), driver.cluster()["SecurityGroup"]
    groups = ec2.describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["cloudhsm-1-client"]}]
    )["SecurityGroups"]
    client = groups[0]["GroupId"]
    ec2.revoke_security_group_ingress(
        GroupId=hsms, IpPermissions=[{**PORTS, "UserIdGroupPairs": [{"GroupId": client}]}]
    )
    ec2.revoke_security_group_egress(
        GroupId=client, IpPermissions=[{**PORTS, "UserIdGroupPairs": [{"GroupId": hsms}]}]
    )


def _restore_secret(driver: StackDriver, kind: str, text: str) -> None:
    """Create the secret as the failure reason asks: with this text and the stack's tag."""
    stack = driver.aws.client("cloudformation").describe_stacks(StackName=driver.stack.name)
    tag = {"Key": "hsm-lifecycle:stack-id", "Value": stack["Stacks"][0]["StackId"]}
    driver.aws.client("secretsmanager").create_secret(
        Name=secret_name(driver, kind), SecretString=text, Tags=[tag]
    )
