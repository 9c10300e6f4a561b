"""One local AWS with a setting, in which one request after another is tried."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from localaws.client import LocalAws, until
from rehearsal.checks import invariants
from rehearsal.events import Event
from rehearsal.fault_matrix import faults
from rehearsal.fault_matrix.call import Call
from rehearsal.fault_matrix.cell import Cell
from rehearsal.fault_matrix.requests import ABSENT, DELETING, SETTINGS, Request, nothing
from rehearsal.fault_matrix.snapshot import Remains, Snapshot, differences, snapshot
from rehearsal.timings import QUICK

# Virtual seconds in which a request ends: before CloudFormation's hour without a response is over.
LIMIT = 3300
# How a problem begins that leaves the stack in order.
REASON = "the reason"
# An instruction to the reader of a failure reason.
ADVICE = re.compile(
    r"\b(Set|Retry|Repeat|Delete|Check|Deploy|Update|Run|See|Contact|Remove|Create|Wait|Raise|Grant"
    r"|Give|Use|Start|Stop|Disconnect|set|retry|repeat|check|see)\b"
)


# Nothing that AWS or a command said is cut to make room for advice in a reason's 240 characters, to
# which CloudFormation adds its own words and the request's id.
LONG = 180 + len(
    "rCloudHsmKeyStore: Received response status [FAILED] from custom resource. Message"
)
ID = re.compile(r"\b(cluster|cks|hsm|i|sg)-[0-9a-z]{8,}")
# They work before the workflow does, or after it.
WITHOUT_RESOURCE = frozenset({"handle-request", "request", "response"})


class BrokenError(Exception):
    """A request without faults did not succeed, so the local AWS is of no further use."""


@dataclass(frozen=True)
class Trial:
    """Problems, cells whose call was not made, and how a request failed that was allowed to."""

    problems: Sequence[str]
    missed: Sequence[Cell]
    failure: str = ""


class Session:
    """A local AWS and the state of the stack in it."""

    def __init__(self, setting: str, states: Mapping[str, Snapshot] | None) -> None:
        kind = SETTINGS[setting]
        self._aws = LocalAws(*kind.arguments, timings=QUICK)
        self._kind = kind
        # Without expected snapshots, those that are found are recorded.
        self._expected = states
        self.states: dict[str, Snapshot] = {}
        self.state = ABSENT
        # A request that was prepared, and then failed: only itself can follow.
        self._prepared: Request | None = None
        self.requests_sent = 0

    def __enter__(self) -> Self:
        self._aws.__enter__()
        try:
            self.setting = self._kind(self._aws)
        except BaseException:
            self._aws.__exit__(None, None, None)
            raise
        self.admin = self._aws.admin
        self.remains = Remains()
        self._initial = dict(self.setting.stack.parameters)
        self._learned = 0.0
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._aws.__exit__(kind, error, trace)

    @property
    def stack(self) -> str | None:
        """The stack's status."""
        return self.setting.stack.status()

    def reach(self, state: str) -> None:
        """Send requests without faults until the stack is in this state."""
        if self._prepared:
            self._demand(self._prepared)
        for request in self.setting.path(self.state, state):
            self._demand(request)

    def _demand(self, request: Request) -> None:
        problems = self.problems(request, self.send(request))
        if problems:
            raise BrokenError(f"{request.name} without a fault: {'; '.join(problems)}")
        self.settle(request)

    def settle(self, request: Request) -> None:
        """Take note of a success."""
        self.state, self._prepared = request.after, None

    def prepare_for(self, request: Request) -> None:
        """Reach the state before the request; a deletion that failed can be repeated at once."""
        repeats = request.after == ABSENT and self.state == DELETING
        if not repeats and self._prepared != request:
            self.reach(request.before)

    def send(self, request: Request, injected: Sequence[faults.Json] = ()) -> list[Event]:
        """Send a request with these faults, and wait until all is at rest; its events."""
        self.requests_sent += 1
        stack = self.setting.stack
        if self.state == ABSENT:
            stack.parameters = dict(self._initial)
            stack.tags = {}
        before, tags = dict(stack.parameters), dict(stack.tags)
        request.prepare()
        since = float(self.admin.clock()["elapsed"])
        if injected:
            self.admin.faults(injected)
        request.start()
        until(self.admin.is_idle, "workflows were still running")
        if self.stack not in (request.succeeded, None):
            stack.parameters, stack.tags = before, tags
        # Events of this moment may be of the preparation.
        events = self.admin.event_log(since)
        self.remains.learn(events)
        return events

    def problems(self, request: Request, events: Sequence[Event]) -> list[str]:
        """What is not as after a success without faults."""
        if self.stack != request.succeeded:
            reason = " | ".join(self.setting.stack.reasons()[:2])
            return [f"{self.stack}: {reason}"]
        return [*self.violations(events), *self.leftovers(request.after)]

    def violations(self, events: Sequence[Event]) -> list[str]:
        """Broken invariants, and too much time."""
        took = float(self.admin.clock()["elapsed"]) - (events[0]["at"] if events else 0)
        slow = [f"took {took:.0f} virtual seconds"] if took > LIMIT else []
        return [*invariants.violations(events), *slow]

    def leftovers(self, state: str) -> list[str]:
        """How what exists differs from what should in this state."""
        found = snapshot(self._aws, self.remains)
        if self._expected is None:
            self.states.setdefault(state, found)
            return differences(found, self.states[state])
        return differences(found, self._expected.get(state, found))

    # Trials

    def try_once(self, request: Request, cells: Sequence[Cell], *, may_fail: bool) -> Trial:
        """Send a request with faults that happen once; it has to succeed, unless it may fail."""
        before = self.state
        events = self.send(request, [cell.fault for cell in cells])
        unused = [
            {key: value for key, value in fault.items() if key not in ("times", "skip")}
            for fault in self.admin.unused_faults()
        ]
        self.admin.clear_faults()
        missed = [cell for cell in cells if cell.fault in unused]
        problems = self.problems(request, events)
        if not problems:
            self.settle(request)
        elif may_fail and self.stack != request.succeeded:
            return Trial(self._after_failure(request, before, events), missed, problems[0])
        return Trial(problems, missed)

    def try_lasting(self, request: Request, cell: Cell) -> Trial:
        """Send a request with a fault that stays: it fails, unless it does not need the call."""
        before = self.state
        events = self.send(request, [cell.fault])
        unused = self.admin.unused_faults()
        missed = [cell] if any(fault["times"] == faults.FOR_GOOD for fault in unused) else []
        self.admin.clear_faults()
        self.setting.recover()
        if self.stack == request.succeeded:
            problems = self.problems(request, events)
            self.settle(request)
            return Trial(problems, missed)
        lacking = self._reason_problems(request, cell)
        return Trial([*lacking, *self._after_failure(request, before, events)], missed)

    def repeat(self, request: Request) -> None:
        """Send a request that failed again, without a fault; BrokenError if it does not succeed."""
        self.prepare_for(request)
        self._demand(request)

    def _after_failure(self, request: Request, before: str, events: Sequence[Event]) -> list[str]:
        """What a failed request should not have left; a failed creation is deleted."""
        problems = self.violations(events)
        if request.after == ABSENT:
            self.state = DELETING
            return [*problems, *self._status_problem("DELETE_FAILED")]
        if before == ABSENT:
            return [*problems, *self._delete_failed_creation()]
        problems += self._status_problem("UPDATE_ROLLBACK_COMPLETE")
        if request.prepare is not nothing or request.is_reversed_alike:
            # What was prepared may be repaired in part; later, the request has to succeed.
            self._prepared = request
            return problems
        return [*problems, *self.leftovers(before)]

    def _delete_failed_creation(self) -> list[str]:
        problems = self._status_problem("ROLLBACK_COMPLETE", "ROLLBACK_FAILED")
        since = float(self.admin.clock()["elapsed"])
        self.setting.driver.delete()
        until(self.admin.is_idle, "workflows were still running")
        self.remains.learn(self.admin.event_log(since))
        return [*problems, *self._status_problem("DELETE_COMPLETE"), *self.leftovers(ABSENT)]

    def _status_problem(self, *expected: str) -> list[str]:
        status = self.stack
        return [] if status in expected else [f"ended in {status}"]

    def _reason_problems(self, request: Request, cell: Cell) -> list[str]:
        """What the first failure reason does not say."""
        reasons = self.setting.stack.reasons()
        if not reasons:
            return ["no failure reason"]
        reason, call = reasons[0], cell.call
        code = faults.code_of(call, cell.kind)
        missing = [
            what
            for what, is_said in (
                (f"the step {call.step}", not call.step or call.step in reason),
                (f"the code {code}", not code or code in reason),
                ("a resource's id", not _has_resource(request, call) or ID.search(reason)),
                ("advice", ADVICE.search(reason) or len(reason) > LONG),
            )
            if not is_said
        ]
        return [f"{REASON} lacks {', '.join(missing)}: {reason}"] if missing else []


def _has_resource(request: Request, call: Call) -> bool:
    """Whether the call is made for a cluster or key store that exists in any case."""
    return request.before != ABSENT and call.actor not in WITHOUT_RESOURCE
