"""Machine images and instance types, and whether they and a network fit together.

ministack launches any image as any type. Error codes:
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from localaws.core.api_error import ApiError
from localaws.ministack.access import ministack
from localaws.ministack.ec2_api import Params, checked

AMAZON = "137112412989"
X86, ARM = "x86_64", "arm64"
# Amazon Linux 2023 for both architectures, and some more images for x86, by their ids.
IMAGES: Mapping[str, tuple[str, str]] = {
    "ami-0a12c3d4e5f6a7b80": ("al2023-ami-2023.9.20261110.0-kernel-6.1-x86_64", X86),
    "ami-0b12c3d4e5f6a7b81": ("al2023-ami-2023.9.20261110.0-kernel-6.1-arm64", ARM),
    "ami-0c12c3d4e5f6a7b82": ("al2023-ami-2023.9.20261013.0-kernel-6.1-x86_64", X86),
    "ami-0d12c3d4e5f6a7b83": ("al2023-ami-2023.9.20260908.0-kernel-6.1-x86_64", X86),
    "ami-0e12c3d4e5f6a7b84": ("al2023-ami-2023.9.20261124.0-kernel-6.1-x86_64", X86),
}
PARAMETER = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{}"
PARAMETERS = {
    PARAMETER.format(X86): "ami-0a12c3d4e5f6a7b80",
    PARAMETER.format(ARM): "ami-0b12c3d4e5f6a7b81",
}
# a1, and Graviton families such as t4g and c7gn.
ARM_TYPE = re.compile(r"a1\.|[a-z]+\d+g")

_ec2 = ministack("services.ec2")
_parameters = ministack("services.ssm")
_responses = ministack("core.responses")


def install() -> None:
    """Offer the images, and no others."""
    _ec2._STUB_AMIS[:] = [
        (image, name, "Amazon Linux 2023", "", "/dev/xvda", AMAZON, "amazon")
        for image, (name, _) in IMAGES.items()
    ]
    _ec2._stub_image_view = _with_architecture(_ec2._stub_image_view)
    actions = _ec2._ACTION_MAP
    actions["DescribeImages"] = checked(_check_images, actions["DescribeImages"])
    _parameters._PUBLIC_AMI_PARAMETERS.clear()
    _parameters._PUBLIC_AMI_PARAMETERS.update(PARAMETERS)


def _with_architecture(view: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def view_image(image: str, *rest: Any) -> dict[str, Any]:
        return {**view(image, *rest), "Architecture": IMAGES[image][1]}

    return view_image


def _check_images(params: Params) -> None:
    for image in _ec2._parse_member_list(params, "ImageId"):
        if image not in IMAGES:
            raise _no_image(image)


def _no_image(image: str) -> ApiError:
    return ApiError("InvalidAMIID.NotFound", f"The image id '[{image}]' does not exist")


def zones(instance_type: str, region: str) -> list[str]:
    """The Availability Zones that offer an instance type; the third lacks the oldest for arm."""
    return [f"{region}{letter}" for letter in ("ab" if instance_type.startswith("a1.") else "abc")]


def architecture(instance_type: str) -> str:
    """The processor architecture of an instance type."""
    return ARM if ARM_TYPE.match(instance_type) else X86


def check_launch(image: str, instance_type: str, subnet: str, groups: Iterable[str]) -> None:
    """Raise ApiError unless EC2 launches an image as this type in this network."""
    if instance_type not in instance_types(_responses.get_region()):
        raise ApiError(
            "InvalidParameterValue", f"Invalid value '{instance_type}' for InstanceType."
        )
    if image not in IMAGES:
        raise _no_image(image)
    wanted, has = architecture(instance_type), IMAGES[image][1]
    if wanted != has:
        raise ApiError(
            "InvalidParameterValue",
            f"The architecture '{wanted}' of the specified instance type does not match the "
            f"architecture '{has}' of the specified AMI. Specify an instance type and an AMI that "
            "have matching architectures, and try again.",
        )
    if subnet not in _ec2._subnets:
        raise ApiError("InvalidSubnetID.NotFound", f"The subnet ID '{subnet}' does not exist")
    vpc, zone = _ec2._subnets[subnet]["VpcId"], _ec2._subnets[subnet]["AvailabilityZone"]
    offering = zones(instance_type, _responses.get_region())
    if zone not in offering:
        raise ApiError(
            "Unsupported",
            f"Your requested instance type ({instance_type}) is not supported in your requested "
            f"Availability Zone ({zone}). Please retry your request by not specifying an "
            f"Availability Zone or choosing {', '.join(offering)}.",
        )
    for group in groups:
        known = _ec2._security_groups.get(group)
        if known is None:
            raise ApiError("InvalidGroup.NotFound", f"The security group '{group}' does not exist")
        if known["VpcId"] != vpc:
            raise ApiError(
                "InvalidParameter",
                f"Security group {group} and subnet {subnet} belong to different networks.",
            )


@functools.cache
def instance_types(region: str) -> frozenset[str]:
    """The instance types of a Region."""
    from cfnlint.helpers import load_resource

    types = load_resource(
        "cfnlint.data.schemas.extensions.aws_ec2_instance", "instancetype_enum.json"
    )
    return frozenset(types[region]["enum"])
