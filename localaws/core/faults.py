"""What was planted to go wrong, and whether it is time for it.

A fault is a mapping whose first key of `KINDS` says what it is about:

    {"operation": "CreateHsm", "code": "...", "message": "...", "status": 400, "when": "before"}
        An API call fails before its effect, or with "after" its answer is lost after it. The code
        "ConnectionLost" drops the connection.
    {"operation": "CreateHsm", "pause": true}
        The clock pauses once that call's effect has happened.
    {"late": "CreateCluster", "seconds": 90}
        A call's answer is lost, and its effect comes so much later. Of CloudHSM and key stores.
    {"hsm": "DEGRADED"}
        A new HSM comes up DEGRADED.
    {"modify": "ROLLBACK"}
        AWS rolls a change of the HSM type back.
    {"connect": "USER_NOT_FOUND"}
        The connection of a key store ends FAILED with that code.
    {"script": "activate", "exit": 1, "stderr": "..."}
        A script fails: of the SSM document that has this name or this in its name.
    {"download": "corrupt"}
        What the next script downloads is cut short, or "missing".
    {"agent": "offline", "instance": "i-..."}
        The SSM agent is "online", goes "offline" or "never" comes; without "instance", each one.
    {"deliver": "twice", "request": "Create", "after": "Delete"}
        A custom resource request is delivered again: at once, or when a request of the type in
        "after" starts.
    {"lambda": "cluster", "step": "CreateHsm", "die": "before"}
        A worker, named in part, dies "before" or "after" the step did its work.

All but "agent" last for "times" occasions (1 unless told) after "skip" of them (0 unless told).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localaws.core.api_error import ApiError

# What may stand beside the key that names the kind.
KINDS: dict[str, frozenset[str]] = {
    "operation": frozenset({"code", "message", "status", "when", "pause"}),
    "late": frozenset({"seconds"}),
    "hsm": frozenset(),
    "modify": frozenset(),
    "connect": frozenset(),
    "script": frozenset({"exit", "stderr"}),
    "download": frozenset(),
    "agent": frozenset({"instance"}),
    "deliver": frozenset({"request", "after"}),
    "lambda": frozenset({"step", "die"}),
}
CHOICES: dict[str, frozenset[object]] = {
    "when": frozenset({"before", "after"}),
    "die": frozenset({"before", "after"}),
    "hsm": frozenset({"DEGRADED"}),
    "modify": frozenset({"ROLLBACK"}),
    "download": frozenset({"corrupt", "missing"}),
    "agent": frozenset({"offline", "never", "online"}),
    "deliver": frozenset({"twice"}),
}


@dataclass
class InjectedFault:
    """One fault, how many occasions it still lets pass and how many it spoils."""

    kind: str
    details: Mapping[str, Any]
    skip: int
    times: int


class Faults:
    """The faults that are planted; each occasion asks here and uses one up."""

    def __init__(self, on_pause: Callable[[], None] | None = None) -> None:
        self.on_pause = on_pause
        self._planted: list[InjectedFault] = []
        self._agents: dict[str | None, str] = {}
        self._lock = threading.Lock()

    def inject(self, faults: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        """Plant one fault or several; ValueError if one of them makes no sense, and then none."""
        checked = [_check(fault) for fault in ([faults] if isinstance(faults, Mapping) else faults)]
        with self._lock:
            for fault in checked:
                if fault.kind == "agent":
                    self._agents[fault.details.get("instance")] = fault.details["agent"]
                else:
                    self._planted.append(fault)

    def unused(self) -> list[dict[str, Any]]:
        """The faults that still wait for their occasion."""
        with self._lock:
            return [
                {**fault.details, "times": fault.times, "skip": fault.skip}
                for fault in self._planted
            ]

    @contextlib.contextmanager
    def during(self, operation: str) -> Iterator[None]:
        """Have an API call take place inside: it is refused before or after, or the clock pauses.

        A call that is refused on its own merits uses the fault up as well and keeps its own error.
        """
        fault = self._take("operation", lambda details: details["operation"] == operation)
        if fault and "code" in fault and fault.get("when", "before") == "before":
            raise _error(fault)
        yield
        if fault and fault.get("pause") and self.on_pause:
            self.on_pause()
        if fault and "code" in fault:
            raise _error(fault)

    def lateness(self, operation: str) -> float | None:
        """By how many seconds an API call's effect comes after its answer was lost, if it does."""
        fault = self._take("late", lambda details: details["late"] == operation)
        return float(fault["seconds"]) if fault else None

    def hsm_state(self) -> str:
        """The state in which the next new HSM comes up."""
        fault = self._take("hsm")
        return str(fault["hsm"]) if fault else "ACTIVE"

    def rolls_back(self) -> bool:
        """Whether AWS rolls the next change of the HSM type back."""
        return self._take("modify") is not None

    def connect_code(self) -> str | None:
        """The ConnectionErrorCode with which the next connection fails, if it does."""
        fault = self._take("connect")
        return str(fault["connect"]) if fault else None

    def script_failure(self, document: str) -> tuple[int, str] | None:
        """Exit code and stderr with which the next script of this document fails, if it does."""
        fault = self._take("script", lambda details: details["script"] in document)
        return (int(fault.get("exit", 1)), str(fault.get("stderr", ""))) if fault else None

    def download(self) -> str | None:
        """What becomes of the next script's downloads ("corrupt" or "missing"), if anything."""
        fault = self._take("download")
        return str(fault["download"]) if fault else None

    def agent(self, instance: str) -> str:
        """Whether the SSM agent of an instance is online, offline or never comes."""
        with self._lock:
            return self._agents.get(instance) or self._agents.get(None, "online")

    def second_delivery(self, request: str) -> Mapping[str, Any] | None:
        """How this type's next custom resource request comes again, if it does; see "after"."""
        return self._take("deliver", lambda details: details.get("request", request) == request)

    def death(self, function: str, step: str, moment: str) -> bool:
        """Whether the worker dies at this moment ("before" or "after") of this step."""
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
        self, kind: str, fits: Callable[[Mapping[str, Any]], bool] = lambda details: True
    ) -> Mapping[str, Any] | None:
        """Use up an occasion: the first planted fault that fits and does not let it pass.

        An occasion that one fault lets pass may still meet the next one.
        """
        with self._lock:
            for fault in self._planted:
                if fault.kind != kind or not fits(fault.details):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                if not fault.times:
                    self._planted.remove(fault)
                return fault.details
        return None


