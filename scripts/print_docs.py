"""Prints generated tables and diagrams into the documents, between their markers."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from scripts import (
    describe_assumptions,
    describe_errors,
    describe_failures,
    describe_permissions,
    describe_templates,
    describe_updates,
    draw_statemachines,
    permission_uses,
    statemachines,
    templates,
)
from scripts.parameter_readers import Source


def blocks() -> dict[Path, dict[str, str]]:
    """The generated blocks of each document by name."""
    machines, found = statemachines.load_all(), templates.load_all()
    docs = Path("docs")
    return {
        docs / "parameters.md": {
            "parameters": describe_templates.parameters(found, machines, Source.read()),
            "outputs": describe_templates.outputs(found),
            "which parameter may change": describe_updates.updates(
                found, describe_updates.PROPERTIES.read_text()
            ),
        },
        docs / "not-proven.md": {"assumptions": describe_assumptions.assumptions()},
        docs / "internals.md": {"state machines": draw_statemachines.chapter(machines)},
        docs / "permissions.md": {
            "permissions": describe_permissions.permissions(
                found,
                {path.name: path.read_text() for path in templates.all_paths()},
                permission_uses.recorded(),
            ),
        },
        docs / "operations.md": {
            "failures": describe_failures.failures(machines),
            "errors": describe_errors.table(describe_errors.ERRORS.read_text()),
        },
    }


def printed(text: str, name: str, block: str) -> str:
    """The document with a block between its markers. Raises ValueError without exactly one pair."""
    begin, end = f"<!-- {name}: printed by make docs -->", f"<!-- end of {name} -->"
    pattern = re.escape(begin) + ".*?" + re.escape(end)
    if len(re.findall(pattern, text, re.DOTALL)) != 1:
        raise ValueError(f"expected exactly one pair of markers: {begin} and {end}")
    return re.sub(pattern, lambda _: f"{begin}\n\n{block}\n\n{end}", text, flags=re.DOTALL)


def main(arguments: list[str] | None = None) -> int:
    """Write stale documents; with --check, only name them and return 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only name stale documents")
    check: bool = parser.parse_args(arguments).check
    stale = False
    for path, named in blocks().items():
        before = after = path.read_text()
        for name, block in named.items():
            after = printed(after, name, block)
        if after == before:
            continue
        if check:
            stale = True
            print(f"{path} is stale: run `make docs`.", file=sys.stderr)
        else:
            path.write_text(after)
            print(path)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
