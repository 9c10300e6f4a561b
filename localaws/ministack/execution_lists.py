"""ListExecutions, which is eventually consistent (F6.37): new executions appear after a while.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_ListExecutions.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from localaws.ministack.access import ministack

if TYPE_CHECKING:
    from localaws.state import EmulatorState

_states = ministack("services.stepfunctions")


def install(emulator: EmulatorState) -> None:
    """List an execution some seconds after its start only."""
    list_all = _states._list_executions

    def list_executions(data: Mapping[str, Any]) -> Any:
        status, headers, body = list_all(data)
        if status != 200:
            return status, headers, body
        listed_until = (emulator.clock.now() - emulator.timings.execution_listed) * 1000
        response = json.loads(body)
        response["executions"] = [
            execution
            for execution in response["executions"]
            if _started(execution["executionArn"]) <= listed_until
        ]
        return status, headers, json.dumps(response).encode()

    _states._list_executions = list_executions


def _started(arn: str) -> float:
    """When an execution started, in milliseconds since the epoch."""
    started: float = _states._iso_to_epoch_ms(_states._executions[arn]["startDate"])
    return started
