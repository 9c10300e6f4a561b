"""Systems Manager with stub instances, on a clock that the test holds."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from localaws.core.api_error import ApiError
from localaws.core.event_log import EventLog
from localaws.core.faults import Faults
from localaws.core.jump_clock import JumpClock
from localaws.services.cloudhsmv2.settings import Timings
from localaws.services.ssm.interfaces import Outcome, Sandbox
from localaws.services.ssm.provider import SsmProvider
from tests.support.service_models import checked

INSTANCE = "i-0123456789abcdef0"
OTHER = "i-0fedcba9876543210"
Json = dict[str, Any]


class StubScript:
    """Takes virtual time, then ends with an outcome."""

    def __init__(self, clock: JumpClock, seconds: float, outcome: Outcome) -> None:
        self._clock = clock
        self._seconds = seconds
        self._outcome = outcome
        self._killed = clock.signal()

    def wait(self, timeout: float | None = None, /) -> Outcome:
        killed = self._clock.wait([self._killed], self._seconds)
        return Outcome(-9, self._outcome.stdout, "") if killed else self._outcome

    def kill(self) -> None:
        self._clock.set(self._killed)


@dataclass
class StubSandbox:
    """Starts stub scripts; `started` has their texts and environments, `directories` where."""

    clock: JumpClock
    seconds: float = 0
    outcome: Outcome = field(default_factory=lambda: Outcome(0, "", ""))
    terminated: bool = False
    started: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    running: list[StubScript] = field(default_factory=list)

    def start(self, script: str, environment: Mapping[str, str], where: str, /) -> StubScript:
        if self.terminated:
            raise OSError("the sandbox is gone")
        self.started.append((script, environment))
        self.directories.append(where)
        self.running.append(StubScript(self.clock, self.seconds, self.outcome))
        return self.running[-1]

    def shell(self) -> list[str]:
        return ["sh"]

    def halt(self) -> None:
        """Kill all scripts, as when the instance is stopped."""
        for script in self.running:
            script.kill()

    def commands(self) -> list[list[str]]:
        return [["sh", "-c", script] for script, _ in self.started]

    def traces(self) -> list[tuple[str, str]]:
        return [("file /script", script) for script, _ in self.started]

    def commands_of_documents(self) -> list[tuple[str, list[str]]]:
        return [
            (environment["LOCALAWS_DOCUMENT"], ["sh", "-c", script])
            for script, environment in self.started
        ]


class Instances:
    """Instances that were launched when the test began."""

    def __init__(self, clock: JumpClock) -> None:
        self.launched: dict[str, float | None] = {INSTANCE: clock.now()}
        self.runs: dict[str, tuple[float, float]] = {}
        self.sandboxes: dict[str, Sandbox] = {}
        self.stub = StubSandbox(clock)

    def ids(self) -> list[str]:
        return list(self.launched)

    def launched_at(self, instance_id: str) -> float | None:
        return self.launched[instance_id]

    def last_run(self, instance_id: str) -> tuple[float, float] | None:
        return self.runs.get(instance_id)

    def sandbox(self, instance_id: str) -> Sandbox:
        return self.sandboxes.get(instance_id, self.stub)


class SystemsManager:
    """A provider and its surroundings."""

    def __init__(self) -> None:
        self.clock = JumpClock()
        self.start = self.clock.now()
        self.faults = Faults()
        self.event_log = EventLog(self.clock)
        self.instances = Instances(self.clock)
        self.sandbox = self.instances.stub
        self.provider = SsmProvider(
            self.clock,
            self.instances,
            self._spawn,
            region="eu-west-1",
            account="123456789012",
            timings=Timings(),
            faults=self.faults,
            event_log=self.event_log,
        )

    def call(self, action: str, **parameters: Any) -> Json:
        """One API request, whose response must fit the service model."""
        return checked("ssm", action, self.provider.call(action, parameters))

    def rejected(self, code: str, action: str, **parameters: Any) -> str:
        """The message of a request that fails with this code."""
        with pytest.raises(ApiError) as error:
            self.call(action, **parameters)
        assert error.value.code == code
        return error.value.message

    def rejected_send(self, code: str, name: str = "job", **parameters: Any) -> str:
        """The message of a SendCommand that fails with this code."""
        request = {"DocumentName": name, "InstanceIds": [INSTANCE], **parameters}
        return self.rejected(code, "SendCommand", **request)

    def at(self, seconds: float) -> None:
        """Wait until so many virtual seconds have passed since the start."""
        self.clock.sleep(self.start + seconds - self.clock.now())

    def document(self, script: str, name: str = "job", **more: Any) -> None:
        """Create a document."""
        self.call("CreateDocument", Name=name, Content=content(script, **more))

    def send(self, name: str = "job", **more: Any) -> str:
        """Send a command; its id."""
        request = {"DocumentName": name, "InstanceIds": [INSTANCE], **more}
        return str(self.call("SendCommand", **request)["Command"]["CommandId"])

    def invocation(self, command: str, instance: str = INSTANCE) -> Json:
        """GetCommandInvocation."""
        return self.call("GetCommandInvocation", CommandId=command, InstanceId=instance)

    def result(self, command: str) -> Json:
        """Wait for a command to end; GetCommandInvocation."""
        self.clock.sleep(1.5)
        while (found := self.invocation(command))["Status"] in (
            "Pending",
            "Delayed",
            "InProgress",
            "Cancelling",
        ):
            self.clock.sleep(0.5)
        return found

    def _spawn(self, work: Callable[..., object], *arguments: Any) -> None:
        hold = self.clock.handoff()

        def run() -> None:
            with hold:
                work(*arguments)

        threading.Thread(target=run, daemon=True).start()


def content(script: str, parameters: Json | None = None, timeout: Any = 60) -> str:
    """A document that runs the script."""
    step = {
        "action": "aws:runShellScript",
        "name": "RunJob",
        "inputs": {"timeoutSeconds": timeout, "runCommand": script.split("\n")},
    }
    return json.dumps({"schemaVersion": "2.2", "parameters": parameters or {}, "mainSteps": [step]})


@pytest.fixture(name="ssm")
def _ssm() -> Iterator[SystemsManager]:
    ssm = SystemsManager()
    with ssm.clock.busy():
        yield ssm


@pytest.fixture(name="online")
def _online(ssm: SystemsManager) -> SystemsManager:
    """With the agent online, at 71 virtual seconds."""
    ssm.at(71)
    return ssm
