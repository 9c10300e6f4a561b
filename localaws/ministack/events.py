"""EventBridge rules that invoke functions.

AWS checks the function's resource policy and invokes asynchronously, with retries; ministack does
neither.
"""

from __future__ import annotations

import contextvars
import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from localaws.ministack.access import ministack
from localaws.ministack.iam import service_is_allowed
from localaws.ministack.lambda_functions import function_at, invoke_asynchronously

if TYPE_CHECKING:
    from localaws.state import EmulatorState

SERVICE = "events.amazonaws.com"

_events = ministack("services.eventbridge")
_log = logging.getLogger("localaws")
_rule_arn: contextvars.ContextVar[str] = contextvars.ContextVar("rule", default="")


def install(emulator: EmulatorState) -> None:
    """Check a function's resource policy before a rule invokes it."""
    invoke_target = _events._invoke_target

    def invoke_target_of(target: Any, event: Any, rule: Mapping[str, Any], view: Any = None) -> Any:
        token = _rule_arn.set(rule.get("Arn", ""))
        try:
            return invoke_target(target, event, rule, view)
        finally:
            _rule_arn.reset(token)

    def dispatch(arn: str, payload: str) -> None:
        function = function_at(arn)
        if function is None or not service_is_allowed(
            function.get("policy") or {}, SERVICE, "lambda:InvokeFunction", _rule_arn.get()
        ):
            _log.warning("EventBridge: %s may not invoke %s", _rule_arn.get(), arn)
            return
        emulator.event_log.record(
            "events", _rule_arn.get().rpartition("/")[2], "Invoked", target=arn
        )
        invoke_asynchronously(function, json.loads(payload))

    _events._invoke_target = invoke_target_of
    _events._dispatch_to_lambda = dispatch
    _events._now_ts = emulator.clock.now
