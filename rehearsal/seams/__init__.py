"""Every private part of ministack that the rehearsal touches, and the way to reach it.

ministack is not forked and not changed on disk: what it does otherwise than AWS is replaced as the
process starts. Whatever is touched has to stand in TABLE with its reason; `ministack()` refuses the
rest, and a test fails when a new version of ministack has lost one of them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rehearsal.seams.table import TABLE

if TYPE_CHECKING:
    from rehearsal.world import World

VERSION = "1.5.33"


class UnlistedSeamError(Exception):
    """Somebody reached for a part of ministack that the table does not name."""


class Seams:
    """One module of ministack, as far as TABLE lists it: set an attribute to replace it."""

    def __init__(self, module: str) -> None:
        vars(self)["name"] = module

    @property
    def module(self) -> ModuleType:
        """The module itself, which is imported anew for another Region (server.py)."""
        name = f"ministack.{vars(self)['name']}"
        return sys.modules.get(name) or importlib.import_module(name)

    def _listed(self, attribute: str) -> str:
        if attribute not in TABLE[vars(self)["name"]]:
            raise UnlistedSeamError(f"ministack.{vars(self)['name']}.{attribute}")
        return attribute

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self.module, self._listed(attribute))

    def __setattr__(self, attribute: str, value: Any) -> None:
        if not hasattr(self.module, attribute):
            raise AttributeError(f"{self.module.__name__} has no {attribute} to replace")
        setattr(self.module, self._listed(attribute), value)


def ministack(module: str) -> Any:
    """The listed parts of ministack's module of that name, such as "services.ec2"."""
    return Seams(module)


def read_ahead(services: Iterable[str]) -> None:
    """Have ministack read what it keeps of the SDK's descriptions of these services."""
    actions, responses = ministack("core.iam_actions"), ministack("core.responses")
    for service in services:
        responses._service_model(service)
        actions._tag_operations(service)
        actions.unsigned_operations(service)


class Installed:
    """What the server needs of a ministack that the seams have been put into."""

    def __init__(self, world: World) -> None:
        from rehearsal.seams import (
            cloudformation,
            custom_resources,
            events,
            execution_logs,
            gateway,
            iam,
            instances,
            lambda_functions,
            nested_executions,
            networks,
            resources,
            services,
            state_machines,
            states_language,
            step_functions,
            templates,
        )

        self._world = world
        gateway.install(world)
        iam.install(world)
        networks.install(world)
        self._instances = instances.install(world)
        models = services.Models(world, self._instances)
        services.install(world, models)
        lambda_functions.install(world)
        events.install(world)
        executions = step_functions.install(world)
        nested_executions.install(world, executions)
        states_language.install(world)
        state_machines.install(world)
        execution_logs.install(world)
        templates.install(world)
        requests = custom_resources.install(world)
        cloudformation.install(world, requests)
        resources.install(world, models, self._instances)

    @property
    def application(self) -> Any:
        """The ASGI application."""
        return ministack("app").app

    def network(self) -> dict[str, Any]:
        """The VPC that is there from the beginning, and its subnets, one in each of three zones."""
        ec2 = ministack("services.ec2")
        ec2._ensure_defaults_initialized()
        return {"vpc": ec2._DEFAULT_VPC_ID, "subnets": sorted(ec2._subnets)}

    def close(self) -> None:
        """End every process that the world has started."""
        self._world.environments.close()
        self._instances.close()
        self._world.command_server.close()


def install(world: World) -> Installed:
    """Replace what ministack does otherwise than AWS, and add what it lacks."""
    return Installed(world)
