"""The life of an execution: it starts once, runs on virtual time, can be stopped, and ends in time.

Otherwise in ministack: TimeoutSeconds of a machine is ignored and that of a Task runs on real time;
a retry waits 60 s at most and MaxDelaySeconds is ignored; StopExecution lets a Wait state sleep on
and branches work on, and a task that fails afterwards turns ABORTED into FAILED; StartExecution
refuses its own repetition; an execution outlives its machine.
"""

from __future__ import annotations

import contextvars
import datetime as dt
import functools
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from localaws.core.clock import Hold, Signal
from localaws.ministack.access import ministack

if TYPE_CHECKING:
    from localaws.state import EmulatorState

Answer = tuple[int, dict[str, str], bytes]

# Virtual seconds until the abort of a parent reaches its child: on AWS it is not immediate.
ABORT_DELAY = 3.0
# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
LONGEST_DATA = 262144
LONGEST_CAUSE = 32768
MOST_EVENTS = 25000
EXECUTION_NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")

_states = ministack("services.stepfunctions")


class Run:
    """What is known of one execution beyond ministack's record of it."""

    def __init__(self, emulator: EmulatorState, arn: str) -> None:
        self.arn = arn
        self.ended: Signal = emulator.clock.signal()
        self.children: list[str] = []

    @property
    def record(self) -> dict[str, Any]:
        """ministack's record; empty if the execution is gone."""
        found: dict[str, Any] = _states._executions.get(self.arn) or {}
        return found


# The execution that this thread works for, and the turn in which a new execution starts.
current: contextvars.ContextVar[Run | None] = contextvars.ContextVar("execution", default=None)
_turn: contextvars.ContextVar[Hold | None] = contextvars.ContextVar("turn", default=None)


