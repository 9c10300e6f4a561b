"""Constraints of botocore's shapes: required, enum, pattern, length and range.

botocore itself checks types, required members and minimums before it sends a request; AWS checks
all of them when it receives one, and words its errors as `message` does.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import regex

NUMBERS = frozenset({"integer", "long", "float", "double"})
# Python types of a shape's values as parsed from JSON; bytes may be base64 text.
TYPES: Mapping[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list, tuple),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "blob": (str, bytes, bytearray),
}


@dataclass(frozen=True)
class Violation:
    """A value that breaks a constraint of its shape."""

    # Such as "subnetIds.2.member".
    path: str
    value: Any
    constraint: str
    # "required", "type", "enum", "pattern", "length" or "range".
    kind: str
    # AWS does not repeat the values of shapes that are marked as sensitive.
    is_sensitive: bool = False

    def __str__(self) -> str:
        if self.is_sensitive and self.value is not None:
            value = "Value"
        else:
            value = f"Value {_quoted(self.value)}"
        return f"{value} at '{self.path}' failed to satisfy constraint: {self.constraint}"


def message(violations: Sequence[Violation]) -> str:
    """The error message of AWS for these violations."""
    count = len(violations)
    return f"{count} validation error{'s' if count > 1 else ''} detected: " + "; ".join(
        map(str, violations)
    )


def violations(shape: Any, value: Any, path: str = "") -> Iterator[Violation]:
    """Every constraint of a botocore shape that a parsed value breaks.

    Members that the shape does not have are ignored, as AWS ignores them.
    """
    kind = shape.type_name
    expected = TYPES.get(kind)
    if expected and (not isinstance(value, expected) or _is_wrong_bool(kind, value)):
        constraint = f"Member must be of type {kind}"
        yield Violation(path, value, constraint, "type", _is_sensitive(shape))
    elif kind == "structure":
        if not getattr(shape, "is_document_type", False):
            yield from _structure_violations(shape, value, path)
    elif kind == "list":
        yield from _list_violations(shape, value, path)
    elif kind == "map":
        yield from _size_violations(shape, len(value), value, path)
        for key, member in value.items():
            yield from violations(shape.key, key, f"{path}.key")
            yield from violations(shape.value, member, f"{path}.{key}.member")
    else:
        for constraint, broken in _scalar_constraints(shape, value):
            yield Violation(path, value, constraint, broken, _is_sensitive(shape))


def _structure_violations(shape: Any, value: Mapping[str, Any], path: str) -> Iterator[Violation]:
    for name, member in shape.members.items():
        inner = f"{path}.{_wire_name(name)}" if path else _wire_name(name)
        given = value.get(name)
        if given is not None:
            yield from violations(member, given, inner)
        elif name in shape.required_members:
            yield Violation(inner, None, "Member must not be null", "required")


def _list_violations(shape: Any, value: Sequence[Any], path: str) -> Iterator[Violation]:
    yield from _size_violations(shape, len(value), value, path)
    if shape.member.type_name not in ("structure", "list", "map"):
        broken = {
            constraint: kind
            for each in value
            for constraint, kind in (
                (violation.constraint, violation.kind)
                for violation in violations(shape.member, each)
            )
        }
        if broken:
            constraint = f"Member must satisfy constraint: [{', '.join(broken)}]"
            sensitive = _is_sensitive(shape) or _is_sensitive(shape.member)
            yield Violation(path, value, constraint, next(iter(broken.values())), sensitive)
        return
    for number, each in enumerate(value, 1):
        yield from violations(shape.member, each, f"{path}.{number}.member")


def _size_violations(shape: Any, size: int, value: Any, path: str) -> Iterator[Violation]:
    for constraint in _bounds(shape.metadata, size, "length"):
        yield Violation(path, value, constraint, "length", _is_sensitive(shape))


def _scalar_constraints(shape: Any, value: Any) -> Iterator[tuple[str, str]]:
    """The broken constraints of a string, blob or number, and their kinds."""
    metadata = shape.metadata
    if shape.type_name in NUMBERS:
        for constraint in _bounds(metadata, value, "value"):
            yield constraint, "range"
    elif shape.type_name in ("string", "blob"):
        if metadata.get("enum") and value not in metadata["enum"]:
            yield f"Member must satisfy enum value set: [{', '.join(metadata['enum'])}]", "enum"
        for constraint in _bounds(metadata, _length(shape, value), "length"):
            yield constraint, "length"
        pattern = metadata.get("pattern")
        if pattern and isinstance(value, str) and not _matches(pattern, value):
            yield f"Member must satisfy regular expression pattern: {pattern}", "pattern"


def _length(shape: Any, value: str | bytes) -> int:
    """The length of a string, or of a blob, which JSON has in base64."""
    if shape.type_name == "blob" and isinstance(value, str):
        return len(base64.b64decode(value))
    return len(value)


def _bounds(metadata: Mapping[str, Any], size: float, what: str) -> Iterator[str]:
    if "max" in metadata and size > metadata["max"]:
        yield f"Member must have {what} less than or equal to {metadata['max']}"
    if "min" in metadata and size < metadata["min"]:
        yield f"Member must have {what} greater than or equal to {metadata['min']}"


def _matches(pattern: str, value: str) -> bool:
    return compiled(pattern).fullmatch(value) is not None


@functools.cache
def compiled(pattern: str) -> Any:
    """A pattern as Java understands it, which matches whole values."""
    return regex.compile(pattern)


def _is_wrong_bool(kind: str, value: Any) -> bool:
    """Whether a boolean stands where a number must, which Python takes for one."""
    return kind in NUMBERS and isinstance(value, bool)


def _is_sensitive(shape: Any) -> bool:
    return bool(shape.metadata.get("sensitive"))


def _wire_name(name: str) -> str:
    return name[0].lower() + name[1:]


def _quoted(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, list | tuple):
        return f"'[{', '.join(map(str, value))}]'"
    return f"'{value}'"
