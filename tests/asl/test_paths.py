"""Every machine follows its paths, and every failure of its tasks is retried, caught or reported.

paths.py says what the tasks return; the emulator's interpreter runs the machine in virtual time.
From a path through a task more are derived: the task fails once, fails for good, takes too long.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from tests.asl.paths import PATHS, Outcome, Path, fails, results, returns, takes, usual_outcome
from tests.support.state_machines import (
    MACHINES,
    Machine,
    State,
    is_detached,
    is_nested,
    transitions,
)
from tests.templates.template import ROOT

Walk = dict[str, Any]

# The response of a start was lost, and the child has ended before the retry.
CHILD_ENDED = "StepFunctions.ExecutionAlreadyExistsException"
# The task that tells an update from its rollback.
DETECTS_ROLLBACK = {"update-cluster": "CheckUpdate", "update-key-store": "CheckKeyStoreUpdate"}


class Case(NamedTuple):
    """A path to walk, and the check that yields what is wrong with its walk."""

    path: Path
    problems: Callable[[Walk], Iterator[str]]


class Interpreter:
    """The process that runs machines; `problems` has what it says about each definition."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.problems = self._ask({stem: machine.text for stem, machine in MACHINES.items()})

    def walk(self, machine: Machine, paths: Sequence[Path]) -> list[Walk]:
        """Walk the paths, each in an execution of its own."""
        work = [{"input": path.input(machine.stem), "outcomes": script(path)} for path in paths]
        walks: list[Walk] = self._ask({"machine": machine.stem, "paths": work})
        return walks

    def _ask(self, question: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(question), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="module")
def interpreter() -> Iterator[Interpreter]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.asl.interpreter"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        limit = threading.Timer(300, process.kill)
        limit.start()
        try:
            yield Interpreter(process)
        finally:
            limit.cancel()
            process.kill()


@pytest.mark.parametrize("machine", MACHINES.values(), ids=repr)
def test_a_machine_follows_its_paths_and_handles_every_failure(
    machine: Machine, interpreter: Interpreter
) -> None:
    assert interpreter.problems[machine.stem] == []
    paths = PATHS[machine.stem]
    assert len({path.name for path in paths}) == len(paths)
    walks = walk_until_problem(interpreter, machine, [table_case(machine, path) for path in paths])
    succeeded = [
        (path, walk)
        for path, walk in zip(paths, walks, strict=True)
        if ends_in(path) == "SUCCEEDED"
    ]
    for task, state in machine.of_type("Task").items():
        if task == "RerunLifecycle":  # reached through a failure only: see the table
            continue
        base = next(((path, walk) for path, walk in succeeded if task in entered(walk)), None)
        assert base, f"no path that succeeds passes {task}"
        cases = failure_cases(machine, task, state, *base)
        walks += walk_until_problem(interpreter, machine, list(cases))
    assert untaken(machine, walks) == []


def walk_until_problem(
    interpreter: Interpreter, machine: Machine, cases: Sequence[Case]
) -> list[Walk]:
    """Walk all cases. The first walk that goes wrong fails the test, with all of its states."""
    walks = interpreter.walk(machine, [case.path for case in cases])
    for case, walk in zip(cases, walks, strict=True):
        if problems := list(case.problems(walk)):
            report = [f"{machine} {case.path.name}:", *problems, "The walk:"]
            report += [f"  {name} ({kind})" for name, kind in walk["transitions"]]
            report += [f"  {key}: {walk[key]}" for key in ("status", "error", "cause", "output")]
            pytest.fail("\n".join(report), pytrace=False)
    return walks


def script(path: Path) -> dict[str, list[Outcome]]:
    """The outcomes of every task on the path."""
    usual = {task: [usual_outcome(task)] for m in MACHINES.values() for task in m.of_type("Task")}
    return usual | path.script()


def entered(walk: Walk) -> list[str]:
    """The states of a walk, in order."""
    return [name for name, _ in walk["transitions"]]


def called(walk: Walk, task: str) -> int:
    """How often a task was called, retries included."""
    return [name for name, _ in walk["calls"]].count(task)


def ends_in(path: Path) -> str:
    """The status in which the execution must end."""
    return "FAILED" if path.failure else "TIMED_OUT" if path.times_out else "SUCCEEDED"


# ---- the table


