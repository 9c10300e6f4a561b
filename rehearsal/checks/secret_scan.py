"""Find secrets in everything that AWS records and displays: logs, histories, commands, events."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from localaws.client import LocalAws

# Where a text was found, such as "log /aws/lambda/...", and the text.
Observed = tuple[str, str]


def leaks(observed: Iterable[Observed], secrets: Collection[str]) -> list[str]:
    """The places where one of the secrets can be read."""
    return [place for place, text in observed if any(secret in text for secret in secrets)]


def observable_texts(aws: LocalAws) -> Iterator[Observed]:
    """Every text that AWS's APIs and logs show, except the secrets themselves."""
    yield from _executions(aws)
    yield from _logs(aws)
    yield from _systems_manager(aws)
    yield from _cloudformation(aws)
    functions = aws.client("lambda").get_paginator("list_functions").paginate()
    for function in (function for page in functions for function in page["Functions"]):
        yield f"function {function['FunctionName']}", _text(function)
    yield from (("response to CloudFormation", each) for each in aws.admin.responses())
    yield "event log", _text(aws.admin.event_log())
    yield "standard error of the local AWS", aws.server_log()


def process_arguments(aws: LocalAws) -> Iterator[list[str]]:
    """The arguments of every process started on an instance, visible to all its users."""
    for processes in aws.admin.processes().values():
        yield from processes


def _executions(aws: LocalAws) -> Iterator[Observed]:
    states = aws.client("stepfunctions")
    for page in states.get_paginator("list_state_machines").paginate():
        for machine in page["stateMachines"]:
            arn = machine["stateMachineArn"]
            definition = states.describe_state_machine(stateMachineArn=arn)
            yield f"definition of {machine['name']}", _text(definition)
            for executions in states.get_paginator("list_executions").paginate(stateMachineArn=arn):
                for execution in executions["executions"]:
                    yield from _execution(states, execution["executionArn"])


def _execution(states: Any, arn: str) -> Iterator[Observed]:
    yield f"execution {arn}", _text(states.describe_execution(executionArn=arn))
    history = states.get_paginator("get_execution_history")
    for page in history.paginate(executionArn=arn, includeExecutionData=True):
        yield f"history of {arn}", _text(page["events"])


def _logs(aws: LocalAws) -> Iterator[Observed]:
    logs = aws.client("logs")
    for page in logs.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            name = group["logGroupName"]
            for events in logs.get_paginator("filter_log_events").paginate(logGroupName=name):
                yield f"log {name}", _text(events["events"])


def _systems_manager(aws: LocalAws) -> Iterator[Observed]:
    ssm = aws.client("ssm")
    for page in ssm.get_paginator("list_commands").paginate():
        for command in page["Commands"]:
            yield f"command of {command['DocumentName']}", _text(command)
            for instance in command["InstanceIds"]:
                output = ssm.get_command_invocation(
                    CommandId=command["CommandId"], InstanceId=instance
                )
                yield f"output of {command['DocumentName']}", _text(output)
    for page in ssm.get_paginator("list_command_invocations").paginate(Details=True):
        yield "invocations", _text(page["CommandInvocations"])
    for name in aws.admin.inventory()["ssm"]["parameters"]:
        yield f"parameter {name}", _text(ssm.get_parameter(Name=name, WithDecryption=True))
    for name in aws.admin.inventory()["ssm"]["documents"]:
        yield f"document {name}", _text(ssm.get_document(Name=name))


def _cloudformation(aws: LocalAws) -> Iterator[Observed]:
    cloudformation = aws.client("cloudformation")
    events = cloudformation.get_paginator("describe_stack_events")
    for page in cloudformation.get_paginator("describe_stacks").paginate():
        for stack in page["Stacks"]:
            name = stack["StackName"]
            yield f"stack {name}", _text(stack)
            yield f"template of {name}", _text(cloudformation.get_template(StackName=name))
            for found in events.paginate(StackName=name):
                yield f"events of {name}", _text(found["StackEvents"])


def _text(value: Any) -> str:
    """The value as JSON, without the backslashes of JSON nested in strings."""
    return json.dumps(value, default=str).replace("\\", "")
