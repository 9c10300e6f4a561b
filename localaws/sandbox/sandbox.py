"""The file system and processes of an EC2 instance: an isolated sandbox, where scripts really run.

A sandbox has a root directory of its own in memory (see sandbox.sh), and nothing else of the
machine is mounted. It shows /usr and this Python, each under an overlay: absolute paths such as
/opt/cloudhsm/bin work, and what a script writes stays in the sandbox. There is no network; of two
UNIX sockets, one leads to AWS, the other to the HSMs and to injected faults. Commands run through
command.sh. If the machine cannot isolate a sandbox, CannotIsolateError is raised, and no script
ever runs on the machine itself.
"""

from __future__ import annotations

import itertools
import os
import select
import shlex
import shutil
import signal
import socket
import subprocess  # nosec B404 # its purpose
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from localaws.services.ssm.interfaces import Outcome

HERE = Path(__file__).resolve().parent
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# As the SSM agent runs a script: from its unit's working directory, with no HOME.
WORKING_DIRECTORY = "/usr/bin"
NAMESPACES = ("--user", "--mount", "--pid", "--net", "--ipc")
IN_DIRECTORY = 'cd -- "$1" || exit 1; exec "$0"'
# As Session Manager starts a session: /bin/sh in the agent's directory. Its user is ssm-user, who
# may run sudo; a sandbox has no other user than root.
# https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-getting-started-ssm-user-permissions.html
SESSION_HOME = "/home/ssm-user"
SESSION = f"mkdir -p {SESSION_HOME}; cd {WORKING_DIRECTORY}; exec /bin/sh"
# Runs a command, then removes the directory on which the sandbox was mounted.
THEN_REMOVE = '"$@"; code=$?; rmdir "$0"; exit $code'


class CannotIsolateError(RuntimeError):
    """This machine does not allow isolated sandboxes."""


