"""The client instance, and commands on it through SSM Run Command."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import aws
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import TransientError

_SECONDS_TO_DELIVER = 120
_WORDS_OF_STDERR = 600  # characters; the stack event shows 240 in all
# What says no more than that it failed, and the long name that CloudFormation gives a document: the
# stack event has room for neither.
_AGENTS_OWN_WORDS = re.compile(r"failed to run commands: exit status \d+\s*$")
_JOB = re.compile(r"-r([A-Z][A-Za-z]+)Document-")
_ON_THE_WAY = ("Pending", "InProgress", "Delayed", "Cancelling")


def describe_client(event: Event) -> dict[str, Any]:
    """Describe the instance; one that nobody remembers is terminated."""
    try:
        return {"State": _instance(event["InstanceId"])["State"]["Name"]}
    except ClientError as problem:
        if aws.code_of(problem) != "InvalidInstanceID.NotFound":
            raise
        return {"State": "terminated"}


def start_client(event: Event) -> dict[str, Any]:
    """Start the instance that its owner has stopped, and mark it, should nobody get to stop it."""
    ec2, instances = aws.client("ec2"), [event["InstanceId"]]
    ec2.create_tags(Resources=instances, Tags=[{"Key": _STARTED_BY, "Value": _machine(event)}])
    ec2.start_instances(InstanceIds=instances)
    return {}


def stop_client(event: Event) -> dict[str, Any]:
    """Stop the instance that was found stopped; one that is still booting, a little later."""
    try:
        _stop(_instance(event["InstanceId"]))
    except ClientError as problem:
        if aws.code_of(problem) != "IncorrectInstanceState":
            raise
        raise TransientError(str(aws.translated(problem))) from problem
    return {}


def stop_started(machines: Iterable[str]) -> bool:
    """Stop what these state machines have started and not stopped; False while one still boots."""
    done = True
    for instance in _started(machines):
        if instance["State"]["Name"] == "pending":
            done = False
        else:
            _stop(instance)
    return done


def _started(machines: Iterable[str]) -> list[dict[str, Any]]:
    """The instances that carry the mark of one of these machines."""
    reservations = aws.client("ec2").describe_instances(
        Filters=[
            {"Name": f"tag:{_STARTED_BY}", "Values": list(machines)},
            {
                "Name": "instance-state-name",
                "Values": ["pending", "running", "stopping", "stopped"],
            },
        ]
    )["Reservations"]
    return [instance for reservation in reservations for instance in reservation["Instances"]]


def _instance(instance_id: str) -> dict[str, Any]:
    reservations = aws.client("ec2").describe_instances(InstanceIds=[instance_id])["Reservations"]
    return dict(reservations[0]["Instances"][0])


def _stop(instance: Mapping[str, Any]) -> None:
    ec2, instances = aws.client("ec2"), [instance["InstanceId"]]
    ec2.stop_instances(InstanceIds=instances)
    # The role may take away no tag but this, and so nothing from an instance that is without it.
    if any(tag["Key"] == _STARTED_BY for tag in instance.get("Tags", [])):
        ec2.delete_tags(Resources=instances, Tags=[{"Key": _STARTED_BY}])


def describe_agent(event: Event) -> dict[str, Any]:
    """Describe the SSM agent; before it has registered its state is Absent."""
    known = aws.client("ssm").describe_instance_information(
        Filters=[{"Key": "InstanceIds", "Values": [event["InstanceId"]]}]
    )["InstanceInformationList"]
    return {
        "PingStatus": known[0]["PingStatus"] if known else "Absent",
        "Attempts": event["Attempts"] + 1,
    }


def send_command(event: Event) -> dict[str, Any]:
    """Run a document on the client; a command that this execution sent before is found again."""
    found = _sent(event)
    if found is None:
        found = aws.client("ssm").send_command(
            InstanceIds=[event["InstanceId"]],
            DocumentName=event["DocumentName"],
            Parameters={name: [str(value)] for name, value in event["Parameters"].items()},
            TimeoutSeconds=_SECONDS_TO_DELIVER,
            Comment=_comment(event),
        )["Command"]["CommandId"]
    return {"Id": found}


def describe_command(event: Event) -> dict[str, Any]:
    """Describe a command: is it Running, did it Succeed, or how and why did it fail?"""
    try:
        invocation = aws.client("ssm").get_command_invocation(
            CommandId=event["CommandId"], InstanceId=event["InstanceId"]
        )
    except ClientError as problem:
        if aws.code_of(problem) != "InvocationDoesNotExist":  # not yet (F6.25)
            raise
        return {"Id": event["CommandId"], "Status": "Running", "Message": "not known to SSM yet"}
    status = invocation["Status"]
    said = invocation["StandardErrorContent"] or invocation["StandardOutputContent"]
    told = _AGENTS_OWN_WORDS.sub("", said).strip()
    job = _JOB.search(invocation["DocumentName"])
    return {
        "Id": event["CommandId"],
        "Job": job.group(1) if job else invocation["DocumentName"],
        "Status": "Running" if status in _ON_THE_WAY else status,
        "Message": told[-_WORDS_OF_STDERR:] or invocation["StatusDetails"],
    }


def cancel_commands(instance_id: str, machines: Iterable[str]) -> None:
    """Cancel what these state machines are still running on the client, which others use too."""
    ours = tuple(f"{_COMMENT_PREFIX}{machine}:" for machine in machines)
    ssm = aws.client("ssm", attempts=5)
    pages = ssm.get_paginator("list_commands").paginate(InstanceId=instance_id)
    for command in (command for page in pages for command in page["Commands"]):
        if command["Status"] in _ON_THE_WAY and command["Comment"].startswith(ours):
            ssm.cancel_command(CommandId=command["CommandId"], InstanceIds=[instance_id])


_COMMENT_PREFIX = "hsm-lifecycle "
# The tag of an instance that was found stopped, from its start until it is stopped again.
_STARTED_BY = "hsm-lifecycle:started-by"


def _machine(event: Event) -> str:
    """The name of the state machine that a step works for."""
    return str(event["ExecutionId"].split(":")[6])


def _comment(event: Event) -> str:
    """The machine and the execution that sent the command, in at most 100 characters."""
    return f"{_COMMENT_PREFIX}{':'.join(event['ExecutionId'].split(':')[6:])}"[:100]


def _sent(event: Event) -> str | None:
    pages = (
        aws.client("ssm").get_paginator("list_commands").paginate(InstanceId=event["InstanceId"])
    )
    for command in (command for page in pages for command in page["Commands"]):
        if command["Comment"] == _comment(event):
            return str(command["CommandId"])
    return None
