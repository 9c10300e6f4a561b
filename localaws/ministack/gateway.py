"""Keeps the clock still while a request is being answered, or a stack operation takes a step.

A request or a stack operation of ministack is a coroutine that hands blocking work to a thread and
awaits it. Its hold of the clock goes along into that thread, which may wait in virtual time, and
comes back with the result.
"""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from localaws.core.clock import Clock, Hold
from localaws.ministack.access import ministack

if TYPE_CHECKING:
    from localaws.state import EmulatorState

Application = Callable[[Any, Any, Any], Awaitable[None]]

# A response with this header is not sent to its end: the connection is dropped.
CONNECTION_LOST = "x-rehearsal-connection-lost"

# The hold of the request or stack operation whose coroutine this is.
_hold: contextvars.ContextVar[Hold | None] = contextvars.ContextVar("hold", default=None)


def install(emulator: EmulatorState) -> None:
    """Let coroutines lend their holds to the threads that they hand their work to."""
    for name in ("services.lambda_svc", "services.stepfunctions", "services.cloudformation.stacks"):
        seam = ministack(name)
        seam.run_reentrant = _lending(emulator.clock, seam.run_reentrant)


def holding(emulator: EmulatorState, application: Application) -> Application:
    """The ASGI application, holding the clock while a request is in flight."""

    async def held_application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            sending = application(scope, receive, _dropping(send))
            await held(emulator.clock.handoff(), sending)
        else:
            await application(scope, receive, send)

    return held_application


def _dropping(send: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    """Send only the beginning of a response that is to be lost."""
    lost = False

    async def send_unless_lost(message: Any) -> None:
        nonlocal lost
        names = [name for name, _ in message.get("headers", [])]
        lost = lost or CONNECTION_LOST.encode() in names
        if not lost or message["type"] == "http.response.start":
            await send(message)

    return send_unless_lost


async def held(hold: Hold, work: Awaitable[None]) -> None:
    """Do the work with a hold of the clock, which it may lend to its threads."""
    token = _hold.set(hold)
    try:
        await work
    finally:
        _hold.reset(token)
        hold.release()


def _lending(
    clock: Clock, run_reentrant: Callable[..., Awaitable[Any]]
) -> Callable[..., Awaitable[Any]]:
    async def lend(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        hold = _hold.get()

        def work(*given: Any) -> Any:
            if hold is None:
                with clock.busy():
                    return function(*given)
            with hold.borrow():
                return function(*given)

        return await run_reentrant(work, *arguments, **named)

    return lend