class Executions:
    """Every execution of the emulator."""

    def __init__(self, emulator: EmulatorState) -> None:
        self.emulator = emulator
        self._runs: dict[str, Run] = {}
        self._lock = threading.Lock()
        self._start, self._stop = _states._start_execution, _states._stop_execution
        self._run, self._add_event = _states._run_execution, _states._add_event
        self._fail = _states._fail_execution

    def of(self, arn: str) -> Run:
        """The run of an execution."""
        with self._lock:
            return self._runs.setdefault(arn, Run(self.emulator, arn))

    def start(self, given: Mapping[str, Any]) -> Answer:
        """StartExecution: the same name and input, while it runs, is the same execution."""
        name, text = given.get("name"), given.get("input", "{}")
        if name is not None and not EXECUTION_NAME.fullmatch(name):
            return _refusal("InvalidName", f"Invalid Name: '{name}'")
        if len(text.encode()) > LONGEST_DATA:
            return _refusal(
                "InvalidExecutionInput", "The input exceeds the maximum number of characters."
            )
        machine = _states._resolve_state_machine_arn(given.get("stateMachineArn", ""))
        if machine and name:
            arn = f"{machine.replace(':stateMachine:', ':execution:')}:{name}"
            known = _states._executions.get(arn)
            if known and known["status"] == "RUNNING" and known["input"] == text:
                same: Answer = _states.json_response(
                    {"executionArn": arn, "startDate": known["startDate"]}
                )
                return same
        turn = self.emulator.clock.deferred_hold()
        token = _turn.set(turn)
        try:
            answer: Answer = self._start(given)
        finally:
            _turn.reset(token)
        if answer[0] >= 400:
            turn.release()
        else:
            started = json.loads(answer[2])["executionArn"]
            parent = current.get()
            by = {"parent": _name_of(parent.arn)} if parent else {}
            self._note(_states._executions[started], "ExecutionStarted", **by)
        return answer

    def run(self, arn: str) -> None:
        """Walk through the machine, in the thread that ministack made for it."""
        run, turn = self.of(arn), _turn.get()
        assert turn is not None
        _turn.set(None)
        current.set(run)
        with turn:
            machine = _states._state_machines.get(run.record.get("stateMachineArn")) or {}
            limit = json.loads(machine.get("definition") or "{}").get("TimeoutSeconds")
            if limit:
                self.emulator.spawn(self._expire, run, float(limit))
            try:
                self._run(arn)
            finally:
                self.emulator.clock.set(run.ended)

    def stop(self, given: Mapping[str, Any]) -> Answer:
        """StopExecution: children are reached late, and a function in flight ends by itself."""
        run = self.of(given.get("executionArn", ""))
        running = run.record.get("status") == "RUNNING"
        answer: Answer = self._stop(given)
        if answer[0] == 200 and running:
            self.emulator.clock.set(run.ended)
            for child in run.children:
                self.emulator.spawn(self._abort, child, run.arn)
        return answer

    def _abort(self, arn: str, parent: str) -> None:
        self.emulator.clock.sleep(ABORT_DELAY)
        if self.of(arn).record.get("status") == "RUNNING":
            cause = (
                f"The Task state in AWS Step Functions execution [{parent}] which was managing "
                "this resource was aborted"
            )
            self.stop({"executionArn": arn, "cause": cause})

    def _expire(self, run: Run, seconds: float) -> None:
        """Time the execution out.

        Whether AWS then stops its child too is not documented, so that it lives on: the worse case.
        """
        if self.emulator.clock.wait([run.ended], seconds):
            return
        self._end(run, "TIMED_OUT", "TimedOut", error="States.Timeout")

    def _end(self, run: Run, status: str, event: str, **error: str) -> None:
        record = run.record
        record.update(status=status, stopDate=_states.now_iso(), **error)
        _states._add_event(record, f"Execution{event}", {f"execution{event}EventDetails": error})
        _states._emit_execution_status_event(record)
        self.emulator.clock.set(run.ended)

    def fail(self, record: dict[str, Any], error: str, cause: str) -> None:
        """Fail an execution that has not ended otherwise meanwhile."""
        if record["status"] == "RUNNING":
            self._fail(record, error, (cause or "")[:LONGEST_CAUSE])

    def add_event(
        self, record: dict[str, Any], kind: str, details: Mapping[str, Any] | None = None
    ) -> Any:
        """Add to the history of an execution that runs, minding the quotas."""
        if record["status"] != "RUNNING" and not kind.startswith("Execution"):
            return None
        if kind.endswith("StateEntered"):
            self._enter_state(record, details or {})
        _demand_size(kind, details or {})
        if kind.startswith("Execution"):
            self._note(record, kind)
        elif len(record["events"]) >= MOST_EVENTS:
            raise error_of(
                "States.Runtime",
                "The execution reached the maximum number of history events (25000).",
            )
        return self._add_event(record, kind, details)

    def _enter_state(self, record: dict[str, Any], details: Mapping[str, Any]) -> None:
        if record["stateMachineArn"] not in _states._state_machines:
            # "On the next state transition, the state machine's executions are terminated."
            self._end(self.of(record["executionArn"]), "ABORTED", "Aborted")
            raise interrupted()
        state = details["stateEnteredEventDetails"]["name"]
        self._note(record, "StateEntered", state=state)

    def _note(self, record: Mapping[str, Any], event: str, **details: Any) -> None:
        problem = {key: record[key] for key in ("error", "cause") if record.get(key)}
        self.emulator.event_log.record(
            "states",
            record["stateMachineArn"].rpartition(":")[2],
            event,
            execution=record["name"],
            **details,
            **(problem if event.startswith("Execution") else {}),
        )


def _name_of(arn: str) -> str:
    """The machine and the name of an execution, as laws.py speaks of it."""
    return " ".join(arn.split(":")[6:])


def error_of(error: str, cause: str) -> Exception:
    """The error with which a state fails."""
    made: Exception = _states._ExecutionError(error, cause[:LONGEST_CAUSE])
    return made


def interrupted() -> Exception:
    """The error of a thread whose execution has ended meanwhile."""
    return error_of("States.Interrupted", "")


def demand_alive() -> None:
    """Go no further when the execution that this thread works for has ended."""
    run = current.get()
    if run and run.record.get("status") != "RUNNING":
        raise interrupted()


