"""The sandbox: scripts really run, isolated from this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localaws.sandbox.sandbox import HERE, PATH, CannotIsolateError, Sandbox, why_not_isolated
from localaws.services.ssm.interfaces import Outcome

BASH = "#!/bin/bash\nset -euo pipefail\n"
DIRECTORIES = (
    *("/", "/etc", "/home", "/mnt", "/opt", "/root", "/run", "/tmp", "/usr", "/usr/bin"),
    *("/usr/local", "/usr/share", "/var", "/var/lib", "/var/tmp"),
)


@pytest.fixture(name="temporary")
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the temporary files of sandboxes."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_script_runs_as_root_and_returns_output_and_exit_code(sandbox: Sandbox) -> None:
    outcome = sandbox.run(BASH + "id -u; echo trouble >&2; exit 7")
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (7, "0\n", "trouble\n")


def test_the_shebang_selects_the_interpreter(sandbox: Sandbox) -> None:
    assert sandbox.run("#!/usr/bin/awk -f\nBEGIN { print 6 * 7 }").stdout == "42\n"


def test_sh_is_bash_in_posix_mode_as_on_amazon_linux(sandbox: Sandbox) -> None:
    script = "[[ -n $BASH_VERSION ]] && shopt -oq posix && echo bash; command -v dash"
    for shebang in ("#!/bin/sh\n", "#!/usr/bin/env sh\n", ""):
        assert sandbox.run(shebang + script).stdout == "bash\n"


def test_standard_input_is_empty(sandbox: Sandbox) -> None:
    assert sandbox.run(BASH + "wc -c").stdout == "0\n"


def test_what_a_script_writes_stays_in_the_sandbox(sandbox: Sandbox) -> None:
    name = str(uuid.uuid4())
    paths = [f"{directory.rstrip('/')}/{name}" for directory in (*DIRECTORIES, sys.prefix)]
    sandbox.run("\n".join(f"echo {path} > {path}" for path in paths))
    # Unlike Path.exists, it returns False in a directory that an ordinary user may not read.
    assert [path for path in paths if os.path.exists(path)] == []
    # An overlay lets an ordinary user not write everywhere.
    may_fail = set() if os.geteuid() == 0 else {f"/usr/share/{name}", f"{sys.prefix}/{name}"}
    written = sandbox.run(f"cat {' '.join(paths)}").stdout.splitlines()
    assert set(paths) - may_fail - set(written) == set()


def test_removing_a_file_in_the_sandbox_does_not_remove_it_from_the_machine(
    sandbox: Sandbox,
) -> None:
    sandbox.run("rm -rf /etc/hosts /usr/bin/env /usr/share/doc")
    assert Path("/etc/hosts").exists()
    assert Path("/usr/bin/env").exists()


def test_the_commands_of_the_machine_are_read_only(sandbox: Sandbox) -> None:
    outcome = sandbox.run("echo broken > /run/localaws/usr/bin/env")
    assert "Read-only file system" in outcome.stderr


def test_other_directories_of_the_machine_are_hidden(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("private")
    assert sandbox.run(f"cat {tmp_path}/note").exit_code == 1
    for directory in ("/home", "/mnt", "/opt", "/root", "/srv", "/tmp", "/var/tmp"):
        seen = {Path(directory) / name for name in sandbox.run(f"ls -A {directory}").stdout.split()}
        assert seen <= {*Path(sys.prefix).parents, *Path(sys.base_prefix).parents} | {
            Path(sys.prefix),
            Path(sys.base_prefix),
        }


def test_processes_of_the_machine_are_hidden(sandbox: Sandbox) -> None:
    numbers = sandbox.run("ls /proc | grep '^[0-9]'").stdout.split()
    assert str(os.getpid()) not in numbers
    assert len(numbers) < 10


def test_the_environment_is_that_of_the_ssm_agent(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the machine's own")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    sandbox.environment["AWS_ACCESS_KEY_ID"] = "the instance's"
    names = {line.partition("=")[0] for line in sandbox.run("env").stdout.splitlines()}
    # With the descriptor on which the fake sleep asks for virtual time.
    expected = {"AWS_SSM_INSTANCE_ID", "LANG", "LOCALAWS_SLEEP", "PATH"}
    assert names <= expected | {"PWD", "OLDPWD", "SHLVL", "_"}


def test_the_sandbox_identifies_as_amazon_linux_2023(sandbox: Sandbox) -> None:
    assert sandbox.run('. /etc/os-release; echo "$ID $VERSION_ID"').stdout == "amzn 2023\n"


def test_files_persist_between_scripts(sandbox: Sandbox) -> None:
    sandbox.run("mkdir -p /opt/cloudhsm/etc; echo kept > /opt/cloudhsm/etc/note")
    assert sandbox.run("cat /opt/cloudhsm/etc/note").stdout == "kept\n"
    assert sandbox.read("/opt/cloudhsm/etc/note") == "kept\n"


def test_reading_a_missing_file_raises(sandbox: Sandbox) -> None:
    with pytest.raises(FileNotFoundError):
        sandbox.read("/opt/nothing")


def test_a_file_can_be_written_into_the_sandbox(sandbox: Sandbox) -> None:
    sandbox.write("/opt/tools/hello", "#!/bin/sh\necho hello\n", 0o755)
    assert sandbox.run("/opt/tools/hello").stdout == "hello\n"


def test_sandboxes_are_isolated_from_each_other(make_sandbox: Callable[..., Sandbox]) -> None:
    one, other = make_sandbox("i-1"), make_sandbox("i-2")
    one.run("echo mine > /opt/note")
    assert other.run("cat /opt/note").exit_code == 1


def test_scripts_can_run_concurrently(sandbox: Sandbox) -> None:
    first = sandbox.start(BASH + "until [ -e /tmp/go ]; do :; done; echo went")
    assert sandbox.run("touch /tmp/go").exit_code == 0
    assert first.wait(10).stdout == "went\n"


def test_a_fake_command_has_the_streams_the_directory_and_the_umask_of_its_caller(
    sandbox: Sandbox,
) -> None:
    outcome = sandbox.run(
        BASH + "dnf install -y -q jq; cd /opt; umask 077\n"
        "{ echo 1; jq -r . <<< 2; echo 3; } > numbers; jq -r . <<< 4 >> numbers\n"
        "echo 5 | jq -r . | cat >> numbers; cat numbers\n"
        "jq -r nonsense <<< 1 2> problem || echo $?; grep -q 'compile error' problem; echo $?\n"
        "stat -c %a problem\n"
    )
    assert outcome.stdout == "1\n2\n3\n4\n5\n3\n0\n600\n"


def test_commands_are_recorded_with_their_arguments(sandbox: Sandbox) -> None:
    sandbox.run(BASH + "sed 's/x/y\\\n z/' < /dev/null; tr -d '\\n' < /dev/null; cat /dev/null ''")
    assert sandbox.commands() == [
        ["sed", "s/x/y\\\n z/"],
        ["tr", "-d", "\\n"],
        ["cat", "/dev/null", ""],
    ]


def test_commands_are_recorded_with_their_document(sandbox: Sandbox) -> None:
    sandbox.run(BASH + "tr -d x < /dev/null", {"LOCALAWS_DOCUMENT": "Install"})
    assert sandbox.commands_of_documents() == [("Install", ["tr", "-d", "x"])]


def test_shell_builtins_are_not_recorded(sandbox: Sandbox) -> None:
    sandbox.run(BASH + "printf '%s' secret; echo secret; [ secret = secret ]")
    assert sandbox.commands() == []


def test_a_command_that_is_not_installed_is_not_found(sandbox: Sandbox) -> None:
    assert sandbox.run(BASH + "jq --version").exit_code == 127
    assert sandbox.run(BASH + "command -v jq").exit_code == 1


def test_a_script_that_times_out_is_killed_with_its_children(sandbox: Sandbox) -> None:
    endless = "tail -f /dev/null"
    start = time.monotonic()
    outcome = sandbox.run(BASH + f"echo begun; {endless} & {endless}", timeout=0.5)
    assert outcome.exit_code < 0
    assert outcome.stdout == "begun\n"
    assert time.monotonic() - start < 30
    assert sandbox.run("ps -C tail").exit_code == 1


def test_a_script_sleeps_in_virtual_time(make_sandbox: Callable[..., Sandbox]) -> None:
    slept: list[float] = []
    sandbox = make_sandbox("i-3", sleep=slept.append)
    outcome = sandbox.run(BASH + "sleep 2.5; echo begun; sleep 0; sleep 30 | cat; echo done")
    assert outcome == Outcome(0, "begun\ndone\n", "")
    assert slept == [1, 1, 0.5, *[1] * 30]


def test_a_sleeping_script_can_be_killed(make_sandbox: Callable[..., Sandbox]) -> None:
    def kill(seconds: float) -> None:
        slept.append(seconds)
        script.kill()
        time.sleep(0.5)

    slept: list[float] = []
    script = make_sandbox("i-3", sleep=kill).start(BASH + "sleep 30; echo done")
    assert script.wait(10).stdout == ""
    assert slept == [1]


def test_a_killed_script_does_not_continue(sandbox: Sandbox) -> None:
    script = sandbox.start(BASH + "tail -f /dev/null; echo on > /opt/note")
    script.kill()
    assert script.wait(10).exit_code < 0
    script.kill()
    assert sandbox.run("cat /opt/note").exit_code == 1


def test_halting_kills_processes_and_retains_files(sandbox: Sandbox) -> None:
    script = sandbox.start(BASH + "touch /opt/begun; tail -f /dev/null")
    while sandbox.run("test -e /opt/begun").exit_code:
        pass
    sandbox.halt()
    assert script.wait(10).exit_code != 0
    assert sandbox.run("ls /opt").stdout == "begun\n"


def test_destroying_removes_processes_and_files(temporary: Path) -> None:
    sandbox = Sandbox("i-1", {})
    sandbox.run("echo x; touch /opt/x; setsid sleep 987654 &")
    sandbox.destroy()
    assert list(temporary.iterdir()) == []
    assert subprocess.run(["pgrep", "-f", "sleep 98765[4]"], check=False).returncode == 1


def test_destroying_ends_running_scripts(sandbox: Sandbox) -> None:
    script = sandbox.start(BASH + "echo begun; tail -f /dev/null")
    while "tail" not in sandbox.run("ps -e").stdout:
        pass
    sandbox.destroy()
    outcome = script.wait(10)
    assert (outcome.exit_code == 0, outcome.stdout) == (False, "begun\n")


def test_the_sandbox_ends_when_its_parent_is_killed(temporary: Path) -> None:
    program = (
        "import os, signal; from localaws.sandbox.sandbox import Sandbox;"
        "sandbox = Sandbox('i-1', {});"
        "sandbox.run('setsid sleep 976543 &');"
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


PROGRAM = """if True:
    import sys, tempfile
    sys.dont_write_bytecode, tempfile.tempdir = True, sys.argv[1]
    from localaws.sandbox.sandbox import Sandbox
    sandbox = Sandbox("i-1", {})
    print(sandbox.run("id -u; dnf install -y -q jq; cd /etc; rm hosts; touch x /opt/x /usr/bin/x"))
    sandbox.destroy()
