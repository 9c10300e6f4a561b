"""The state of the emulator beyond ministack's own."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localaws.core.calls import CallLog
from localaws.core.clock import Clock
from localaws.core.decision_log import DecisionLog
from localaws.core.event_log import EventLog
from localaws.core.faults import Faults
from localaws.core.records import Records
from localaws.credentials import Credentials
from localaws.lambda_runtime.pool import Pool
from localaws.services.cloudhsmv2.provider import CloudHsmProvider
from localaws.services.cloudhsmv2.settings import Assumptions, Quotas, Timings
from localaws.services.servicecatalog.provider import ServiceCatalog
from localaws.services.ssm.provider import SsmProvider


@dataclass(frozen=True)
class Ports:
    """The ports on 127.0.0.1: AWS over HTTP and HTTPS, and the admin API."""

    gateway: int
    secure: int
    admin: int


@dataclass
class EmulatorState:
    """What the patches of ministack, the services and the admin API share."""

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
    records: Records = field(default_factory=Records)
    credentials: Credentials = field(default_factory=Credentials)
    calls: CallLog = field(default_factory=CallLog)
    # The bodies that custom resources have sent to their response URLs.
    responses: list[str] = field(default_factory=list)
    # By account and Region.
    hsms: dict[tuple[str, str], CloudHsmProvider] = field(default_factory=dict)
    catalogs: dict[tuple[str, str], ServiceCatalog] = field(default_factory=dict)
    ssms: dict[tuple[str, str], SsmProvider] = field(default_factory=dict)

    @property
    def sockets(self) -> Path:
        """The directory of the UNIX sockets that sandboxes see: `aws` and `commands`."""
        return self.home / "sockets"

    @property
    def admin_url(self) -> str:
        """The URL of the admin API."""
        return f"http://127.0.0.1:{self.ports.admin}"

    @property
    def gateway_url(self) -> str:
        """The URL of AWS over HTTP."""
        return f"http://127.0.0.1:{self.ports.gateway}"

    def spawn(self, work: Callable[..., object], *arguments: Any) -> threading.Thread:
        """Start a thread in the caller's account and Region once the clock grants its turn."""
        context, turn = contextvars.copy_context(), self.clock.deferred_hold()

        def run() -> None:
            with turn:
                context.run(work, *arguments)

        thread = threading.Thread(target=run, name=getattr(work, "__name__", "work"), daemon=True)
        thread.start()
        return thread
