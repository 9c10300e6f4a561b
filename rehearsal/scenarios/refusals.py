"""Refused by the parameter's name, before anything is touched."""

from __future__ import annotations

from rehearsal.drivers.stack import LEFT_WITH_BACKUPS, StackDriver

# Well formed, and of nobody.
NO_BACKUP = "backup-222222222222"
ANOTHER_RANGE = "172.31.240.0/20"
SERVICE_TOKEN = "service token"


def creation_is_refused(driver: StackDriver) -> None:
    """What no new cluster can have is refused by name, and nothing is left behind."""
    driver.expect_refusal(
        "requires pUseExternalPkiProcess=true", pExternallyProvidedCertsReady="true"
    )
    for name, changes in (
        ("pHsmsPerSubnet", {"pHsmsPerSubnet": 0}),
        (
            "pExternallyProvidedCertsReady",
            {"pUseExternalPkiProcess": "true", "pExternallyProvidedCertsReady": "true"},
        ),
        ("pBackupId", {"pBackupId": NO_BACKUP}),
        ("pSubnets", {"pSubnets": f"{driver.aws.subnets[0]},{_another_subnet(driver)}"}),
    ):
        with driver.step(f"Create with {name} as it cannot be"):
            usual = dict(driver.stack.parameters)
            driver.request(**changes)
            driver.stack.parameters = usual
            driver.expect_stack("ROLLBACK_COMPLETE")
            driver.expect_reason("rCloudHsmCluster", f"{name}: ")
            driver.expect_remaining("stack hsm")
            driver.delete()
            driver.expect_stack("DELETE_COMPLETE")
            driver.expect_remaining()


def update_is_refused(driver: StackDriver) -> None:
    """What cannot change is refused by name, and the rollback passes; the order may change."""
    with driver.step("Create: 1 HSM per subnet"):
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    for name, value, words in (
        ("pSubnets", ",".join(driver.aws.subnets), "pSubnets: "),
        ("pSubnets", driver.aws.subnets[0], "pSubnets: "),
        ("pMode", "NON_FIPS", "pMode: the cluster has FIPS"),
        ("pNetworkType", "DUALSTACK", "pNetworkType: the cluster has IPV4"),
        ("pBackupId", NO_BACKUP, "pBackupId: the cluster has none"),
        ("pSystem", "vault", SERVICE_TOKEN),
        ("pEnvPurpose", "2", SERVICE_TOKEN),
    ):
        with driver.step(f"Update {name}: refused"), driver.untouched():
            usual = dict(driver.stack.parameters)
            # The number of HSMs could change, but not together with what cannot.
            driver.request(**{name: value}, pHsmsPerSubnet=2)
            driver.stack.parameters = usual
            driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
            driver.expect_reason("rCloudHsmCluster", words)

    with driver.step("Subnets in another order: nothing"), driver.untouched():
        driver.request(pSubnets=",".join(reversed(driver.aws.subnets[:2])))
        driver.expect_stack("UPDATE_COMPLETE")

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def _another_subnet(driver: StackDriver) -> str:
    """A second subnet in the zone of the first."""
    ec2 = driver.aws.client("ec2")
    first = ec2.describe_subnets(SubnetIds=driver.aws.subnets[:1])["Subnets"][0]
    made = ec2.create_subnet(
        VpcId=driver.aws.vpc,
        AvailabilityZone=first["AvailabilityZone"],
        CidrBlock=ANOTHER_RANGE,
    )
    return str(made["Subnet"]["SubnetId"])
