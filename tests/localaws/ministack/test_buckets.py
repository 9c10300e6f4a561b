"""Buckets of CloudFormation: their configurations, and the objects in them."""

from __future__ import annotations

from typing import Any

from localaws.client import LocalAws
from tests.localaws.ministack.support import SampleStack

Json = dict[str, Any]


def _bucket(**properties: Any) -> Json:
    return {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": properties}}


def test_a_bucket_with_objects_or_versions_is_not_deleted(
    aws: LocalAws, stack: SampleStack
) -> None:
    s3 = aws.client("s3")
    stack.create(_bucket(VersioningConfiguration={"Status": "Enabled"}))
    bucket = stack.physical_id("Bucket")
    version = s3.put_object(Bucket=bucket, Key="a", Body=b"a")["VersionId"]
    assert stack.delete() == "DELETE_FAILED"
    marker = s3.delete_object(Bucket=bucket, Key="a")["VersionId"]
    assert stack.delete() == "DELETE_FAILED"
    assert stack.reasons("Bucket")[-1].startswith(
        'Resource handler returned message: "The bucket you tried to delete is not empty. You must '
        "delete all versions in the bucket. (Service: S3, Status Code: 409"
    )
    for each in (version, marker):
        s3.delete_object(Bucket=bucket, Key="a", VersionId=each)
    assert stack.delete() == "DELETE_COMPLETE"


def test_an_update_leaves_a_bucket_with_objects_behind(aws: LocalAws, stack: SampleStack) -> None:
    stack.create(_bucket())
    bucket = stack.physical_id("Bucket")
    aws.client("s3").put_object(Bucket=bucket, Key="a", Body=b"a")
    other = {"Other": {"Type": "AWS::S3::Bucket"}}
    assert stack.update(other) == "UPDATE_COMPLETE"
    # As on AWS, a cleanup that fails does not fail the update.
    assert aws.client("s3").get_object(Bucket=bucket, Key="a")["Body"].read() == b"a"
    aws.client("s3").delete_object(Bucket=bucket, Key="a")


def test_a_bucket_has_the_configurations_of_its_properties(
    aws: LocalAws, stack: SampleStack
) -> None:
    s3 = aws.client("s3")
    key = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/any"}
    default = {"ServerSideEncryptionByDefault": key, "BucketKeyEnabled": True}
    rule = {"Id": "old", "Status": "Enabled", "Prefix": "logs/", "ExpirationInDays": 9}
    stack.create(
        _bucket(
            BucketEncryption={"ServerSideEncryptionConfiguration": [default]},
            LifecycleConfiguration={"Rules": [rule]},
            OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            Tags=[{"Key": "team", "Value": "blue"}],
        )
    )
    bucket = stack.physical_id("Bucket")
    encryption = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
    (lifecycle,) = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    ownership = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]
    tags = s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    assert encryption["Rules"][0]["ApplyServerSideEncryptionByDefault"] == key
    assert (lifecycle["ID"], lifecycle["Filter"], lifecycle["Expiration"]) == (
        "old",
        {"Prefix": "logs/"},
        {"Days": 9},
    )
    assert ownership == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert {"Key": "team", "Value": "blue"} in tags
    stack.update(_bucket(Tags=[{"Key": "team", "Value": "red"}]))
    assert {"Key": "team", "Value": "red"} in s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    rules = s3.get_paginator("list_buckets")
    assert bucket in [each["Name"] for page in rules.paginate() for each in page["Buckets"]]
