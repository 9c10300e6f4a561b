"""Fault injection.

A fault is a mapping; the first of the `KINDS` among its keys is its kind:

    {"operation": "CreateHsm", "code": "...", "message": "...", "status": 400, "when": "before"}
        An API call fails before its effect; with "after", its response is lost after the effect.
        The code "ConnectionLost" drops the connection.
    {"operation": "CreateHsm", "pause": true}
        The clock pauses after the call's effect.
    {"operation": "CreateHsm", "kill": true}
        The process of the function that makes the call is killed once it has the response.
    {"late": "CreateCluster", "seconds": 90}
        A call's response is lost, and its effect comes 90 seconds later. CloudHSM, key stores,
        SendCommand and StartExecution only. As with "operation", "function" (part of its name) and
        "step" limit it to the calls that a function makes, in a step ("": one without steps);
        "task", and "machine" (part of its name), to what Step Functions starts for that Task.
    {"hsm": "DEGRADED"}
        A new HSM comes up DEGRADED.
    {"hsm_identity": "forged"}
        The next first HSM does not prove its identity: "forged" (AWS's root has another key),
        "wrong-root" (another vendor's root), "expired-root" (the manufacturer's root for
        hsm1.medium), "other-hardware" (the manufacturer certified another key than AWS),
        "other-csr" (the CSR has another key) or "missing" (it has no certificates).
    {"modify": "ROLLBACK"}
        AWS rolls back a change of the HSM type.
    {"connect": "USER_NOT_FOUND"}
        A key store's connection ends as FAILED with this code.
    {"script": "activate", "exit": 1, "stderr": "..."}
        A script fails: of an SSM document whose name contains this text.
    {"cli": "user list", "exit": 1, "error_code": 1, "data": "...", "when": "before"}
        A run of cloudhsm-cli on a client whose arguments begin with this text fails before its
        effect; with "after", its response is lost. Exit code and error_code are 1 by default.
    {"command": "dnf install", "document": "...", "exit": 1, "stderr": "...", "stdout": "..."}
        A command of the sandbox's fake ones that begins with this text fails before its effect, in
        a script whose document's name contains the text in "document"; with "kill", the script is
        killed after the effect instead.
    {"cloud_init": 1}
        `cloud-init status` ends with this exit code in the next script: 1 or 2.
    {"start": "stopped", "reason": "Client.InternalError"}
        The next instance that is started falls back to stopped instead of running.
    {"download": "corrupt"}
        The next script's downloads are truncated, or "missing".
    {"agent": "offline", "instance": "i-..."}
        The SSM agent is "online", "offline" or "never" registers; without "instance", all agents.
    {"deliver": "twice", "request": "Create", "after": "Delete"}
        A custom resource request is delivered again: at once, or when a request of the type in
        "after" starts.
    {"deliver": "late", "request": "Update", "seconds": 176}
        A custom resource request waits in Lambda's queue.
    {"task": "AlignHsms", "machine": "create-cluster", "code": "...", "when": "before"}
        A call that Step Functions makes for the Task of this name ("*": any) fails, Invoke or
        StartExecution; with "after", its response is lost after the effect. Codes as for an
        operation; "machine" is part of the state machine's name.
    {"lambda": "cluster", "step": "CreateHsm", "die": "before"}
        A function whose name contains this text dies "before" or "after" the step's work, or goes
        on after it until its Timeout: "timeout".

Except for "agent", a fault skips "skip" matches (default 0) and then applies "times" times
(default 1).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localaws.core.api_error import ApiError
from localaws.core.calls import current_caller

# The other keys that each kind may have.
KINDS: dict[str, frozenset[str]] = {
    "operation": frozenset(
        {"code", "message", "status", "when", "pause", "kill", "function", "step"}
    ),
    "late": frozenset({"seconds", "function", "step", "task", "machine"}),
    "hsm": frozenset(),
    "hsm_identity": frozenset(),
    "modify": frozenset(),
    "connect": frozenset(),
    "script": frozenset({"exit", "stderr"}),
    "cli": frozenset({"exit", "error_code", "data", "when"}),
    "command": frozenset({"document", "exit", "stderr", "stdout", "kill"}),
    "cloud_init": frozenset(),
    "start": frozenset({"reason"}),
    "download": frozenset(),
    "agent": frozenset({"instance"}),
    "deliver": frozenset({"request", "after", "seconds"}),
    "task": frozenset({"machine", "code", "message", "when"}),
    "lambda": frozenset({"step", "die"}),
}
CHOICES: dict[str, frozenset[object]] = {
    "when": frozenset({"before", "after"}),
    "die": frozenset({"before", "after", "timeout"}),
    "hsm": frozenset({"DEGRADED"}),
    "hsm_identity": frozenset(
        {"forged", "wrong-root", "expired-root", "other-hardware", "other-csr", "missing"}
    ),
    "modify": frozenset({"ROLLBACK"}),
    "cloud_init": frozenset({1, 2}),
    "start": frozenset({"stopped"}),
    "download": frozenset({"corrupt", "missing"}),
    "agent": frozenset({"offline", "never", "online"}),
    "deliver": frozenset({"twice", "late"}),
}


@dataclass
class InjectedFault:
    """A fault, with the number of matches it still skips and then applies to."""

    kind: str
    details: Mapping[str, Any]
    skip: int
    times: int


class Faults:
    """The injected faults. Each query that matches a fault uses it up once."""

    def __init__(self, on_pause: Callable[[], None] | None = None) -> None:
        self.on_pause = on_pause
        self._injected: list[InjectedFault] = []
        self._agents: dict[str | None, str] = {}
        self._lock = threading.Lock()

    def inject(self, faults: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        """Inject one fault or several; ValueError, and none is injected, if one is invalid."""
        checked = [_check(fault) for fault in ([faults] if isinstance(faults, Mapping) else faults)]
        with self._lock:
            for fault in checked:
                if fault.kind == "agent":
                    self._agents[fault.details.get("instance")] = fault.details["agent"]
                else:
                    self._injected.append(fault)

    def unused(self) -> list[dict[str, Any]]:
        """The faults that are not used up."""
        with self._lock:
            return [
                {**fault.details, "times": fault.times, "skip": fault.skip}
                for fault in self._injected
            ]

    def clear(self) -> None:
        """Forget the faults that are not used up; those of agents stay."""
        with self._lock:
            self._injected.clear()

    @contextlib.contextmanager
    def during(self, operation: str) -> Iterator[None]:
        """Wrap an API call: fail before or after its effect, or pause the clock after it.

        A call that fails on its own uses up the fault and keeps its own error.
        """
        fault = self._take("operation", lambda details: _is_call(details, operation))
        if fault and "code" in fault and fault.get("when", "before") == "before":
            raise _error(fault)
        yield
        if fault and fault.get("pause") and self.on_pause:
            self.on_pause()
        caller = current_caller.get()
        if fault and fault.get("kill") and caller:
            caller.dies = True
        if fault and "code" in fault:
            raise _error(fault)

    def lateness(self, operation: str, task: str = "", machine: str = "") -> float | None:
        """Seconds from a call's lost response to its late effect; None if it is not late.

        Of an API call, or of the one that Step Functions makes for a Task.
        """
        fault = self._take(
            "late",
            lambda details: (
                _is_call(details, operation)
                and details.get("task", "") == task
                and details.get("machine", "") in machine
            ),
        )
        return float(fault["seconds"]) if fault else None

    def hsm_state(self) -> str:
        """The state in which the next HSM comes up."""
        fault = self._take("hsm")
        return str(fault["hsm"]) if fault else "ACTIVE"

    def hsm_identity(self) -> str:
        """What is wrong with the certificates of the next first HSM; empty for nothing."""
        fault = self._take("hsm_identity")
        return str(fault["hsm_identity"]) if fault else ""

    def rolls_back(self) -> bool:
        """Whether AWS rolls back the next change of the HSM type."""
        return self._take("modify") is not None

    def connect_code(self) -> str | None:
        """The ConnectionErrorCode of the next connection, if it is to fail."""
        fault = self._take("connect")
        return str(fault["connect"]) if fault else None

    def script_failure(self, document: str) -> tuple[int, str] | None:
        """Exit code and stderr of the document's next script, if it is to fail."""
        fault = self._take("script", lambda details: details["script"] in document)
        return (int(fault.get("exit", 1)), str(fault.get("stderr", ""))) if fault else None

    def cli_failure(self, command: str) -> Mapping[str, Any] | None:
        """The fault of the next run of this command of cloudhsm-cli, if it is to fail."""
        return self._take("cli", lambda details: command.startswith(details["cli"]))

    def command_failure(self, command: str, document: str) -> Mapping[str, Any] | None:
        """The fault of this command of a document's script, if it is to fail."""
        return self._take(
            "command",
            lambda details: (
                command.startswith(details["command"]) and details.get("document", "") in document
            ),
        )

    def any_of_commands(self) -> bool:
        """Whether any command may fail by a fault of this kind."""
        with self._lock:
            return any(fault.kind == "command" for fault in self._injected)

    def cloud_init(self) -> int:
        """The exit code of `cloud-init status` in the next script."""
        fault = self._take("cloud_init")
        return int(fault["cloud_init"]) if fault else 0

    def start_failure(self) -> str | None:
        """The reason's code if the next instance that is started falls back to stopped."""
        fault = self._take("start")
        return str(fault.get("reason", "Client.InternalError")) if fault else None

    def download(self) -> str | None:
        """The fault of the next script's downloads ("corrupt" or "missing"), if any."""
        fault = self._take("download")
        return str(fault["download"]) if fault else None

    def agent(self, instance: str) -> str:
        """The state of an instance's SSM agent: "online", "offline" or "never"."""
        with self._lock:
            return self._agents.get(instance) or self._agents.get(None, "online")

    def delivery(self, request: str) -> Mapping[str, Any] | None:
        """The fault that delivers this type's next custom resource request late or again."""
        return self._take("deliver", lambda details: details.get("request", request) == request)

    def task_failure(self, machine: str, task: str) -> Mapping[str, Any] | None:
        """The fault of Step Functions' own next call for this Task, if it is to fail."""
        return self._take(
            "task",
            lambda details: (
                details["task"] in (task, "*") and details.get("machine", "") in machine
            ),
        )

    def death(self, function: str, step: str, moment: str) -> bool:
        """Whether the function dies at this moment of this step, as in "die"."""
        return (
            self._take(
                "lambda",
                lambda details: (
                    details["lambda"] in function
                    and details.get("step", step) == step
                    and details.get("die", "before") == moment
                ),
            )
            is not None
        )

    def _take(
        self, kind: str, matches: Callable[[Mapping[str, Any]], bool] = lambda details: True
    ) -> Mapping[str, Any] | None:
        """Use up the first fault that matches; one that skips the match leaves it to the next."""
        with self._lock:
            for fault in self._injected:
                if fault.kind != kind or not matches(fault.details):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                if not fault.times:
                    self._injected.remove(fault)
                return fault.details
        return None


