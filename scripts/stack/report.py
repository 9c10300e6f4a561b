"""How a request ended: its outputs, or the reason in full."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from display.traces import Kind, duration
from scripts.stack.observer import Look
from scripts.stack.request import Failure
from scripts.stack.workflows import Cause

_FAILED = "bold red"
_INDENTED = "    "  # of sentences


def show(console: Console, look: Look) -> None:
    """Print the end of a request. Nothing is cut, and IDs and addresses are in one piece."""
    request = look.request
    status = f"stack {look.stack['StackName']} is {request.status}"
    ended = f"{status} after {duration(look.elapsed)}"
    _print(console, Text(ended, "bold green" if request.succeeded else _FAILED))
    for text in reasons(look):
        _print(console, text)
    for trace in look.traces:
        if trace.kind is Kind.EXECUTION and trace.state:
            _print(console, Text(f"still running: {trace.subject}", "yellow"))
    if request.succeeded and request.kind != "DELETE":
        for output in sorted(look.stack.get("Outputs", []), key=lambda each: each["OutputKey"]):
            name = Text(f"{output['OutputKey']:<26}  ", "dim")
            _print(console, name + Text(output["OutputValue"], "default"))
    for each in look.unread:
        _print(console, Text(each, "yellow"))


def reasons(look: Look) -> Iterator[Text]:
    """Why the request failed: each resource's reason, and the workflow's instead of its excerpt."""
    failures, cause = look.request.failures(), look.cause
    if look.request.succeeded:
        if cause:
            yield Text("A detached execution failed after the request:", _FAILED)
            yield from _cause(cause)
        return
    for failure in failures:
        yield Text(f"{failure.logical_id} is {failure.status}:", _FAILED)
        if cause and failure.kind.startswith("Custom::"):
            yield from _cause(cause)
            cause = None
        else:
            yield Text(_INDENTED + " ".join(failure.reason.split()))
            yield from _without_cause(failure)
    if not failures:
        reason = look.stack.get("StackStatusReason") or "CloudFormation gives no reason."
        yield Text(_INDENTED + reason)


def _cause(cause: Cause) -> Iterator[Text]:
    yield Text(_INDENTED + " ".join(cause.message.split()))
    error = f", {cause.error}" if cause.error else ""
    yield Text(f"  state      {cause.state} of {cause.machine}{error}", "dim")
    yield Text(f"  execution  {cause.arn}", "dim")
    yield Text(f"  console    {cause.console}", "dim")


def _without_cause(failure: Failure) -> Iterator[Text]:
    if failure.kind.startswith("Custom::"):
        yield Text(
            f"{_INDENTED}No failed execution is left to read: none was started, or its state"
            " machine was deleted with the stack. The above is what CloudFormation recorded, at"
            " most 240 characters.",
            "dim",
        )


def _print(console: Console, text: Text) -> None:
    """Print sentences wrapped at words on a terminal, and anything else as it is."""
    if console.is_terminal and text.plain.startswith(_INDENTED) and " " in text.plain.strip():
        console.print(Padding(Text(text.plain.strip(), text.style), (0, 0, 0, len(_INDENTED))))
    else:
        console.print(text, soft_wrap=True)
