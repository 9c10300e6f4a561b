"""Executions: start, time, stop and end.

In ministack a state machine's TimeoutSeconds is ignored and a task's runs in real time; retries
wait at most 60 s, whatever MaxDelaySeconds says; StopExecution leaves Wait states and branches
running, and a task that fails later turns ABORTED into FAILED; StartExecution is not idempotent;
and an execution continues after its state machine is deleted.
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

from localaws.core.clock import Clock, Hold, Signal
from localaws.ministack import virtual_time
from localaws.ministack.access import ministack

if TYPE_CHECKING:
    from localaws.state import EmulatorState

Response = tuple[int, dict[str, str], bytes]

# Virtual seconds until the abort of a parent reaches its child; on AWS it is not immediate.
ABORT_DELAY = 3.0
# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
MAX_DATA = 262144
MAX_CAUSE = 32768
MAX_EVENTS = 25000
EXECUTION_NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")

_states = ministack("services.stepfunctions")


class Run:
    """What an execution has beyond ministack's record of it."""

    def __init__(self, emulator: EmulatorState, arn: str) -> None:
        self.arn = arn
        self.ended: Signal = emulator.clock.signal()
        self.children: list[str] = []

    @property
    def record(self) -> dict[str, Any]:
        """ministack's record; empty if the execution no longer exists."""
        found: dict[str, Any] = _states._executions.get(self.arn) or {}
        return found


# The execution that the current thread belongs to, and the hold for the thread of a new one.
current: contextvars.ContextVar[Run | None] = contextvars.ContextVar("execution", default=None)
_new_hold: contextvars.ContextVar[Hold | None] = contextvars.ContextVar("hold", default=None)


