"""What Systems Manager needs of EC2 instances; the emulator or a test implements it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Json = dict[str, Any]
# Runs a function with arguments in a thread that holds the clock from now on.
Spawn = Callable[..., object]


class Timings(Protocol):
    """Virtual seconds."""

    ssm_online: float
    run_command: float
    download: float
    install_package: float
    cloudhsm_cli: float


@dataclass(frozen=True)
class Outcome:
    """How a script ended. The exit code is negative, the signal's number, if it was killed."""

    exit_code: int
    stdout: str
    stderr: str


class Script(Protocol):
    """A script that was started."""

    def wait(self, timeout: float | None = None, /) -> Outcome:
        """Wait for the script to end; kill it after `timeout` real seconds."""

    def kill(self) -> None:
        """Kill the script and its child processes."""


class Sandbox(Protocol):
    """The file system and processes of an instance."""

    def start(self, script: str, environment: Mapping[str, str], directory: str, /) -> Script:
        """Start a script as root, in a directory, or without one in the agent's."""

    def shell(self) -> list[str]:
        """The command that opens a shell."""

    def commands(self) -> list[list[str]]:
        """The argument list of every command that scripts have run."""

    def traces(self) -> list[tuple[str, str]]:
        """What its processes and users can see, by place: arguments of commands, and files."""

    def commands_of_documents(self) -> list[tuple[str, list[str]]]:
        """The same, each with the document whose script ran the command."""


class Instances(Protocol):
    """EC2 instances."""

    def ids(self) -> Iterable[str]:
        """The ids of all instances that are not terminated."""

    def launched_at(self, instance_id: str) -> float | None:
        """The virtual time of the last start; None if the instance is stopping or stopped."""

    def last_run(self, instance_id: str) -> tuple[float, float] | None:
        """When the instance was last started and stopped; None if it was never stopped."""

    def sandbox(self, instance_id: str) -> Sandbox:
        """The instance's file system and processes."""
