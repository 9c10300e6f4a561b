"""Refuses JSON that is not valid, or that names a key twice, where the first would be lost."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def fault_of(text: str) -> str | None:
    """What is wrong with this JSON, or None."""
    try:
        json.loads(text, object_pairs_hook=_without_repetition)
    except ValueError as problem:
        return str(problem)
    return None


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"{key} is there twice")
    return dict(pairs)


def main(paths: list[str]) -> int:
    """Print what is wrong with each file; 1 if anything is."""
    faults = [f"{path}: {fault}" for path in paths if (fault := fault_of(Path(path).read_text()))]
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