def table_case(machine: Machine, path: Path) -> Case:
    """A path of the table."""

    def problems(walk: Walk) -> Iterator[str]:
        error, _, cause = path.failure.partition(": ")
        expected = (ends_in(path), "States.Timeout" if path.times_out else error or None)
        if (walk["status"], walk["error"]) != expected:
            yield f"ends in {walk['status']} {walk['error']}, not in {expected}"
        yield from (
            f"the cause lacks {part!r}"
            for part in re.split(" ?… ?", cause)
            if part not in (walk["cause"] or "")
        )
        if not path.output.items() <= (walk["output"] or {}).items():
            yield f"the output lacks {path.output}"
        if path.seconds is not None and walk["seconds"] != path.seconds:
            yield f"takes {walk['seconds']} s, not {path.seconds}"
        yield from route_problems(path, entered(walk))
        yield from call_problems(path, walk["calls"])
        yield from (
            f"does not use all outcomes of {task}"
            for task in walk["unused"]
            if task in path.outcomes
        )
        if machine.states[entered(walk)[-1]]["Type"] == "Fail":
            yield from cause_problems(walk["cause"])

    return Case(path, problems)


def route_problems(path: Path, states: list[str]) -> Iterator[str]:
    """Problems with the states that were entered."""
    yield from (f"enters {name}" for name in path.without.split() if name in states)
    position = 0
    for name in path.through.split():
        if name not in states[position:]:
            yield f"does not enter {name}, or too early"
            return
        position = states.index(name, position) + 1


def call_problems(path: Path, calls: list[tuple[str, Any]]) -> Iterator[str]:
    """Problems with the parameters of tasks, and with the number of calls except polls."""
    tasks = [task for task, _ in calls]
    for task in dict.fromkeys(tasks):
        limit = max(1, path.through.split().count(task), len(path.script().get(task, [])))
        if not task.startswith(("Describe", "Find")) and tasks.count(task) > limit:
            yield f"calls {task} {tasks.count(task)} times"
    for task, expected in path.passes.items():
        passed = [
            parameters | parameters.get("Input", {}) for name, parameters in calls if name == task
        ]
        if len(passed) != len(expected):
            yield f"calls {task} {len(passed)} times"
        yield from (
            f"passes {actual} to {task}, without {parameters}"
            for parameters, actual in zip(expected, passed, strict=False)
            if not parameters.items() <= actual.items()
        )


def cause_problems(cause: str) -> Iterator[str]:
    """Problems with the cause of a Fail state."""
    if not re.fullmatch(r"[A-Za-z].*[.a-z)] \[(cluster-2example3id|cks-\w+)\]", cause):
        yield "the cause is not sentences followed by an id in brackets"
    if re.search(r"\{|\}|\$|  |\.\.| \.|None|null", cause):
        yield "the cause lacks a value"


def untaken(machine: Machine, walks: Sequence[Walk]) -> list[str]:
    """The transitions, and the states at the end, that no walk has taken."""
    taken = {(name, kind) for walk in walks for name, kind in walk["transitions"]}
    return [
        f"{name} {kind}"
        for name, state in machine.states.items()
        for kind, _ in [*transitions(state)] or [("end", "")]
        if (name, kind.split()[0] if kind.startswith("catch") else kind) not in taken
    ]


# ---- failures of a task