def _demand_size(kind: str, details: Mapping[str, Any]) -> None:
    for part in details.values():
        for name in ("input", "output"):
            text = part.get(name) if isinstance(part, Mapping) else None
            # As AWS counts: UTF-8 without blanks between.
            if isinstance(text, str) and len(text) > LONGEST_DATA // 2:
                compact = json.dumps(
                    json.loads(text), separators=(",", ":"), ensure_ascii=False
                ).encode()
                if len(compact) > LONGEST_DATA:
                    raise error_of(
                        "States.DataLimitExceeded",
                        f"The state/task returned a result with a size exceeding the maximum "
                        f"number of bytes service limit ({kind}).",
                    )


def _refusal(code: str, message: str) -> Answer:
    answer: Answer = _states.error_response_json(code, message, 400)
    return answer


def install(emulator: EmulatorState) -> Executions:
    """Give every execution its own driver in virtual time."""
    executions = Executions(emulator)
    _states._start_execution = executions.start
    _states._run_execution = executions.run
    _states._stop_execution = executions.stop
    _states._fail_execution = executions.fail
    _states._add_event = executions.add_event
    _install_time(emulator)
    return executions


def _install_time(emulator: EmulatorState) -> None:
    """Dates, waits, retries and time-outs in virtual time."""
    clock = emulator.clock
    found = threading.local()
    find_retrier = _states._find_matching_retrier

    def now_iso() -> str:
        moment = dt.datetime.fromtimestamp(clock.now(), dt.UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"

    def find_matching_retrier(retriers: Any, error: str, counts: Mapping[int, int]) -> Any:
        retrier, index = find_retrier(retriers, error, counts)
        if retrier is not None:
            rate = retrier.get("BackoffRate", 2.0) ** counts.get(index, 0)
            seconds = retrier.get("IntervalSeconds", 1) * rate
            found.seconds = min(seconds, retrier.get("MaxDelaySeconds", seconds))
        return retrier, index

    def sleep(seconds: float) -> None:
        """Of a Wait state, or of a retry: then the retrier just found knows how long."""
        seconds, found.seconds = getattr(found, "seconds", None) or seconds, None
        run = current.get()
        clock.wait([run.ended] if run else [], seconds)
        demand_alive()

    def sleep_until(timestamp: str) -> None:
        sleep(max(0.0, dt.datetime.fromisoformat(timestamp).timestamp() - clock.now()))

    def invoke_with_timeout(resource: str, given: Any, seconds: float) -> Any:
        """Whatever the task does goes on after the time-out, but nobody looks at it any more."""
        run, done, outcome = current.get(), clock.signal(), dict[str, Any]()

        def work() -> None:
            try:
                outcome["result"] = _states._invoke_resource(resource, given)
            except BaseException as raised:  # handed to the thread that waits, whatever it is
                outcome["raised"] = raised
            finally:
                clock.set(done)

        emulator.spawn(work)
        clock.wait([done, run.ended] if run else [done], seconds)
        demand_alive()
        if not done.happened:
            raise error_of("States.Timeout", "")
        if "raised" in outcome:
            raise outcome["raised"]
        return outcome["result"]

    _states.now_iso = now_iso
    _states.time = _BriefTime()
    _states._find_matching_retrier = find_matching_retrier
    _states._scaled_sleep = sleep
    _states._sleep_until = sleep_until
    _states._invoke_resource_with_timeout = invoke_with_timeout
    # Branches and items run in threads of ministack's own: they hold the clock, their parent not.
    _states._run_sub_machine = _within(clock.busy, _states._run_sub_machine)
    for name in ("_run_parallel_branches", "_run_map_items"):
        setattr(_states, name, _within(clock.idle, getattr(_states, name)))


class _BriefTime:
    """The module time without the 0.15 s that ministack sleeps as every execution starts."""

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    @staticmethod
    def sleep(seconds: float) -> None:
        """Sleep not at all."""


def _within(manager: Callable[[], Any], function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        with manager():
            return function(*arguments, **named)

    return call
