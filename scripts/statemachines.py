"""Loads the state machine definitions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MACHINES = Path("statemachines")
Machine = dict[str, Any]
State = dict[str, Any]


def load_all(directory: Path = MACHINES) -> dict[str, Machine]:
    """Every state machine by the stem of its file, such as create-cluster."""
    return {
        path.name.removesuffix(".asl.json"): json.loads(path.read_text())
        for path in sorted(directory.glob("*.asl.json"))
    }
