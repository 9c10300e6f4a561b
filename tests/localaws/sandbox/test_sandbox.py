"""The sandbox: scripts run for real, and nothing of it reaches this machine."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localaws.sandbox.command_server import CommandServer, start_command_server
from localaws.sandbox.sandbox import HERE, PATH, CannotIsolateError, Sandbox, why_not_isolated

BASH = "#!/bin/bash\nset -euo pipefail\n"
DIRECTORIES = (
    *("/", "/etc", "/home", "/mnt", "/opt", "/root", "/run", "/tmp", "/usr", "/usr/bin"),
    *("/usr/local", "/usr/share", "/var", "/var/lib", "/var/tmp"),
)


@pytest.fixture(name="temporary")
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where sandboxes keep on the machine what little they need there."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_script_runs_as_root_and_its_output_and_exit_code_come_back(sandbox: Sandbox) -> None:
    outcome = sandbox.run(BASH + "id -u; echo trouble >&2; exit 7")
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (7, "0\n", "trouble\n")


def test_the_shebang_decides_what_runs_the_script(sandbox: Sandbox) -> None:
    assert sandbox.run("#!/usr/bin/awk -f\nBEGIN { print 6 * 7 }").stdout == "42\n"


def test_a_script_without_shebang_runs_in_sh(sandbox: Sandbox) -> None:
    assert sandbox.run('[ -z "${BASH_VERSION-}" ] && echo plain').stdout == "plain\n"


def test_a_script_has_nothing_to_read(sandbox: Sandbox) -> None:
    assert sandbox.run(BASH + "wc -c").stdout == "0\n"


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_what_is_written_stays_in_the_box(sandbox: Sandbox, directory: str) -> None:
    path = f"{directory.rstrip('/')}/{uuid.uuid4()}"
    sandbox.run(f"echo here > {path}")
    assert not Path(path).exists()
    if os.geteuid() == 0 or directory != "/usr/share":
        assert sandbox.run(f"cat {path}").stdout == "here\n"


def test_what_is_written_beside_this_python_stays_in_the_box(sandbox: Sandbox) -> None:
    path = Path(sys.prefix) / str(uuid.uuid4())
    sandbox.run(f"echo here > {path}")
    assert not path.exists()


def test_what_is_removed_in_the_box_stays_on_the_machine(sandbox: Sandbox) -> None:
    sandbox.run("rm -rf /etc/hosts /usr/bin/env /usr/share/doc")
    assert Path("/etc/hosts").exists()
    assert Path("/usr/bin/env").exists()


def test_the_machines_own_commands_cannot_be_changed(sandbox: Sandbox) -> None:
    outcome = sandbox.run("echo broken > /run/localaws/usr/bin/env")
    assert "Read-only file system" in outcome.stderr


def test_what_the_machine_keeps_elsewhere_is_not_seen(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("private")
    assert sandbox.run(f"cat {tmp_path}/note").exit_code == 1
    for directory in ("/home", "/mnt", "/opt", "/root", "/srv", "/tmp", "/var/tmp"):
        seen = {Path(directory) / name for name in sandbox.run(f"ls -A {directory}").stdout.split()}
        assert seen <= {*Path(sys.prefix).parents, *Path(sys.base_prefix).parents} | {
            Path(sys.prefix),
            Path(sys.base_prefix),
        }


def test_no_process_of_the_machine_is_seen(sandbox: Sandbox) -> None:
    numbers = sandbox.run("ls /proc | grep '^[0-9]'").stdout.split()
    assert str(os.getpid()) not in numbers
    assert len(numbers) < 10


def test_the_environment_is_the_agents_and_not_the_machines(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the machine's own")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    sandbox.environment["AWS_ACCESS_KEY_ID"] = "the instance's"
    names = {line.partition("=")[0] for line in sandbox.run("env").stdout.splitlines()}
    assert names <= {"AWS_SSM_INSTANCE_ID", "LANG", "PATH", "PWD", "OLDPWD", "SHLVL", "_"}


def test_a_box_is_amazon_linux_2023(sandbox: Sandbox) -> None:
    assert sandbox.run('. /etc/os-release; echo "$ID $VERSION_ID"').stdout == "amzn 2023\n"


def test_files_stay_from_one_script_to_the_next(sandbox: Sandbox) -> None:
    sandbox.run("mkdir -p /opt/cloudhsm/etc; echo kept > /opt/cloudhsm/etc/note")
    assert sandbox.run("cat /opt/cloudhsm/etc/note").stdout == "kept\n"
    assert sandbox.read("/opt/cloudhsm/etc/note") == "kept\n"


def test_a_file_that_is_not_there_cannot_be_read(sandbox: Sandbox) -> None:
    with pytest.raises(FileNotFoundError):
        sandbox.read("/opt/nothing")


def test_a_file_can_be_put_into_the_box(sandbox: Sandbox) -> None:
    sandbox.write("/opt/tools/hello", "#!/bin/sh\necho hello\n", 0o755)
    assert sandbox.run("/opt/tools/hello").stdout == "hello\n"


def test_boxes_see_nothing_of_each_other(make_box: Callable[..., Sandbox]) -> None:
    one, other = make_box("i-1"), make_box("i-2")
    one.run("echo mine > /opt/note")
    assert other.run("cat /opt/note").exit_code == 1


def test_two_scripts_can_run_at_once(sandbox: Sandbox) -> None:
    first = sandbox.start(BASH + "until [ -e /tmp/go ]; do :; done; echo went")
    assert sandbox.run("touch /tmp/go").exit_code == 0
    assert first.wait(10).stdout == "went\n"


def test_the_command_line_interface_of_aws_is_the_real_one(sandbox: Sandbox) -> None:
    assert sandbox.run("aws --version").stdout.startswith("aws-cli/1.")


@pytest.fixture(name="secrets_manager")
def _secrets_manager() -> Iterator[tuple[str, list[str]]]:
    credentials: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            credentials.append(self.headers["Authorization"])
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"SecretString": "sesame"}).encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", credentials
    server.shutdown()
    server.server_close()


def test_region_endpoint_and_credentials_are_known_to_the_cli_alone(
    make_box: Callable[..., Sandbox], secrets_manager: tuple[str, list[str]]
) -> None:
    endpoint, credentials = secrets_manager
    sandbox = make_box(
        AWS_ENDPOINT_URL=endpoint,
        AWS_REGION="eu-north-1",
        AWS_DEFAULT_REGION="eu-north-1",
        AWS_ACCESS_KEY_ID="AKIAINSTANCE",
        AWS_SECRET_ACCESS_KEY="it's $ecret",
    )
    ask = "aws secretsmanager get-secret-value --secret-id x --query SecretString --output text"
    assert sandbox.run(f'{ask}; echo "${{AWS_ACCESS_KEY_ID-none}}"').stdout == "sesame\nnone\n"
    assert sandbox.run(f"{ask} --region eu-west-3").stdout == "sesame\n"
    assert "AKIAINSTANCE/" in credentials[0]
    assert ["/eu-north-1/" in credentials[0], "/eu-west-3/" in credentials[1]] == [True, True]


def test_each_call_of_the_cli_has_its_own_environment_directory_and_exit_code(
    make_box: Callable[..., Sandbox], secrets_manager: tuple[str, list[str]]
) -> None:
    endpoint, credentials = secrets_manager
    sandbox = make_box(AWS_ENDPOINT_URL=endpoint, AWS_ACCESS_KEY_ID="A", AWS_SECRET_ACCESS_KEY="B")
    sandbox.write("/opt/secret", "sesame")
    ask = "aws secretsmanager put-secret-value --secret-id x --secret-string file://secret"
    asked = sandbox.run(
        BASH + f"set +e; export AWS_REGION=eu-west-1 AWS_DEFAULT_REGION=eu-west-1\n{ask}; echo $?\n"
        f"cd /opt; {ask} > /dev/null; echo $?\n"
        f"export AWS_REGION=eu-west-2 AWS_DEFAULT_REGION=eu-west-2; {ask} > /dev/null; echo $?\n"
        "aws secretsmanager 2> /dev/null; echo $?\n"
    )
    assert asked.stdout == "255\n0\n0\n2\n"
    assert "Unable to load paramfile" in asked.stderr
    assert ["/eu-west-1/" in credentials[0], "/eu-west-2/" in credentials[1]] == [True, True]


def test_a_stand_in_has_the_streams_the_directory_and_the_mask_it_is_called_with(
    sandbox: Sandbox,
) -> None:
    outcome = sandbox.run(
        BASH + "dnf install -y -q jq; cd /opt; umask 077\n"
        "{ echo 1; jq -n 2; echo 3; } > numbers; jq -n 4 >> numbers\n"
        "jq . <<< 5 >> numbers; jq -n 6 | jq . | cat >> numbers; cat numbers\n"
        "curl -so page https://nowhere; stat -c %a page\n"
        "jq -n nonsense 2> problem || echo $?; grep -q 'compile error' problem; echo $?\n"
    )
    assert outcome.stdout == "1\n2\n3\n4\n5\n6\n600\n3\n0\n"


def test_two_stand_ins_at_once_do_not_take_each_others_streams(sandbox: Sandbox) -> None:
    sandbox.run("dnf install -y -q jq")
    pipelines = "for number in {1..50}; do jq -n $number | jq -c '[.]'; done"
    assert sandbox.run(BASH + pipelines).stdout == "".join(f"[{each}]\n" for each in range(1, 51))


def test_stand_ins_still_run_when_every_process_was_ended(sandbox: Sandbox) -> None:
    assert sandbox.run("aws --version").exit_code == 0
    sandbox.halt()
    assert sandbox.run("aws --version").exit_code == 0


def test_the_command_server_is_there_for_those_connected_when_its_starter_has_gone() -> None:
    source = start_command_server()
    server = CommandServer(source.connect())
    ending = threading.Thread(target=source.close)
    ending.start()
    sandbox = Sandbox("i-1", {}, server)
    assert sandbox.run("aws --version").exit_code == 0
    sandbox.destroy()
    server.close()
    ending.join(10)
    assert not ending.is_alive()


def test_without_a_command_server_stand_ins_are_started() -> None:
    sandbox = Sandbox("i-1", {})
    outcomes = [sandbox.run(command) for command in ("aws --version", "rpm -q jq")]
    sandbox.destroy()
    assert [outcome.exit_code for outcome in outcomes] == [0, 1]
    assert outcomes[0].stdout.startswith("aws-cli/1.")


# Has the kernel refuse pidfd_getfd, as the seccomp profiles of containers do: four instructions
# (linux/filter.h), of which the first loads a system call's number, for prctl(PR_SET_SECCOMP).
CONFINED = """if True:
    import ctypes, struct, sys
    allow, refuse = 0x7FFF0000, 0x00050001
    steps = [(0x20, 0, 0, 0), (0x15, 0, 1, 438), (0x06, 0, 0, refuse), (0x06, 0, 0, allow)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None)
    assert not libc.prctl(38, 1, 0, 0, 0) and not libc.prctl(22, 2, program)
    assert libc.syscall(438, -1, 0, 0) == -1
    from localaws.sandbox.sandbox import Sandbox
    from localaws.sandbox.command_server import CommandServer
    server = CommandServer()
    sandbox = Sandbox("i-1", {}, server)
    print(sandbox.run("rpm -q jq; ls /run/localaws/requests"))
    sandbox.destroy()
    server.close()
