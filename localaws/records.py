"""The texts and secrets that the admin API shows, with those of commands and instances."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from localaws.core.records import Record, render
from localaws.inventory import scope
from localaws.ministack import records as recording

if TYPE_CHECKING:
    from localaws.state import EmulatorState


def texts(emulator: EmulatorState, account: str) -> list[Record]:
    """Every text that AWS has recorded or shown, by place."""
    with scope(account, emulator.region):
        return [*emulator.records.texts(), *_others(emulator, account)]


def secrets(emulator: EmulatorState, account: str) -> list[Record]:
    """Every secret that has existed, by name."""
    with scope(account, emulator.region):
        recording.secrets(emulator.records)
        return emulator.records.secrets()


def _others(emulator: EmulatorState, account: str) -> Iterator[Record]:
    ssm = emulator.ssms.get((account, emulator.region))
    if ssm:
        for document, command in ssm.sent_commands():
            output = command.pop("Output")
            yield f"command of {document}", render(command)
            yield f"output of {document}", render(output)
        yield from ssm.traces()
    yield from (("response to CloudFormation", render(each)) for each in emulator.responses)
    yield "event log", render(emulator.event_log.events(0))
