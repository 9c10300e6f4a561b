"""Image, instance type and package of the client."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from scripts.preflight.account import Json, error_code
from scripts.preflight.findings import Check, Finding
from scripts.preflight.subject import Subject

CHECK = Check("client image")
PACKAGE = Check("client package")
_ROOT_DEVICE = "/dev/xvda"
# In the script that installs the package; $(uname -m) is the client's architecture.
_BUILT_IN = re.compile(r"url=(https://[^\s'\"]+?)\$\(uname -m\)(\.rpm)")
_RPM_ARCHITECTURES = {"arm64": "aarch64"}
_SECONDS = 10
# What S3 answers if there is no package, or none that everyone may read.
_ABSENT = (403, 404, 410)


def image(subject: Subject) -> Iterator[Finding]:
    """The image exists and fits the template; the type exists in the zone and fits the image."""
    parameter, image_id = _image_id(subject)
    if not image_id:
        yield CHECK.error(
            f"{parameter}: there is no SSM parameter {subject.parameters[parameter]} in"
            f" {subject.account.region}.",
            "Name an existing one, or set pClientAmiId.",
        )
        return
    try:
        images = subject.account.ask("ec2", "describe_images", ImageIds=[image_id])["Images"]
    except ClientError as error:
        if not error_code(error).startswith("InvalidAMIID"):
            raise
        images = []
    if not images:
        yield CHECK.error(
            f"{parameter}: there is no image {image_id} in {subject.account.region}.",
            "Set pClientAmiId to an image of this Region, or leave it empty.",
        )
        return
    found = images[0]
    problems = [*_image_problems(parameter, found)]
    yield from problems or [CHECK.ok(f"{image_id}: {found.get('Name', '')}")]
    yield from _type(subject, parameter, found["Architecture"])


def _image_id(subject: Subject) -> tuple[str, str]:
    """Which parameter chooses the image, and the image; empty if it does not exist."""
    if subject.parameters["pClientAmiId"]:
        return "pClientAmiId", subject.parameters["pClientAmiId"]
    name = subject.parameters["pClientAmiSsmParameter"]
    found = subject.account.ask("ssm", "get_parameters", Names=[name])["Parameters"]
    return "pClientAmiSsmParameter", str(found[0]["Value"]) if found else ""


def _image_problems(parameter: str, found: Json) -> Iterator[Finding]:
    if found["State"] != "available":
        yield CHECK.error(f"{parameter}: {found['ImageId']} is {found['State']}.")
    if found.get("RootDeviceName") != _ROOT_DEVICE:
        yield CHECK.error(
            f"{parameter}: the root device of {found['ImageId']} is {found.get('RootDeviceName')};"
            f" the template requires {_ROOT_DEVICE}, as of Amazon Linux 2023."
        )
    if "amazon linux 2023" not in f"{found.get('Description')}".lower() and not found.get(
        "Name", ""
    ).startswith("al2023"):
        yield CHECK.warning(
            f"{parameter}: {found['ImageId']} does not call itself Amazon Linux 2023.",
            "The client's package is for Amazon Linux 2023.",
        )


def _type(subject: Subject, parameter: str, architecture: str) -> Iterator[Finding]:
    wanted = subject.parameters["pClientType"]
    offerings = subject.account.pages(
        "ec2",
        "describe_instance_type_offerings",
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": [wanted]}],
    )
    zones = sorted(each["Location"] for each in offerings)
    if not zones:
        yield CHECK.error(
            f"pClientType: {subject.account.region} does not offer {wanted}.",
            "Choose another pClientType.",
        )
        return
    subnet = subject.client_subnet
    if subnet and subnet["AvailabilityZone"] not in zones:
        yield CHECK.error(
            f"pClientType: {subnet['AvailabilityZone']}, the zone of pClientSubnet, does not offer"
            f" {wanted}.",
            f"Choose another pClientType, or a subnet in {', '.join(zones)}.",
        )
        return
    described = subject.account.ask("ec2", "describe_instance_types", InstanceTypes=[wanted])
    supported = described["InstanceTypes"][0]["ProcessorInfo"]["SupportedArchitectures"]
    if architecture not in supported:
        yield CHECK.error(
            f"pClientType: {wanted} is {'/'.join(supported)}, but the image is {architecture}.",
            f"Change pClientType or {parameter}.",
        )
        return
    yield CHECK.ok(f"{wanted} is offered and {architecture}")


def package(subject: Subject) -> Iterator[Finding]:
    """Whether something is at the package's address; the client checks its checksum."""
    given = subject.parameters["pClientPkgUrl"]
    architecture = "arm64" if _is_arm(subject.parameters["pClientType"]) else "x86_64"
    url = given or _built_in(subject, _RPM_ARCHITECTURES.get(architecture, architecture))
    if url.startswith("s3://"):
        yield PACKAGE.warning(
            f"pClientPkgUrl: not read from here; the client reads {url} with its role.",
            f"Check that it is in a bucket of this Region: aws s3 ls {url}",
        )
        return
    try:
        size = _length(url)
    except urllib.error.HTTPError as error:
        if error.code in _ABSENT:
            yield PACKAGE.error(
                f"pClientPkgUrl: {url} answers {error.code}.",
                "Set pClientPkgUrl and pClientPkgSha256 to a package that the client may read"
                " (AWS removes old versions).",
            )
            return
        yield PACKAGE.warning(f"pClientPkgUrl: {url} answers {error.code}.", "Try again.")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        yield PACKAGE.warning(
            f"pClientPkgUrl: not reached from here: {getattr(reason, 'strerror', None) or reason}.",
            f"The client must reach it, this machine need not: {url}",
        )
    else:
        yield PACKAGE.ok(f"{url.rpartition('/')[2]}, {size} bytes")


def _built_in(subject: Subject, architecture: str) -> str:
    """The address of the package that the template installs unless pClientPkgUrl names another."""
    found = _BUILT_IN.search(json.dumps(subject.template["Resources"]))
    return f"{found[1]}{architecture}{found[2]}" if found else ""


def _is_arm(instance_type: str) -> bool:
    """a1, and Graviton families such as t4g and c7gn."""
    family = instance_type.partition(".")[0]
    return family == "a1" or "g" in family.lstrip("abcdefghijklmnopqrstuvwxyz")


def _length(url: str) -> str:
    """The length of what is at an address of a package."""
    request = urllib.request.Request(url, method="HEAD")
    response: Any
    # The parameter's pattern allows https only.
    with urllib.request.urlopen(request, timeout=_SECONDS) as response:  # nosec B310 # https
        return str(response.headers.get("Content-Length", "?"))