"""


def test_where_a_process_may_not_be_asked_for_its_streams_stand_ins_are_started() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CONFINED], capture_output=True, text=True, check=False
    )
    assert "package jq is not installed" in done.stdout
    assert "cannot access '/run/localaws/requests'" in done.stdout


def test_a_box_that_has_gone_is_not_entered() -> None:
    sandbox, server = Sandbox("i-1", {}), CommandServer()
    sandbox.destroy()
    with pytest.raises(OSError, match="ProcessLookupError"):
        server.enter(sandbox._pid, sandbox._root)
    server.close()


def test_every_command_that_runs_is_noted_with_its_arguments(sandbox: Sandbox) -> None:
    sandbox.run(BASH + "sed 's/x/y\\\n z/' < /dev/null; tr -d '\\n' < /dev/null; cat /dev/null ''")
    assert sandbox.commands() == [
        ["sed", "s/x/y\\\n z/"],
        ["tr", "-d", "\\n"],
        ["cat", "/dev/null", ""],
    ]


def test_a_builtin_of_the_shell_is_no_command_that_others_could_see(sandbox: Sandbox) -> None:
    sandbox.run(BASH + "printf '%s' secret; echo secret; [ secret = secret ]")
    assert sandbox.commands() == []


def test_a_command_that_the_box_lacks_is_not_found(sandbox: Sandbox) -> None:
    assert sandbox.run(BASH + "jq --version").exit_code == 127
    assert sandbox.run(BASH + "command -v jq").exit_code == 1


def test_a_script_that_takes_too_long_is_killed_with_all_it_started(sandbox: Sandbox) -> None:
    endless = "/run/localaws/usr/bin/sleep 1000"
    start = time.monotonic()
    outcome = sandbox.run(BASH + f"echo begun; {endless} & {endless}", timeout=0.5)
    assert outcome.exit_code < 0
    assert outcome.stdout == "begun\n"
    assert time.monotonic() - start < 30
    assert sandbox.run("ps -C sleep").exit_code == 1


def test_a_script_that_is_killed_does_not_go_on(sandbox: Sandbox) -> None:
    script = sandbox.start(BASH + "/run/localaws/usr/bin/sleep 1000; echo on > /opt/note")
    script.kill()
    assert script.wait(10).exit_code < 0
    script.kill()
    assert sandbox.run("cat /opt/note").exit_code == 1


def test_stopping_the_instance_ends_its_processes_and_keeps_its_files(sandbox: Sandbox) -> None:
    script = sandbox.start(BASH + "touch /opt/begun; /run/localaws/usr/bin/sleep 1000")
    while sandbox.run("test -e /opt/begun").exit_code:
        pass
    sandbox.halt()
    assert script.wait(10).exit_code != 0
    assert sandbox.run("ls /opt").stdout == "begun\n"


def test_a_box_that_is_destroyed_leaves_nothing(temporary: Path) -> None:
    sandbox = Sandbox("i-1", {})
    sandbox.run("echo x; touch /opt/x; setsid /run/localaws/usr/bin/sleep 987654 &")
    sandbox.destroy()
    assert list(temporary.iterdir()) == []
    assert subprocess.run(["pgrep", "-f", "sleep 98765[4]"], check=False).returncode == 1


def test_a_script_in_a_box_that_is_destroyed_is_over(sandbox: Sandbox) -> None:
    script = sandbox.start(BASH + "echo begun; /run/localaws/usr/bin/sleep 1000")
    while "sleep" not in sandbox.run("ps -e").stdout:
        pass
    sandbox.destroy()
    outcome = script.wait(10)
    assert (outcome.exit_code == 0, outcome.stdout) == (False, "begun\n")


def test_a_box_goes_when_the_process_that_made_it_is_killed(temporary: Path) -> None:
    program = (
        "import os, signal; from localaws.sandbox.sandbox import Sandbox; sandbox = Sandbox('i-1', {});"
        "sandbox.run('setsid /run/localaws/usr/bin/sleep 976543 &');"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "TMPDIR": str(temporary)}
    made = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert made.returncode == -9
    deadline = time.monotonic() + 60
    find = ["pgrep", "-f", "sleep 97654[3]"]
    while subprocess.run(find, stdout=subprocess.DEVNULL, check=False).returncode == 0 or list(
        temporary.iterdir()
    ):
        assert time.monotonic() < deadline
        time.sleep(0.01)


# Whether the sandbox is the caller's alone or an ordinary user's, what runs in it is the same.
PROGRAM = """if True:
    import sys, tempfile
    sys.dont_write_bytecode, tempfile.tempdir = True, sys.argv[1]
    from localaws.sandbox.sandbox import Sandbox
    sandbox = Sandbox("i-1", {})
    print(sandbox.run("id -u; dnf install -y -q jq; cd /etc; rm hosts; touch x /opt/x /usr/bin/x"))
    sandbox.destroy()
