"""All that AWS remembers and shows of what happened, wherever somebody could look."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from localaws.client import LocalAws

Told = tuple[str, str]


def everything_told(aws: LocalAws) -> Iterator[Told]:
    """Each place where somebody could look, and the text that is found there."""
    yield from _of_executions(aws)
    yield from _of_logs(aws)
    yield from _of_systems_manager(aws)
    yield from _of_cloudformation(aws)
    functions = aws.client("lambda").get_paginator("list_functions").paginate()
    for function in (function for page in functions for function in page["Functions"]):
        yield f"function {function['FunctionName']}", _text(function)
    yield from (("answer to CloudFormation", answer) for answer in aws.admin.answers())
    yield "event_log", _text(aws.admin.event_log())
    yield "standard error of the local AWS", aws.server_log()


def arguments_told(aws: LocalAws) -> Iterator[list[str]]:
    """The arguments of every process on an instance, which anybody there can see."""
    for processes in aws.admin.processes().values():
        yield from processes


def _of_executions(aws: LocalAws) -> Iterator[Told]:
    states = aws.client("stepfunctions")
    for page in states.get_paginator("list_state_machines").paginate():
        for machine in page["stateMachines"]:
            arn = machine["stateMachineArn"]
            yield (
                f"definition of {machine['name']}",
                _text(states.describe_state_machine(stateMachineArn=arn)),
            )
            for executions in states.get_paginator("list_executions").paginate(stateMachineArn=arn):
                for execution in executions["executions"]:
                    yield from _of_execution(states, execution["executionArn"])


def _of_execution(states: Any, arn: str) -> Iterator[Told]:
    yield f"execution {arn}", _text(states.describe_execution(executionArn=arn))
    history = states.get_paginator("get_execution_history")
    for page in history.paginate(executionArn=arn, includeExecutionData=True):
        yield f"history of {arn}", _text(page["events"])


def _of_logs(aws: LocalAws) -> Iterator[Told]:
    logs = aws.client("logs")
    for page in logs.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            name = group["logGroupName"]
            for events in logs.get_paginator("filter_log_events").paginate(logGroupName=name):
                yield f"log {name}", _text(events["events"])


def _of_systems_manager(aws: LocalAws) -> Iterator[Told]:
    ssm = aws.client("ssm")
    for page in ssm.get_paginator("list_commands").paginate():
        for command in page["Commands"]:
            yield f"command of {command['DocumentName']}", _text(command)
            for instance in command["InstanceIds"]:
                yield (
                    f"output of {command['DocumentName']}",
                    _text(
                        ssm.get_command_invocation(
                            CommandId=command["CommandId"], InstanceId=instance
                        )
                    ),
                )
    for page in ssm.get_paginator("list_command_invocations").paginate(Details=True):
        yield "invocations", _text(page["CommandInvocations"])
    for name in aws.admin.inventory()["ssm"]["parameters"]:
        yield f"parameter {name}", _text(ssm.get_parameter(Name=name, WithDecryption=True))
    for name in aws.admin.inventory()["ssm"]["documents"]:
        yield f"document {name}", _text(ssm.get_document(Name=name))


def _of_cloudformation(aws: LocalAws) -> Iterator[Told]:
    cloudformation = aws.client("cloudformation")
    for page in cloudformation.get_paginator("describe_stacks").paginate():
        for stack in page["Stacks"]:
            name = stack["StackName"]
            yield f"stack {name}", _text(stack)
            yield f"template of {name}", _text(cloudformation.get_template(StackName=name))
            for events in cloudformation.get_paginator("describe_stack_events").paginate(
                StackName=name
            ):
                yield f"events of {name}", _text(events["StackEvents"])


def _text(value: Any) -> str:
    """Without the escapes that JSON within JSON would bring along."""
    return json.dumps(value, default=str).replace("\\", "")