class Script:
    """A script running in a sandbox."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        outputs: tuple[IO[bytes], IO[bytes]],
        sleeps: socket.socket,
        sleep: Callable[[float], object],
    ) -> None:
        self._process = process
        self._outputs = outputs
        self._sleeps = sleeps
        self._sleep = sleep

    def wait(self, timeout: float | None = None) -> Outcome:
        """Wait for the end; kill the script's processes after `timeout` real seconds.

        What the script sleeps passes in the calling thread, as virtual time.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        process = os.pidfd_open(self._process.pid)
        watched = [process, self._sleeps.fileno()]
        try:
            while self._process.poll() is None:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                ready, _, _ = select.select(watched, [], [], left)
                if not ready:
                    self.kill()
                elif process not in ready:
                    seconds = self._sleeps.recv(64)
                    if seconds:
                        self._pass_time(float(seconds))
                    else:  # closed by the script, which is ending
                        watched = [process]
        finally:
            os.close(process)
            self._sleeps.close()
        texts = []
        for output in self._outputs:
            with output:
                output.seek(0)
                texts.append(output.read().decode(errors="replace"))
        return Outcome(self._process.returncode, *texts)

    def _pass_time(self, seconds: float) -> None:
        """Let virtual seconds pass, in steps of one so that the script can be killed meanwhile."""
        while seconds > 0 and self._process.poll() is None:
            self._sleep(min(1.0, seconds))
            seconds -= 1
        if self._process.poll() is None:
            self._sleeps.send(b"\n")

    def kill(self) -> None:
        """Kill the script's process group."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)


class Sandbox:
    """One instance's file system and processes.

    `environment` is for the fake commands: on AWS, the real ones learn Region, endpoint and
    credentials from the instance, so that a script finds none of it in its own environment.
    `sleep` lets virtual seconds pass; by default none pass when a script sleeps. `sockets` is the
    directory of the sockets that the fake commands use.
    """

    def __init__(
        self,
        instance_id: str,
        environment: Mapping[str, str],
        sleep: Callable[[float], object] = lambda seconds: None,
        sockets: Path = Path("/nonexistent"),
    ) -> None:
        self.instance_id = instance_id
        self.environment = dict(environment)
        self._sleep = sleep
        self._numbers = itertools.count(1)
        self._written = ""
        unshare = shutil.which("unshare")
        if unshare is None:
            reason = "the command 'unshare' of util-linux is not installed"
            raise _cannot_isolate(instance_id, reason)
        self._keeper = self._make(unshare, sockets)
        self._pid = self._await_ready()

    def _make(self, unshare: str, sockets: Path) -> subprocess.Popen[str]:
        """Start the sandbox's first process; closing its standard input ends the sandbox."""
        root = tempfile.mkdtemp(prefix=f"{self.instance_id}-")
        namespaces = [*NAMESPACES, "--map-root-user", "--fork", "--kill-child"]
        program, *arguments = f"{HERE}/sandbox.sh", root, str(HERE), sys.executable, str(sockets)
        arguments += _python_directories()
        build = [unshare, *namespaces, "/bin/bash", program, *arguments]
        return subprocess.Popen(  # nosec B603 # a fixed command
            ["/bin/bash", "-c", THEN_REMOVE, root, *build],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": PATH},
            text=True,
            start_new_session=True,
        )

    def _await_ready(self) -> int:
        assert self._keeper.stdout  # nosec B101 # for mypy
        assert self._keeper.stderr  # nosec B101 # for mypy
        pid = self._keeper.stdout.readline().strip()
        if pid:
            return int(pid)
        _, complaint = self._keeper.communicate()
        reason = complaint.strip() or f"unshare ended with {self._keeper.returncode}"
        raise _cannot_isolate(self.instance_id, reason)

    def start(
        self, script: str, environment: Mapping[str, str] | None = None, directory: str = ""
    ) -> Script:
        """Start a script as the SSM agent does: as root, without standard input."""
        number = next(self._numbers)
        orchestration = f"/var/lib/amazon/ssm/{self.instance_id}/document/orchestration"
        path = f"{orchestration}/{number}/_script.sh"
        self.write(path, script, 0o700)
        self._write_settings()
        # Script.wait closes them; they have no name, so nothing is left behind.
        stdout, stderr = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 # see above
        sleeps, of_script = socket.socketpair()
        process = subprocess.Popen(  # nosec B603 # in the sandbox
            self._entering(["/bin/sh", "-c", IN_DIRECTORY, path, directory or WORKING_DIRECTORY]),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env={
                "PATH": PATH,
                "LANG": "C.UTF-8",
                "AWS_SSM_INSTANCE_ID": self.instance_id,
                "LOCALAWS_SLEEP": str(of_script.fileno()),
                **(environment or {}),
            },
            pass_fds=[of_script.fileno()],
            start_new_session=True,
        )
        of_script.close()
        return Script(process, (stdout, stderr), sleeps, self._sleep)

    def run(
        self, script: str, environment: Mapping[str, str] | None = None, timeout: float = 60
    ) -> Outcome:
        """Run a script, for at most `timeout` real seconds."""
        return self.start(script, environment).wait(timeout)

    def shell(self) -> list[str]:
        """The command that opens a shell, with nothing of its caller's environment."""
        self._write_settings()
        environment = [f"PATH={PATH}", "LANG=C.UTF-8", "TERM=xterm", f"HOME={SESSION_HOME}"]
        enter = self._entering(["/bin/sh", "-c", SESSION])
        return ["/usr/bin/env", "-i", *environment, *enter]

    def read(self, path: str) -> str:
        """The text of a file in the sandbox; raises FileNotFoundError."""
        found = self._inside(["/bin/sh", "-c", 'test -e "$0" && exec cat "$0"', path])
        if found.returncode:
            raise FileNotFoundError(path)
        return found.stdout

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file in the sandbox and create its parent directories."""
        # Atomically: another script may be reading it.
        steps = 'mkdir -p "${0%/*}" && cat > "$0.$$" && chmod "$1" "$0.$$" && mv -f "$0.$$" "$0"'
        done = self._inside(["/bin/sh", "-c", steps, path, f"{mode:o}"], text)
        if done.returncode:
            raise OSError(f"{path} cannot be written in the sandbox: {done.stderr.strip()}")

    def files(self) -> dict[str, str]:
        """The text of every file that scripts have written, by path."""
        # Only the overlays' upper layers contain what was written below their directories.
        find = (
            r"find / /dev/shm -xdev \( -path /dev -o -path /run/localaws \) -prune "
            "-o -type f ! -name \\*.pyc -size -1024k -exec /bin/sh -c "
            """'for path; do printf "%s\\0" "$path"; tr -d "\\0" < "$path"; printf "\\0"; done' """
            "sh {} +"
        )
        fields = self._inside(["/bin/sh", "-c", find]).stdout.split("\0")
        return dict(zip(fields[:-1:2], fields[1::2], strict=True))

    def traces(self) -> list[tuple[str, str]]:
        """What its processes and users can see, by place: arguments of commands, and files."""
        arguments = [(f"arguments of {each[0]}", " ".join(each)) for each in self.commands()]
        files = [(f"file {path}", text) for path, text in self.files().items()]
        return [(f"{what} on {self.instance_id}", text) for what, text in arguments + files]

    def commands(self) -> list[list[str]]:
        """The argument list of every command that scripts have run, except shells."""
        return [arguments for _, arguments in self.commands_of_documents()]

    def commands_of_documents(self) -> list[tuple[str, list[str]]]:
        """The same, each with the document whose script ran the command, empty for none."""
        try:
            fields = self.read("/run/localaws/calls").split("\x1f")
        except FileNotFoundError:
            return []
        calls, at = [], 0
        while at < len(fields) - 1:
            document, count = fields[at], int(fields[at + 1])
            calls.append((document, fields[at + 2 : at + 3 + count]))
            at += count + 3
        return calls

    def halt(self) -> None:
        """Kill every process in the sandbox, as stopping an instance does; files stay."""
        self._inside(["/bin/sh", "-c", "kill -KILL -1"])

    def destroy(self) -> None:
        """Remove the sandbox with all its files and processes."""
        self._keeper.communicate()

    def _write_settings(self) -> None:
        settings = self._settings()
        if settings != self._written:
            self.write("/run/localaws/environment", settings, 0o600)
            self._written = settings

    def _settings(self) -> str:
        settings = {
            **self.environment,
            "EC2_INSTANCE_ID": self.instance_id,
            "LOCALAWS_PYTHON": _python(),
            "LOCALAWS_SITE_PACKAGES": sysconfig.get_path("platlib"),
        }
        # What a script exports for itself comes first, as with the environment on AWS.
        return "".join(
            f'[ -n "${{{name}-}}" ] || export {name}={shlex.quote(value)}\n'
            for name, value in settings.items()
        )

    def _inside(self, command: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command of the machine in the sandbox, without recording it."""
        return subprocess.run(  # nosec B603 # in the sandbox
            self._entering(command),
            input=text,
            env={"PATH": "/run/localaws/usr/bin"},
            cwd="/",
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )

    def _entering(self, command: Sequence[str]) -> list[str]:
        namespaces = [*NAMESPACES, "--preserve-credentials", "--root", "--wd"]
        # It comes with unshare, in util-linux.
        nsenter = shutil.which("nsenter") or "nsenter"
        return [nsenter, "--target", str(self._pid), *namespaces, "--", *command]


