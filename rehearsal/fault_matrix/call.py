"""The calls that a request makes, as they are recorded in a run without faults."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from rehearsal.events import Event

Json = dict[str, Any]

# Kinds of calls: an AWS API call, a step of a function as a whole, Step Functions' own call for a
# Task, and a command of a script on the client.
API, STEP, TASK, COMMAND = "api", "step", "task", "command"
# The delivery of the response to CloudFormation, which no function is known of.
RESPONSE = "PutResponse"
# The commands that depend on more than the client's own files, by their first words.
COMMANDS = (
    "aws secretsmanager get-secret-value",
    "cloudhsm-cli cluster activate",
    "cloudhsm-cli user list",
    "cloudhsm-cli user create",
    "cloudhsm-cli user change-password",
    "cloudhsm-cli quorum token-sign list",
    "curl",
    "dnf install",
    "dnf remove",
)
# Names begin with the stack's, and end with CloudFormation's random characters.
_PREFIX = re.compile(r"^cloudhsm(-ks)?-\d+-")
_DOCUMENT = re.compile(r"-r(\w+?)(Document)?-[0-9A-Z]+$")


@dataclass(frozen=True)
class Call:
    """A call: who makes it, in which step, and what it calls.

    The actor is a function, a state machine or a document, without the stack's name.
    """

    kind: str
    actor: str
    step: str
    service: str
    operation: str

    def __str__(self) -> str:
        where = f"{self.actor}.{self.step}" if self.step else self.actor
        return f"{where}/{self.operation}" if self.operation else where

    @property
    def occasion(self) -> str:
        """What is tried again after a failure: two faults of one may exceed its retries."""
        return self.step or self.actor


def calls_of(recorded: Json, events: Iterable[Event]) -> list[Call]:
    """The distinct calls of a request, in order: of GET /calls and the event log."""
    found = [
        *(_of_function_or_task(call) for call in recorded["calls"]),
        *(
            Call(STEP, _short(event["subject"]), event.get("step", ""), "lambda", "")
            for event in events
            if (event["service"], event["event"]) == ("lambda", "Invoked")
        ),
        *_of_commands(recorded["commands"]),
    ]
    return list(dict.fromkeys(found))


def _of_function_or_task(call: Json) -> Call:
    if "machine" in call:
        service = "lambda" if call["operation"] == "Invoke" else "states"
        return Call(TASK, _short(call["machine"]), call["task"], service, call["operation"])
    actor = _short(call["function"]) or "response"
    return Call(API, actor, call["step"], call["service"], call["operation"])


def _of_commands(commands: Iterable[Json]) -> Iterator[Call]:
    for each in commands:
        document = _DOCUMENT.search(each["document"])
        known = next((name for name in COMMANDS if each["command"].startswith(name)), None)
        if document and known:
            yield Call(COMMAND, document[1], "", "client", known)


def _short(name: str) -> str:
    return _PREFIX.sub("", name)


def to_json(call: Call) -> list[str]:
    """The call as it is stored."""
    return list(asdict(call).values())


def from_json(stored: list[str]) -> Call:
    """The call that was stored."""
    return Call(*stored)
