"""API calls of functions: attributed to an invocation, recorded, and followed by its end.

Lambda names the current invocation in the environment of its process, and the AWS SDKs send that
with each request: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from localaws.core.calls import Caller, current_caller

if TYPE_CHECKING:
    from localaws.state import EmulatorState

Response = tuple[int, dict[str, str], bytes]
Handler = Callable[[str, str, Any, bytes, Any], Awaitable[Response]]

TRACE_HEADER = "x-amzn-trace-id"
# The process that receives a response with this header is killed; lambda_runtime reads it.
DIE = "x-localaws-die"
_ROOT = re.compile(r"Root=([0-9a-f-]+)")


def attributed(
    emulator: EmulatorState,
    service: str,
    operation: Callable[[Mapping[str, str], bytes, Mapping[str, Any]], str],
    handler: Handler,
) -> Handler:
    """The handler of a service, which records the calls of functions."""

    async def handle(method: str, path: str, headers: Any, body: bytes, query: Any) -> Response:
        caller = caller_of(emulator, headers)
        if caller is None:
            return await handler(method, path, headers, body, query)
        record(emulator, caller, service, operation(headers, body, query))
        token = current_caller.set(caller)
        try:
            status, response_headers, text = await handler(method, path, headers, body, query)
        finally:
            current_caller.reset(token)
        died = {DIE: "yes"} if caller.dies else {}
        return status, {**response_headers, **died}, text

    return handle


def caller_of(emulator: EmulatorState, headers: Mapping[str, str]) -> Caller | None:
    """The function that makes a request with these headers."""
    root = _ROOT.search(headers.get(TRACE_HEADER, ""))
    invocation = emulator.calls.invocations.get(root[1]) if root else None
    return Caller(invocation) if invocation else None


def record(emulator: EmulatorState, caller: Caller, service: str, operation: str) -> None:
    """Record a call of a function."""
    emulator.calls.record(
        function=caller.invocation.function,
        step=caller.invocation.step,
        service=service,
        operation=operation,
    )
