"""Parameters that are rejected by name before anything changes."""

from __future__ import annotations

from rehearsal.drivers.stack import RETAINED_WITH_BACKUPS, StackDriver

# Well formed, but nonexistent.
NO_BACKUP = "backup-222222222222"
UNUSED_CIDR = "172.31.240.0/20"
SERVICE_TOKEN = "service token"  # nosec B105 # a property's name


def create_rejected(driver: StackDriver) -> None:
    """Parameters that no new cluster can have are rejected by name; nothing is created."""
    driver.expect_rejected(
        "requires pUseExternalPkiProcess=true", pExternallyProvidedCertsReady="true"
    )
    for name, changes in (
        ("pHsmsPerSubnet", {"pHsmsPerSubnet": 0}),
        (
            "pExternallyProvidedCertsReady",
            {"pUseExternalPkiProcess": "true", "pExternallyProvidedCertsReady": "true"},
        ),
        ("pBackupId", {"pBackupId": NO_BACKUP}),
        ("pSubnets", {"pSubnets": f"{driver.aws.subnets[0]},{_subnet_in_same_zone(driver)}"}),
    ):
        with driver.step(f"Create with an invalid {name}"):
            valid = dict(driver.stack.parameters)
            driver.request(**changes)
            driver.stack.parameters = valid
            driver.expect_stack("ROLLBACK_COMPLETE")
            driver.expect_reason("rCloudHsmCluster", f"{name}: ")
            driver.expect_retained("stack hsm")
            driver.delete()
            driver.expect_stack("DELETE_COMPLETE")
            driver.expect_retained()


def update_rejected(driver: StackDriver) -> None:
    """Immutable parameters are rejected by name and rolled back; subnets may be reordered."""
    driver.create_step("Create: 1 HSM per subnet", hsms=2, zones=2)

    for name, value, message in (
        ("pSubnets", ",".join(driver.aws.subnets), "pSubnets: "),
        ("pSubnets", driver.aws.subnets[0], "pSubnets: "),
        ("pMode", "NON_FIPS", "pMode: the cluster has FIPS"),
        ("pNetworkType", "DUALSTACK", "pNetworkType: the cluster has IPV4"),
        ("pBackupId", NO_BACKUP, "pBackupId: the cluster has none"),
        ("pSystem", "vault", SERVICE_TOKEN),
        ("pEnvPurpose", "2", SERVICE_TOKEN),
    ):
        with driver.step(f"Update {name}: rejected"), driver.expect_no_changes():
            valid = dict(driver.stack.parameters)
            # pHsmsPerSubnet alone could change.
            driver.request(**{name: value}, pHsmsPerSubnet=2)
            driver.stack.parameters = valid
            driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
            driver.expect_reason("rCloudHsmCluster", message)

    with driver.step("Reorder the subnets: no changes"), driver.expect_no_changes():
        driver.request(pSubnets=",".join(reversed(driver.aws.subnets[:2])))
        driver.expect_stack("UPDATE_COMPLETE")

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def _subnet_in_same_zone(driver: StackDriver) -> str:
    """A new subnet in the zone of the first."""
    ec2 = driver.aws.client("ec2")
    first = ec2.describe_subnets(SubnetIds=driver.aws.subnets[:1])["Subnets"][0]
    created = ec2.create_subnet(
        VpcId=driver.aws.vpc,
        AvailabilityZone=first["AvailabilityZone"],
        CidrBlock=UNUSED_CIDR,
    )
    return str(created["Subnet"]["SubnetId"])
