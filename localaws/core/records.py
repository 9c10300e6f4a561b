"""Everything that AWS has recorded or shown, also of resources that are gone, and every secret.

A secret scan compares both after a scenario. Texts of large or growing records are rendered when
they are asked for.
"""

from __future__ import annotations

import contextlib
import json
import threading
from typing import Any

# Where a text can be read, such as "log /aws/lambda/...", and the text.
Record = tuple[str, str]
# Attempts to render a record that changes meanwhile.
ATTEMPTS = 5


class Records:
    """Texts by place, and secrets by name; without repetitions."""

    def __init__(self) -> None:
        self._texts: dict[Record, None] = {}
        self._growing: dict[int, tuple[str, Any]] = {}
        self._secrets: dict[Record, None] = {}
        self._lock = threading.Lock()

    def add(self, place: str, value: Any) -> None:
        """Record a value as it is now."""
        with self._lock:
            self._texts[place, render(value)] = None

    def follow(self, place: str, value: Any) -> None:
        """Record an object that may still change, with all that it will contain."""
        with self._lock:
            self._growing[id(value)] = (place, value)

    def follows(self, value: Any) -> bool:
        """Whether an object is followed."""
        return id(value) in self._growing

    def add_secret(self, name: str, value: str) -> None:
        """Record a value that may be read in the secret of this name only."""
        with self._lock:
            self._secrets[name, value] = None

    def texts(self) -> list[Record]:
        """Every text with its place."""
        with self._lock:
            growing = list(self._growing.values())
            found = list(self._texts)
        return [*found, *((place, render(value)) for place, value in growing)]

    def secrets(self) -> list[Record]:
        """Every secret with its name."""
        with self._lock:
            return list(self._secrets)


def render(value: Any) -> str:
    """The value as text: JSON, without the backslashes of JSON nested in strings."""
    if isinstance(value, str):
        return value.replace("\\", "")
    for _ in range(ATTEMPTS):
        # Another thread may change it meanwhile.
        with contextlib.suppress(RuntimeError):
            return json.dumps(value, default=str).replace("\\", "")
    return json.dumps(value, default=str).replace("\\", "")
