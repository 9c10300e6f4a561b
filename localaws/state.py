"""The emulator of one rehearsal: its clock, what was planted in it, and who works in it."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localaws.core.clock import Clock
from localaws.core.decision_log import DecisionLog
from localaws.core.event_log import EventLog
from localaws.core.faults import Faults
from localaws.lambda_runtime.pool import Pool
from localaws.sandbox.command_server import CommandServer
from localaws.services.cloudhsmv2.provider import CloudHsmProvider
from localaws.services.cloudhsmv2.settings import Assumptions, Quotas, Timings
from localaws.services.ssm.provider import SsmProvider


@dataclass(frozen=True)
class Ports:
    """Where the emulator listens, all on 127.0.0.1: AWS as HTTP and as HTTPS, and the admin API."""

    gateway: int
    secure: int
    admin: int


@dataclass
class EmulatorState:
    """Everything that the rehearsal holds beyond ministack's own state."""

    clock: Clock
    home: Path
    ports: Ports
    region: str
    auth: bool
    timings: Timings
    quotas: Quotas
    assumptions: Assumptions
    faults: Faults
    event_log: EventLog
    decisions: DecisionLog
    environments: Pool
    command_server: CommandServer
    # What custom resources have answered CloudFormation, as it came.
    answers: list[str] = field(default_factory=list)
    # By account and Region.
    hsms: dict[tuple[str, str], CloudHsmProvider] = field(default_factory=dict)
    ssms: dict[tuple[str, str], SsmProvider] = field(default_factory=dict)

    @property
    def admin_url(self) -> str:
        """The admin API, as what runs in the emulator reaches it."""
        return f"http://127.0.0.1:{self.ports.admin}"

    @property
    def gateway_url(self) -> str:
        """AWS, as what runs in the emulator reaches it."""
        return f"http://127.0.0.1:{self.ports.gateway}"

    def spawn(self, work: Callable[..., object], *arguments: Any) -> threading.Thread:
        """Work in a thread of its own, in the caller's account and Region, when its turn comes."""
        context, turn = contextvars.copy_context(), self.clock.deferred_hold()

        def run() -> None:
            with turn:
                context.run(work, *arguments)

        thread = threading.Thread(target=run, name=getattr(work, "__name__", "work"), daemon=True)
        thread.start()
        return thread
