"""Records what AWS shows of requests, executions, logs, events and stacks, and every secret.

ministack forgets them with the resource: AWS keeps executions for 90 days, and somebody may have
read the rest before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from localaws.ministack.access import ministack

if TYPE_CHECKING:
    from localaws.core.records import Records

_events = ministack("services.eventbridge")
_logs = ministack("services.cloudwatch_logs")
_package = ministack("services.cloudformation")
_secrets = ministack("services.secretsmanager")
_stacks = ministack("services.cloudformation.stacks")
_states = ministack("services.stepfunctions")

# Parameters of requests that contain a secret on its way to where it belongs. CloudTrail omits
# them: https://docs.aws.amazon.com/secretsmanager/latest/userguide/cloudtrail_log_entries.html
OMITTED = {
    "CreateCustomKeyStore": "KeyStorePassword",
    "CreateSecret": "SecretString",
    "PutSecretValue": "SecretString",
    "UpdateCustomKeyStore": "KeyStorePassword",
    "UpdateSecret": "SecretString",
}
# Services whose requests are uploads.
UPLOADS = ("s3",)
SECRET_WRITES = ("_create_secret", "_put_secret_value", "_update_secret")


def request(records: Records, service: str, operation: str, given: Mapping[str, Any]) -> None:
    """Record the parameters of a request, as CloudTrail does."""
    if operation and service not in UPLOADS:
        omitted = OMITTED.get(operation)
        shown = {name: value for name, value in given.items() if name != omitted}
        records.add(f"request {service}:{operation}", shown)


def secrets(records: Records) -> None:
    """Record every version of every secret of the current account and Region."""
    for name, secret in list(_secrets._secrets.items()):
        for version in list(secret["Versions"].values()):
            if version.get("SecretString"):
                records.add_secret(name, version["SecretString"])


def install(records: Records) -> None:
    """Record from now on. Others replace the same functions later, and call these."""
    _states._add_event = _following_executions(records, _states._add_event)
    _logs._append_log_events = _following_streams(records, _logs._append_log_events)
    _events._dispatch_event = _recording_events(records, _events._dispatch_event)
    _stacks._add_event = _recording_stacks(records, _stacks._add_event)
    for name in SECRET_WRITES:
        setattr(_secrets, name, _recording_secrets(records, getattr(_secrets, name)))
    purge = _secrets._purge_secret

    def record_and_purge(*arguments: Any) -> Any:
        secrets(records)
        return purge(*arguments)

    _secrets._purge_secret = record_and_purge


def _following_executions(records: Records, add: Callable[..., Any]) -> Callable[..., Any]:
    def add_event(execution: dict[str, Any], *rest: Any) -> Any:
        records.follow(f"history of {execution['executionArn']}", execution)
        return add(execution, *rest)

    return add_event


def _following_streams(records: Records, append: Callable[..., Any]) -> Callable[..., Any]:
    def append_log_events(stream: dict[str, Any], events: Any) -> Any:
        if not records.follows(stream):
            found = (
                name
                for name, group in list(_logs._log_groups.items())
                if any(each is stream for each in group["streams"].values())
            )
            records.follow(f"log {next(found, '')}", stream)
        return append(stream, events)

    return append_log_events


def _recording_events(records: Records, dispatch: Callable[..., Any]) -> Callable[..., Any]:
    def dispatch_event(event: Mapping[str, Any], *rest: Any) -> Any:
        records.add(f"event bus {event.get('EventBusName', 'default')}", event)
        return dispatch(event, *rest)

    return dispatch_event


def _recording_stacks(records: Records, add: Callable[..., Any]) -> Callable[..., Any]:
    def add_event(stack_id: str, stack_name: str, logical_id: str, *rest: Any, **named: Any) -> Any:
        added = add(stack_id, stack_name, logical_id, *rest, **named)
        records.follow(f"events of {stack_name}", _package._stack_events.get(stack_id))
        if logical_id == stack_name and stack_name in _package._stacks:
            stack = _package._stacks[stack_name]
            names = ("Parameters", "Outputs", "Tags", "StackStatusReason", "_template_body")
            records.add(f"stack {stack_name}", {name: stack.get(name) for name in names})
        secrets(records)
        return added

    return add_event


def _recording_secrets(records: Records, write: Callable[..., Any]) -> Callable[..., Any]:
    def write_and_record(*arguments: Any) -> Any:
        response = write(*arguments)
        secrets(records)
        return response

    return write_and_record
