"""Every decision that IAM took about a role, each once: what the least-privilege tests read."""

from __future__ import annotations

import threading
from typing import Any


class Decisions:
    """The decisions, in the order in which each was first taken."""

    def __init__(self) -> None:
        self._taken: dict[tuple[str, str, str, bool, str | None], None] = {}
        self._lock = threading.Lock()

    def note(
        self, principal: str, action: str, resource: str, allowed: bool, statement: str | None
    ) -> None:
        """A role wanted to do something; statement is the Sid of what its policies said."""
        with self._lock:
            self._taken[principal, action, resource, allowed, statement] = None

    def all(self) -> list[dict[str, Any]]:
        """As the control port shows them."""
        names = ("principal", "action", "resource", "allowed", "statement")
        with self._lock:
            return [dict(zip(names, decision, strict=True)) for decision in self._taken]
