"""Steps: start and stop the client instance, and run commands on it with SSM Run Command."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import aws, deadlines, polling
from hsm_lifecycle.custom_resource import failure_reason
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import NotOwnedError, TransientError
from hsm_lifecycle.properties import LAUNCHED_WITH

DELIVERY_SECONDS = 120
# An instance profile takes about two minutes, an instance one.
_SECONDS_TO_LAUNCH = 420
# Only CloudFormation sets and removes it (F5.21).
STACK_TAG = "aws:cloudformation:stack-id"
_MAX_MESSAGE = 600  # characters; a stack event shows 240 of the whole reason
# The SSM agent's generic last line, and the long document name that CloudFormation generates: a
# stack event has no room for either.
_AGENT_SUFFIX = re.compile(r"failed to run commands: exit status \d+\s*$")
# A sentence of our scripts about a parameter or a secret: a stack event has no room for more.
_SENTENCE = re.compile(r"(p[A-Z]\w+|Secret /?[\w/+=.@-]+): .*$", re.MULTILINE)
_IN_PROGRESS = ("Pending", "InProgress", "Delayed", "Cancelling")
# Exit codes of scripts that log in to the HSMs: refused, or failed for a reason that may be that.
_LOGIN_ERRORS = {3: "LoginRefused", 4: "LoginFailed"}
# Exit codes of a script that one of 64 signals ended; those of the AWS CLI begin at 252.
_KILLED = range(128, 193)
_COMMENT_PREFIX = "hsm-lifecycle "
# Marks an instance that was found stopped, from its start until it is stopped again.
_STARTED_BY = "hsm-lifecycle:started-by"


def describe_client(event: Event) -> dict[str, Any]:
    """Describe the client: the instance that a parameter names, or that of this stack.

    CloudFormation may launch or replace the stack's instance while the workflow runs: until it has
    what the template asks for, it is pending, NOT_FOUND after 7 minutes. An instance that EC2 no
    longer knows is terminated. WithAgent: also describe the SSM agent of a running one, which is
    usually online.
    """
    found = _found(event)
    is_asked_for = event.get("WithAgent") and found["State"] == "running"
    return {**found, "PingStatus": _ping_status(found) if is_asked_for else ""}


def _found(event: Event) -> dict[str, Any]:
    wanted = event["Client"]
    if "InstanceId" in wanted:
        instance = _describe_instance(wanted["InstanceId"])
        return _described(instance, wanted["InstanceId"])
    instances = sorted(_of_this_stack(), key=_age)
    launched = [each for each in instances if _is_as(wanted, each)]
    instance = next(iter(launched or instances), None)
    if not wanted["IsNew"]:
        return _described(instance, "of this stack")
    is_ready = bool(launched) and launched[0]["State"]["Name"] in ("pending", "running")
    seconds = deadlines.seconds_between(event["StartTime"], event["EnteredTime"])
    if not is_ready and seconds < _SECONDS_TO_LAUNCH:
        return {"Id": "", "State": "pending", "Reason": "not launched yet", "LaunchTime": ""}
    if instance is None:
        reason = (
            f"The stack has no client instance of {wanted['ImageId']} and {wanted['InstanceType']}"
            f" in {wanted['SubnetId']}"
        )
        return {"Id": "", "State": "NOT_FOUND", "Reason": reason, "LaunchTime": ""}
    return _described(instance, instance["InstanceId"])


def _described(instance: Mapping[str, Any] | None, name: str) -> dict[str, Any]:
    if instance is None:
        reason = "EC2 no longer knows it"
        return {"Id": name, "State": "terminated", "Reason": reason, "LaunchTime": ""}
    return {
        "Id": instance["InstanceId"],
        "State": instance["State"]["Name"],
        "Reason": instance.get("StateReason", {}).get("Message") or "EC2 gives no reason",
        "LaunchTime": instance["LaunchTime"].isoformat(),
    }


def _is_as(wanted: Mapping[str, Any], instance: Mapping[str, Any]) -> bool:
    """Whether an instance has what the template asks for; a terminated one has no subnet."""
    return all(instance.get(name) == wanted[name] for name in LAUNCHED_WITH)


def _age(instance: Mapping[str, Any]) -> tuple[bool, float]:
    """Sorts instances: those that may run first, of these the youngest."""
    is_gone = instance["State"]["Name"] in ("shutting-down", "terminated")
    return is_gone, -instance["LaunchTime"].timestamp()


def ids_of_this_stack() -> set[str]:
    """The IDs of the client that this stack launched, and of one that is being replaced."""
    return {instance["InstanceId"] for instance in _of_this_stack(aws.ATTEMPTS)}


def _of_this_stack(attempts: int = 1) -> list[dict[str, Any]]:
    """The instances that CloudFormation launched for this stack, by a tag that it alone sets."""
    return _instances({f"tag:{STACK_TAG}": [aws.this_stack()]}, attempts)


def start_client(event: Event) -> dict[str, Any]:
    """Start a stopped instance, tagged so that a later request can stop it if this one cannot."""
    ec2, instances = aws.client("ec2"), [event["InstanceId"]]
    machine = event["ExecutionId"].split(":")[6]
    ec2.create_tags(Resources=instances, Tags=[{"Key": _STARTED_BY, "Value": machine}])
    ec2.start_instances(InstanceIds=instances)
    return {}


def stop_client(event: Event) -> dict[str, Any]:
    """Stop the instance again. TransientError: it is still booting."""
    instance = _describe_instance(event["InstanceId"])
    try:
        if instance:
            _stop(instance)
    except ClientError as error:
        if aws.error_code(error) != "IncorrectInstanceState":
            raise
        raise TransientError(str(aws.to_workflow_error(error))) from error
    return {}


def stop_started(machines: Iterable[str]) -> bool:
    """Stop instances that these state machines left running; False while one is still booting."""
    done = True
    for instance in _started_by(machines):
        if instance["State"]["Name"] == "pending":
            done = False
        else:
            _stop(instance)
    return done


def _started_by(machines: Iterable[str]) -> list[dict[str, Any]]:
    alive = ["pending", "running", "stopping", "stopped"]
    return _instances({f"tag:{_STARTED_BY}": list(machines), "instance-state-name": alive})


def _instances(filters: Mapping[str, Sequence[str]], attempts: int = 1) -> list[dict[str, Any]]:
    reservations = aws.client("ec2", attempts=attempts).describe_instances(
        Filters=[{"Name": name, "Values": values} for name, values in filters.items()]
    )["Reservations"]
    return [instance for reservation in reservations for instance in reservation["Instances"]]


def _describe_instance(instance_id: str) -> dict[str, Any] | None:
    """An instance; None if EC2 does not know it, or no longer."""
    try:
        found = aws.client("ec2").describe_instances(InstanceIds=[instance_id])["Reservations"]
    except ClientError as error:
        if aws.error_code(error) != "InvalidInstanceID.NotFound":
            raise
        return None
    return dict(found[0]["Instances"][0])


def _stop(instance: Mapping[str, Any]) -> None:
    ec2, instances = aws.client("ec2"), [instance["InstanceId"]]
    ec2.stop_instances(InstanceIds=instances)
    # IAM allows deleting tags only from instances that have this one.
    if any(tag["Key"] == _STARTED_BY for tag in instance.get("Tags", [])):
        ec2.delete_tags(Resources=instances, Tags=[{"Key": _STARTED_BY}])


def describe_agent(event: Event) -> dict[str, Any]:
    """Describe the SSM agent: Absent until it registers, Stale until it is online after a start.

    Agents report every five minutes, so Online may be older than the last start (F6.26).
    """
    instance = {"Id": event["InstanceId"], "LaunchTime": event["LaunchTime"]}
    launched = datetime.fromisoformat(event["LaunchTime"])
    began = max(launched, datetime.fromisoformat(event["StartTime"]))
    seconds = deadlines.seconds_between(began.isoformat(), event["EnteredTime"])
    return {"PingStatus": _ping_status(instance), "Seconds": seconds}


def _ping_status(instance: Mapping[str, str]) -> str:
    agents = aws.client("ssm").describe_instance_information(
        Filters=[{"Key": "InstanceIds", "Values": [instance["Id"]]}]
    )["InstanceInformationList"]
    status = str(agents[0]["PingStatus"]) if agents else "Absent"
    launched = datetime.fromisoformat(instance["LaunchTime"])
    if status == "Online" and agents[0]["LastPingDateTime"] < launched:
        return "Stale"
    return status


def send_command(event: Event) -> dict[str, Any]:
    """Run a document on the client, unless this execution already sent the command."""
    comment, now = _comment(event), event["EnteredTime"]
    sent = {"SentAt": now, "Wait": polling.wait_for_command(now, now)}
    for command in _list_commands(aws.client("ssm"), event["InstanceId"]):
        if command["Comment"] == comment:
            return {"Id": str(command["CommandId"]), **sent}
    command = aws.client("ssm").send_command(
        InstanceIds=[event["InstanceId"]],
        DocumentName=event["DocumentName"],
        Parameters={name: [str(value)] for name, value in event["Parameters"].items()},
        TimeoutSeconds=DELIVERY_SECONDS,
        Comment=comment,
    )["Command"]
    return {"Id": command["CommandId"], **sent}


def describe_command(event: Event) -> dict[str, Any]:
    """Describe a command: Running, Success, or how it failed and the end of its output.

    Summary is the reason for a stack event. NotOwnedError: it is not a command of this stack, whose
    output IAM cannot protect: GetCommandInvocation has no resource-level permissions.
    """
    common = {
        "Id": event["CommandId"],
        "SentAt": event["SentAt"],
        "Wait": polling.wait_for_command(event["SentAt"], event["EnteredTime"]),
    }
    try:
        invocation = aws.client("ssm").get_command_invocation(
            CommandId=event["CommandId"], InstanceId=event["InstanceId"]
        )
    except ClientError as error:
        if aws.error_code(error) != "InvocationDoesNotExist":  # not yet (F6.25)
            raise
        return {**common, "Status": "Running", "Message": "not known to SSM yet"}
    if not invocation["Comment"].startswith(f"{_COMMENT_PREFIX}{_own_machine()}:"):
        raise NotOwnedError(f"The command {event['CommandId']} is not of this stack.")
    status = invocation["Status"]
    output = invocation["StandardErrorContent"] or invocation["StandardOutputContent"]
    message = _AGENT_SUFFIX.sub("", output).strip()
    job = failure_reason.job_of(invocation["DocumentName"])
    message = message[-_MAX_MESSAGE:] or invocation["StatusDetails"]
    sentence = _SENTENCE.search(message)
    return {
        **common,
        "Status": "Running" if status in _IN_PROGRESS else status,
        "Error": _error(status, invocation["ResponseCode"]),
        "Message": message,
        "Summary": f"{job}: {sentence.group()}"
        if sentence
        else f"{job} on {event['InstanceId']} ended with status {status}: {message}",
    }


def _error(status: str, exit_code: int) -> str:
    """The name of the workflow's error, if the command has failed."""
    if status != "Failed" or exit_code in _KILLED or exit_code < 0:
        return "CommandInterrupted"
    return _LOGIN_ERRORS.get(exit_code, "CommandFailed")


