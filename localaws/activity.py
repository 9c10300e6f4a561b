"""What `make serve` prints: a plain line for each change that a request waits for."""

from __future__ import annotations

import contextlib
import sys

from localaws.core.event_log import Event

_EXECUTION = "Execution"
# What has an ID with this prefix.
_NOUNS = {"cluster": "cluster", "hsm": "HSM", "cks": "key store"}


def show(event: Event) -> None:
    """Print an event's line, if it has one; standard output is for addresses and credentials."""
    if text := line(event):
        with contextlib.suppress(OSError):  # its reader may have ended
            print(text, file=sys.stderr, flush=True)


def line(event: Event) -> str | None:
    """The virtual time, and the stack, execution, cluster, HSM or key store in its new state."""
    what = _what(event)
    if what is None:
        return None
    minutes, seconds = divmod(round(event["at"]), 60)
    return f"{minutes:>5}:{seconds:02}  {what}"


def _what(event: Event) -> str | None:
    subject, name = str(event["subject"]), str(event["event"])
    match event["service"]:
        case "cloudformation" if subject == event["stack"]:
            return f"stack {subject} {name}"
        case "states" if name.startswith(_EXECUTION):
            return f"execution {subject} {name.removeprefix(_EXECUTION).lower()}"
        # Other names are calls (CreateHsm) and notes (Login).
        case "cloudhsm" | "kms" if name.isupper() and (noun := _NOUNS.get(subject.split("-")[0])):
            return " ".join(filter(None, [noun, subject, event.get("zone"), name]))
    return None