"""
# The distribution's own, of which most virtual environments are made.
PYTHON = Path("/usr/bin/python3")
WITH_PYTHON = pytest.mark.skipif(not PYTHON.exists(), reason=f"there is no {PYTHON}")


def made_by(python: Path, directory: str, **options: Any) -> str:
    """What the program prints that makes a sandbox and runs a script in it."""
    done = subprocess.run(
        [python, "-c", PROGRAM, directory],
        env={"PATH": PATH},
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    return str(done.stdout or done.stderr)


@pytest.mark.skipif(os.geteuid() != 0, reason="then every other test proves it")
@WITH_PYTHON
def test_an_ordinary_user_can_have_a_box_too() -> None:
    readable = subprocess.run(["test", "-r", HERE / "sandbox.sh"], user=65534, check=False)
    if readable.returncode:
        pytest.skip("nobody else may read this directory")
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o777)
        said = made_by(PYTHON, directory, user=65534, group=65534, extra_groups=[])
    assert said == "Outcome(exit_code=0, stdout='0\\n', stderr='')\n"


@WITH_PYTHON
def test_a_virtual_environment_of_the_machine_s_own_python_can_have_a_box_too(
    tmp_path: Path,
) -> None:
    environment, sandboxes = tmp_path / "environment", tmp_path / "sandboxes"
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", environment], check=True)
    sandboxes.mkdir()
    said = made_by(environment / "bin" / "python", str(sandboxes))
    assert said == "Outcome(exit_code=0, stdout='0\\n', stderr='')\n"


def test_this_machine_can_isolate() -> None:
    assert why_not_isolated() is None


def test_a_machine_without_unshare_is_refused_in_words(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(temporary))
    with pytest.raises(CannotIsolateError, match=r"i-1 cannot be rehearsed here.*util-linux"):
        Sandbox("i-1", {})
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        ("unshare", "unshare: unshare failed: Operation not permitted"),
        ("mount", "mount: /usr: unknown filesystem type 'overlay'."),
        ("mount", "mount: /proc: permission denied."),
    ],
)
def test_a_machine_that_cannot_isolate_is_refused_and_no_script_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, refusal: str
) -> None:
    commands, sandboxes = tmp_path / "commands", tmp_path / "sandboxes"
    commands.mkdir()
    sandboxes.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(sandboxes))
    fake = commands / command
    fake.write_text(f'#!/bin/sh\necho "{refusal}" >&2\nexit 1\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    monkeypatch.setattr(
        "localaws.sandbox.sandbox.PATH", f"{commands}:/usr/sbin:/usr/bin:/sbin:/bin"
    )
    with pytest.raises(CannotIsolateError) as caught:
        Sandbox("i-1", {})
    assert refusal in str(caught.value)
    assert "user namespaces" in str(caught.value)
    assert refusal in str(why_not_isolated())
    assert list(sandboxes.iterdir()) == []
