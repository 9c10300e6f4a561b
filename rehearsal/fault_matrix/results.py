"""The results of finished cells, kept in a file so that an interrupted run can be resumed."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localaws.client import ROOT

Json = dict[str, Any]

PASSED, HOLE, TOLERATED = "passed", "hole", "tolerated"
PATH = ROOT / "build" / "fault-matrix.jsonl"
# What a result depends on.
SOURCES = ("functions", "localaws", "rehearsal", "statemachines", "templates")
SUFFIXES = frozenset({".json", ".py", ".sh", ".txt", ".yml"})


@dataclass(frozen=True)
class Result:
    """The outcome of a cell, and what happened unless it passed."""

    cell: str
    outcome: str
    detail: str = ""


class Results:
    """All results of these sources."""

    def __init__(self, path: Path = PATH, *, restart: bool = False, tree: str = "") -> None:
        self._path, self._tree = path, tree or tree_hash()
        self._lock = threading.Lock()
        self.by_cell: dict[str, Result] = {}
        path.parent.mkdir(exist_ok=True)
        if restart:
            path.unlink(missing_ok=True)
        for line in path.read_text().splitlines() if path.exists() else ():
            stored = json.loads(line)
            if stored.pop("tree") == self._tree:
                self.by_cell[stored["cell"]] = Result(**stored)

    def add(self, result: Result) -> None:
        """Store a result."""
        line = json.dumps({"tree": self._tree, **vars(result)})
        with self._lock, self._path.open("a") as file:
            file.write(line + "\n")
            self.by_cell[result.cell] = result


def tree_hash() -> str:
    """A hash of all sources that results depend on."""
    digest = hashlib.sha256()
    for directory in SOURCES:
        for path in sorted((ROOT / directory).rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                digest.update(f"{path.relative_to(ROOT)}\n".encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
