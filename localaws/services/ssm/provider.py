"""Systems Manager of one account and Region: documents, Run Command and the instances' agents.

Scripts really run, in the instances' sandboxes. The only virtual time that passes is Run Command's.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from localaws.core.api_error import ApiError
from localaws.core.clock import Clock
from localaws.core.event_log import EventLog
from localaws.core.faults import Faults
from localaws.services.ssm.agents import Agents
from localaws.services.ssm.documents import Documents
from localaws.services.ssm.executor import Executor
from localaws.services.ssm.interfaces import Instances, Json, Spawn, Timings
from localaws.services.ssm.run_command import RunCommand

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


class SsmProvider:
    """Entry point to the model."""

    def __init__(
        self,
        clock: Clock,
        instances: Instances,
        spawn: Spawn,
        *,
        region: str,
        account: str,
        timings: Timings,
        faults: Faults,
        event_log: EventLog,
    ) -> None:
        self._clock, self._spawn = clock, spawn
        self._instances = instances
        self._faults = faults
        self._lock = threading.RLock()
        self._documents = documents = Documents(clock, account)
        self._agents = agents = Agents(clock, instances, timings, faults)
        executor = Executor(
            clock,
            instances,
            agents,
            spawn,
            self._lock,
            region=region,
            timings=timings,
            faults=faults,
            event_log=event_log,
        )
        run_command = RunCommand(clock, documents, agents, executor, event_log, account)
        self._run_command = run_command
        self._operations: dict[str, Callable[[Json], Json]] = {
            "CancelCommand": run_command.cancel_command,
            "CreateDocument": documents.create_document,
            "DeleteDocument": documents.delete_document,
            "DescribeDocument": documents.describe_document,
            "DescribeInstanceInformation": agents.describe_instance_information,
            "GetCommandInvocation": run_command.get_command_invocation,
            "GetDocument": documents.get_document,
            "ListCommandInvocations": run_command.list_command_invocations,
            "ListCommands": run_command.list_commands,
            "ListDocuments": documents.list_documents,
            "SendCommand": run_command.send_command,
            "UpdateDocument": documents.update_document,
            "UpdateDocumentDefaultVersion": documents.update_document_default_version,
        }

    def call(self, action: str, parameters: Json | None) -> Json:
        """Handle one API request, or raise ApiError."""
        if action not in self._operations:
            raise ApiError("UnknownOperationException", f"{action} is not modelled.")
        with self._faults.during(action), self._lock:
            seconds = self._faults.lateness(action)
            if seconds is None:
                return self._operations[action](parameters or {})
            self._spawn(self._call_late, action, parameters or {}, seconds)
        raise ApiError("ConnectionLost", f"{action} takes effect later.")

    def _call_late(self, action: str, parameters: Json, seconds: float) -> None:
        """Handle a request whose response was lost; an error is lost too."""
        self._clock.sleep(seconds)
        with contextlib.suppress(ApiError), self._lock:
            self._operations[action](parameters)

    def shell(self, instance_id: str) -> list[str]:
        """The command that opens a shell on an instance, as StartSession does.

        https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StartSession.html
        """
        if not self._agents.is_online(instance_id):
            raise ApiError("TargetNotConnected", f"{instance_id} is not connected.")
        return self._instances.sandbox(instance_id).shell()

    def documents(self) -> list[str]:
        """The names of this account's documents."""
        with self._lock:
            return self._documents.names()

    def processes(self) -> dict[str, list[list[str]]]:
        """The arguments of every process that scripts started, by instance.

        On an instance, every user can see them.
        """
        return {
            each: self._instances.sandbox(each).commands() for each in sorted(self._instances.ids())
        }

    def traces(self) -> list[tuple[str, str]]:
        """What processes and users of the instances can see, by place."""
        return [
            trace
            for each in sorted(self._instances.ids())
            for trace in self._instances.sandbox(each).traces()
        ]

    def sent_commands(self) -> list[tuple[str, Json]]:
        """Every command by document, with all output of its scripts."""
        with self._lock:
            return self._run_command.all()

    def commands(self) -> list[dict[str, str]]:
        """Every command that documents' scripts have run, in the order of each instance."""
        return [
            {"instance": each, "document": document, "command": " ".join(arguments)}
            for each in sorted(self._instances.ids())
            for document, arguments in self._instances.sandbox(each).commands_of_documents()
        ]
