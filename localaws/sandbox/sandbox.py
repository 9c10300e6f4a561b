"""An EC2 instance's inside: a sandbox apart from the machine, where a client's scripts run for real.

A sandbox has a root directory of its own in memory (see sandbox.sh). Of the machine it shows
/usr, /etc and this Python, each under an overlay: absolute paths such as /opt/cloudhsm/bin work,
what a script writes stays in the sandbox, and what the machine has in /root, /home, /tmp, /var or /opt
is not seen at all. Every command in it goes through command.sh. Where such a sandbox cannot
be made, none is, and no script ever runs on the machine itself.
"""

from __future__ import annotations

import itertools
import os
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from localaws.sandbox.command_server import CommandServer
from localaws.services.ssm.interfaces import Outcome

HERE = Path(__file__).resolve().parent
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# As the SSM agent runs a script: from its unit's working directory, with no HOME.
WORKING_DIRECTORY = "/usr/bin"
# Runs a command and removes a directory then: the sandbox was built on it, unseen from outside.
REMOVING = '"$@"; code=$?; rmdir "$0"; exit $code'


class CannotIsolateError(RuntimeError):
    """This machine does not let a sandbox be kept apart from it."""


class Script:
    """A script that was started in a sandbox."""

    def __init__(
        self, process: subprocess.Popen[bytes], stdout: IO[bytes], stderr: IO[bytes]
    ) -> None:
        self._process = process
        self._outputs = (stdout, stderr)

    def wait(self, timeout: float | None = None) -> Outcome:
        """Wait for its end; after `timeout` real seconds its processes are killed."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        texts = []
        for output in self._outputs:
            with output:
                output.seek(0)
                texts.append(output.read().decode(errors="replace"))
        return Outcome(self._process.returncode, *texts)

    def kill(self) -> None:
        """Kill it and whatever it started in its process group."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)


