"""Walks state machines along scripted paths, in the rehearsal's interpreter and virtual time.

A process of its own, because it replaces parts of ministack: paths come in as JSON, walks go out.
What a task calls is not called: the script says what each state is answered.
"""

from __future__ import annotations

import contextvars
import json
import sys
from types import SimpleNamespace
from typing import Any

from localaws.core.decision_log import DecisionLog
from localaws.core.event_log import EventLog
from localaws.core.faults import Faults
from localaws.core.jump_clock import JumpClock
from localaws.ministack import state_machines, states_language, step_functions
from localaws.ministack.access import ministack
from localaws.services.cloudhsmv2.settings import Assumptions, Quotas, Timings
from localaws.state import EmulatorState, Ports

ACCOUNT, REGION = "123456789012", "us-east-1"

_states = ministack("services.stepfunctions")
_state: contextvars.ContextVar[str] = contextvars.ContextVar("state")


class Script:
    """What each state is answered, in turn."""

    def __init__(self, emulator: EmulatorState, answers: dict[str, Any]) -> None:
        self._emulator = emulator
        self._answers = {name: list(many) for name, many in answers.items()}
        self.calls: list[tuple[str, Any]] = []

    def answer(self, state: str, given: Any) -> Any:
        """The next answer: a result, or what the task does instead."""
        self.calls.append((state, given))
        answers = self._answers.get(state) or []
        if not answers:
            raise step_functions.error_of("Unscripted", f"{state} is called once too often")
        answer = answers[0] if "forever" in answers[0] else answers.pop(0)
        answer = answer.get("forever", answer)
        if "error" in answer:
            raise step_functions.error_of(answer["error"], answer["cause"])
        if "seconds" in answer:
            self._emulator.clock.sleep(answer["seconds"])
        return answer.get("result")

    def left(self) -> list[str]:
        """The states that were called less often than the script says."""
        return [name for name, left in self._answers.items() if left and "forever" not in left[0]]


def definition(text: str) -> str:
    """A definition with its placeholders filled in, as CloudFormation would."""
    machine = json.loads(text)
    filled = json.dumps(machine)
    for name in sorted(_placeholders(filled), key=len, reverse=True):
        filled = filled.replace("${" + name + "}", _value(name))
    return filled


def _placeholders(text: str) -> set[str]:
    return {part.partition("}")[0] for part in text.split("${")[1:]}


def _value(name: str) -> str:
    if name.endswith("FunctionArn"):
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name.removesuffix('FunctionArn')}"
    if name.endswith("StateMachineArn"):
        stem = name.removesuffix("StateMachineArn")
        return f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{stem}"
    return {"Partition": "aws", "Region": REGION}.get(name, name)


def walk(
    emulator: EmulatorState, executions: Any, machine: str, path: dict[str, Any], number: int
) -> dict[str, Any]:
    """Walk one path and tell how it went."""
    script = Script(emulator, path["answers"])
    _states._invoke_resource = lambda resource, given: script.answer(_state.get(), given)
    begun = emulator.clock.elapsed()
    with emulator.clock.busy():
        started = executions.start(
            {
                "stateMachineArn": machine,
                "name": f"path-{number}",
                "input": json.dumps(path["input"]),
            }
        )
        arn = json.loads(started[2])["executionArn"]
        emulator.clock.wait([executions.of(arn).ended])
    record = _states._executions[arn]
    machine_states = json.loads(_states._state_machines[machine]["definition"])["States"]
    return {
        "status": record["status"],
        "error": record.get("error"),
        "cause": record.get("cause"),
        "output": json.loads(record.get("output") or "null"),
        "seconds": round(emulator.clock.elapsed() - begun),
        "ways": list(_ways(record["events"], machine_states)),
        "calls": script.calls,
        "left": script.left(),
    }


def _ways(events: list[dict[str, Any]], machine_states: dict[str, Any]) -> list[tuple[str, str]]:
    """Each state that was entered, with the way by which it was left."""
    visits: list[list[dict[str, Any]]] = []
    for event in events:
        if event["type"].endswith("StateEntered"):
            visits.append([])
        if visits:
            visits[-1].append(event)
    found = []
    for number, (entered, *during) in enumerate(visits, 1):
        details = entered["stateEnteredEventDetails"]
        state = machine_states[details["name"]]
        kinds = [event["type"] for event in during]
        if state["Type"] == "Choice":
            way = _choice(state, json.loads(details["input"]))
        elif number == len(visits):
            way = "end"
        else:
            way = "catch" if state["Type"] == "Task" and "TaskSucceeded" not in kinds else "next"
        found.append((details["name"], way))
    return found


def _choice(state: dict[str, Any], given: Any) -> str:
    for number, rule in enumerate(state["Choices"]):
        if _states._evaluate_rule(rule, given, {}):
            return f"choice {number}"
    return "default"


def main() -> None:
    """Read machines and paths, write walks."""
    work = json.load(sys.stdin)
    clock = JumpClock(quiet_period=0, start=1790000000.0)
    emulator = EmulatorState(
        clock=clock,
        home=SimpleNamespace(),  # type: ignore[arg-type]  # nothing is kept anywhere
        ports=Ports(0, 0, 0),
        region=REGION,
        auth=False,
        timings=Timings(),
        quotas=Quotas(),
        assumptions=Assumptions(),
        faults=Faults(),
        event_log=EventLog(clock),
        decisions=DecisionLog(),
        environments=SimpleNamespace(),  # type: ignore[arg-type]  # no function is run
        command_server=SimpleNamespace(),  # type: ignore[arg-type]  # nor any script
    )
    executions = step_functions.install(emulator)
    states_language.install(emulator)
    execute_task = _states._execute_task

    def execute(state: Any, given: Any, execution: Any, context: Any) -> Any:
        _state.set(context["State"]["Name"])
        return execute_task(state, given, execution, context)

    _states._execute_task = execute
    flaws, machines = {}, {}
    for stem, text in work["machines"].items():
        filled = definition(text)
        flaws[stem] = list(state_machines.flaws(filled))
        created = _states._create_state_machine(
            {"name": stem, "definition": filled, "roleArn": f"arn:aws:iam::{ACCOUNT}:role/any"}
        )
        machines[stem] = json.loads(created[2])["stateMachineArn"]
    walks = [
        walk(emulator, executions, machines[path["machine"]], path, number)
        for number, path in enumerate(work["paths"])
    ]
    json.dump({"flaws": flaws, "walks": walks}, sys.stdout)


if __name__ == "__main__":
    main()