class Executions:
    """All executions of the emulator."""

    def __init__(self, emulator: EmulatorState) -> None:
        self.emulator = emulator
        self._runs: dict[str, Run] = {}
        self._lock = threading.Lock()
        self._start, self._stop = _states._start_execution, _states._stop_execution
        self._run, self._add_event = _states._run_execution, _states._add_event
        self._fail = _states._fail_execution

    def get(self, arn: str) -> Run:
        """The run of an execution."""
        with self._lock:
            return self._runs.setdefault(arn, Run(self.emulator, arn))

    def start(self, params: Mapping[str, Any]) -> Response:
        """StartExecution: idempotent for the same name and input while the execution runs."""
        name, text = params.get("name"), params.get("input", "{}")
        if name is not None and not EXECUTION_NAME.fullmatch(name):
            return _error_response("InvalidName", f"Invalid Name: '{name}'")
        if len(text.encode()) > MAX_DATA:
            return _error_response(
                "ValidationException",
                "1 validation error detected: Value at 'input' failed to satisfy constraint: "
                f"Member must have size less than or equal to {MAX_DATA} bytes in UTF-8 encoding",
            )
        machine = _states._resolve_state_machine_arn(params.get("stateMachineArn", ""))
        if machine and name:
            arn = f"{machine.replace(':stateMachine:', ':execution:')}:{name}"
            known = _states._executions.get(arn)
            if known and known["status"] == "RUNNING" and known["input"] == text:
                same: Response = _states.json_response(
                    {"executionArn": arn, "startDate": known["startDate"]}
                )
                return same
        hold = self.emulator.clock.deferred_hold()
        token = _new_hold.set(hold)
        try:
            response: Response = self._start(params)
        finally:
            _new_hold.reset(token)
        if response[0] >= 400:
            hold.release()
        else:
            started = json.loads(response[2])["executionArn"]
            parent = current.get()
            details = {"parent": _short_name(parent.arn)} if parent else {}
            self._note(_states._executions[started], "ExecutionStarted", **details)
        return response

    def run(self, arn: str) -> None:
        """Run the state machine, in the thread that ministack started for the execution."""
        run, hold = self.get(arn), _new_hold.get()
        assert hold is not None  # nosec B101 # for mypy
        _new_hold.set(None)
        current.set(run)
        with hold:
            machine = _states._state_machines.get(run.record.get("stateMachineArn")) or {}
            timeout = json.loads(machine.get("definition") or "{}").get("TimeoutSeconds")
            if timeout:
                self.emulator.spawn(self._time_out, run, float(timeout))
            try:
                self._run(arn)
            finally:
                self.emulator.clock.set(run.ended)

    def stop(self, params: Mapping[str, Any]) -> Response:
        """StopExecution: a running function continues; children may stop after ABORT_DELAY."""
        run = self.get(params.get("executionArn", ""))
        running = run.record.get("status") == "RUNNING"
        response: Response = self._stop(params)
        if response[0] == 200 and running:
            self.emulator.clock.set(run.ended)
            stopped = run.children if self.emulator.assumptions.parents_stop_children else ()
            for child in stopped:
                self.emulator.spawn(self._abort, child, run.arn)
        return response

    def _abort(self, arn: str, parent: str) -> None:
        self.emulator.clock.sleep(ABORT_DELAY)
        if self.get(arn).record.get("status") == "RUNNING":
            cause = (
                f"The Task state in AWS Step Functions execution [{parent}] which was managing "
                "this resource was aborted"
            )
            self.stop({"executionArn": arn, "cause": cause})

    def _time_out(self, run: Run, seconds: float) -> None:
        """Time the execution out.

        Whether AWS then stops its child is not documented; it continues here, the worse case.
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
        """Fail an execution that is still running."""
        if record["status"] == "RUNNING":
            self._fail(record, error, (cause or "")[:MAX_CAUSE])
            # Only an execution that succeeds has an output.
            record["output"] = None

    def add_event(
        self, record: dict[str, Any], kind: str, details: Mapping[str, Any] | None = None
    ) -> Any:
        """Add to the history of a running execution, within the quotas."""
        if record["status"] != "RUNNING" and not kind.startswith("Execution"):
            return None
        if kind == "ExecutionFailed":
            # Without an Error or Cause in a Fail state there is none.
            details = {key: _without_empty(each) for key, each in (details or {}).items()}
        if kind.endswith("StateEntered"):
            self._enter_state(record, details or {})
        _check_size(kind, details or {})
        if kind.startswith("Execution"):
            self._note(record, kind)
        elif len(record["events"]) >= MAX_EVENTS:
            raise error_of(
                "States.Runtime",
                "The execution reached the maximum number of history events (25000).",
            )
        return self._add_event(record, kind, details)

    def _enter_state(self, record: dict[str, Any], details: Mapping[str, Any]) -> None:
        if record["stateMachineArn"] not in _states._state_machines:
            # "On the next state transition, the state machine's executions are terminated."
            self._end(self.get(record["executionArn"]), "ABORTED", "Aborted")
            raise interrupted()
        seconds = self.emulator.timings.state_transition
        if seconds:
            self.emulator.clock.wait([self.get(record["executionArn"]).ended], seconds)
            demand_running()
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


def _short_name(arn: str) -> str:
    """State machine and name of an execution, as the event log identifies it."""
    return " ".join(arn.split(":")[6:])


def error_of(error: str, cause: str) -> Exception:
    """An error that fails a state."""
    created: Exception = _states._ExecutionError(error, cause[:MAX_CAUSE])
    return created


def interrupted() -> Exception:
    """The error in a thread whose execution has ended."""
    return error_of("States.Interrupted", "")


def demand_running() -> None:
    """Raise if the current thread's execution has ended."""
    run = current.get()
    if run and run.record.get("status") != "RUNNING":
        raise interrupted()


