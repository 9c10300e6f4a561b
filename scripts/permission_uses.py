"""What the roles' permissions were used for, as recorded in scripts/permission_uses.json.

Each scenario and each least-privilege run writes a file below build/permissions. `python -m
scripts.permission_uses` merges them into the recording: into all of it if every scenario has run,
as after `make check`, otherwise into what it lacks.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rehearsal.scenarios import SCENARIOS
from scripts.describe_permissions import statements
from scripts.templates import Template, load_all

RUNS = Path("build") / "permissions"
RECORDING = Path(__file__).with_suffix(".json")
# Runs that are named; more are counted.
NAMED = 3

# Template, role, statement and action, joined by spaces.
Uses = dict[str, list[str]]


def granted(templates: dict[str, Template]) -> list[str]:
    """Every action of every statement, in the order of the templates."""
    return [
        f"{Path(name).stem} {role} {statement['Sid']} {action}"
        for name, template in templates.items()
        for role, statement in statements(template)
        for action in (
            [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        )
    ]


def recorded() -> Uses:
    """The runs that used each granted action; the last entry of a long list is a number."""
    found: Uses = json.loads(RECORDING.read_text())
    return found


def merged(templates: dict[str, Template], runs: Path) -> Uses:
    """The runs below a directory that used each granted action."""
    kinds = {
        resource["Type"]: Path(name).stem
        for name, template in templates.items()
        for resource in template["Resources"].values()
        if resource["Type"].startswith("Custom::")
    }
    uses: Uses = {grant: [] for grant in granted(templates)}
    for path in sorted(runs.glob("*.json")):
        for kind, *use in json.loads(path.read_text()):
            # Released versions have other statements.
            grant = " ".join((kinds[kind], *use))
            if grant in uses:
                uses[grant].append(path.stem)
    return uses


def shortened(uses: Uses) -> Uses:
    """A few names for each action, then how many more there are."""
    return {
        grant: names
        if len(names) <= NAMED or names[-1].isdigit()
        else [*names[:NAMED], str(len(names) - NAMED)]
        for grant, names in uses.items()
    }


def main() -> int:
    """Write the recording; returns 1 if a granted action was used by no run."""
    uses = merged(load_all(), RUNS)
    if not all((RUNS / f"{name}.json").exists() for name in SCENARIOS):
        known = recorded() if RECORDING.exists() else {}
        uses |= {grant: runs for grant, runs in known.items() if grant in uses and runs}
    unused = [grant for grant, names in uses.items() if not names]
    for grant in unused:
        print(f"used by no run: {grant}", file=sys.stderr)
    if not unused:
        RECORDING.write_text(json.dumps(shortened(uses), indent=1) + "\n")
    return 1 if unused else 0


if __name__ == "__main__":
    sys.exit(main())