"""
# Virtual environments are often based on the distribution's Python.
PYTHON = Path("/usr/bin/python3")
WITH_PYTHON = pytest.mark.skipif(not PYTHON.exists(), reason=f"there is no {PYTHON}")


def made_by(python: Path, directory: str, **options: Any) -> str:
    """The output of PROGRAM."""
    done = subprocess.run(
        [python, "-c", PROGRAM, directory],
        env={"PATH": PATH},
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    return str(done.stdout or done.stderr)


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as an ordinary user")
@WITH_PYTHON
def test_an_ordinary_user_can_make_a_sandbox() -> None:
    readable = subprocess.run(["test", "-r", HERE / "sandbox.sh"], user=65534, check=False)
    if readable.returncode:
        pytest.skip("other users may not read this directory")
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o777)
        output = made_by(PYTHON, directory, user=65534, group=65534, extra_groups=[])
    assert output == "Outcome(exit_code=0, stdout='0\\n', stderr='')\n"


@WITH_PYTHON
def test_a_virtual_environment_of_usr_bin_python_can_make_a_sandbox(
    tmp_path: Path,
) -> None:
    environment, sandboxes = tmp_path / "environment", tmp_path / "sandboxes"
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", environment], check=True)
    sandboxes.mkdir()
    output = made_by(environment / "bin" / "python", str(sandboxes))
    assert output == "Outcome(exit_code=0, stdout='0\\n', stderr='')\n"


def test_this_machine_allows_sandboxes() -> None:
    assert why_not_isolated() is None


def test_the_error_names_a_missing_unshare(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(temporary))
    with pytest.raises(CannotIsolateError, match=r"i-1 cannot run here.*util-linux"):
        Sandbox("i-1", {})
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("unshare", "unshare: unshare failed: Operation not permitted"),
        ("mount", "mount: /usr: unknown filesystem type 'overlay'."),
        ("mount", "mount: /proc: permission denied."),
    ],
)
def test_the_error_has_the_reason_why_a_machine_cannot_isolate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, message: str
) -> None:
    commands, sandboxes = tmp_path / "commands", tmp_path / "sandboxes"
    commands.mkdir()
    sandboxes.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(sandboxes))
    fake = commands / command
    fake.write_text(f'#!/bin/sh\necho "{message}" >&2\nexit 1\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    monkeypatch.setattr(
        "localaws.sandbox.sandbox.PATH", f"{commands}:/usr/sbin:/usr/bin:/sbin:/bin"
    )
    with pytest.raises(CannotIsolateError) as caught:
        Sandbox("i-1", {})
    assert message in str(caught.value)
    assert "user namespaces" in str(caught.value)
    assert message in str(why_not_isolated())
    assert list(sandboxes.iterdir()) == []


def test_written_files_and_arguments_are_traces(sandbox: Sandbox) -> None:
    # Below a directory of the machine, as far as its permissions allow it.
    below = "/usr/lib/b" if os.access("/usr/lib", os.W_OK) else "/var/b"
    script = (
        f"#!/bin/sh\nset -e\nmkdir -p /opt/a {below}\necho one > /opt/a/file\n"
        f"echo two > {below}/file\nprintf 'th\\0ree' > /dev/shm/file\n"
    )
    assert sandbox.run(script).exit_code == 0
    traces = dict(sandbox.traces())
    name = sandbox.instance_id
    assert traces[f"file /opt/a/file on {name}"] == "one\n"
    assert traces[f"file /dev/shm/file on {name}"] == "three"
    assert "two\n" in traces.values()
    assert traces[f"arguments of mkdir on {name}"] == f"mkdir -p /opt/a {below}"
    assert [place for place in traces if "/run/localaws" in place] == []