class Sandbox:
    """One instance's files and processes.

    `environment` is for the AWS CLI and the fake commands: on AWS they learn Region, endpoint and
    credentials from the instance, so that a script finds none of it in its own environment.
    With a command server, fake commands are quicker.
    """

    def __init__(
        self,
        instance_id: str,
        environment: Mapping[str, str],
        command_server: CommandServer | None = None,
    ) -> None:
        self.instance_id = instance_id
        self.environment = dict(environment)
        self._command_server = command_server
        self._served = False
        self._serving = threading.Lock()
        self._numbers = itertools.count(1)
        self._written = ""
        unshare = shutil.which("unshare")
        if unshare is None:
            reason = "the command 'unshare' of util-linux is not installed"
            raise _cannot_isolate(instance_id, reason)
        self._keeper = self._make(unshare)
        self._pid = self._await_ready()

    def _make(self, unshare: str) -> subprocess.Popen[str]:
        """Start the sandbox's first process; it ends, and the sandbox with it, when its input does."""
        self._root = root = tempfile.mkdtemp(prefix=f"{self.instance_id}-")
        namespaces = ["--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"]
        here = str(HERE)
        given = [f"{here}/sandbox.sh", root, here, sys.executable, *_python_directories()]
        return subprocess.Popen(
            ["/bin/bash", "-c", REMOVING, root, unshare, *namespaces, "/bin/bash", *given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": PATH},
            text=True,
            start_new_session=True,
        )

    def _await_ready(self) -> int:
        assert self._keeper.stdout
        assert self._keeper.stderr
        pid = self._keeper.stdout.readline().strip()
        if pid:
            return int(pid)
        _, complaint = self._keeper.communicate()
        reason = complaint.strip() or f"unshare ended with {self._keeper.returncode}"
        raise _cannot_isolate(self.instance_id, reason)

    def start(self, script: str, environment: Mapping[str, str] | None = None) -> Script:
        """Start a script as the SSM agent does: as root, its output kept, nothing to read."""
        number = next(self._numbers)
        orchestration = f"/var/lib/amazon/ssm/{self.instance_id}/document/orchestration"
        path = f"{orchestration}/{number}/_script.sh"
        self.write(path, script, 0o700)
        self._write_settings()
        self._serve_commands()
        # The script closes them when it was waited for; they have no name, so that nothing stays.
        stdout, stderr = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 # see above
        process = subprocess.Popen(
            self._entering(["/bin/sh", "-c", f'cd {WORKING_DIRECTORY} && exec "$0"', path]),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env={
                "PATH": PATH,
                "LANG": "C.UTF-8",
                "AWS_SSM_INSTANCE_ID": self.instance_id,
                **(environment or {}),
            },
            start_new_session=True,
        )
        return Script(process, stdout, stderr)

    def run(
        self, script: str, environment: Mapping[str, str] | None = None, timeout: float = 60
    ) -> Outcome:
        """Run a script to its end, for `timeout` real seconds at most."""
        return self.start(script, environment).wait(timeout)

    def read(self, path: str) -> str:
        """The text of a file in the sandbox; FileNotFoundError if there is none."""
        found = self._inside(["/bin/sh", "-c", 'test -e "$0" && exec cat "$0"', path])
        if found.returncode:
            raise FileNotFoundError(path)
        return found.stdout

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file in the sandbox, and the directories that lead to it."""
        # All at once: another script may be reading it.
        steps = 'mkdir -p "${0%/*}" && cat > "$0.$$" && chmod "$1" "$0.$$" && mv -f "$0.$$" "$0"'
        done = self._inside(["/bin/sh", "-c", steps, path, f"{mode:o}"], text)
        if done.returncode:
            raise OSError(f"{path} cannot be written in the sandbox: {done.stderr.strip()}")

    def commands(self) -> list[list[str]]:
        """The argument list of every command that scripts ran so far, but for the shells'."""
        try:
            fields = self.read("/run/localaws/calls").split("\x1f")
        except FileNotFoundError:
            return []
        calls, at = [], 0
        while at < len(fields) - 1:
            count = int(fields[at])
            calls.append(fields[at + 1 : at + 2 + count])
            at += count + 2
        return calls

    def halt(self) -> None:
        """Kill every process in the sandbox, as when the instance is stopped; its files stay."""
        with self._serving:
            self._inside(["/bin/sh", "-c", "kill -KILL -1"])
            self._served = False

    def destroy(self) -> None:
        """End the sandbox with all its files and processes."""
        self._keeper.communicate()

    def _serve_commands(self) -> None:
        with self._serving:
            if self._command_server and not self._served:
                self._command_server.enter(self._pid, self._root)
                self._served = True

    def _write_settings(self) -> None:
        settings = self._settings()
        if settings != self._written:
            self.write("/run/localaws/environment", settings, 0o600)
            self._written = settings

    def _settings(self) -> str:
        settings = {
            **self.environment,
            "EC2_INSTANCE_ID": self.instance_id,
            "REHEARSAL_PYTHON": _python(),
            "REHEARSAL_SITE_PACKAGES": sysconfig.get_path("platlib"),
        }
        # What a script exports for itself comes first, as with the environment on AWS.
        return "".join(
            f'[ -n "${{{name}-}}" ] || export {name}={shlex.quote(value)}\n'
            for name, value in settings.items()
        )

    def _inside(self, command: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str]:
        """Run something of the sandbox's own, which is not to be noted down."""
        return subprocess.run(
            self._entering(command),
            input=text,
            env={"PATH": "/run/localaws/usr/bin"},
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )

    def _entering(self, command: Sequence[str]) -> list[str]:
        namespaces = ["--user", "--preserve-credentials", "--mount", "--pid", "--root", "--wd"]
        # It comes with unshare, in util-linux.
        nsenter = shutil.which("nsenter") or "nsenter"
        return [nsenter, "--target", str(self._pid), *namespaces, "--", *command]


def why_not_isolated() -> str | None:
    """None where scripts can run apart from this machine, else the reason in words."""
    try:
        Sandbox("i-probe", {}).destroy()
    except CannotIsolateError as refusal:
        return str(refusal)
    return None


def _python() -> str:
    """This Python, as the sandbox's commands can call it: in /usr/bin they stand in its own place.

    A virtual environment is mostly made of a Python there, and its `python` a link to that.
    """
    real = Path(sys.executable).resolve()
    hidden = real.parent in (Path("/usr/bin"), Path("/usr/sbin"))
    return f"/run/localaws{real}" if hidden else sys.executable


def _python_directories() -> list[str]:
    """The directories of this Python that the sandbox does not see in /usr anyway."""
    seen = Path("/usr")
    return [
        str(path)
        for path in sorted({Path(sys.prefix), Path(sys.base_prefix)})
        if not (
            path.is_relative_to(seen)
            and not path.is_relative_to("/usr/local")
            and path.stat().st_dev == seen.stat().st_dev
        )
    ]


def _cannot_isolate(instance_id: str, reason: str) -> CannotIsolateError:
    return CannotIsolateError(
        f"Instance {instance_id} cannot be rehearsed here: its scripts install packages and write "
        "to /opt and /etc, and this machine does not let them be kept away from its own files "
        f"({reason}). Linux with unprivileged user namespaces and overlay mounts is needed: see "
        "the sysctls kernel.unprivileged_userns_clone, user.max_user_namespaces and "
        "kernel.apparmor_restrict_unprivileged_userns."
    )
