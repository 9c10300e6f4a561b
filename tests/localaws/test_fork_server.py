"""Programs that a fork server starts behave like programs that Python starts."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from localaws.client import until
from localaws.fork_server import Connection, ForkedProcess, ForkServer


@pytest.fixture(name="fork_server", scope="module")
def _fork_server() -> Iterator[ForkServer]:
    server = ForkServer("localaws.lambda_runtime.environment")
    yield server
    server.close()


def run(
    fork_server: Connection, directory: Path, program: str, *arguments: str, **env: str
) -> tuple[ForkedProcess, str]:
    """A program that has ended, and what it has printed."""
    file, output = directory / "program.py", directory / "output"
    file.write_text(dedent(program))
    with open(os.devnull, "rb") as nothing, output.open("wb") as written:
        process = fork_server.start(
            [str(file), *arguments],
            cwd=directory,
            env=env,
            descriptors=[nothing.fileno(), written.fileno(), written.fileno()],
        )
    assert process.has_ended(20)
    return process, output.read_text()


def test_a_program_sees_its_own_arguments_environment_and_directory(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    program = """
        import os, sys
        print(sys.argv[1:], dict(os.environ), os.getcwd(), sys.path[0], __name__)
        print(sys.stdin.read() == "", sorted(map(int, os.listdir("/proc/self/fd")))[:4])
    """
    _, output = run(fork_server, tmp_path, program, "a", "b c", NAME="value")
    first, second = output.splitlines()
    assert first == f"['a', 'b c'] {{'NAME': 'value'}} {tmp_path} {tmp_path} __main__"
    # The fourth is of listdir itself: nothing of the fork server is open.
    assert second == "True [0, 1, 2, 3]"


def test_a_program_leads_a_group_and_takes_signals_as_usual(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    program = """
        import os, signal, subprocess
        print(os.getpgid(0) == os.getpid(), signal.getsignal(signal.SIGINT).__name__)
        print(signal.pthread_sigmask(signal.SIG_BLOCK, []), subprocess.run(["false"]).returncode)
    """
    _, output = run(fork_server, tmp_path, program)
    assert output == "True default_int_handler\nset() 1\n"


def test_a_program_that_fails_prints_its_traceback(fork_server: ForkServer, tmp_path: Path) -> None:
    _, output = run(fork_server, tmp_path, "1 / 0")
    assert output.endswith("ZeroDivisionError: division by zero\n")


def test_a_client_that_is_killed_before_it_reads_a_response_ends_no_other(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    with fork_server.connect() as client, open(os.devnull, "rb") as nothing:
        request = {"arguments": ["none.py"], "cwd": str(tmp_path), "env": {}}
        socket.send_fds(client, [json.dumps(request).encode()], [nothing.fileno()] * 3)
        # Closed with an unread message, its other end is reset.
        assert select.select([client], [], [], 20)[0]
    assert run(fork_server, tmp_path, "print('started')")[1] == "started\n"


def test_programs_that_end_at_once_leave_no_zombie(fork_server: ForkServer, tmp_path: Path) -> None:
    processes = [run(fork_server, tmp_path, "")[0] for _ in range(5)]
    for process in processes:
        until(lambda: not Path(f"/proc/{process.pid}").exists(), "a zombie stayed")  # noqa: B023 # called at once
        process.send_signal(signal.SIGKILL)
        process.close()
    assert len({process.pid for process in processes}) == 5


def test_a_fork_server_that_has_ended_starts_nothing(tmp_path: Path) -> None:
    server = ForkServer("no.such.module")
    with pytest.raises(OSError, match="the fork server has ended"):
        run(server, tmp_path, "")
    server.close()


def test_another_process_starts_programs_on_a_connection(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    with fork_server.connect() as requests:
        _, output = run(Connection(requests), tmp_path, "print(6 * 7)")
    assert output == "42\n"
    assert run(fork_server, tmp_path, "print(1)")[1] == "1\n"


def test_programs_find_nothing_of_the_user_in_proc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-user")
    server = ForkServer("localaws.lambda_runtime.environment")
    _, output = run(server, tmp_path, "print(open('/proc/self/environ').read())")
    server.close()
    assert "PATH=" in output
    assert "of-the-user" not in output
