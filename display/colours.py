"""Which states belong together, and the colour of each group."""

from __future__ import annotations

from dataclasses import dataclass

from display.traces import Kind


@dataclass(frozen=True)
class Category:
    """A group of states: its colour, its label in the legend, and a legible text colour."""

    colour: str
    label: str
    text_colour: str = "#ffffff"


CHANGING = Category("#eec25e", "changing (being created or updated)", "#3d2c00")
PENDING = Category("#4a86b8", "pending (UNINITIALIZED, INITIALIZED)")
HEALTHY = Category("#2f8f5b", "healthy (ACTIVE, COMPLETE, CONNECTED)")
DELETING = Category("#a296b8", "deleting")
ROLLING_BACK = Category("#e08445", "rolling back")
FAILED = Category("#c8413f", "failed (DEGRADED, stopped)")
RUNNING = Category("#5d7c99", "workflow: step or child running")
WAITING = Category("#cfdae4", "workflow: waiting", "#34434f")
CATEGORIES = (CHANGING, PENDING, HEALTHY, DELETING, ROLLING_BACK, FAILED, RUNNING, WAITING)

FAILED_WORDS = ("FAILED", "DEGRADED", "ABORTED", "TIMED_OUT", "Failed", "TimedOut", "Cancelled")


def category(kind: Kind, state: str) -> Category:
    """The category of this state of a resource of this kind."""
    if any(word in state for word in FAILED_WORDS):
        return FAILED
    if "ROLLBACK" in state and not state.endswith("COMPLETE"):
        return ROLLING_BACK
    if state.startswith(("DELETE", "DISCONNECT", "shutting", "stop", "terminated")):
        return DELETING
    if kind is Kind.EXECUTION and state != "SUCCEEDED":
        return WAITING if state.startswith("WaitFor") else RUNNING
    if state in ("UNINITIALIZED", "INITIALIZED"):
        return PENDING
    if state.endswith(("COMPLETE", "ACTIVE", "CONNECTED", "running", "Success", "SUCCEEDED")):
        return HEALTHY
    return CHANGING
