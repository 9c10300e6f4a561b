"""Both products in a portfolio of a local AWS, used by a role that may do nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from localaws.client import BUCKET, LocalAws, until
from localaws.core.partitions import partition_of
from rehearsal.drivers import deployment
from scripts.release.artifacts import NAME

Json = dict[str, Any]

ACCOUNT = "123456789012"
PREFIX = NAME
TEMPLATES = ("cloudhsm.yml", "cloudhsm-key-store.yml")
END_USER = "engineer"
STACK = "catalog"
END_USER_ACTIONS = (
    "DescribeProduct",
    "DescribeProvisionedProduct",
    "DescribeProvisioningParameters",
    "DescribeRecord",
    "GetProvisionedProductOutputs",
    "ListLaunchPaths",
    "ProvisionProduct",
    "TerminateProvisionedProduct",
    "UpdateProvisionedProduct",
)


def publish(aws: LocalAws, version: str, edit: Callable[[str], str] = str) -> None:
    """Upload both templates and their artifacts as `make release` does."""
    s3 = aws.client("s3")
    for name in TEMPLATES:
        path = f"build/rehearsal/templates/{name}"
        url = deployment.package(aws, path)
        key = url.partition(f"/{BUCKET}/")[2]
        text = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()
        for listed in s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
            artifact = listed["Key"]
            if "/" not in artifact and artifact in text:
                released = f"{PREFIX}/{version}/artifacts/{artifact}"
                s3.copy_object(
                    Bucket=BUCKET, Key=released, CopySource={"Bucket": BUCKET, "Key": artifact}
                )
                text = text.replace(artifact, released)
        s3.put_object(
            Bucket=BUCKET, Key=f"{PREFIX}/{version}/{name}", Body=edit(text).encode()
        )  # fmt: skip


@dataclass
class Portfolio:
    """The stack of templates/service-catalog.yml."""

    aws: LocalAws

    def __post_init__(self) -> None:
        create_end_user(self.aws)
        self.client = session(self.aws, END_USER, "servicecatalog")
        self.stack = deployment.Stack(
            self.aws,
            STACK,
            "templates/service-catalog.yml",
            pBucket=BUCKET,
            pPrincipalArn=role_arn(self.aws, END_USER),
        )
        self._tokens = 0

    def offer(self, **versions: str) -> dict[str, str]:
        """Create or update the portfolio; returns its outputs."""
        self.stack.start(**versions)
        status = self.stack.wait()
        assert status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), self.stack.reasons()
        return self.stack.outputs()

    def launch(self, product: str, name: str, parameters: dict[str, str], version: str) -> Json:
        """Provision a product; returns the record once it is complete."""
        self._tokens += 1
        return self._complete(
            self.client.provision_product(
                ProductId=product,
                ProvisioningArtifactName=version,
                ProvisionedProductName=name,
                ProvisionToken=f"token-{self._tokens}",
                ProvisioningParameters=[
                    {"Key": key, "Value": value} for key, value in parameters.items()
                ],
                Tags=[{"Key": "environment", "Value": "test"}],
            )
        )

    def update(self, name: str, keep: dict[str, str], version: str, **changes: str) -> Json:
        """Update a provisioned product, its tags too."""
        self._tokens += 1
        kept = [{"Key": key, "UsePreviousValue": True} for key in keep]
        changed = [{"Key": key, "Value": value} for key, value in changes.items()]
        return self._complete(
            self.client.update_provisioned_product(
                ProvisionedProductName=name,
                ProvisioningArtifactName=version,
                ProvisioningParameters=[*kept, *changed],
                UpdateToken=f"token-{self._tokens}",
                Tags=[{"Key": "environment", "Value": "production"}],
            )
        )

    def terminate(self, name: str) -> Json:
        """Terminate a provisioned product."""
        self._tokens += 1
        return self._complete(
            self.client.terminate_provisioned_product(
                ProvisionedProductName=name, TerminateToken=f"token-{self._tokens}"
            )
        )

    def _complete(self, response: Json) -> Json:
        return self.complete(response["RecordDetail"]["RecordId"])

    def complete(self, record: str) -> Json:
        """Wait for the end of an operation; returns its record and outputs."""
        until(lambda: not self._describe(record)["Status"].startswith("IN_PROGRESS"), record)
        found = self._describe(record)
        assert found["Status"] == "SUCCEEDED", found["RecordErrors"]
        return {**found, "Outputs": self._outputs(record)}

    def _describe(self, record: str) -> Json:
        return dict(self.client.describe_record(Id=record)["RecordDetail"])

    def _outputs(self, record: str) -> dict[str, str]:
        outputs = self.client.describe_record(Id=record)["RecordOutputs"]
        return {each["OutputKey"]: each["OutputValue"] for each in outputs}


def create_end_user(aws: LocalAws) -> None:
    """A role that may use Service Catalog as an end user and nothing else."""
    iam = aws.client("iam")
    iam.create_role(
        RoleName=END_USER,
        AssumeRolePolicyDocument=_document(
            {"Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
        ),
    )
    actions = [f"servicecatalog:{action}" for action in END_USER_ACTIONS]
    iam.put_role_policy(
        RoleName=END_USER,
        PolicyName="use",
        PolicyDocument=_document({"Action": actions, "Resource": "*"}),
    )


def role_arn(aws: LocalAws, role: str) -> str:
    """The ARN of a role in the local AWS's partition."""
    return f"arn:{partition_of(aws.region)}:iam::{ACCOUNT}:role/{role}"


def session(aws: LocalAws, role: str, service: str) -> Any:
    """A client with the credentials of a role."""
    found = aws.client("sts").assume_role(RoleArn=role_arn(aws, role), RoleSessionName="test")[
        "Credentials"
    ]
    return boto3.client(
        service,
        endpoint_url=aws.endpoint,
        region_name=aws.region,
        aws_access_key_id=found["AccessKeyId"],
        aws_secret_access_key=found["SecretAccessKey"],
        aws_session_token=found["SessionToken"],
        config=Config(proxies={}, retries={"total_max_attempts": 1}),
    )


def _document(statement: Json) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})