def failure_cases(
    machine: Machine, task: str, state: State, path: Path, base: Walk
) -> Iterator[Case]:
    """The task fails in every way, on a path that otherwise succeeds."""

    def but(what: str, *outcomes: Outcome) -> Path:
        changed = path.with_outcomes(task, *outcomes, *script(path)[task])
        return replace(changed, name=f"{path.name}, but {task} {what}")

    def lasting(what: str, error: str, *outcomes: Outcome, calls: range) -> Iterator[Case]:
        changed = but(what, *outcomes)

        def problems(walk: Walk) -> Iterator[str]:
            yield from failure_problems(machine, task, error, base, walk)
            if called(walk, task) not in calls:
                yield f"calls {task} {called(walk, task)} times"

        yield Case(changed, problems)
        if machine.stem in DETECTS_ROLLBACK and catches_all(state):
            yield Case(in_rollback(machine, changed), rollback_problems)

    def recovering(what: str, outcome: Outcome, seconds: int) -> Case:
        def problems(walk: Walk) -> Iterator[str]:
            for key in ("status", "output", "transitions"):
                if walk[key] != base[key]:
                    yield f"the {key} is not {base[key]}"
            if walk["seconds"] != base["seconds"] + seconds:
                yield f"takes {walk['seconds']} s, not {base['seconds']} + {seconds}"
            if is_nested(state) and len(set(child_names(walk, task)[:2])) != 1:
                yield "gives a retry of the start another name"

        return Case(but(what, outcome), problems)

    too_long = takes(state["TimeoutSeconds"] + 1)
    at_most_as_usual = range(called(base, task) + 1)
    if (machine.stem, task) != ("handle-request", "SendResponse"):  # it retries every error
        refusal = fails("RefusedError")
        yield from lasting("is refused", "RefusedError", refusal, calls=at_most_as_usual)
    if is_nested(state):
        yield from lasting("takes too long", "States.Timeout", too_long, calls=at_most_as_usual)
    attempts, interval = (state["Retry"][0][key] for key in ("MaxAttempts", "IntervalSeconds"))
    transient = "StepFunctions.ThrottlingException" if is_nested(state) else "TransientError"
    yield recovering("fails once", fails(transient), interval)
    failures = [fails(transient)] * (attempts + 1)
    repeated = range(attempts + 1, 1000)
    yield from lasting("keeps failing", transient, *failures, calls=repeated)
    if is_nested(state):
        # See the table.
        if machine.stem != "handle-request" and not is_detached(state):
            yield rerun_case(task, but("had ended", fails(transient), fails(CHILD_ENDED)), base)
        return
    yield recovering("takes too long once", too_long, state["TimeoutSeconds"] + interval)


def rerun_case(task: str, path: Path, base: Walk) -> Case:
    """The child has ended before a retry of its start: it runs again, under another name."""

    def problems(walk: Walk) -> Iterator[str]:
        usual = [list(each) for each in base["transitions"]]
        at = [name for name, _ in usual].index(task)
        if walk["transitions"] != [*usual[:at], [task, "catch"], *usual[at:]]:
            yield "does not enter the task again"
        if (walk["status"], walk["output"]) != (base["status"], base["output"]):
            yield f"ends in {walk['status']} {walk['output']}"
        first, retried, again = child_names(walk, task)[:3]
        if first != retried or first == again:
            yield f"names the child {first}, on the retry {retried}, and then {again}"

    return Case(path, problems)


def child_names(walk: Walk, task: str) -> list[str]:
    """The names of the executions that a task has started, in order."""
    return [parameters["Name"] for name, parameters in walk["calls"] if name == task]


def catches_all(state: State) -> bool:
    """Whether a failure of a task continues the workflow."""
    return any("States.ALL" in catcher["ErrorEquals"] for catcher in state.get("Catch", []))


def failure_problems(
    machine: Machine, task: str, error: str, base: Walk, walk: Walk
) -> Iterator[str]:
    """A task that fails for good ends the execution with its own error, or is caught."""
    states, usual = entered(walk), entered(base)
    caught = next(
        (
            catcher["Next"]
            for catcher in machine.states[task].get("Catch", [])
            if {error, "States.ALL"} & set(catcher["ErrorEquals"])
        ),
        None,
    )
    if caught and caught not in states:
        yield f"does not enter {caught}"
    if not caught and (states[-1] != task or states != usual[: len(states)]):
        yield f"does not end in {task} on the usual path {usual}"
    is_fatal = not caught or machine.stem in DETECTS_ROLLBACK
    if is_fatal and (walk["status"], walk["error"]) != ("FAILED", error):
        yield f"ends in {walk['status']} {walk['error']}, not in FAILED {error}"


def in_rollback(machine: Machine, path: Path) -> Path:
    """The same path of an update, in its rollback."""
    task = DETECTS_ROLLBACK[machine.stem]
    (outcome,) = path.script().get(task, results(task))
    rollback = returns(**outcome["result"] | {"Rollback": True})
    return replace(path.with_outcomes(task, rollback), name=f"{path.name}, in a rollback")


def rollback_problems(walk: Walk) -> Iterator[str]:
    """A rollback succeeds with a warning."""
    if walk["status"] != "SUCCEEDED":
        yield f"ends in {walk['status']} {walk['error']}, not in SUCCEEDED"
    warnings = [
        parameters.get("Warnings")
        for name, parameters in walk["calls"]
        if name.startswith("Report")
    ]
    if [str(text).startswith("The rollback could not restore the ") for text in warnings] != [True]:
        yield f"reports the warnings {warnings}"
