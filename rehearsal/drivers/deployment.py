"""Deploy our templates into a local AWS, wait for what becomes of them, and read the reasons."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from localaws.client import BUCKET, LocalAws, until

Json = dict[str, Any]

CAPABILITIES = ["CAPABILITY_IAM"]
# What the Makefile calls REHEARSAL.
BUILT = (
    "build/rehearsal/build/functions.zip",
    "build/rehearsal/templates",
    "build/rehearsal/statemachines",
)
# The stack's own events with which CloudFormation begins to do what it was asked for.
BEGINNINGS = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS")


class DeployError(Exception):
    """A deployment was refused before CloudFormation began with it; holds the words of refusal."""


@dataclass(frozen=True)
class Package:
    """A template after `aws cloudformation package`, and the artifacts that it names."""

    template: str
    artifacts: dict[str, bytes]


# Packaged once in a process: tests start many a local AWS, and the files stay as they are.
_packages: dict[str, Package] = {}


def package(aws: LocalAws, template: str) -> str:
    """The URL in this AWS of this template (its path in the repository), packaged."""
    url = f"{aws.endpoint}/{BUCKET}/{template}"
    if template in aws.packaged:
        return url
    s3 = aws.client("s3")
    known = _packages.get(template)
    if known is None:
        known = _packages[template] = _package(aws, template)
    else:
        for key, body in known.artifacts.items():
            s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    s3.put_object(Bucket=BUCKET, Key=template, Body=known.template.encode())
    aws.packaged.add(template)
    return url


def _build(aws: LocalAws) -> None:
    """Have make build what our templates name, because `functions/` may have changed."""
    # For the Python that runs this, if make set it up; any other is not for make to touch.
    ours = [f"VENV={sys.prefix}"] if Path(sys.prefix, "installed").exists() else []
    done = aws.run("make", "-s", *BUILT, *ours)
    if done.returncode:
        raise DeployError((done.stderr or done.stdout).strip())


def _package(aws: LocalAws, template: str) -> Package:
    _build(aws)
    target = aws.scratch / Path(template).name
    done = aws.run(
        "aws",
        "cloudformation",
        "package",
        "--template-file",
        template,
        "--s3-bucket",
        BUCKET,
        "--output-template-file",
        str(target),
    )
    if done.returncode:
        raise DeployError(done.stderr.strip())
    s3 = aws.client("s3")
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]
    artifacts = {key: s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}
    return Package(target.read_text(), artifacts)


class Stack:
    """One stack of one of our templates; its parameters keep their last value, as with the CLI."""

    def __init__(self, aws: LocalAws, name: str, template: str, **parameters: object) -> None:
        self.aws, self.name, self.template = aws, name, template
        self.parameters = {key: str(value) for key, value in parameters.items()}
        self.tags: dict[str, str] = {}
        # Words of the template, and what shall stand there instead from the next request on.
        self.edits: dict[str, str] = {}
        self._cloudformation = aws.client("cloudformation")
        self._id = name

    # Asking for it

    def deploy(self, **changes: object) -> str:
        """Run `make deploy` to its end, as an operator does; the status the stack is left in."""
        self._change(changes)
        requests = self._requests()
        parameters = " ".join(f"{key}={value}" for key, value in self.parameters.items())
        done = self.aws.run(
            "make",
            "deploy",
            f"TEMPLATE={self.template}",
            f"STACK={self.name}",
            f"BUCKET={BUCKET}",
            f"PARAMS={parameters}",
        )
        if done.returncode and self._requests() <= requests:
            raise DeployError((done.stderr or done.stdout).strip())
        return self.wait()

    def start(self, **changes: object) -> None:
        """Ask for the stack, or for its update, and do not wait for what becomes of it."""
        self._change(changes)
        request = {
            "StackName": self.name,
            "TemplateURL": self._edited(package(self.aws, self.template)),
            "Capabilities": CAPABILITIES,
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": value}
                for key, value in self.parameters.items()
            ],
            "Tags": [{"Key": key, "Value": value} for key, value in self.tags.items()],
        }
        try:
            if self.status() in (None, "DELETE_COMPLETE"):
                self._cloudformation.create_stack(**request)
            else:
                self._cloudformation.update_stack(**request)
        except ClientError as refused:
            raise DeployError(str(refused)) from refused

    def _edited(self, url: str) -> str:
        if not self.edits:
            return url
        s3, edited = self.aws.client("s3"), f"edited/{self.template}"
        text = s3.get_object(Bucket=BUCKET, Key=self.template)["Body"].read().decode()
        for words, others in self.edits.items():
            if words not in text:
                raise DeployError(f"{self.template} has no {words!r}")
            text = text.replace(words, others)
        s3.put_object(Bucket=BUCKET, Key=edited, Body=text.encode())
        return url.replace(self.template, edited)

    def cancel(self) -> None:
        """Cancel the update that is under way."""
        self._cloudformation.cancel_update_stack(StackName=self.name)

    def start_delete(self) -> None:
        """Ask for the stack to be deleted, and do not wait."""
        # Known from now on by its id.
        self._describe()
        self._cloudformation.delete_stack(StackName=self.name)

    def destroy(self) -> str:
        """Run `make destroy` to its end; the status the stack is left in."""
        # Known from now on by its id.
        self._describe()
        done = self.aws.run("make", "destroy", f"STACK={self.name}")
        status = self.wait()
        if done.returncode and status == "DELETE_COMPLETE":
            raise DeployError((done.stderr or done.stdout).strip())
        return status

    def wait(self) -> str:
        """The status that the stack comes to rest in."""
        until(
            lambda: self.aws.admin.rests(self.name) and not self._moves(),
            f"stack {self.name} did not come to rest",
        )
        return self.status() or "DELETE_COMPLETE"

    def _change(self, changes: dict[str, object]) -> None:
        self.parameters.update((key, str(value)) for key, value in changes.items())

    # Reading about it

    def status(self) -> str | None:
        """Its status now, DELETE_COMPLETE included; None if there was never such a stack."""
        found = self._describe()
        return None if found is None else str(found["StackStatus"])

    def _moves(self) -> bool:
        return (self.status() or "").endswith("_IN_PROGRESS")

    def outputs(self) -> dict[str, str]:
        """Its outputs by name."""
        found = self._describe() or {}
        return {entry["OutputKey"]: entry["OutputValue"] for entry in found.get("Outputs", [])}

    def events(self, logical_id: str | None = None) -> list[Json]:
        """Its events, or those of one resource, earliest first."""
        if self._describe() is None:
            return []
        pages = self._cloudformation.get_paginator("describe_stack_events")
        found = [
            event for page in pages.paginate(StackName=self._id) for event in page["StackEvents"]
        ]
        return [
            event for event in reversed(found) if logical_id in (None, event["LogicalResourceId"])
        ]

    def reasons(self) -> list[str]:
        """What failed in the latest request, the first failure first: 'rCloudHsmCluster: ...'."""
        told: list[str] = []
        for event in self.events():
            status, logical_id = event["ResourceStatus"], event["LogicalResourceId"]
            if logical_id == self.name and status in BEGINNINGS:
                told = []
            elif status.endswith("FAILED") and logical_id != self.name:
                told.append(f"{logical_id}: {event.get('ResourceStatusReason', 'no reason given')}")
        return told

    def _requests(self) -> int:
        return sum(event["ResourceStatus"] in BEGINNINGS for event in self.events(self.name))

    def _describe(self) -> Json | None:
        # A deleted stack answers to its id alone.
        for name in (self.name, self._id):
            try:
                found: Json = self._cloudformation.describe_stacks(StackName=name)["Stacks"][0]
            except ClientError as refused:
                if "does not exist" not in str(refused):
                    raise
            else:
                self._id = found["StackId"]
                return found
        return None
