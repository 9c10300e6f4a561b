"""Commands and their invocations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from localaws.core.clock import Signal
from localaws.services.ssm.script_run import ScriptRun


@dataclass
class Invocation:
    """One command on one instance."""

    instance_id: str
    step_name: str
    sent_at: float
    cancelled: Signal
    run: ScriptRun
    status: str = "Pending"
    details: str = "Pending"
    exit_code: int = -1
    stdout: str = ""
    stderr: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    queried: bool = False
    cancelling: bool = False
    timed_out: bool = False


@dataclass
class Command:
    """A command that SendCommand made.

    `number` is its position among all: ids are random, and event logs are compared between runs.
    """

    id: str
    number: int
    document: str
    version: str
    comment: str
    parameters: Mapping[str, Sequence[str]]
    delivery_timeout: int
    sent_at: float
    expires_at: float
    invocations: dict[str, Invocation]

    @property
    def status(self) -> tuple[str, str]:
        """Status and StatusDetails of the whole command."""
        # An invocation that is Delayed leaves the command Pending.
        states = {
            ("Pending", "Pending") if one.status == "Delayed" else (one.status, one.details)
            for one in self.invocations.values()
        }
        if len(states) == 1:
            return states.pop()
        if any(one.ended_at is None for one in self.invocations.values()):
            return "InProgress", "InProgress"
        return "Failed", "Incomplete"