def why_not_isolated() -> str | None:
    """The reason why this machine does not allow sandboxes, or None if it does."""
    try:
        Sandbox("i-probe", {}).destroy()
    except CannotIsolateError as error:
        return str(error)
    return None


def _python() -> str:
    """The path of this Python in the sandbox, where /usr/bin contains links to command.sh.

    The `python` of a virtual environment is often a link to a Python in /usr/bin.
    """
    target = Path(sys.executable).resolve()
    is_hidden = target.parent in (Path("/usr/bin"), Path("/usr/sbin"))
    return f"/run/localaws{target}" if is_hidden else sys.executable


def _python_directories() -> list[str]:
    """The directories of this Python that the sandbox does not see as part of /usr."""
    usr = Path("/usr")
    return [
        str(path)
        for path in sorted({Path(sys.prefix), Path(sys.base_prefix)})
        if not (
            path.is_relative_to(usr)
            and not path.is_relative_to("/usr/local")
            and path.stat().st_dev == usr.stat().st_dev
        )
    ]


def _cannot_isolate(instance_id: str, reason: str) -> CannotIsolateError:
    return CannotIsolateError(
        f"Instance {instance_id} cannot run here: its scripts install packages and write to /opt "
        f"and /etc, and this machine does not allow a sandbox for them ({reason}). Requires Linux "
        "with unprivileged user namespaces and overlay mounts enabled: check the sysctls "
        "kernel.unprivileged_userns_clone, user.max_user_namespaces and "
        "kernel.apparmor_restrict_unprivileged_userns."
    )
