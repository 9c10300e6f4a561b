"""Every call of a step by a state machine, as the templates wire them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hsm_lifecycle import handlers
from tests.support.state_machines import MACHINES, PLACEHOLDER, Machine, State
from tests.templates.template import TEMPLATES, Template

Step = Callable[..., Any]
WORKERS = {
    name: found for name in handlers.NAMES if hasattr(found := getattr(handlers, name), "steps")
}


@dataclass(frozen=True)
class Call:
    """A Task that calls a step, in a machine that a template deploys."""

    template: Template
    machine: Machine
    name: str
    state: State

    def __str__(self) -> str:
        return f"{self.template} {self.machine} {self.name}"

    @property
    def step(self) -> Step | None:
        """The step in the function behind the task's placeholder; None if it has no such step."""
        (placeholder,) = PLACEHOLDER.findall(self.state["Resource"])
        worker = handler(self.template, self.template.supplier(self.machine.stem, placeholder))
        return steps(worker).get(self.state["Parameters"]["Step"])

    @property
    def given(self) -> set[str]:
        """The fields that the task gives to the step."""
        return {key.removesuffix(".$") for key in self.state["Parameters"]}


def handler(template: Template, function: str) -> Any:
    """What Lambda calls for a function of a template."""
    module, _, name = template.resources[function]["Properties"]["Handler"].rpartition(".")
    return getattr(importlib.import_module(module), name)


def steps(worker: Any) -> dict[str, Step]:
    """The steps of a worker by their names in the state machines."""
    by_name: dict[str, Step] = worker.steps
    return by_name


CALLS = [
    Call(template, machine, name, state)
    for template in TEMPLATES
    for machine in (MACHINES[stem] for stem in template.machines())
    for name, state in machine.function_tasks().items()
    if "Parameters" in state
]
