"""Deploy the templates into a local AWS, wait for the result and read the failure reasons."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from localaws.client import BUCKET, ROOT, LocalAws, until

Json = dict[str, Any]

CAPABILITIES = ["CAPABILITY_IAM"]
# The Makefile's REHEARSAL.
BUILT = (
    "build/rehearsal/build/functions.zip",
    "build/rehearsal/templates",
    "build/rehearsal/statemachines",
)
# A released version's template, with its own zip and state machines.
RELEASED = re.compile(r"build/released/[^/]+")
# Stack events that mark the start of a request.
STARTS = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS")


class DeployError(Exception):
    """CloudFormation, the CLI or make rejected a deployment; the message is theirs."""


def released(template: str, version: str) -> str:
    """The path of the template as it was in a released version."""
    return template.replace("build/rehearsal/", f"build/released/{version}/")


@dataclass(frozen=True)
class Package:
    """The output of `aws cloudformation package`, and the artifacts it refers to by S3 key."""

    template: str
    artifacts: dict[str, bytes]


# Packaged once per process: tests start many local AWSs, all with the same files.
_packages: dict[str, Package] = {}


def package(aws: LocalAws, template: str) -> str:
    """Package a template (path in the repository) and upload it; returns its URL."""
    url = f"{aws.endpoint}/{BUCKET}/{template}"
    if template in aws.packaged:
        return url
    s3 = aws.client("s3")
    packaged = _packages.get(template)
    if packaged is None:
        packaged = _packages[template] = _package(aws, template)
    else:
        for key, body in packaged.artifacts.items():
            s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    s3.put_object(Bucket=BUCKET, Key=template, Body=packaged.template.encode())
    aws.packaged.add(template)
    return url


def _build(aws: LocalAws, template: str) -> None:
    """Have make rebuild what the template refers to; `functions/` may have changed."""
    released = RELEASED.match(template)
    directory = released[0] if released else "build/rehearsal"
    targets = [name.replace("build/rehearsal", directory) for name in BUILT]
    # make may only use this interpreter's environment if it created it.
    venv = [f"VENV={sys.prefix}"] if Path(sys.prefix, "installed").exists() else []
    done = aws.run("make", "-s", *targets, *venv)
    if done.returncode:
        raise DeployError((done.stderr or done.stdout).strip())


def _package(aws: LocalAws, template: str) -> Package:
    _build(aws, template)
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


def _packaged_by_make(template: str) -> Path:
    """The Makefile's `packaged`."""
    if template.startswith(("templates/", "build/")):
        return ROOT / template.replace("templates/", "build/packaged/")
    return ROOT / "build" / "packaged" / template.replace("/", "-")


class Stack:
    """A stack of one template; parameters keep their last value between requests."""

    def __init__(self, aws: LocalAws, name: str, template: str, **parameters: object) -> None:
        self.aws, self.name, self.template = aws, name, template
        self.parameters = {key: str(value) for key, value in parameters.items()}
        self.tags: dict[str, str] = {}
        # Text replacements in the template, applied from the next request on.
        self.edits: dict[str, str] = {}
        self._cloudformation = aws.client("cloudformation")
        self._id = name

    # Requests

    def deploy(self, **changes: object) -> str:
        """Run `make deploy` as an operator would; returns the final stack status."""
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
            # Scenarios delete through the API too.
            "PROTECT=no",
        )
        if done.returncode and self._requests() <= requests:
            raise DeployError((done.stderr or done.stdout).strip())
        self._keep_packaged()
        return self.wait()

    def _keep_packaged(self) -> None:
        """Upload the template that make has packaged, for later requests through the API."""
        self.aws.client("s3").put_object(
            Bucket=BUCKET, Key=self.template, Body=_packaged_by_make(self.template).read_bytes()
        )
        self.aws.packaged.add(self.template)

    def start(self, **changes: object) -> None:
        """Create or update the stack through the API, without waiting."""
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
        except ClientError as error:
            raise DeployError(str(error)) from error

    def _edited(self, url: str) -> str:
        if not self.edits:
            return url
        s3, edited = self.aws.client("s3"), f"edited/{self.template}"
        text = s3.get_object(Bucket=BUCKET, Key=self.template)["Body"].read().decode()
        for old, new in self.edits.items():
            if old not in text:
                raise DeployError(f"{self.template} does not contain {old!r}")
            text = text.replace(old, new)
        s3.put_object(Bucket=BUCKET, Key=edited, Body=text.encode())
        return url.replace(self.template, edited)

    def cancel(self) -> None:
        """Cancel the running update."""
        self._cloudformation.cancel_update_stack(StackName=self.name)

    def start_delete(self) -> None:
        """Delete the stack, without waiting."""
        self._describe()  # remember the ID: a deleted stack has no name
        self._cloudformation.delete_stack(StackName=self.name)

    def destroy(self) -> str:
        """Run `make destroy`; returns the final stack status."""
        self._describe()  # remember the ID: a deleted stack has no name
        done = self.aws.run("make", "destroy", f"STACK={self.name}")
        status = self.wait()
        if done.returncode and status == "DELETE_COMPLETE":
            raise DeployError((done.stderr or done.stdout).strip())
        return status

    def wait(self) -> str:
        """Wait for the end of the request; returns the final stack status."""
        until(
            lambda: self.aws.admin.is_idle(self.name) and not self._is_in_progress(),
            f"stack {self.name} was still in progress",
        )
        return self.status() or "DELETE_COMPLETE"

    def _change(self, changes: dict[str, object]) -> None:
        self.parameters.update((key, str(value)) for key, value in changes.items())

    # Observations

    def status(self) -> str | None:
        """The current status, including DELETE_COMPLETE; None if the stack never existed."""
        found = self._describe()
        return None if found is None else str(found["StackStatus"])

    def _is_in_progress(self) -> bool:
        return (self.status() or "").endswith("_IN_PROGRESS")

    def outputs(self) -> dict[str, str]:
        """The outputs by key."""
        found = self._describe() or {}
        return {entry["OutputKey"]: entry["OutputValue"] for entry in found.get("Outputs", [])}

    def events(self, logical_id: str | None = None) -> list[Json]:
        """The stack events, or those of one resource, oldest first."""
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
        """The failures of the latest request, oldest first, as "rCloudHsmCluster: ..."."""
        reasons: list[str] = []
        for event in self.events():
            status, logical_id = event["ResourceStatus"], event["LogicalResourceId"]
            if logical_id == self.name and status in STARTS:
                reasons = []
            elif status.endswith("FAILED") and logical_id != self.name:
                reason = event.get("ResourceStatusReason", "no reason given")
                reasons.append(f"{logical_id}: {reason}")
        return reasons

    def _requests(self) -> int:
        return sum(event["ResourceStatus"] in STARTS for event in self.events(self.name))

    def _describe(self) -> Json | None:
        # A deleted stack can be described by its ID only.
        for name in (self.name, self._id):
            try:
                found: Json = self._cloudformation.describe_stacks(StackName=name)["Stacks"][0]
            except ClientError as error:
                if "does not exist" not in str(error):
                    raise
            else:
                self._id = found["StackId"]
                return found
        return None
