"""What a KMS key store requires: cluster, certificate, name and client."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from hsm_lifecycle import creation_rules, ownership
from scripts.preflight.account import Json, error_code
from scripts.preflight.checks import secrets
from scripts.preflight.findings import Check, Finding
from scripts.preflight.simulation import denials
from scripts.preflight.subject import Subject

CLUSTER = Check("cluster")
NAME = Check("key store")
CA = Check("CA certificate")
ADMIN = Check("admin secret")
CLIENT = Check("client")
ADDRESSES = Check("subnets")
_SECRETS = ("pCloudHsmCustCaCertSecretName", "pCloudHsmAdminPasswordSecretName")


def cluster(subject: Subject) -> Iterator[Finding]:
    """An ACTIVE cluster with HSMs in two zones and no key store."""
    cluster_id, found = subject.parameters["pCloudHsmClusterId"], _cluster(subject)
    if found is None:
        yield CLUSTER.error(
            f"pCloudHsmClusterId: cluster {cluster_id} does not exist in {subject.account.region}."
        )
        return
    yield from CLUSTER.errors_or_ok(
        creation_rules.cluster_of_key_store(cluster_id, found),
        f"{cluster_id} is ACTIVE in two zones",
    )
    yield from CLUSTER.errors_or_ok(
        creation_rules.key_store_on_cluster(
            cluster_id, subject.key_stores, subject.parameters["pExistingKeyStoreId"]
        ),
        "has no other key store",
    )


def _cluster(subject: Subject) -> Json | None:
    wanted = subject.parameters["pCloudHsmClusterId"]
    return next((each for each in subject.clusters if each["ClusterId"] == wanted), None)


def name(subject: Subject) -> Iterator[Finding]:
    """The name is free, or that of the key store that the stack takes."""
    wanted = subject.parameters["pKeyStoreName"]
    if existing := subject.parameters["pExistingKeyStoreId"]:
        found = (each for each in subject.key_stores if each["CustomKeyStoreId"] == existing)
        yield from NAME.errors_or_ok(
            creation_rules.existing_key_store(existing, wanted, next(found, None)),
            f"{existing} can be taken, unless another stack claims it",
        )
        return
    yield from NAME.errors_or_ok(
        creation_rules.key_store_name(wanted, subject.key_stores), f"{wanted} is free"
    )


def ca_certificate(subject: Subject) -> Iterator[Finding]:
    """The secret has the CA certificate of this cluster."""
    parameter = "pCloudHsmCustCaCertSecretName"
    found = _cluster(subject)
    certificate = ownership.certificate_of(found) if found else ""
    yield from secrets.ca_certificate(
        subject, CA, parameter, subject.parameters[parameter], certificate
    )


def admin_secret(subject: Subject) -> Iterator[Finding]:
    """The secret has the admin's name and password."""
    parameter = "pCloudHsmAdminPasswordSecretName"
    yield from secrets.credentials(subject, ADMIN, parameter, subject.parameters[parameter])


def addresses(subject: Subject) -> Iterator[Finding]:
    """KMS needs a free address in each subnet of the cluster, and recommends two (F7.604)."""
    found = _cluster(subject)
    if found is None:
        return
    least = 2
    for subnet in subject.find_subnets(sorted(found["SubnetMapping"].values())):
        free = subnet["AvailableIpAddressCount"]
        least = min(least, free)
        text = f"pCloudHsmClusterId: its subnet {subnet['SubnetId']} has {free} free addresses"
        if free == 0:
            yield ADDRESSES.error(f"{text}; KMS needs one.", "Free an address.")
        elif free == 1:
            yield ADDRESSES.warning(f"{text}; KMS recommends two.", "Free an address.")
    if least == 2:
        yield ADDRESSES.ok("free addresses in each subnet of the cluster")


def client(subject: Subject) -> Iterator[Finding]:
    """An instance that Systems Manager reaches, or that is stopped, in the cluster's network."""
    instance_id = subject.parameters["pClientInstanceId"]
    instance = _instance(subject, instance_id)
    state = instance["State"]["Name"] if instance else "terminated"
    if instance is None or state in ("terminated", "shutting-down"):
        yield CLIENT.error(
            f"pClientInstanceId: there is no instance {instance_id} in {subject.account.region}.",
            "Use the output oClientInstanceId of the cluster's stack.",
        )
        return
    found = _cluster(subject)
    if found and instance["VpcId"] != found["VpcId"]:
        yield CLIENT.warning(
            f"pClientInstanceId: {instance_id} is in {instance['VpcId']}, the cluster in"
            f" {found['VpcId']}.",
            "The two VPCs must be peered, with routes both ways.",
        )
    if state == "stopped":
        yield CLIENT.ok(f"{instance_id} is stopped; the workflow starts it")
        return
    agents = subject.account.pages(
        "ssm",
        "describe_instance_information",
        "InstanceInformationList",
        Filters=[{"Key": "InstanceIds", "Values": [instance_id]}],
    )
    status = next((each["PingStatus"] for each in agents), "not registered")
    if status != "Online":
        yield CLIENT.error(
            f"pClientInstanceId: the SSM agent of {instance_id} is {status}.",
            "Check the instance's role and its way to Systems Manager.",
        )
        return
    yield CLIENT.ok(f"{instance_id} is {state}, its SSM agent Online")


def _instance(subject: Subject, instance_id: str) -> Json | None:
    try:
        found = subject.account.ask("ec2", "describe_instances", InstanceIds=[instance_id])
    except ClientError as error:
        if not error_code(error).startswith("InvalidInstanceID"):
            raise
        return None
    return next((each for group in found["Reservations"] for each in group["Instances"]), None)


def client_rights(subject: Subject) -> Iterator[Finding]:
    """The client's role may read both secrets."""
    instance = _instance(subject, subject.parameters["pClientInstanceId"])
    if instance is None:
        return
    profile = (instance.get("IamInstanceProfile") or {}).get("Arn", "")
    if not profile:
        yield CLIENT.error("pClientInstanceId: the instance has no instance profile.")
        return
    found = subject.account.ask(
        "iam", "get_instance_profile", InstanceProfileName=profile.rpartition("/")[2]
    )
    role = found["InstanceProfile"]["Roles"][0]["Arn"]
    refused = False
    for parameter in _SECRETS:
        for text in _refusals(subject, role, subject.parameters[parameter]):
            refused = True
            yield CLIENT.error(
                f"pClientInstanceId: its role {text}, the secret of {parameter}.",
                "Allow it in the role of the instance, or use the client of the cluster's stack.",
            )
    if not refused:
        yield CLIENT.ok("its role may read both secrets")


def _refusals(subject: Subject, role: str, secret_name: str) -> Iterator[str]:
    try:
        secret = subject.account.ask("secretsmanager", "describe_secret", SecretId=secret_name)
    except ClientError as error:
        if error_code(error) != "ResourceNotFoundException":
            raise
        return
    tags = {f"aws:ResourceTag/{tag['Key']}": tag["Value"] for tag in secret.get("Tags") or []}
    context = {**tags, "aws:RequestedRegion": subject.account.region}
    actions = ("secretsmanager:GetSecretValue",)
    for denial in denials(subject.account, role, actions, secret["ARN"], context):
        yield f"may not read {secret_name} ({denial.action})"
