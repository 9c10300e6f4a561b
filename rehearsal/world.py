"""The world of one rehearsal: its clock, what was planted in it, and who works in it."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rehearsal import hsm, ssm
from rehearsal.clock import Clock
from rehearsal.command_server import CommandServer
from rehearsal.decisions import Decisions
from rehearsal.environments import Pool
from rehearsal.faults import Faults
from rehearsal.hsm.timings import Quotas, Timings
from rehearsal.timeline import Timeline


@dataclass(frozen=True)
class Ports:
    """Where the world listens, all on 127.0.0.1: AWS as HTTP and as HTTPS, and the control port."""

    gateway: int
    secure: int
    control: int


@dataclass(frozen=True)
class Readings:
    """How the model reads what AWS leaves open."""

    year: int = 2026
    concurrent_create: bool = True


@dataclass
class World:
    """Everything that the rehearsal holds beyond ministack's own state."""

    clock: Clock
    home: Path
    ports: Ports
    region: str
    auth: bool
    timings: Timings
    quotas: Quotas
    readings: Readings
    faults: Faults
    timeline: Timeline
    decisions: Decisions
    environments: Pool
    command_server: CommandServer
    # What custom resources have answered CloudFormation, as it came.
    answers: list[str] = field(default_factory=list)
    # By account and Region.
    hsms: dict[tuple[str, str], hsm.Region] = field(default_factory=dict)
    ssms: dict[tuple[str, str], ssm.Ssm] = field(default_factory=dict)

    @property
    def control_url(self) -> str:
        """The control port, as what runs in the world reaches it."""
        return f"http://127.0.0.1:{self.ports.control}"

    @property
    def gateway_url(self) -> str:
        """AWS, as what runs in the world reaches it."""
        return f"http://127.0.0.1:{self.ports.gateway}"

    def spawn(self, work: Callable[..., object], *arguments: Any) -> threading.Thread:
        """Work in a thread of its own, in the caller's account and Region, when its turn comes."""
        context, turn = contextvars.copy_context(), self.clock.turn()

        def run() -> None:
            with turn:
                context.run(work, *arguments)

        thread = threading.Thread(target=run, name=getattr(work, "__name__", "work"), daemon=True)
        thread.start()
        return thread
