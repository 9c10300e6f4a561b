"""Addresses of a release: URLs of templates and links to the console, in any partition."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote, urlencode

import botocore.session
from botocore.exceptions import UnknownRegionError

# https://docs.aws.amazon.com/govcloud-us/latest/UserGuide/using-govcloud-endpoints.html
CONSOLES = {
    "aws": "{region}.console.aws.amazon.com",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}


class AddressError(Exception):
    """A Region that a release cannot be in; the message says why."""


@functools.cache
def partition_of(region: str) -> str:
    """The partition of a Region, which has to be one with CloudHSM."""
    try:
        partition = str(botocore.session.get_session().get_partition_for_region(region))
    except UnknownRegionError as error:
        raise AddressError(f"BUCKETS: {region} is not a Region.") from error
    if partition not in CONSOLES:
        raise AddressError(f"BUCKETS: {region} is in {partition}, where CloudHSM does not exist.")
    return partition


def path_style(region: str, bucket: str, key: str) -> str:
    """The URL of an object that any bucket has, also one with dots in its name."""
    return f"https://s3.{region}.amazonaws.com/{bucket}/{quote(key)}"


def virtual_hosted(region: str, bucket: str, key: str) -> str:
    """The URL of an object by the name of its bucket."""
    return f"https://{bucket}.s3.{region}.amazonaws.com/{quote(key)}"


def template_url(region: str, bucket: str, key: str) -> str:
    """The URL of a template. A certificate of S3 covers no bucket with a dot in its name.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
    """
    form = path_style if "." in bucket else virtual_hosted
    return form(region, bucket, key)


def quick_create(
    region: str, url: str, stack: str, parameters: Mapping[str, str] = MappingProxyType({})
) -> str:
    """The link that opens CloudFormation's console with a template and values of parameters.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cfn-console-create-stacks-quick-create-links.html
    """
    host = CONSOLES[partition_of(region)].format(region=region)
    values = {f"param_{name}": value for name, value in parameters.items()}
    given = urlencode({"templateURL": url, "stackName": stack, **values})
    return f"https://{host}/cloudformation/home?region={region}#/stacks/create/review?{given}"