def cancel_commands(instance_id: str, machines: Iterable[str]) -> list[str]:
    """Cancel the running commands of these state machines; the IDs of those that had not ended.

    Other stacks may use the client too.
    """
    prefixes = tuple(f"{_COMMENT_PREFIX}{machine}:" for machine in machines)
    ssm = aws.client("ssm", attempts=aws.ATTEMPTS)
    running = [
        command
        for command in _list_commands(ssm, instance_id)
        if command["Status"] in _IN_PROGRESS and command["Comment"].startswith(prefixes)
    ]
    for command in running:
        if command["Status"] != "Cancelling":
            ssm.cancel_command(CommandId=command["CommandId"], InstanceIds=[instance_id])
    return [str(command["CommandId"]) for command in running]


def _list_commands(ssm: Any, instance_id: str) -> Iterator[dict[str, Any]]:
    for page in ssm.get_paginator("list_commands").paginate(InstanceId=instance_id):
        yield from page["Commands"]


def _own_machine() -> str:
    """The state machine that sends this stack's commands, named as this function is."""
    return os.environ["AWS_LAMBDA_FUNCTION_NAME"].removesuffix("-client") + "-run-on-client"


def _comment(event: Event) -> str:
    """Identifies the state machine and execution that sent a command, in 100 characters."""
    return f"{_COMMENT_PREFIX}{':'.join(event['ExecutionId'].split(':')[6:])}"[:100]
