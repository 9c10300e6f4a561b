"""Systems Manager: documents, Run Command and what is known of the instances' agents.

The scripts really run, in the instances' sandboxes, and take virtual time: a little for Run Command
itself, and what they sleep. Which instances there are, and since when they run, the emulator tells.
"""

from __future__ import annotations

import datetime
import queue
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from localaws.core.api_error import ApiError
from localaws.core.clock import Clock, Signal
from localaws.core.event_log import EventLog
from localaws.core.faults import Faults
from localaws.sandbox.sandbox import Outcome, Sandbox, Script
from localaws.services.ssm import documents
from localaws.services.ssm.documents import Document

Json = dict[str, Any]

ACTIONS = (
    "CancelCommand",
    "CreateDocument",
    "DeleteDocument",
    "DescribeDocument",
    "DescribeInstanceInformation",
    "GetCommandInvocation",
    "GetDocument",
    "ListCommandInvocations",
    "ListCommands",
    "ListDocuments",
    "SendCommand",
    "UpdateDocument",
    "UpdateDocumentDefaultVersion",
)

# Characters (F6.24).
STDOUT_LIMIT = 24000
STDERR_LIMIT = 8000
LISTED_OUTPUT_LIMIT = 2500
# Virtual seconds: how soon a new invocation can be asked for (F6.25), how long its delivery takes
# to an agent that is there, and how often one that is not is looked for.
CONSISTENCY_DELAY = 1.0
DELIVERY = 1.0
AGENT_POLL = 5.0
DELIVERY_TIMEOUTS = range(30, 2592001)
DEFAULT_DELIVERY_TIMEOUT = 3600
# What the agent reports for a script that it stopped.
STOPPED = 137
# Real seconds after which a script is taken for hanging: its own waiting takes none of them.
HANGING = 300.0


class Timings(Protocol):
    """Virtual seconds."""

    ssm_online: float
    run_command: float


class Instances(Protocol):
    """What Systems Manager asks of EC2."""

    def ids(self) -> Iterable[str]:
        """Every instance that is not terminated."""

    def launched_at(self, instance_id: str) -> float | None:
        """The virtual time at which it was last started; None while it is stopping or stopped."""

    def sandbox(self, instance_id: str) -> Sandbox:
        """Its inside."""


