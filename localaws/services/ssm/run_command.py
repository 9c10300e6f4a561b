"""Run Command: the API operations on commands and their invocations."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping, Sequence

from localaws.core.api_error import ApiError
from localaws.core.clock import Clock
from localaws.core.event_log import EventLog
from localaws.services.ssm import document_schema
from localaws.services.ssm.agents import Agents
from localaws.services.ssm.documents import Documents
from localaws.services.ssm.executor import Executor
from localaws.services.ssm.interfaces import Json
from localaws.services.ssm.models import Command, Invocation
from localaws.services.ssm.paging import page
from localaws.services.ssm.script_run import ScriptRun

# Characters (F6.24).
STDOUT_LIMIT = 24000
STDERR_LIMIT = 8000
LISTED_OUTPUT_LIMIT = 2500
# Virtual seconds until GetCommandInvocation finds a new invocation (F6.25).
CONSISTENCY_DELAY = 1.0
DELIVERY_TIMEOUTS = range(30, 2592001)
DEFAULT_DELIVERY_TIMEOUT = 3600


class RunCommand:
    """The commands of one account and Region."""

    def __init__(
        self,
        clock: Clock,
        documents: Documents,
        agents: Agents,
        executor: Executor,
        event_log: EventLog,
        account: str,
    ) -> None:
        self._clock = clock
        self._documents = documents
        self._agents = agents
        self._executor = executor
        self._event_log = event_log
        self._account = account
        self._commands: dict[str, Command] = {}

    def send_command(self, parameters: Json) -> Json:
        """SendCommand: to instances named by id."""
        document = self._documents.find(parameters["DocumentName"])
        if document.kind != document_schema.COMMAND:
            raise ApiError("InvalidDocument", f"Document type {document.kind} is not supported.")
        _, version = document.pick(parameters.get("DocumentVersion"))
        instance_ids = self._instance_ids(parameters)
        delivery_timeout = _delivery_timeout(parameters)
        bound = document_schema.bind(version, parameters.get("Parameters", {}))
        execution_timeout = document_schema.timeout(version, bound)
        now = self._clock.now()
        command_id = str(uuid.uuid4())
        command = Command(
            id=command_id,
            number=len(self._commands) + 1,
            document=document.name,
            version=parameters.get("DocumentVersion", "$DEFAULT"),
            comment=parameters.get("Comment", ""),
            parameters=parameters.get("Parameters", {}),
            delivery_timeout=delivery_timeout,
            sent_at=now,
            expires_at=now + delivery_timeout + execution_timeout,
            invocations={
                instance_id: Invocation(
                    instance_id,
                    version.step["name"],
                    now,
                    self._clock.signal(),
                    ScriptRun(self._clock),
                )
                for instance_id in instance_ids
            },
        )
        self._commands[command.id] = command
        for invocation in command.invocations.values():
            self._event_log.record(
                "ssm",
                document.name,
                "SendCommand",
                command=command.number,
                instance=invocation.instance_id,
                comment=command.comment,
            )
            script = document_schema.script(version, bound)
            directory = document_schema.working_directory(version, bound)
            self._executor.start(command, invocation, (script, directory), execution_timeout)
        return {"Command": _describe(command)}

    def get_command_invocation(self, parameters: Json) -> Json:
        """GetCommandInvocation."""
        command = self._commands.get(parameters["CommandId"])
        found = command and command.invocations.get(parameters["InstanceId"])
        if not command or not found or self._too_early(found):
            raise ApiError("InvocationDoesNotExist", "")
        if parameters.get("PluginName", found.step_name) != found.step_name:
            raise ApiError("InvalidPluginName", f"There is no step {parameters['PluginName']}.")
        elapsed = ""
        if found.started_at is not None and found.ended_at is not None:
            elapsed = f"PT{found.ended_at - found.started_at:.3f}S"
        return {
            "CommandId": command.id,
            "InstanceId": found.instance_id,
            "Comment": command.comment,
            "DocumentName": command.document,
            "DocumentVersion": command.version,
            "PluginName": found.step_name,
            "ResponseCode": found.exit_code,
            "ExecutionStartDateTime": _iso(found.started_at),
            "ExecutionElapsedTime": elapsed,
            "ExecutionEndDateTime": _iso(found.ended_at),
            "Status": found.status,
            "StatusDetails": found.details,
            "StandardOutputContent": found.stdout[:STDOUT_LIMIT],
            "StandardOutputUrl": "",
            "StandardErrorContent": found.stderr[:STDERR_LIMIT],
            "StandardErrorUrl": "",
        }

    def list_commands(self, parameters: Json) -> Json:
        """ListCommands, newest first."""
        found = []
        for command in reversed(self._commands.values()):
            if parameters.get("CommandId", command.id) != command.id:
                continue
            if "InstanceId" in parameters and parameters["InstanceId"] not in command.invocations:
                continue
            described = _describe(command)
            if _passes(parameters.get("Filters", []), described):
                found.append(described)
        return page("Commands", found, parameters)

    def list_command_invocations(self, parameters: Json) -> Json:
        """ListCommandInvocations, newest command first."""
        if "CommandId" in parameters:
            self._find(parameters["CommandId"])
        found = []
        for command in reversed(self._commands.values()):
            if parameters.get("CommandId", command.id) != command.id:
                continue
            for one in command.invocations.values():
                if parameters.get("InstanceId", one.instance_id) != one.instance_id:
                    continue
                entry = _listed(command, one, details=bool(parameters.get("Details")))
                searchable = {**entry, "InstanceIds": [one.instance_id]}
                if _passes(parameters.get("Filters", []), searchable):
                    found.append(entry)
        return page("CommandInvocations", found, parameters)

    def cancel_command(self, parameters: Json) -> Json:
        """CancelCommand, on all of its instances or on some."""
        command = self._find(parameters["CommandId"])
        wanted = parameters.get("InstanceIds") or list(command.invocations)
        if not set(wanted) <= set(command.invocations):
            raise ApiError("InvalidInstanceId", "The command was not sent to that instance.")
        for instance_id in wanted:
            invocation = command.invocations[instance_id]
            if invocation.ended_at is None:
                invocation.cancelling = True
                invocation.status = invocation.details = "Cancelling"
                self._clock.set(invocation.cancelled)
                invocation.run.stop()
        return {}

    def all(self) -> list[tuple[str, Json]]:
        """Every command by document, with all output."""
        return [
            (
                command.document,
                {
                    **_describe(command),
                    "Output": [[each.stdout, each.stderr] for each in command.invocations.values()],
                },
            )
            for command in self._commands.values()
        ]

    def _find(self, command_id: str) -> Command:
        command = self._commands.get(command_id)
        if command is None:
            raise ApiError("InvalidCommandId", f"There is no command {command_id}.")
        return command

    def _instance_ids(self, parameters: Json) -> list[str]:
        if parameters.get("Targets"):
            raise ApiError("InvalidParameters", "Targets are not modelled: give InstanceIds.")
        instance_ids: list[str] = parameters.get("InstanceIds", [])
        if len(set(instance_ids)) != len(instance_ids):
            raise ApiError("DuplicateInstanceId", "You cannot specify an instance ID twice.")
        unreachable = [one for one in instance_ids if not self._agents.is_online(one)]
        if unreachable or not instance_ids:
            raise ApiError(
                "InvalidInstanceId",
                f"Instances [[{', '.join(unreachable)}]] not in a valid state for account "
                f"{self._account}",
            )
        return instance_ids

    def _too_early(self, invocation: Invocation) -> bool:
        """Whether this is the first query, and too soon after SendCommand (F6.25)."""
        first, invocation.queried = not invocation.queried, True
        return first and self._clock.now() < invocation.sent_at + CONSISTENCY_DELAY


def _delivery_timeout(parameters: Json) -> int:
    seconds = int(parameters.get("TimeoutSeconds", DEFAULT_DELIVERY_TIMEOUT))
    if seconds not in DELIVERY_TIMEOUTS:
        raise ApiError(
            "ValidationException",
            f"Value '{seconds}' at 'timeoutSeconds' failed to satisfy constraint: "
            f"between {DELIVERY_TIMEOUTS.start} and {DELIVERY_TIMEOUTS.stop - 1}",
        )
    return seconds


def _describe(command: Command) -> Json:
    status, details = command.status
    ended = [one for one in command.invocations.values() if one.ended_at is not None]
    return {
        "CommandId": command.id,
        "DocumentName": command.document,
        "DocumentVersion": command.version,
        "Comment": command.comment,
        "ExpiresAfter": command.expires_at,
        "Parameters": command.parameters,
        "InstanceIds": list(command.invocations),
        "Targets": [],
        "RequestedDateTime": command.sent_at,
        "Status": status,
        "StatusDetails": details,
        "TimeoutSeconds": command.delivery_timeout,
        "TargetCount": len(command.invocations),
        "CompletedCount": len(ended),
        "ErrorCount": sum(one.status in ("Failed", "TimedOut") for one in ended),
        "DeliveryTimedOutCount": sum(one.details == "DeliveryTimedOut" for one in ended),
    }


def _listed(command: Command, invocation: Invocation, *, details: bool) -> Json:
    with_plugins = details and invocation.started_at is not None
    return {
        "CommandId": command.id,
        "InstanceId": invocation.instance_id,
        "InstanceName": "",
        "Comment": command.comment,
        "DocumentName": command.document,
        "DocumentVersion": command.version,
        "RequestedDateTime": command.sent_at,
        "Status": invocation.status,
        "StatusDetails": invocation.details,
        "CommandPlugins": [_plugin(invocation)] if with_plugins else [],
    }


def _plugin(invocation: Invocation) -> Json:
    output = invocation.stdout
    if invocation.stderr:
        output += f"\n----------ERROR-------\n{invocation.stderr}"
    plugin = {
        "Name": invocation.step_name,
        "Status": invocation.status,
        "StatusDetails": invocation.details,
        "ResponseCode": invocation.exit_code,
        "ResponseStartDateTime": invocation.started_at,
        "Output": output[:LISTED_OUTPUT_LIMIT],
    }
    if invocation.ended_at is not None:
        plugin["ResponseFinishDateTime"] = invocation.ended_at
    return plugin


def _passes(filters: Sequence[Mapping[str, str]], entry: Json) -> bool:
    for filter_ in filters:
        key, value = filter_["key"], filter_["value"]
        if key in ("InvokedAfter", "InvokedBefore"):
            moment = datetime.datetime.fromisoformat(value).timestamp()
            is_later = entry["RequestedDateTime"] >= moment
            if is_later != (key == "InvokedAfter"):
                return False
        elif key in ("Status", "DocumentName"):
            if entry[key] != value:
                return False
        elif key == "InstanceId":
            if value not in entry["InstanceIds"]:
                return False
        else:
            raise ApiError("InvalidFilterKey", f"{key} is not modelled.")
    return True


def _iso(moment: float | None) -> str:
    if moment is None:
        return ""
    utc = datetime.datetime.fromtimestamp(moment, datetime.UTC)
    return utc.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
