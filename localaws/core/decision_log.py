"""Every decision that IAM took about a role, each once: what the least-privilege tests read."""

from __future__ import annotations

import threading
from typing import Any


class DecisionLog:
    """The decisions, in the order in which each was first taken."""

    def __init__(self) -> None:
        self._taken: dict[tuple[str, str, str, bool, str | None, str | None], None] = {}
        self._lock = threading.Lock()

    def record(
        self,
        principal: str,
        action: str,
        resource: str,
        allowed: bool,
        *,
        statement: str | None,
        behind: str | None,
    ) -> None:
        """A role wanted to do something.

        `statement` is the Sid of the one statement without which the role could not do it, None if
        there are several, or none. `behind` is what AWS asked the caller for this because of (the
        action that was requested, or who works for the role); None for a request of the role's own.
        """
        with self._lock:
            self._taken[principal, action, resource, allowed, statement, behind] = None

    def all(self) -> list[dict[str, Any]]:
        """As the admin API shows them."""
        names = ("principal", "action", "resource", "allowed", "statement", "behind")
        with self._lock:
            return [dict(zip(names, decision, strict=True)) for decision in self._taken]
