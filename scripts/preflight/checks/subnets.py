"""The subnets of the cluster."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from hsm_lifecycle import creation_rules
from scripts.preflight.account import error_code
from scripts.preflight.findings import Check, Finding
from scripts.preflight.subject import Subject

CHECK = Check("subnets")


def subnets(subject: Subject) -> Iterator[Finding]:
    """Existing subnets of one VPC, one in each zone."""
    found = subject.described_subnets
    known = {subnet["SubnetId"] for subnet in found}
    absent = [each for each in dict.fromkeys(subject.subnets) if each not in known]
    for each in absent:
        yield CHECK.error(f"pSubnets: {each} does not exist in {subject.account.region}.")
    if absent:
        return
    zones = sorted(subnet["AvailabilityZone"] for subnet in found)
    yield from CHECK.errors_or_ok(
        creation_rules.subnets(found), f"{len(found)} in {found[0]['VpcId']}: {', '.join(zones)}"
    )
    if len(set(zones)) == 1:
        yield CHECK.warning(
            "pSubnets: one Availability Zone. KMS key stores and availability require two.",
            "List a subnet in a second zone; pSubnets cannot change later.",
        )


def addresses(subject: Subject) -> Iterator[Finding]:
    """An address for each HSM, and one to replace an HSM (F7.604)."""
    per_subnet = int(subject.parameters["pHsmsPerSubnet"])
    scarce = False
    for subnet in subject.described_subnets:
        free, subnet_id = subnet["AvailableIpAddressCount"], subnet["SubnetId"]
        if free >= per_subnet + 1:
            continue
        scarce = True
        text = f"pSubnets: {subnet_id} has {free} free addresses for {per_subnet} HSMs"
        if free < per_subnet:
            yield CHECK.error(f"{text}.", "Use larger subnets or lower pHsmsPerSubnet.")
        else:
            yield CHECK.warning(f"{text}; none is left to replace an HSM.", "Use larger subnets.")
    if not scarce and subject.described_subnets:
        least = min(each["AvailableIpAddressCount"] for each in subject.described_subnets)
        yield CHECK.ok(f"at least {least} free addresses in each")


def zones(subject: Subject) -> Iterator[Finding]:
    """CloudHSM's endpoint tells, if weakly, which zones have HSMs: no API does (F7.601)."""
    name = f"com.amazonaws.{subject.account.region}.cloudhsmv2"
    try:
        services = subject.account.ask(
            "ec2", "describe_vpc_endpoint_services", ServiceNames=[name]
        )["ServiceDetails"]
    except ClientError as error:
        if error_code(error) != "InvalidServiceName":
            raise
        yield CHECK.warning(
            f"CloudHSM has no VPC endpoint in {subject.account.region}, so its zones are unknown.",
            "See https://docs.aws.amazon.com/general/latest/gr/cloudhsm.html.",
        )
        return
    offered = {zone for service in services for zone in service["AvailabilityZones"]}
    outside = [
        subnet for subnet in subject.described_subnets if subnet["AvailabilityZone"] not in offered
    ]
    for subnet in outside:
        yield CHECK.warning(
            f"pSubnets: CloudHSM's endpoint is not in {subnet['AvailabilityZone']}"
            f" ({subnet['SubnetId']}); perhaps no HSMs are either.",
            f"Prefer subnets in {', '.join(sorted(offered))}.",
        )
    if not outside:
        yield CHECK.ok("CloudHSM's endpoint is in all zones")
