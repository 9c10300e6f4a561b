"""The source of the functions: which fields of its event a step reads, and what it returns."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.templates.template import ROOT

PACKAGE = "hsm_lifecycle"
SOURCES = ROOT / "functions" / PACKAGE
MODULES = {
    ".".join(path.relative_to(SOURCES).with_suffix("").parts): ast.parse(path.read_text("utf-8"))
    for path in sorted(SOURCES.rglob("*.py"))
}

Bindings = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Function:
    """A function of the package: its module, its definition."""

    module: str
    definition: ast.FunctionDef

    @property
    def parameters(self) -> list[str]:
        """The names of its parameters, without `cls` and `self`."""
        arguments = self.definition.args
        names = [argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)]
        return [name for name in names if name not in ("cls", "self")]


@dataclass(frozen=True)
class Reads:
    """The keys that a function reads from a mapping, required and optional."""

    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()

    def __or__(self, other: Reads) -> Reads:
        required = self.required | other.required
        return Reads(required, (self.optional | other.optional) - required)


def function(module: str, name: str) -> Function:
    """The function of that name; "outer.inner" for one inside a class or another function."""
    found: ast.Module | ast.ClassDef | ast.FunctionDef = MODULES[module]
    for wanted in name.split("."):
        found = next(
            node
            for node in found.body
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == wanted
        )
    if not isinstance(found, ast.FunctionDef):
        raise KeyError(name)
    return Function(module, found)


def of(step: Callable[..., Any]) -> Function:
    """The source of a function object."""
    return function(step.__module__.removeprefix(f"{PACKAGE}."), step.__qualname__)


def reads(of_function: Function, parameter: str = "event", bound: Bindings = ()) -> Reads:
    """The keys that a function reads from a parameter, directly or in functions it passes it to."""
    return _reads(of_function.module, of_function.definition, parameter, bound)


@functools.cache
def _reads(module: str, definition: ast.FunctionDef, parameter: str, bound: Bindings) -> Reads:
    found, known = Reads(), dict(bound)

    def text(node: ast.expr) -> str:
        if isinstance(node, ast.Constant):
            return str(node.value)
        assert isinstance(node, ast.Name), ast.unparse(node)
        return known[node.id]

    def is_it(node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id == parameter

    for node in ast.walk(definition):
        if isinstance(node, ast.Subscript) and is_it(node.value):
            found |= Reads(required=frozenset({text(node.slice)}))
        elif isinstance(node, ast.Compare) and is_it(node.comparators[0]):
            found |= Reads(optional=frozenset({text(node.left)}))
        elif isinstance(node, ast.Call):
            callee = node.func
            if isinstance(callee, ast.Attribute) and is_it(callee.value):
                assert callee.attr == "get", ast.unparse(node)
                found |= Reads(optional=frozenset({text(node.args[0])}))
            elif any(map(is_it, [*node.args, *(keyword.value for keyword in node.keywords)])):
                found |= _handed_on(module, node, is_it)
    return found


def _handed_on(module: str, call: ast.Call, is_it: Callable[[ast.expr], bool]) -> Reads:
    target = resolved(module, call.func)
    assert target is not None, f"{module}: cannot resolve {ast.unparse(call)}?"
    given = dict(zip(target.parameters, call.args, strict=False))
    given |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    bound = tuple(
        (name, value.value)
        for name, value in given.items()
        if isinstance(value, ast.Constant) and isinstance(value.value, str)
    )
    found = Reads()
    for name, value in given.items():
        if is_it(value):
            found |= reads(target, name, bound)
    return found


def resolved(module: str, callee: ast.expr) -> Function | None:
    """The function of the package that a call refers to; None for other functions."""
    parts = ast.unparse(callee).split(".")
    if parts[0] in _imports(module):
        module, name = _imports(module)[parts[0]]
        parts = [*([name] if name else []), *parts[1:]]
    try:
        return function(module, ".".join(parts))
    except (StopIteration, KeyError):
        return None


@functools.cache
def _imports(module: str) -> dict[str, tuple[str, str]]:
    """A module's imports from the package: local name to (module, name)."""
    found: dict[str, tuple[str, str]] = {}
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(PACKAGE):
            package = node.module.removeprefix(PACKAGE).lstrip(".")
            for alias in node.names:
                submodule = f"{package}.{alias.name}".lstrip(".")
                found[alias.asname or alias.name] = (
                    (submodule, "") if submodule in MODULES else (package, alias.name)
                )
    return found


def reached(start: Function) -> Iterator[Function]:
    """A function and all functions of the package that it calls, directly or indirectly."""
    seen: set[Function] = set()
    pending = [start]
    while pending:
        current = pending.pop()
        if current not in seen:
            seen.add(current)
            yield current
            calls = [n for n in ast.walk(current.definition) if isinstance(n, ast.Call)]
            pending += [f for call in calls if (f := resolved(current.module, call.func))]


def keys_made(step: Callable[..., Any]) -> set[str]:
    """Every key of a dictionary in the source of a step and the functions it calls."""
    return {
        key.value
        for reached_function in reached(of(step))
        for node in ast.walk(reached_function.definition)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    } | {
        keyword.arg
        for reached_function in reached(of(step))
        for node in ast.walk(reached_function.definition)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg
    }


def constructed(name: str) -> bool:
    """Whether the package constructs a class."""
    return any(
        isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == name
        for tree in MODULES.values()
        for node in ast.walk(tree)
    )


def classes(module: Any) -> list[str]:
    """The names of the classes that a module defines."""
    return [
        name
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__
    ]
