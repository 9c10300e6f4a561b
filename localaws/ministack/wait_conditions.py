"""Wait conditions in virtual time, after everything that does not depend on them.

ministack waits for their signals in real time, and creates one resource after another, so that a
wait condition would keep back the resource that signals it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from localaws.core.clock import Clock, Signal
from localaws.ministack.access import ministack

if TYPE_CHECKING:
    from localaws.state import EmulatorState

WAIT_CONDITION = "AWS::CloudFormation::WaitCondition"

_custom = ministack("services.cloudformation.custom_resource")
_conditions = ministack("services.cloudformation.wait_conditions")
_stacks = ministack("services.cloudformation.stacks")


def install(emulator: EmulatorState) -> None:
    """Wait for signals in virtual time."""
    # ministack reads it as it is imported, which may be before the port is known.
    _custom._PORT = str(emulator.ports.gateway)
    waits = _Waits(emulator.clock)
    _conditions.wait_for = waits.wait_for
    _conditions.deliver_signal = waits.deliver
    sort = _stacks._topological_sort

    def wait_last(resources: Mapping[str, Any], conditions: Mapping[str, bool]) -> list[str]:
        waiting: set[str] = set()
        ordered: list[str] = sort(resources, conditions)
        for logical_id in ordered:
            resource = resources[logical_id]
            if resource.get("Type") == WAIT_CONDITION or waiting & _stacks._extract_deps(
                resource, set(ordered)
            ):
                waiting.add(logical_id)
        return sorted(ordered, key=lambda logical_id: logical_id in waiting)

    _stacks._topological_sort = wait_last


class _Waits:
    """The signals that wait conditions wait for, by the token of their handle."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._arrivals: dict[str, Signal] = {}
        self._deliver = _conditions.deliver_signal

    def deliver(self, token: str, payload: dict[str, Any]) -> bool:
        """Take a signal and wake the wait condition of its handle."""
        known: bool = self._deliver(token, payload)
        if arrival := self._arrivals.pop(token, None):
            self._clock.set(arrival)
        return known

    def wait_for(
        self,
        token: str,
        stack_id: str,
        stack_name: str,
        logical_id: str,
        resource_type: str,
        count: int,
        timeout_s: float,
    ) -> dict[str, Any]:
        """Wait for so many signals; the data of each by its id.

        Raises RuntimeError for a signal of failure and TimeoutError if too few arrive.
        """
        end, key = self._clock.now() + timeout_s, (stack_id, logical_id)
        _conditions._waiting[key] = {
            "token": token,
            "stack_name": stack_name,
            "resource_type": resource_type,
        }
        try:
            while True:
                arrival = self._arrivals[token] = self._clock.signal()
                received = _received(token)
                if len(received) >= count:
                    return received
                left = end - self._clock.now()
                if left <= 0 or not self._clock.wait([arrival], left):
                    raise TimeoutError(
                        f"WaitCondition timed out. Received {len(received)} conditions when "
                        f"expecting {count}"
                    )
        finally:
            self._arrivals.pop(token, None)
            _conditions._waiting.pop(key, None)
            if not (_conditions._handles.get(token) or {"url": True})["url"]:
                del _conditions._handles[token]


def _received(token: str) -> dict[str, Any]:
    """The data of each signal of success. Raises RuntimeError for a signal of failure."""
    signals = (_conditions._handles.get(token) or {}).get("signals", {})
    for identifier, signal in signals.items():
        if signal["Status"] == "FAILURE":
            raise RuntimeError(
                f"WaitCondition received failed message: '{signal['Reason']}' for uniqueId: "
                f"{identifier}"
            )
    return {identifier: signal["Data"] for identifier, signal in signals.items()}
