"""Buckets of CloudFormation: the configurations that ministack ignores, and objects in them.

A bucket with objects, or with versions of them, is not deleted:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-s3-bucket.html
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from botocore.serialize import create_serializer

from localaws.ministack import offered
from localaws.ministack.access import ministack
from localaws.ministack.resource_handlers import Created, Handlers, Props, handler_error

Config = Any

_s3 = ministack("services.s3")
_provisioners = ministack("services.cloudformation.provisioners")
_responses = ministack("core.responses")

NOT_EMPTY = (
    "The bucket you tried to delete is not empty{}. (Service: S3, Status Code: 409, Request ID: {})"
)


def install() -> None:
    """Configure buckets as their properties say, and delete empty ones only."""
    handlers: Handlers = _provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]
    create, update = handlers["create"], handlers["update"]

    def create_configured(logical_id: str, props: Props, stack_name: str) -> Created:
        _requests(props)
        created: Created = create(logical_id, props, stack_name)
        _configure(created[0], {}, props)
        return created

    def update_configured(name: str, old: Props, new: Props, stack_name: str) -> Created:
        _requests(new)
        updated: Created = update(name, old, new, stack_name)
        _configure(updated[0], old if updated[0] == name else {}, new)
        return updated

    handlers.update(create=create_configured, update=update_configured, delete=_delete)


def _delete(name: str, props: Props) -> None:
    if name not in _s3._buckets:
        return
    versions = (
        ". You must delete all versions in the bucket" if name in _s3._bucket_versioning else ""
    )
    if _s3._delete_bucket(name)[0] >= 400:
        problem = NOT_EMPTY.format(versions, _responses.new_uuid()[:16].upper())
        raise handler_error(problem, "GeneralServiceException")


# --- Configurations ---


def _encryption(config: Config) -> tuple[str, Config]:
    rules = [
        {
            "ApplyServerSideEncryptionByDefault": rule.get("ServerSideEncryptionByDefault"),
            "BucketKeyEnabled": rule.get("BucketKeyEnabled"),
        }
        for rule in config["ServerSideEncryptionConfiguration"]
    ]
    present = [{key: value for key, value in rule.items() if value is not None} for rule in rules]
    return "ServerSideEncryptionConfiguration", {"Rules": present}


# The members of a lifecycle rule by those of the API's: https://docs.aws.amazon.com/AmazonS3/latest/API/API_LifecycleRule.html
LIFECYCLE: Mapping[str, tuple[str, ...]] = {
    "AbortIncompleteMultipartUpload": ("AbortIncompleteMultipartUpload",),
    "ExpirationDate": ("Expiration", "Date"),
    "ExpirationInDays": ("Expiration", "Days"),
    "ExpiredObjectDeleteMarker": ("Expiration", "ExpiredObjectDeleteMarker"),
    "Id": ("ID",),
    "NoncurrentVersionExpiration": ("NoncurrentVersionExpiration",),
    "NoncurrentVersionExpirationInDays": ("NoncurrentVersionExpiration", "NoncurrentDays"),
    "Prefix": ("Filter", "Prefix"),
    "Status": ("Status",),
}


def _lifecycle(config: Config) -> tuple[str, Config]:
    return "LifecycleConfiguration", {"Rules": [_rule(rule) for rule in config["Rules"]]}


def _rule(given: Config) -> Config:
    rule: dict[str, Any] = {"Filter": {"Prefix": ""}}
    for member, value in given.items():
        if member not in LIFECYCLE:
            raise offered.not_offered(f"{member} in a lifecycle rule of a bucket")
        *outer, last = LIFECYCLE[member]
        place = rule.setdefault(outer[0], {}) if outer else rule
        place[last] = value
    return rule


def _ownership(config: Config) -> tuple[str, Config]:
    return "OwnershipControls", config


def _tags(config: Config) -> tuple[str, Config]:
    return "Tagging", {"TagSet": config}


# By property: the operation that sets it, its handlers, and its parameter.
CONFIGURATIONS: Mapping[str, tuple[str, str, str, Callable[[Config], tuple[str, Config]]]] = {
    "BucketEncryption": (
        "PutBucketEncryption",
        "_put_bucket_encryption",
        "_delete_bucket_encryption",
        _encryption,
    ),
    "LifecycleConfiguration": (
        "PutBucketLifecycleConfiguration",
        "_put_bucket_lifecycle",
        "_delete_bucket_lifecycle",
        _lifecycle,
    ),
    "OwnershipControls": (
        "PutBucketOwnershipControls",
        "_put_bucket_ownership_controls",
        "_delete_bucket_ownership_controls",
        _ownership,
    ),
    "Tags": ("PutBucketTagging", "_put_bucket_tagging", "_delete_bucket_tagging", _tags),
}


def _requests(props: Props) -> dict[str, bytes]:
    """The body of the request for each configuration."""
    return {name: _body(name, props[name]) for name in CONFIGURATIONS if name in props}


def _body(name: str, config: Config) -> bytes:
    operation, _, _, parameter = CONFIGURATIONS[name]
    member, value = parameter(config)
    request = _serializer().serialize_to_request(
        {"Bucket": "any", member: value}, _responses._service_model("s3").operation_model(operation)
    )
    body: bytes = request["body"]
    return body


@functools.cache
def _serializer() -> Any:
    return create_serializer("rest-xml", include_validation=False)


def _configure(bucket: str, old: Props, new: Props) -> None:
    for name, body in _requests(new).items():
        status, _, answer = getattr(_s3, CONFIGURATIONS[name][1])(bucket, body)
        if status >= 400:
            raise handler_error(answer.decode(), "InvalidRequest")
    for name, (_, _, delete, _) in CONFIGURATIONS.items():
        if name in old and name not in new:
            getattr(_s3, delete)(bucket)
