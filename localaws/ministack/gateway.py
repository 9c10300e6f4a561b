"""Holds the clock while a request or a step of a stack operation is in progress.

In ministack both are coroutines that hand blocking work to a thread. The hold on the clock moves
into that thread, which may wait in virtual time, and returns with the result.
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

# The connection is dropped after the headers of a response that has this one.
CONNECTION_LOST = "x-localaws-connection-lost"

# The hold of the request or stack operation that the current coroutine belongs to.
_hold: contextvars.ContextVar[Hold | None] = contextvars.ContextVar("hold", default=None)


def install(emulator: EmulatorState) -> None:
    """Lend a coroutine's hold to the threads that do its work."""
    for name in ("services.lambda_svc", "services.stepfunctions", "services.cloudformation.stacks"):
        module = ministack(name)
        module.run_reentrant = _lending(emulator.clock, module.run_reentrant)


def holding(emulator: EmulatorState, application: Application) -> Application:
    """The ASGI application, holding the clock while it handles a request."""

    async def held_application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            handling = application(scope, receive, _dropping(send))
            await held(emulator.clock.handoff(), handling)
        else:
            await application(scope, receive, send)

    return held_application


def _dropping(send: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    """Send only the headers of a response marked with CONNECTION_LOST."""
    lost = False

    async def send_unless_lost(message: Any) -> None:
        nonlocal lost
        names = [name for name, _ in message.get("headers", [])]
        lost = lost or CONNECTION_LOST.encode() in names
        if not lost or message["type"] == "http.response.start":
            await send(message)

    return send_unless_lost


async def held(hold: Hold, work: Awaitable[None]) -> None:
    """Do the work under a hold, which it may lend to its threads, and release the hold."""
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

        def work(*positional: Any) -> Any:
            if hold is None:
                with clock.busy():
                    return function(*positional)
            with hold.borrow():
                return function(*positional)

        return await run_reentrant(work, *arguments, **named)

    return lend
