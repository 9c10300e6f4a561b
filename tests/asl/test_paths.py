"""Each Choice is taken each way, each Fail reached, each Retry and Catch put to the test.

The paths are walked in the interpreter of the rehearsal, in virtual time; paths.py says what each
state is answered. Of a path that passes a task more are made: the task fails once and recovers,
fails until its Retry gives up, is refused, takes too long.
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.asl.machine import MACHINES, Machine, State, is_nested, ways
from tests.asl.paths import PATHS, USUAL, Answer, Path, fails, takes
from tests.templates.template import ROOT

Walk = dict[str, Any]

# The state whose answer says that the update is a rollback.
ROLLBACK_IS_KNOWN_BY = {"update-cluster": "CheckUpdate", "update-key-store": "CheckKeyStoreUpdate"}

TASKS = [
    pytest.param(machine, name, state, id=f"{machine}-{name}")
    for machine in MACHINES.values()
    for name, state in machine.of_type("Task").items()
]
FUNCTION_TASKS = [task for task in TASKS if not is_nested(task.values[2])]  # type: ignore[arg-type]  # pytest types the values of a parameter set as object
in_every_path = pytest.mark.parametrize("path", PATHS, ids=str)
in_every_machine = pytest.mark.parametrize("machine", MACHINES.values(), ids=repr)
in_every_task = pytest.mark.parametrize(("machine", "name", "state"), TASKS)
in_every_function_task = pytest.mark.parametrize(("machine", "name", "state"), FUNCTION_TASKS)


# ---- walking


def answers(path: Path) -> dict[str, list[Answer]]:
    """What each task on the path is answered."""
    tasks = MACHINES[path.machine].of_type("Task")
    return {
        **{name: [{"forever": USUAL[name]}] for name in tasks if name in USUAL},
        **path.answers,
    }


def walked(many: Sequence[Path]) -> dict[str, Any]:
    """How each path went, by its name; and under "flaws" what is wrong with each definition."""
    work = {
        "machines": {stem: machine.text for stem, machine in MACHINES.items()},
        "paths": [
            {"machine": path.machine, "input": path.input, "answers": answers(path)}
            for path in many
        ],
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.asl.interpreter"],
        input=json.dumps(work),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    )
    told = json.loads(done.stdout)
    walks = zip(many, told["walks"], strict=True)
    return {"flaws": told["flaws"], **{str(path): walk for path, walk in walks}}


@functools.cache
def table() -> dict[str, Any]:
    """The paths of the table, walked."""
    return walked(PATHS)


def states_of(walk: Walk) -> list[str]:
    """The states of a walk, in order."""
    return [name for name, _ in walk["ways"]]


def passing(machine: Machine, task: str) -> Path:
    """The first path of the table that passes a task and comes to its end."""
    for path in PATHS:
        walk = table()[str(path)]
        if path.machine == machine.stem and task in states_of(walk) and path.status == "SUCCEEDED":
            return path
    raise LookupError(f"no path of {machine} that succeeds passes {task}")


def begun(path: Path, task: str, *first: Answer) -> Path:
    """The path, but that a task is answered this at first."""
    return path.answered(task, *first, *answers(path)[task])


# ---- what becomes of a path


class Variations:
    """Every path that is made of the table's, walked at once when the first is asked for."""

    def __init__(self) -> None:
        self._paths: dict[str, Path] = {}
        self._walks: dict[str, Any] = {}

    def walk(self, name: str) -> Walk:
        """How a variation went."""
        self._walk_all()
        walk: Walk = self._walks[str(self._paths[name])]
        return walk

    def of(self, machine: Machine) -> list[Walk]:
        """How every variation of a machine's paths went."""
        self._walk_all()
        return [self._walks[str(p)] for p in self._paths.values() if p.machine == machine.stem]

    def _walk_all(self) -> None:
        if not self._walks:
            for task in TASKS:
                self._add(*task.values)  # type: ignore[arg-type]  # see above
            self._walks = walked(list(self._paths.values()))

    def _add(self, machine: Machine, task: str, state: State) -> None:
        try:
            path = passing(machine, task)
        except LookupError:
            return
        limit = state["TimeoutSeconds"]
        made = {
            "is refused": begun(path, task, fails("RefusedError")),
            "takes too long": begun(path, task, takes(limit + 1)),
        }
        if "Retry" in state:
            attempts = state["Retry"][0]["MaxAttempts"]
            made["fails once"] = begun(path, task, fails("TransientError"))
            made["fails on and on"] = begun(path, task, *[fails("TransientError")] * (attempts + 1))
        for what, variation in made.items():
            self._keep(f"{machine} {task} {what}", variation)
            if machine.stem in ROLLBACK_IS_KNOWN_BY and "Catch" in state:
                self._keep(f"{machine} {task} {what} in a rollback", in_a_rollback(variation))

    def _keep(self, name: str, path: Path) -> None:
        self._paths[name] = replace(path, name=name)


def in_a_rollback(path: Path) -> Path:
    """The path of an update, taken by its rollback."""
    state = ROLLBACK_IS_KNOWN_BY[path.machine]
    (answer,) = path.answers.get(state, [USUAL[state]])
    return path.answered(state, {"result": {**answer["result"], "Rollback": True}})


VARIATIONS = Variations()


def caught_by(state: State, error: str) -> str | None:
    """Where an error of a task leads to; None if it ends the execution."""
    for catcher in state.get("Catch", []):
        if error in catcher["ErrorEquals"] or "States.ALL" in catcher["ErrorEquals"]:
            return str(catcher["Next"])
    return None


