"""How long CloudFormation takes to create resources, in virtual time.

It waits until IAM knows a role, policy or instance profile everywhere, and until a function is
active. Resources of a type are created side by side, where ministack creates one after another, so
that a type's time passes once for resources that follow each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from localaws.ministack.access import ministack
from localaws.services.cloudhsmv2.settings import Timings

if TYPE_CHECKING:
    from localaws.state import EmulatorState

SECONDS: Mapping[str, Callable[[Timings], float]] = {
    "AWS::IAM::InstanceProfile": lambda timings: timings.create_instance_profile,
    "AWS::IAM::ManagedPolicy": lambda timings: timings.create_policy,
    "AWS::IAM::Policy": lambda timings: timings.create_policy,
    "AWS::IAM::Role": lambda timings: timings.create_role,
    "AWS::Lambda::Function": lambda timings: timings.create_function,
}

_stacks = ministack("services.cloudformation.stacks")


def install(emulator: EmulatorState) -> None:
    """Let time pass once a resource is created."""
    provision = _stacks._provision_resource
    # By stack and type: when those that were created last were complete.
    complete: dict[tuple[str, str], float] = {}

    def provision_slowly(kind: str, logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
        created = provision(kind, logical_id, props, stack_name)
        seconds = SECONDS[kind](emulator.timings) if kind in SECONDS else 0
        now = emulator.clock.now()
        if seconds and complete.get((stack_name, kind), 0) < now:
            complete[stack_name, kind] = now + seconds
            emulator.clock.sleep(seconds)
        return created

    _stacks._provision_resource = provision_slowly