class Course:
    """The running of one script: one thread holds the clock for it, and sleeps when it sleeps."""

    def __init__(self, clock: Clock) -> None:
        self.over = clock.signal()
        self._clock = clock
        self._stopped = clock.signal()
        self._script: Script | None = None
        self._outcome = Outcome(0, "", "")
        # What the script wants: to sleep so long, and who is to be told; None when it has ended.
        self._wishes: queue.SimpleQueue[tuple[float, threading.Event] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()

    def run(self, start: Callable[[], Script]) -> Outcome:
        """Start the script, unless it was stopped before, and see it through."""
        with self._lock:
            if self._stopped.happened:
                return self._outcome
            try:
                script = self._script = start()
            except OSError:
                # The instance was terminated this very moment, and nobody is there to report.
                self._clock.set(self.over)
                return self._outcome
        threading.Thread(target=self._await_end, args=(script,), daemon=True).start()
        while wish := self._wishes.get():
            seconds, slept = wish
            self._clock.wait([self._stopped], seconds)
            slept.set()
        with self._lock:
            self._clock.set(self.over)
            while not self._wishes.empty():
                if wish := self._wishes.get():
                    wish[1].set()
        return self._outcome

    def sleep(self, seconds: float) -> None:
        """Sleep for the script; the calling thread must not hold the clock."""
        slept = threading.Event()
        with self._lock:
            if self.over.happened:
                return
            self._wishes.put((seconds, slept))
        slept.wait()

    def stop(self) -> None:
        """Kill the script, or never let it start."""
        with self._lock:
            if self._script:
                self._script.kill()
            self._clock.set(self._stopped)

    def _await_end(self, script: Script) -> None:
        self._outcome = script.wait(HANGING)
        self._wishes.put(None)


@dataclass
class Invocation:
    """One command on one instance."""

    key: str
    instance_id: str
    step_name: str
    sent_at: float
    cancelled: Signal
    course: Course
    status: str = "Pending"
    details: str = "Pending"
    exit_code: int = -1
    stdout: str = ""
    stderr: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    asked_for: bool = False
    cancelling: bool = False
    timed_out: bool = False


@dataclass
class Command:
    """What SendCommand made."""

    id: str
    document: str
    version: str
    comment: str
    parameters: Mapping[str, Sequence[str]]
    delivery_timeout: int
    sent_at: float
    expires_at: float
    invocations: dict[str, Invocation]

    @property
    def status(self) -> tuple[str, str]:
        """Status and StatusDetails of the whole."""
        # What is Delayed on an instance is Pending as a whole.
        states = {
            ("Pending", "Pending") if one.status == "Delayed" else (one.status, one.details)
            for one in self.invocations.values()
        }
        if len(states) == 1:
            return states.pop()
        if any(one.ended_at is None for one in self.invocations.values()):
            return "InProgress", "InProgress"
        return "Failed", "Incomplete"


class SsmProvider:
    """Systems Manager of one account and Region.

    `spawn(work, *arguments)` does work in a thread of its own that holds the clock from now on.
    """

    def __init__(
        self,
        clock: Clock,
        instances: Instances,
        spawn: Callable[..., object],
        *,
        region: str,
        account: str,
        timings: Timings,
        faults: Faults,
        event_log: EventLog,
    ) -> None:
        self._clock = clock
        self._instances = instances
        self._spawn = spawn
        self._region = region
        self._account = account
        self._timings = timings
        self._faults = faults
        self._event_log = event_log
        self._documents: dict[str, Document] = {}
        self._commands: dict[str, Command] = {}
        self._lock = threading.RLock()

    def call(self, action: str, parameters: Json | None) -> Json:
        """Answer one API call, or raise ApiError."""
        if action not in ACTIONS:
            raise ApiError("UnknownOperationException", f"{action} is not rehearsed.")
        with self._faults.during(action), self._lock:
            answer: Json = getattr(self, f"_{_snake(action)}")(parameters or {})
        return answer

    def documents(self) -> list[str]:
        """The names of all documents."""
        with self._lock:
            return sorted(self._documents)

    def processes(self) -> dict[str, list[list[str]]]:
        """The arguments of every process that scripts started, by instance: anybody there sees."""
        return {
            each: self._instances.sandbox(each).commands() for each in sorted(self._instances.ids())
        }

    def sleep_in(self, key: str, seconds: float) -> bool:
        """Let the script whose REHEARSAL_COMMAND is `key` sleep, at most until it is stopped.

        False, at once, if it is no script of this account and Region.
        """
        command_id, _, instance_id = key.partition("/")
        command = self._commands.get(command_id)
        if command is None or instance_id not in command.invocations:
            return False
        with self._clock.idle():
            command.invocations[instance_id].course.sleep(seconds)
        return True

    # --- Documents ---

    def _document(self, name: str) -> Document:
        # An ARN names a document as well.
        found = self._documents.get(name.rpartition("/")[2])
        if found is None:
            raise ApiError("InvalidDocument", f"Document with name {name} does not exist.")
        return found

    def _describe(self, document: Document, wanted: str | None = None) -> Json:
        number, version = document.pick(wanted)
        return {
            "Name": document.name,
            "Owner": self._account,
            "CreatedDate": document.created,
            "Status": "Active",
            "DocumentVersion": str(number),
            "DefaultVersion": str(document.default),
            "LatestVersion": str(len(document.versions)),
            "Description": version.document.get("description", ""),
            "Parameters": [
                {
                    "Name": name,
                    "Type": declaration["type"],
                    "Description": declaration.get("description", ""),
                }
                for name, declaration in version.parameters.items()
            ],
            "PlatformTypes": ["Linux", "MacOS"],
            "DocumentType": "Command",
            "DocumentFormat": version.format,
            "SchemaVersion": "2.2",
            "Hash": version.hash,
            "HashType": "Sha256",
            "Tags": list(document.tags),
        }

    def _create_document(self, p: Json) -> Json:
        name = p["Name"]
        documents.check_name(name)
        if p.get("DocumentType", "Command") != "Command":
            raise ApiError(
                "InvalidDocumentContent", "Only documents of type Command are rehearsed."
            )
        if name in self._documents:
            raise ApiError("DocumentAlreadyExists", f"Document with name {name} already exists.")
        version = documents.parse(p["Content"], p.get("DocumentFormat", "JSON"))
        document = Document(name, self._clock.now(), p.get("Tags", []), [version])
        self._documents[name] = document
        return {"DocumentDescription": self._describe(document)}

    def _update_document(self, p: Json) -> Json:
        document = self._document(p["Name"])
        # The version that the new one is made from: it has to be the latest.
        number, _ = document.pick(p.get("DocumentVersion", "$LATEST"))
        if number != len(document.versions):
            raise ApiError("InvalidDocumentVersion", "Only the latest version can be updated.")
        version = documents.parse(p["Content"], p.get("DocumentFormat", "JSON"))
        if version.hash in {known.hash for known in document.versions}:
            raise ApiError(
                "DuplicateDocumentContent",
                "The content of the association document matches another document.",
            )
        document.versions.append(version)
        return {"DocumentDescription": self._describe(document, "$LATEST")}

    def _update_document_default_version(self, p: Json) -> Json:
        document = self._document(p["Name"])
        document.default, _ = document.pick(p["DocumentVersion"])
        return {"Description": {"Name": document.name, "DefaultVersion": str(document.default)}}

    def _delete_document(self, p: Json) -> Json:
        document = self._document(p["Name"])
        if "DocumentVersion" not in p:
            del self._documents[document.name]
            return {}
        number, _ = document.pick(p["DocumentVersion"])
        if number == document.default:
            raise ApiError("InvalidDocumentOperation", "The default version cannot be deleted.")
        document.deleted.add(number)
        return {}

    def _describe_document(self, p: Json) -> Json:
        return {"Document": self._describe(self._document(p["Name"]), p.get("DocumentVersion"))}

    def _get_document(self, p: Json) -> Json:
        document = self._document(p["Name"])
        number, version = document.pick(p.get("DocumentVersion"))
        return {
            "Name": document.name,
            "CreatedDate": document.created,
            "DocumentVersion": str(number),
            "Status": "Active",
            "Content": version.content,
            "DocumentType": "Command",
            "DocumentFormat": version.format,
        }

    def _list_documents(self, p: Json) -> Json:
        def owned_by_me(document: Document) -> bool:
            for filter_ in p.get("Filters", []):
                kept = {"Name": document.name, "DocumentType": "Command", "Owner": "Self"}
                if filter_["Key"] not in kept:
                    raise ApiError("InvalidFilterKey", f"{filter_['Key']} is not rehearsed.")
                value = kept[filter_["Key"]]
                if not any(value.startswith(wanted) for wanted in filter_["Values"]):
                    return False
            return True

        found = [
            {
                key: value
                for key, value in self._describe(self._documents[name]).items()
                if key
                in (
                    "Name",
                    "Owner",
                    "CreatedDate",
                    "PlatformTypes",
                    "DocumentVersion",
                    "DocumentType",
                    "SchemaVersion",
                    "DocumentFormat",
                    "Tags",
                )
            }
            for name in sorted(self._documents)
            if owned_by_me(self._documents[name])
        ]
        return _page("DocumentIdentifiers", found, p)

    # --- Agents ---

    def _ping_status(self, instance_id: str) -> str | None:
        """Online or ConnectionLost; None if the agent never came (F6.26)."""
        if instance_id not in set(self._instances.ids()):
            return None
        agent = self._faults.agent(instance_id)
        launched_at = self._instances.launched_at(instance_id)
        if agent == "never":
            return None
        if launched_at is None:
            return "ConnectionLost"
        if self._clock.now() < launched_at + self._timings.ssm_online:
            return None
        return "Online" if agent == "online" else "ConnectionLost"

    def _describe_instance_information(self, p: Json) -> Json:
        wanted: dict[str, set[str]] = {}
        for filter_ in p.get("Filters", []):
            wanted[filter_["Key"]] = set(filter_["Values"])
        for filter_ in p.get("InstanceInformationFilterList", []):
            wanted[filter_["key"]] = set(filter_["valueSet"])
        unknown = set(wanted) - {"InstanceIds", "PingStatus"}
        if unknown:
            raise ApiError("InvalidFilterKey", f"{', '.join(sorted(unknown))} is not rehearsed.")
        found = []
        for instance_id in sorted(self._instances.ids()):
            status = self._ping_status(instance_id)
            if status is None or instance_id not in wanted.get("InstanceIds", {instance_id}):
                continue
            if status not in wanted.get("PingStatus", {status}):
                continue
            found.append(
                {
                    "InstanceId": instance_id,
                    "PingStatus": status,
                    "LastPingDateTime": self._clock.now(),
                    "AgentVersion": "3.3.3572.0",
                    "IsLatestVersion": True,
                    "PlatformType": "Linux",
                    "PlatformName": "Amazon Linux",
                    "PlatformVersion": "2023",
                    "ResourceType": "EC2Instance",
                }
            )
        return _page("InstanceInformationList", found, p)

    # --- Run Command: the API ---

    def _send_command(self, p: Json) -> Json:
        document = self._document(p["DocumentName"])
        _, version = document.pick(p.get("DocumentVersion"))
        if p.get("Targets"):
            raise ApiError("InvalidParameters", "Targets are not rehearsed: name InstanceIds.")
        instance_ids = p.get("InstanceIds", [])
        if len(set(instance_ids)) != len(instance_ids):
            raise ApiError("DuplicateInstanceId", "You cannot specify an instance ID twice.")
        absent = [one for one in instance_ids if self._ping_status(one) != "Online"]
        if absent or not instance_ids:
            raise ApiError(
                "InvalidInstanceId",
                f"Instances [[{', '.join(absent)}]] not in a valid state for account "
                f"{self._account}",
            )
        delivery_timeout = int(p.get("TimeoutSeconds", DEFAULT_DELIVERY_TIMEOUT))
        if delivery_timeout not in DELIVERY_TIMEOUTS:
            raise ApiError(
                "ValidationException",
                f"Value '{delivery_timeout}' at 'timeoutSeconds' failed to satisfy constraint: "
                f"between {DELIVERY_TIMEOUTS.start} and {DELIVERY_TIMEOUTS.stop - 1}",
            )
        bound = documents.bind(version, p.get("Parameters", {}))
        execution_timeout = documents.timeout(version, bound)
        now = self._clock.now()
        command_id = str(uuid.uuid4())
        command = Command(
            id=command_id,
            document=document.name,
            version=p.get("DocumentVersion", "$DEFAULT"),
            comment=p.get("Comment", ""),
            parameters=p.get("Parameters", {}),
            delivery_timeout=delivery_timeout,
            sent_at=now,
            expires_at=now + delivery_timeout + execution_timeout,
            invocations={
                instance_id: Invocation(
                    f"{command_id}/{instance_id}",
                    instance_id,
                    version.step["name"],
                    now,
                    self._clock.signal(),
                    Course(self._clock),
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
                command=self._number(command),
                instance=invocation.instance_id,
                comment=command.comment,
            )
            text = documents.script(version, bound)
            self._spawn(self._carry_out, command, invocation, text, execution_timeout)
        return {"Command": self._described(command)}

    def _number(self, command: Command) -> int:
        """A command's place among all: ids are random, and timelines are compared."""
        return list(self._commands).index(command.id) + 1

    def _described(self, command: Command) -> Json:
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

    def _known(self, command_id: str) -> Command:
        command = self._commands.get(command_id)
        if command is None:
            raise ApiError("InvalidCommandId", f"There is no command {command_id}.")
        return command

    def _get_command_invocation(self, p: Json) -> Json:
        command = self._commands.get(p["CommandId"])
        found = command and command.invocations.get(p["InstanceId"])
        if not command or not found or self._too_early(found):
            raise ApiError("InvocationDoesNotExist", "")
        if p.get("PluginName", found.step_name) != found.step_name:
            raise ApiError("InvalidPluginName", f"There is no step {p['PluginName']}.")
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

    def _too_early(self, invocation: Invocation) -> bool:
        """Whether this is the first question, and too soon after the command was sent (F6.25)."""
        first, invocation.asked_for = not invocation.asked_for, True
        return first and self._clock.now() < invocation.sent_at + CONSISTENCY_DELAY

    def _list_commands(self, p: Json) -> Json:
        found = []
        for command in reversed(self._commands.values()):
            if p.get("CommandId", command.id) != command.id:
                continue
            if "InstanceId" in p and p["InstanceId"] not in command.invocations:
                continue
            described = self._described(command)
            if _passes(p.get("Filters", []), described):
                found.append(described)
        return _page("Commands", found, p)

    def _list_command_invocations(self, p: Json) -> Json:
        if "CommandId" in p:
            self._known(p["CommandId"])
        found = []
        for command in reversed(self._commands.values()):
            if p.get("CommandId", command.id) != command.id:
                continue
            for one in command.invocations.values():
                if p.get("InstanceId", one.instance_id) != one.instance_id:
                    continue
                entry: Json = {
                    "CommandId": command.id,
                    "InstanceId": one.instance_id,
                    "InstanceName": "",
                    "Comment": command.comment,
                    "DocumentName": command.document,
                    "DocumentVersion": command.version,
                    "RequestedDateTime": command.sent_at,
                    "Status": one.status,
                    "StatusDetails": one.details,
                    "CommandPlugins": [],
                }
                if p.get("Details") and one.started_at is not None:
                    entry["CommandPlugins"] = [_plugin(one)]
                if _passes(p.get("Filters", []), {**entry, "InstanceIds": [one.instance_id]}):
                    found.append(entry)
        return _page("CommandInvocations", found, p)

    def _cancel_command(self, p: Json) -> Json:
        command = self._known(p["CommandId"])
        wanted = p.get("InstanceIds") or list(command.invocations)
        if not set(wanted) <= set(command.invocations):
            raise ApiError("InvalidInstanceId", "The command was not sent to that instance.")
        for instance_id in wanted:
            invocation = command.invocations[instance_id]
            if invocation.ended_at is None:
                invocation.cancelling = True
                invocation.status = invocation.details = "Cancelling"
                self._clock.set(invocation.cancelled)
                invocation.course.stop()
        return {}

    # --- Run Command: the agent's part ---

    def _carry_out(
        self, command: Command, invocation: Invocation, text: str, execution_timeout: float
    ) -> None:
        """Deliver, run and report; the calling thread holds the clock, but for its waits."""
        self._clock.wait([invocation.cancelled], min(DELIVERY, self._timings.run_command))
        if not self._is_online(invocation):
            self._move(invocation, "Delayed")
        if not self._reach(invocation, command.sent_at + command.delivery_timeout):
            self._finish(command, invocation, "TimedOut", "DeliveryTimedOut")
            return
        if not self._move(invocation, "InProgress"):
            self._finish(command, invocation, "Cancelled", "Cancelled")
            return
        invocation.started_at = self._clock.now()
        outcome = self._run(command, invocation, text, execution_timeout)
        self._clock.wait([invocation.cancelled], max(0, self._timings.run_command - DELIVERY))
        if invocation.cancelling:
            status, details, exit_code = "Cancelled", "Cancelled", STOPPED
        elif not self._reach(invocation, command.expires_at):
            status, details, exit_code, outcome = (
                "TimedOut",
                "DeliveryTimedOut",
                -1,
                Outcome(0, "", ""),
            )
        elif invocation.timed_out:
            status, details, exit_code = "TimedOut", "ExecutionTimedOut", STOPPED
        else:
            # A shell's way to say that a signal ended a command.
            exit_code = 128 - outcome.exit_code if outcome.exit_code < 0 else outcome.exit_code
            status = details = "Failed" if exit_code else "Success"
        self._finish(command, invocation, status, details, exit_code, outcome)

    def _reach(self, invocation: Invocation, deadline: float) -> bool:
        """Wait for the instance's agent until the virtual time is up; whether it is there."""
        while not invocation.cancelling and not self._is_online(invocation):
            left = deadline - self._clock.now()
            if left <= 0:
                return False
            self._clock.wait([invocation.cancelled], min(AGENT_POLL, left))
        return True

    def _is_online(self, invocation: Invocation) -> bool:
        return self._ping_status(invocation.instance_id) == "Online"

    def _move(self, invocation: Invocation, status: str) -> bool:
        """Have it be in this state, unless it is being cancelled."""
        with self._lock:
            if not invocation.cancelling:
                invocation.status = invocation.details = status
            return not invocation.cancelling

    def _run(
        self, command: Command, invocation: Invocation, text: str, execution_timeout: float
    ) -> Outcome:
        failure = self._faults.script_failure(command.document)
        if failure:
            return _with_reason(Outcome(failure[0], "", failure[1]))

        def start() -> Script:
            return self._instances.sandbox(invocation.instance_id).start(
                text,
                {
                    "AWS_SSM_REGION_NAME": self._region,
                    "REHEARSAL_COMMAND": invocation.key,
                    "REHEARSAL_DOWNLOAD": self._faults.download() or "",
                },
            )

        self._spawn(self._watch, invocation, execution_timeout)
        return _with_reason(invocation.course.run(start))

    def _watch(self, invocation: Invocation, execution_timeout: float) -> None:
        if not self._clock.wait([invocation.course.over], execution_timeout):
            invocation.timed_out = True
            invocation.course.stop()

    def _finish(
        self,
        command: Command,
        invocation: Invocation,
        status: str,
        details: str,
        exit_code: int = -1,
        outcome: Outcome | None = None,
    ) -> None:
        with self._lock:
            invocation.status, invocation.details = status, details
            invocation.exit_code = exit_code
            if outcome:
                invocation.stdout, invocation.stderr = outcome.stdout, outcome.stderr
            invocation.ended_at = self._clock.now()
        self._event_log.record(
            "ssm",
            command.document,
            details,
            command=self._number(command),
            instance=invocation.instance_id,
        )


def _with_reason(outcome: Outcome) -> Outcome:
    """Add the agent's own line, the last that an operator sees of a failure."""
    code = outcome.exit_code
    if not code:
        return outcome
    reason = f"exit status {code}" if code > 0 else "signal: killed"
    stderr = outcome.stderr
    if stderr and not stderr.endswith("\n"):
        stderr += "\n"
    return Outcome(code, outcome.stdout, f"{stderr}failed to run commands: {reason}")


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
            later = entry["RequestedDateTime"] >= moment
            if later != (key == "InvokedAfter"):
                return False
        elif key == "Status":
            if entry["Status"] != value:
                return False
        elif key == "InstanceId":
            if value not in entry["InstanceIds"]:
                return False
        elif key == "DocumentName":
            if entry["DocumentName"] != value:
                return False
        else:
            raise ApiError("InvalidFilterKey", f"{key} is not rehearsed.")
    return True


def _page(noun: str, found: Sequence[Json], p: Json) -> Json:
    """One page of a list: NextToken is the number of the next entry."""
    token = p.get("NextToken") or "0"
    if not token.isdigit() or int(token) > len(found):
        raise ApiError("InvalidNextToken", "The specified token isn't valid.")
    start = int(token)
    end = start + int(p.get("MaxResults", 50))
    answer: Json = {noun: list(found[start:end])}
    if end < len(found):
        answer["NextToken"] = str(end)
    return answer


def _iso(moment: float | None) -> str:
    if moment is None:
        return ""
    utc = datetime.datetime.fromtimestamp(moment, datetime.UTC)
    return utc.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _snake(action: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in action).lstrip("_")