def assert_failed(machine: Machine, name: str, state: State, what: str, error: str) -> None:
    """A task that fails for good ends the execution with its own error, or is caught."""
    base = table()[str(passing(machine, name))]
    walk = VARIATIONS.walk(f"{machine} {name} {what}")
    caught = caught_by(state, error)
    if caught is None:
        assert (walk["status"], walk["error"]) == ("FAILED", error)
        assert states_of(walk)[-1] == name
        assert states_of(walk) == states_of(base)[: len(walk["ways"])]
    else:
        assert caught in states_of(walk)
    if machine.stem in ROLLBACK_IS_KNOWN_BY and caught:
        assert (walk["status"], walk["error"]) == ("FAILED", error)
        rolled_back = VARIATIONS.walk(f"{machine} {name} {what} in a rollback")
        assert rolled_back["status"] == "SUCCEEDED"
        (warned,) = (given for state, given in rolled_back["calls"] if state.startswith("Report"))
        assert warned["Warnings"].startswith("The rollback could not restore the ")


# ---- the table


def test_no_two_paths_of_a_machine_have_one_name() -> None:
    assert len({str(path) for path in PATHS}) == len(PATHS)


def test_every_machine_has_paths_and_every_path_a_machine() -> None:
    assert {path.machine for path in PATHS} == set(MACHINES)


@in_every_machine
def test_step_functions_takes_the_definition(machine: Machine) -> None:
    assert table()["flaws"][machine.stem] == []


@in_every_path
def test_a_path_ends_as_it_should(path: Path) -> None:
    walk = table()[str(path)]
    assert (walk["status"], walk["error"]) == (path.status, path.error), walk["cause"]
    assert [part for part in path.cause if part not in (walk["cause"] or "")] == []
    if path.output:
        assert path.output.items() <= walk["output"].items()
    if path.seconds is not None:
        assert walk["seconds"] == path.seconds


@in_every_path
def test_a_path_leads_through_the_right_states(path: Path) -> None:
    states = states_of(table()[str(path)])
    assert set(path.without) & set(states) == set()
    position = 0
    for wanted in path.through:
        assert wanted in states[position:], f"{wanted} does not follow in {states}"
        position = states.index(wanted, position) + 1


@in_every_path
def test_a_path_uses_up_its_answers(path: Path) -> None:
    walk = table()[str(path)]
    assert [name for name in walk["left"] if name in path.answers] == []


@in_every_path
def test_a_cause_reads_well(path: Path) -> None:
    walk = table()[str(path)]
    last = MACHINES[path.machine].states[states_of(walk)[-1]]
    if last["Type"] == "Fail":
        assert re.fullmatch(r"[A-Za-z].*[.a-z)] \[(cluster-2example3id|cks-\w+)\]", walk["cause"])
        assert not re.search(r"\{|\}|\$|  |\.\.| \.|None|null", walk["cause"])


# ---- coverage


@in_every_machine
def test_every_choice_is_taken_each_way_and_every_state_is_reached(machine: Machine) -> None:
    walks = [table()[str(path)] for path in PATHS if path.machine == machine.stem]
    walks += VARIATIONS.of(machine)
    taken = {(name, way) for walk in walks for name, way in walk["ways"]}
    wanted = {
        (name, way.split()[0] if way.startswith("catch") else way)
        for name, state in machine.states.items()
        for way, _ in [*ways(state)] or [("end", "")]
    }
    assert wanted - taken == set()


@in_every_task
def test_every_task_is_passed_by_a_path_that_succeeds(
    machine: Machine, name: str, state: State
) -> None:
    assert passing(machine, name)


# ---- retries and catches


@in_every_function_task
def test_a_task_that_fails_once_is_repeated_and_the_path_goes_on(
    machine: Machine, name: str, state: State
) -> None:
    path = passing(machine, name)
    base = table()[str(path)]
    walk = VARIATIONS.walk(f"{machine} {name} fails once")
    assert walk["status"] == base["status"]
    assert walk["output"] == base["output"] or name == "RunLifecycle"
    assert walk["ways"] == base["ways"]
    assert walk["seconds"] == base["seconds"] + state["Retry"][0]["IntervalSeconds"]


@in_every_function_task
def test_a_task_that_fails_on_and_on_is_given_up(machine: Machine, name: str, state: State) -> None:
    assert_failed(machine, name, state, "fails on and on", "TransientError")
    walk = VARIATIONS.walk(f"{machine} {name} fails on and on")
    times = [called for called, _ in walk["calls"]].count(name)
    assert times >= state["Retry"][0]["MaxAttempts"] + 1


@in_every_task
def test_a_task_that_is_refused_is_not_repeated(machine: Machine, name: str, state: State) -> None:
    if (machine.stem, name) == ("handle-request", "SendResponse"):
        return  # the answer is repeated whatever went wrong
    assert_failed(machine, name, state, "is refused", "RefusedError")
    walk = VARIATIONS.walk(f"{machine} {name} is refused")
    base = [called for called, _ in table()[str(passing(machine, name))]["calls"]]
    assert [called for called, _ in walk["calls"]].count(name) <= base.count(name)


@in_every_task
def test_a_task_that_takes_too_long_is_repeated_if_it_is_a_function_s_and_else_fails(
    machine: Machine, name: str, state: State
) -> None:
    if is_nested(state):
        assert_failed(machine, name, state, "takes too long", "States.Timeout")
    else:
        base = table()[str(passing(machine, name))]
        walk = VARIATIONS.walk(f"{machine} {name} takes too long")
        assert walk["ways"] == base["ways"]
        waited = state["TimeoutSeconds"] + state["Retry"][0]["IntervalSeconds"]
        assert walk["seconds"] == base["seconds"] + waited