def _check(fault: Mapping[str, Any]) -> InjectedFault:
    kind = next((kind for kind in KINDS if kind in fault), None)
    if kind is None:
        raise ValueError(f"unknown kind of fault {dict(fault)}: give one of {', '.join(KINDS)}")
    unknown = set(fault) - KINDS[kind] - {kind, "times", "skip"}
    if unknown:
        raise ValueError(f"a fault of kind {kind!r} cannot have {', '.join(sorted(unknown))}")
    for key, choices in CHOICES.items():
        if key in fault and fault[key] not in choices:
            raise ValueError(f"{key} must be one of {', '.join(sorted(map(str, choices)))}")
    if kind == "operation" and not {"code", "pause", "kill"} & {*fault}:
        raise ValueError(f"{fault['operation']}: give code, pause or kill")
    if kind == "task" and "code" not in fault:
        raise ValueError(f"{fault['task']}: give code")
    if (kind == "late" or fault.get("deliver") == "late") and "seconds" not in fault:
        raise ValueError(f"{fault[kind]}: give seconds")
    times, skip = fault.get("times", 1), fault.get("skip", 0)
    if not isinstance(times, int) or times < 1 or not isinstance(skip, int) or skip < 0:
        raise ValueError("times must be 1 or more, skip 0 or more")
    details = {key: value for key, value in fault.items() if key not in ("times", "skip")}
    return InjectedFault(kind, details, skip, times)


def _is_call(details: Mapping[str, Any], operation: str) -> bool:
    """Whether the current request is the one that a fault of an operation means."""
    if operation not in (details.get("operation"), details.get("late")):
        return False
    caller = current_caller.get()
    if caller is None:
        return not {"function", "step"} & {*details}
    made_by = caller.invocation
    return (
        details.get("function", "") in made_by.function
        and details.get("step", made_by.step) == made_by.step
    )


def _error(fault: Mapping[str, Any]) -> ApiError:
    code = str(fault["code"])
    message = str(fault.get("message", f"{code} was injected for {fault['operation']}"))
    return ApiError(code, message, int(fault.get("status", 400)))
