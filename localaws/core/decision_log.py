"""The IAM decision log: each authorization decision once, for the least-privilege tests."""

from __future__ import annotations

import threading
from typing import Any


class DecisionLog:
    """The decisions, in the order of their first occurrence."""

    def __init__(self) -> None:
        self._decisions: dict[tuple[str, str, str, bool, str | None, str | None], None] = {}
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
        """Record whether a role was allowed an action.

        `statement` is the Sid of the only statement that allows it; None if several do, or none.
        `behind` is the reason if the role did not request the action itself: the action that
        requires this one, or the service that acts for the role.
        """
        with self._lock:
            self._decisions[principal, action, resource, allowed, statement, behind] = None

    def all(self) -> list[dict[str, Any]]:
        """The decisions, as the admin API returns them."""
        names = ("principal", "action", "resource", "allowed", "statement", "behind")
        with self._lock:
            return [dict(zip(names, decision, strict=True)) for decision in self._decisions]
