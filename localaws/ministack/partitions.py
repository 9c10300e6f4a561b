"""ARNs and AWS::Partition outside the partition aws.

ministack knows only this partition and spells it in some 600 string literals, which are replaced as
its modules are loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

from localaws.core.partitions import partition_of
from localaws.ministack.access import ministack

DEFAULT = "aws"
PACKAGE = "ministack"
LITERALS = ("arn:{}:", '"AWS::Partition": "{}"', 'partition != "{}"')

_responses = ministack("core.responses")


def partition() -> str:
    """The partition of the current request."""
    return partition_of(_responses.get_region())


def install(region: str) -> None:
    """Load ministack for the partition of a Region; before its first import."""
    name = partition_of(region)
    if name != DEFAULT:
        sys.meta_path.insert(0, _Finder(name))


class _Finder(MetaPathFinder):
    """Finds ministack's modules, to be loaded with another partition."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The specification of a module of ministack; None for others."""
        if fullname.partition(".")[0] != PACKAGE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(fullname, spec.loader.path, self._name)
        return spec


class _Loader(SourceFileLoader):
    """Compiles a module with another partition, without the bytecode of the original."""

    def __init__(self, fullname: str, path: str, name: str) -> None:
        super().__init__(fullname, path)
        self._name = name

    def get_code(self, fullname: str) -> CodeType:
        """The module's code."""
        source = self.get_source(fullname) or ""
        for literal in LITERALS:
            source = source.replace(literal.format(DEFAULT), literal.format(self._name))
        code: CodeType = compile(source, self.path, "exec", dont_inherit=True)
        return code
