"""Act with a role's own credentials, as someone who stole them would."""

from __future__ import annotations

import json
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from localaws.client import LocalAws

ACCOUNT = "123456789012"
DENIALS = {
    "AccessDenied",
    "AccessDeniedException",
    "CloudHsmAccessDeniedException",
    "UnauthorizedOperation",
}
TRUST_ACCOUNT = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
        ],
    }
)


# Marks what a stack owns.
STACK_TAG = "hsm-lifecycle:stack-id"
ANYWHERE = [
    {
        "IpProtocol": "tcp",
        "FromPort": 2223,
        "ToPort": 2225,
        "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
    }
]


class Role:
    """A session of a role, whose trust policy is changed so that the account may assume it."""

    def __init__(self, aws: LocalAws, name: str) -> None:
        self._aws = aws
        aws.client("iam").update_assume_role_policy(RoleName=name, PolicyDocument=TRUST_ACCOUNT)
        self._session = aws.client("sts").assume_role(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{name}", RoleSessionName="stolen"
        )["Credentials"]
        self._clients: dict[str, Any] = {}

    def may(self, call: str, **request: Any) -> bool:
        """Whether "<service>.<operation>" is authorized, whatever the service then responds."""
        service, _, operation = call.partition(".")
        try:
            getattr(self._client(service), operation)(**request)
        except ClientError as error:
            return error.response["Error"]["Code"] not in DENIALS
        return True

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self._aws.endpoint,
                region_name=self._aws.region,
                aws_access_key_id=self._session["AccessKeyId"],
                aws_secret_access_key=self._session["SecretAccessKey"],
                aws_session_token=self._session["SessionToken"],
                config=Config(proxies={}, retries={"total_max_attempts": 1}),
            )
        return self._clients[service]


def role_of_stack(aws: LocalAws, stack: str, logical_id: str) -> Role:
    """A role of a stack by its logical ID."""
    resource = aws.client("cloudformation").describe_stack_resource(
        StackName=stack, LogicalResourceId=logical_id
    )
    return Role(aws, resource["StackResourceDetail"]["PhysicalResourceId"])


def stack_tags(aws: LocalAws, stack: str) -> list[dict[str, str]]:
    """The tag with which a stack marks what it owns."""
    stacks = aws.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return [{"Key": STACK_TAG, "Value": stacks[0]["StackId"]}]
