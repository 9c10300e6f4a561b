"""Formats the state machines: compact JSON, the same bytes for the same content.

What fits within 100 columns goes on one line. What does not is broken at its own brackets: an
object starts a line of its own, other values fill their lines. Keys keep their order.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

COLUMNS = 100
MACHINES = Path("statemachines")


def formatted(text: str) -> str:
    """The same JSON in our format. Raises ValueError if it is invalid or repeats a key."""
    value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    return "\n".join(_lines(value, indent="", before="", after="")) + "\n"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if repeated := [key for key in dict.fromkeys(keys) if keys.count(key) > 1]:
        raise ValueError(f"duplicate keys: {', '.join(repeated)}")
    return dict(pairs)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _lines(value: Any, *, indent: str, before: str, after: str) -> list[str]:
    """A value with its key in front and its comma behind, as one line or broken."""
    line = indent + before + _dumped(value) + after
    if len(line) <= COLUMNS or not value or not isinstance(value, dict | list):
        return [line]
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        return _lines(value[0], indent=indent, before=f"{before}[", after=f"]{after}")
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return [
        indent + before + opening,
        *_members(value, indent + "  "),
        indent + closing + after,
    ]


def _members(value: dict[str, Any] | list[Any], indent: str) -> list[str]:
    """The lines between the brackets of a broken value."""
    if isinstance(value, dict):
        members = [
            (f"{json.dumps(key, ensure_ascii=False)}: ", part) for key, part in value.items()
        ]
    else:
        members = [("", part) for part in value]
    lines: list[str] = []
    joinable = False  # whether the last line may take another member
    for number, (before, part) in enumerate(members, 1):
        after = "," if number < len(members) else ""
        added = _lines(part, indent=indent, before=before, after=after)
        is_short = len(added) == 1 and not _has_object(part)
        if joinable and is_short and len(lines[-1]) + len(added[0].lstrip()) < COLUMNS:
            lines[-1] += f" {added[0].lstrip()}"
        else:
            lines += added
        joinable = is_short
    return lines


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _has_object(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(map(_has_object, value)))


def main(arguments: list[str]) -> int:
    """Rewrite the state machines; with --check, only name what is invalid or not formatted."""
    check = "--check" in arguments
    paths = [Path(name) for name in arguments if name != "--check"]
    problems = []
    for path in paths or sorted(MACHINES.glob("*.json")):
        text = path.read_text(encoding="utf-8")
        try:
            formatted_text = formatted(text)
        except ValueError as error:
            problems.append(f"{path}: {error}")
            continue
        if check and text != formatted_text:
            problems.append(f"{path}: not formatted, run `make format`")
        elif not check and text != formatted_text:
            path.write_text(formatted_text, encoding="utf-8")
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
