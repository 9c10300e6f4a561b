"""Access to ministack's private names.

ministack is used unmodified; where it differs from AWS, its functions are replaced at startup
(and outside the partition aws, the partition in its literals: partitions.py).
`ministack()` reaches only the names listed in patched_names.TABLE, and a test fails if the
installed version lacks one of them.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from localaws.ministack.patched_names import TABLE

VERSION = "1.5.33"


class UnlistedNameError(Exception):
    """A name of ministack that patched_names.TABLE does not list."""


class PatchedModule:
    """A module of ministack, limited to the names in TABLE. Set an attribute to replace it."""

    def __init__(self, module: str) -> None:
        vars(self)["name"] = module

    @property
    def module(self) -> ModuleType:
        """The module itself, looked up each time: server.py reloads ministack for each Region."""
        name = f"ministack.{vars(self)['name']}"
        return sys.modules.get(name) or importlib.import_module(name)

    def _listed(self, attribute: str) -> str:
        if attribute not in TABLE[vars(self)["name"]]:
            raise UnlistedNameError(f"ministack.{vars(self)['name']}.{attribute}")
        return attribute

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self.module, self._listed(attribute))

    def __setattr__(self, attribute: str, value: Any) -> None:
        if not hasattr(self.module, attribute):
            raise AttributeError(f"{self.module.__name__} has no attribute {attribute}")
        setattr(self.module, self._listed(attribute), value)


def ministack(module: str) -> Any:
    """The listed names of a module of ministack, such as "services.ec2"."""
    return PatchedModule(module)
