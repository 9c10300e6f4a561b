"""Runs state machines with scripted tasks, in the emulator's interpreter and in virtual time.

A separate process, because it patches ministack. Every line that it reads or writes is one JSON
value: first the definitions in and the problems of each out, then paths in and their walks out.
"""

from __future__ import annotations

import contextvars
import itertools
import json
import logging
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from localaws.core.decision_log import DecisionLog
from localaws.core.event_log import EventLog
from localaws.core.faults import Faults
from localaws.core.jump_clock import JumpClock
from localaws.ministack import state_machine_definitions, states_language, step_functions
from localaws.ministack.access import ministack
from localaws.services.cloudhsmv2.settings import Assumptions, Quotas, Timings
from localaws.state import EmulatorState, Ports
from tests.support.state_machines import PLACEHOLDER

ACCOUNT, REGION = "123456789012", "us-east-1"

_states = ministack("services.stepfunctions")
_numbers = itertools.count()
_state: contextvars.ContextVar[str] = contextvars.ContextVar("state")


class Script:
    """The outcomes of each task, in the order of calls."""

    def __init__(self, emulator: EmulatorState, outcomes: dict[str, Any]) -> None:
        self._emulator = emulator
        self._outcomes = {task: list(many) for task, many in outcomes.items()}
        self.calls: list[tuple[str, Any]] = []

    def call(self, task: str, input_: Any) -> Any:
        """Return the next result of the task, or raise its error."""
        self.calls.append((task, input_))
        outcomes = self._outcomes.get(task)
        if not outcomes:
            raise step_functions.error_of("Unscripted", f"{task} is called too often")
        outcome = outcomes[0] if "always" in outcomes[0] else outcomes.pop(0)
        outcome = outcome.get("always", outcome)
        if "error" in outcome:
            raise step_functions.error_of(outcome["error"], outcome["cause"])
        self._emulator.clock.sleep(outcome.get("seconds", 0))
        return outcome["result"]

    def unused(self) -> list[str]:
        """The tasks with outcomes that no call has used."""
        return [task for task, left in self._outcomes.items() if left and "always" not in left[0]]


def definition(text: str) -> str:
    """A definition with its placeholders substituted."""
    return PLACEHOLDER.sub(lambda found: _value(found[1]), text)


def _value(name: str) -> str:
    if name.endswith("FunctionArn"):
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name.removesuffix('FunctionArn')}"
    if name.endswith("StateMachineArn"):
        stem = name.removesuffix("StateMachineArn")
        return f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{stem}"
    return {"Partition": "aws", "Region": REGION}.get(name, name)


def walk(emulator: EmulatorState, executions: Any, machine: str, path: Any) -> dict[str, Any]:
    """Run one path: its input and the outcomes of its tasks."""
    script = Script(emulator, path["outcomes"])
    _states._invoke_resource = lambda resource, input_: script.call(_state.get(), input_)
    started_at = emulator.clock.elapsed()
    with emulator.clock.busy():
        started = executions.start(
            {
                "stateMachineArn": machine,
                "name": f"path-{next(_numbers)}",
                "input": json.dumps(path["input"]),
            }
        )
        arn = json.loads(started[2])["executionArn"]
        emulator.clock.wait([executions.get(arn).ended])
    record = _states._executions[arn]
    states = json.loads(_states._state_machines[machine]["definition"])["States"]
    return {
        "status": record["status"],
        "error": record.get("error"),
        "cause": record.get("cause"),
        "output": json.loads(record.get("output") or "null"),
        "seconds": round(emulator.clock.elapsed() - started_at),
        "transitions": list(_transitions(record["events"], states)),
        "calls": script.calls,
        "unused": script.unused(),
    }


def _transitions(events: list[dict[str, Any]], states: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each state entered, with the kind of transition that left it, or "end"."""
    visits: list[list[dict[str, Any]]] = []
    for event in events:
        if event["type"].endswith("StateEntered"):
            visits.append([])
        if visits:
            visits[-1].append(event)
    for number, (entered, *during) in enumerate(visits, 1):
        details = entered["stateEnteredEventDetails"]
        state = states[details["name"]]
        kinds = [event["type"] for event in during]
        if state["Type"] == "Choice":
            kind = _choice(state, json.loads(details["input"]))
        elif number == len(visits):
            kind = "end"
        else:
            kind = "catch" if state["Type"] == "Task" and "TaskSucceeded" not in kinds else "next"
        yield details["name"], kind


def _choice(state: dict[str, Any], input_: Any) -> str:
    for number, rule in enumerate(state["Choices"]):
        if _states._evaluate_rule(rule, input_, {}):
            return f"choice {number}"
    return "default"


def main() -> None:
    """Read definitions and paths, write problems and walks."""
    logging.disable(logging.INFO)
    clock = JumpClock(quiet_period=0, start=1790000000.0)
    emulator = EmulatorState(
        clock=clock,
        home=SimpleNamespace(),  # type: ignore[arg-type]  # nothing is saved
        ports=Ports(0, 0, 0),
        region=REGION,
        auth=False,
        timings=Timings(),
        quotas=Quotas(),
        assumptions=Assumptions(),
        faults=Faults(),
        event_log=EventLog(clock),
        decisions=DecisionLog(),
        environments=SimpleNamespace(),  # type: ignore[arg-type]  # no function runs
    )
    executions = step_functions.install(emulator)
    states_language.install(emulator)
    execute_task = _states._execute_task

    def execute(state: Any, input_: Any, execution: Any, context: Any) -> Any:
        _state.set(context["State"]["Name"])
        return execute_task(state, input_, execution, context)

    _states._execute_task = execute
    problems, machines = {}, {}
    for stem, text in json.loads(sys.stdin.readline()).items():
        filled = definition(text)
        problems[stem] = list(state_machine_definitions.definition_errors(filled))
        created = _states._create_state_machine(
            {"name": stem, "definition": filled, "roleArn": f"arn:aws:iam::{ACCOUNT}:role/any"}
        )
        machines[stem] = json.loads(created[2]).get("stateMachineArn")
    print(json.dumps(problems), flush=True)
    for line in sys.stdin:
        work = json.loads(line)
        machine = machines[work["machine"]]
        walks = [walk(emulator, executions, machine, path) for path in work["paths"]]
        print(json.dumps(walks), flush=True)


if __name__ == "__main__":
    main()
