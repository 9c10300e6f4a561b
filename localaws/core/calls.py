"""Who calls AWS: the calls of functions and state machines, recorded so that each can be failed."""

from __future__ import annotations

import contextvars
import threading
from dataclasses import dataclass, field

Call = dict[str, str]


@dataclass(frozen=True)
class Invocation:
    """A running function and the step that its event names, if any."""

    function: str
    step: str


@dataclass
class Caller:
    """The invocation that makes the current request."""

    invocation: Invocation
    # Whether its process is killed as soon as it has the response.
    dies: bool = False


# Of the current request; None if no function makes it.
current_caller: contextvars.ContextVar[Caller | None] = contextvars.ContextVar(
    "caller", default=None
)


@dataclass
class CallLog:
    """The calls so far, in order, and the running invocations by trace id."""

    invocations: dict[str, Invocation] = field(default_factory=dict)
    _calls: list[Call] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def record(self, **call: str) -> None:
        """Record a call."""
        with self._lock:
            self._calls.append(call)

    def all(self) -> list[Call]:
        """Every call so far."""
        with self._lock:
            return [dict(call) for call in self._calls]


def trace_id(request_id: str) -> str:
    """The trace id of the invocation with this request id, a UUID, in the format of X-Ray."""
    digits = request_id.replace("-", "")
    return f"1-{digits[:8]}-{digits[8:]}"
