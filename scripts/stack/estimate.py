"""How long a request still takes, from typical durations. Pure.

Durations are those of docs/operations.md, rounded up; AWS promises none (F1.32, F1.33).
"""

from __future__ import annotations

from collections.abc import Sequence

from scripts.stack.request import CLUSTER, KEY_STORE

_MINUTE = 60
# What a request takes as a whole, in minutes, with one HSM in each of two subnets.
_TYPICAL = {
    (CLUSTER, "CREATE"): 30,
    (CLUSTER, "UPDATE"): 10,
    (CLUSTER, "DELETE"): 10,
    (KEY_STORE, "CREATE"): 20,
    (KEY_STORE, "UPDATE"): 5,
    (KEY_STORE, "DELETE"): 5,
}
# What is left when a workflow starts, in minutes: better than the whole less the elapsed time.
_LEFT_FROM = {
    ("CREATE", "create-cluster"): 28,
    ("CREATE", "create-first-hsm"): 25,
    ("CREATE", "activate-cluster"): 15,
    ("CREATE", "align-hsms"): 10,
    ("CREATE", "create-key-store"): 18,
    ("CREATE", "connect-key-store"): 16,
    ("DELETE", "delete-cluster"): 9,
    ("UPDATE", "update-cluster"): 10,
}


def typical(noun: str, kind: str) -> int | None:
    """Seconds that a request for this custom resource typically takes; None if unknown."""
    minutes = _TYPICAL.get((noun, kind))
    return minutes * _MINUTE if minutes else None


def left(
    noun: str, kind: str, elapsed: float, running: Sequence[tuple[str, float]]
) -> float | None:
    """Seconds left, 0 if it takes longer than usual; None if unknown.

    `running` has the running workflows by name, with the seconds since each started.
    """
    for name, seconds in reversed(running):
        for (requested, machine), minutes in _LEFT_FROM.items():
            if requested == kind and name.endswith(machine):
                return max(0.0, minutes * _MINUTE - seconds)
    whole = typical(noun, kind)
    return None if whole is None else max(0.0, whole - elapsed)


def sentence(seconds: float | None) -> str:
    """The estimate in words; empty if there is none."""
    if seconds is None:
        return ""
    if not seconds:
        return "longer than usual; the limit is an hour"
    return f"about {max(1, round(seconds / _MINUTE))} min left"
