"""Refused by the parameter's name, before anything is touched."""

from __future__ import annotations

from rehearsal.life import LEFT_WITH_BACKUPS, Life

# Well formed, and of nobody.
NO_BACKUP = "backup-222222222222"
ANOTHER_RANGE = "172.31.240.0/20"
SERVICE_TOKEN = "service token"


def creation_is_refused(life: Life) -> None:
    """What no new cluster can have is refused by name, and nothing is left behind."""
    life.expect_refusal("needs pUseExternalPkiProcess=true", pExternallyProvidedCertsReady="true")
    for name, changes in (
        ("pHsmsPerSubnet", {"pHsmsPerSubnet": 0}),
        (
            "pExternallyProvidedCertsReady",
            {"pUseExternalPkiProcess": "true", "pExternallyProvidedCertsReady": "true"},
        ),
        ("pBackupId", {"pBackupId": NO_BACKUP}),
        ("pSubnets", {"pSubnets": f"{life.aws.subnets[0]},{_another_subnet(life)}"}),
    ):
        with life.step(f"Create with {name} as it cannot be"):
            usual = dict(life.stack.parameters)
            life.request(**changes)
            life.stack.parameters = usual
            life.expect_stack("ROLLBACK_COMPLETE")
            life.expect_reason("rCloudHsmCluster", f"{name}: ")
            life.expect_remaining("stack hsm")
            life.delete()
            life.expect_stack("DELETE_COMPLETE")
            life.expect_remaining()


def update_is_refused(life: Life) -> None:
    """What cannot change is refused by name, and the rollback passes; the order may change."""
    with life.step("Create: 1 HSM per subnet"):
        life.request()
        life.expect_stack("CREATE_COMPLETE")
        life.expect_cluster(state="ACTIVE", hsms=2, zones=2)

    for name, value, words in (
        ("pSubnets", ",".join(life.aws.subnets), "pSubnets: "),
        ("pSubnets", life.aws.subnets[0], "pSubnets: "),
        ("pMode", "NON_FIPS", "pMode: the cluster has FIPS"),
        ("pNetworkType", "DUALSTACK", "pNetworkType: the cluster has IPV4"),
        ("pBackupId", NO_BACKUP, "pBackupId: the cluster has none"),
        ("pSystem", "vault", SERVICE_TOKEN),
        ("pEnvPurpose", "2", SERVICE_TOKEN),
    ):
        with life.step(f"Update {name}: refused"), life.untouched():
            usual = dict(life.stack.parameters)
            # The number of HSMs could change, but not together with what cannot.
            life.request(**{name: value}, pHsmsPerSubnet=2)
            life.stack.parameters = usual
            life.expect_stack("UPDATE_ROLLBACK_COMPLETE")
            life.expect_reason("rCloudHsmCluster", words)

    with life.step("Subnets in another order: nothing"), life.untouched():
        life.request(pSubnets=",".join(reversed(life.aws.subnets[:2])))
        life.expect_stack("UPDATE_COMPLETE")

    with life.step("Delete"):
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        life.expect_remaining(*LEFT_WITH_BACKUPS)


def _another_subnet(life: Life) -> str:
    """A second subnet in the zone of the first."""
    ec2 = life.aws.client("ec2")
    first = ec2.describe_subnets(SubnetIds=life.aws.subnets[:1])["Subnets"][0]
    made = ec2.create_subnet(
        VpcId=life.aws.vpc,
        AvailabilityZone=first["AvailabilityZone"],
        CidrBlock=ANOTHER_RANGE,
    )
    return str(made["Subnet"]["SubnetId"])