def _check_size(kind: str, details: Mapping[str, Any]) -> None:
    for part in details.values():
        for name in ("input", "output"):
            text = part.get(name) if isinstance(part, Mapping) else None
            # AWS counts bytes of compact UTF-8.
            if isinstance(text, str) and len(text) > MAX_DATA // 2:
                compact = json.dumps(
                    json.loads(text), separators=(",", ":"), ensure_ascii=False
                ).encode()
                if len(compact) > MAX_DATA:
                    raise error_of(
                        "States.DataLimitExceeded",
                        f"The state/task returned a result with a size exceeding the maximum "
                        f"number of bytes service limit ({kind}).",
                    )


def _without_empty(details: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in details.items() if value}


def _error_response(code: str, message: str) -> Response:
    response: Response = _states.error_response_json(code, message, 400)
    return response


def install(emulator: EmulatorState) -> Executions:
    """Run executions in virtual time."""
    executions = Executions(emulator)
    _states._start_execution = executions.start
    _states._run_execution = executions.run
    _states._stop_execution = executions.stop
    _states._fail_execution = executions.fail
    _states._add_event = executions.add_event
    _states.now_iso = lambda: virtual_time.now_iso(emulator.clock)
    _states.time = _TimeWithoutSleep()
    _install_waits(emulator.clock)
    _states._invoke_resource_with_timeout = functools.partial(_invoke_with_timeout, emulator)
    # Branches and items run in threads of ministack: they hold the clock, and their parent, which
    # waits for them, does not.
    _states._run_sub_machine = _within(emulator.clock.busy, _states._run_sub_machine)
    for name in ("_run_parallel_branches", "_run_map_items"):
        setattr(_states, name, _within(emulator.clock.idle, getattr(_states, name)))
    return executions


def _install_waits(clock: Clock) -> None:
    """Make Wait states and retries wait in virtual time until their execution ends."""
    # The delay of the retry that the thread is about to wait for.
    retry = threading.local()
    find_retrier = _states._find_matching_retrier

    def find_matching_retrier(retriers: Any, error: str, counts: Mapping[int, int]) -> Any:
        retrier, index = find_retrier(retriers, error, counts)
        if retrier is not None:
            rate = retrier.get("BackoffRate", 2.0) ** counts.get(index, 0)
            seconds = retrier.get("IntervalSeconds", 1) * rate
            retry.seconds = min(seconds, retrier.get("MaxDelaySeconds", seconds))
        return retrier, index

    def sleep(seconds: float) -> None:
        """Wait; for a retry, ministack's seconds are wrong."""
        seconds, retry.seconds = getattr(retry, "seconds", None) or seconds, None
        run = current.get()
        clock.wait([run.ended] if run else [], seconds)
        demand_running()

    def sleep_until(timestamp: str) -> None:
        sleep(max(0.0, dt.datetime.fromisoformat(timestamp).timestamp() - clock.now()))

    _states._find_matching_retrier = find_matching_retrier
    _states._scaled_sleep = sleep
    _states._sleep_until = sleep_until


def _invoke_with_timeout(
    emulator: EmulatorState, resource: str, params: Any, seconds: float
) -> Any:
    """Run a task with a timeout; after that it continues and its result is ignored."""
    clock = emulator.clock
    run, done, outcome = current.get(), clock.signal(), dict[str, Any]()

    def work() -> None:
        try:
            outcome["result"] = _states._invoke_resource(resource, params)
        except BaseException as raised:  # re-raised in the waiting thread
            outcome["raised"] = raised
        finally:
            clock.set(done)

    emulator.spawn(work)
    clock.wait([done, run.ended] if run else [done], seconds)
    demand_running()
    if not done.happened:
        raise error_of("States.Timeout", "")
    if "raised" in outcome:
        raise outcome["raised"]
    return outcome["result"]


class _TimeWithoutSleep:
    """The module time without sleep(): ministack sleeps 0.15 s at the start of each execution."""

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    @staticmethod
    def sleep(seconds: float) -> None:
        """Return at once."""


def _within(manager: Callable[[], Any], function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        with manager():
            return function(*arguments, **named)

    return call
