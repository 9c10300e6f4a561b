"""What requests do without faults: their calls, duration, and what exists in each state."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rehearsal.fault_matrix.call import Call, from_json, to_json
from rehearsal.fault_matrix.snapshot import Snapshot

Json = dict[str, Any]

# Committed, so that a sample needs no run without faults first.
PATH = Path(__file__).with_name("recording.json")


@dataclass(frozen=True)
class Recording:
    """Calls by request, and snapshots by setting and state."""

    calls: Mapping[str, Sequence[Call]]
    states: Mapping[str, Mapping[str, Snapshot]]


def load(path: Path = PATH) -> Recording:
    """The stored recording."""
    stored = json.loads(path.read_text())
    calls = {
        request: [from_json(call) for call in made] for request, made in stored["calls"].items()
    }
    return Recording(calls, stored["states"])


def save(recording: Recording, path: Path = PATH) -> None:
    """Store a recording, one call and one resource a line."""
    calls = {request: [to_json(call) for call in made] for request, made in recording.calls.items()}
    path.write_text(_json({"calls": calls, "states": recording.states}) + "\n")


def _json(value: Any, indent: str = "") -> str:
    """JSON with the innermost lists on a line of their own."""
    deeper = indent + "  "
    if isinstance(value, Mapping):
        parts = [f"{deeper}{json.dumps(key)}: {_json(each, deeper)}" for key, each in value.items()]
    elif isinstance(value, list) and value and isinstance(value[0], list):
        parts = [f"{deeper}{json.dumps(each)}" for each in value]
    else:
        return json.dumps(value)
    opening, closing = "{}" if isinstance(value, Mapping) else "[]"
    return "\n".join([opening, ",\n".join(parts), f"{indent}{closing}"])
