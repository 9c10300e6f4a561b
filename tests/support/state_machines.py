"""A state machine as tests read it: its states, the transitions between them, and its text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.templates.template import ROOT, TEMPLATES, Template, kebab

State = dict[str, Any]

PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


class Machine:
    """One file of statemachines/."""

    def __init__(self, path: Path) -> None:
        self.stem = path.name.removesuffix(".asl.json")
        self.text = path.read_text(encoding="utf-8")
        self.body: dict[str, Any] = json.loads(self.text)
        self.states: dict[str, State] = self.body["States"]

    def __repr__(self) -> str:
        return self.stem

    @property
    def templates(self) -> list[Template]:
        """The templates that deploy this machine."""
        return [template for template in TEMPLATES if self.stem in template.machines()]

    def of_type(self, kind: str) -> dict[str, State]:
        """The states of one type, by name."""
        return {name: state for name, state in self.states.items() if state["Type"] == kind}

    def function_tasks(self) -> dict[str, State]:
        """The Task states that call a function, by name."""
        return {name: s for name, s in self.of_type("Task").items() if not is_nested(s)}

    def nested_tasks(self) -> dict[str, State]:
        """The Task states that run another machine, by name."""
        return {name: s for name, s in self.of_type("Task").items() if is_nested(s)}

    def placeholders(self) -> set[str]:
        """The names that a template substitutes."""
        return set(PLACEHOLDER.findall(self.text))


def is_nested(state: State) -> bool:
    """Whether a Task runs another machine."""
    return ":states:startExecution" in state["Resource"]


def is_detached(state: State) -> bool:
    """Whether a Task starts a machine without waiting for its end."""
    return str(state["Resource"]).endswith(":states:startExecution")


def child(state: State) -> str | None:
    """The stem of the machine that a Task runs; None if the input decides."""
    target = state["Parameters"].get("StateMachineArn")
    return kebab(target[2:-1].removesuffix("StateMachineArn")) if target else None


def transitions(state: State) -> Iterator[tuple[str, str]]:
    """Each transition out of a state: its kind, such as "choice 0", and the next state."""
    for number, choice in enumerate(state.get("Choices", [])):
        yield f"choice {number}", choice["Next"]
    if "Default" in state:
        yield "default", state["Default"]
    if "Next" in state:
        yield "next", state["Next"]
    for catcher in state.get("Catch", []):
        yield f"catch {','.join(catcher['ErrorEquals'])}", catcher["Next"]


MACHINES = {
    machine.stem: machine
    for machine in map(Machine, sorted((ROOT / "statemachines").glob("*.asl.json")))
}
