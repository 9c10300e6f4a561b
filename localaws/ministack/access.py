"""The way to every private part of ministack that the local AWS touches.

ministack is not forked and not changed on disk: what it does otherwise than AWS is replaced as the
process starts. Whatever is touched has to stand in TABLE with its reason; `ministack()` refuses the
rest, and a test fails when a new version of ministack has lost one of them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from localaws.ministack.patched_names import TABLE

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
