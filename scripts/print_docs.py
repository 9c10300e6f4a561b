"""Prints into the documents what programs know: state machines, parameters, permissions, errors."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from scripts import describe_changes, describe_errors, describe_templates, draw_statemachines


def blocks() -> dict[Path, dict[str, str]]:
    """What stands in each document between the marks of each name."""
    machines = draw_statemachines.all_machines()
    found = describe_templates.all_templates()
    docs = Path("docs")
    return {
        Path("README.md"): {
            "parameters": describe_templates.parameters(found),
            "which parameter may change": describe_changes.changes(
                found, describe_changes.PROPERTIES.read_text()
            ),
        },
        docs / "internals.md": {
            "state machines": draw_statemachines.chapter(machines),
            "permissions": describe_templates.permissions(found),
        },
        docs / "operations.md": {
            "failures": draw_statemachines.failures(machines),
            "errors": describe_errors.table(describe_errors.ERRORS.read_text()),
        },
    }


def printed(text: str, name: str, block: str) -> str:
    """The document with this block between its marks."""
    begin, end = f"<!-- {name}: printed by make docs -->", f"<!-- end of {name} -->"
    pattern = re.escape(begin) + ".*?" + re.escape(end)
    if len(re.findall(pattern, text, re.DOTALL)) != 1:
        raise ValueError(f"exactly one pair of marks is needed: {begin} and {end}")
    return re.sub(pattern, lambda _: f"{begin}\n\n{block}\n\n{end}", text, flags=re.DOTALL)


def main(arguments: list[str] | None = None) -> int:
    """The command line; with --check nothing is written, and 1 says that something is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say which documents are stale")
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
