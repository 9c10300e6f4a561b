"""The partitions of AWS, which ARNs begin with: aws, aws-us-gov, aws-cn."""

from __future__ import annotations

import functools

import botocore.session


@functools.cache
def partition_of(region: str) -> str:
    """The partition of a Region."""
    return str(botocore.session.get_session().get_partition_for_region(region))
