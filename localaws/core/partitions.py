"""The partitions of AWS, such as aws and aws-us-gov, and the domains of their hosts."""

from __future__ import annotations

import functools

import botocore.session

# Unless another one is asked for.
REGION = "us-east-1"


@functools.cache
def partition_of(region: str) -> str:
    """The partition of a Region."""
    return str(botocore.session.get_session().get_partition_for_region(region))


def url_suffix_of(region: str) -> str:
    """The domain of AWS's services in a Region's partition."""
    loader = botocore.session.get_session().get_component("data_loader")
    return next(
        str(partition["outputs"]["dnsSuffix"])
        for partition in loader.load_data("partitions")["partitions"]
        if partition["id"] == partition_of(region)
    )


@functools.cache
def response_host(region: str) -> str:
    """The host of the S3 bucket to which custom resources send their responses (F6.15)."""
    where = "s3" if region == "us-east-1" else f"s3.{region}"
    bucket = f"cloudformation-custom-resource-response-{region.replace('-', '')}"
    return f"{bucket}.{where}.{url_suffix_of(region)}"