def _check(fault: Mapping[str, Any]) -> InjectedFault:
    kind = next((kind for kind in KINDS if kind in fault), None)
    if kind is None:
        raise ValueError(f"no kind of fault in {dict(fault)}: one of {', '.join(KINDS)} is needed")
    unknown = set(fault) - KINDS[kind] - {kind, "times", "skip"}
    if unknown:
        raise ValueError(f"a fault of kind {kind!r} knows no {', '.join(sorted(unknown))}")
    for key, choices in CHOICES.items():
        if key in fault and fault[key] not in choices:
            raise ValueError(f"{key} must be one of {', '.join(sorted(map(str, choices)))}")
    if kind == "operation" and "code" not in fault and not fault.get("pause"):
        raise ValueError(f"what should happen to {fault['operation']}? Give a code, or pause")
    if kind == "late" and "seconds" not in fault:
        raise ValueError(f"how late does {fault['late']} take effect? Give seconds")
    times, skip = fault.get("times", 1), fault.get("skip", 0)
    if not isinstance(times, int) or times < 1 or not isinstance(skip, int) or skip < 0:
        raise ValueError("times must be 1 or more, skip 0 or more")
    details = {key: value for key, value in fault.items() if key not in ("times", "skip")}
    return InjectedFault(kind, details, skip, times)


def _error(fault: Mapping[str, Any]) -> ApiError:
    code = str(fault["code"])
    message = str(fault.get("message", f"{code} was planted for {fault['operation']}"))
    return ApiError(code, message, int(fault.get("status", 400)))
