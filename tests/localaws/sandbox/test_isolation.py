"""What a script, also a hostile one, sees of the machine: even if root started the local AWS."""

from __future__ import annotations

import os
import socket
import stat
import sys
from pathlib import Path

import pytest

from localaws.sandbox.sandbox import Sandbox

# How a process of a chroot gets out of it, with the capabilities that a sandbox's root has.
ESCAPE = """
import os, sys
os.makedirs("/tmp/deeper", exist_ok=True)
os.chroot("/tmp/deeper")
for _ in range(50):
    os.chdir("..")
os.chroot(".")
print(open(sys.argv[1]).read())
"""
# What a sandbox has of /etc and of a Python installation; not pip.conf, which may have a password.
OF_ETC = {
    *("alternatives", "group", "hosts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime"),
    *("nsswitch.conf", "os-release", "passwd", "protocols", "services"),
}
OF_PYTHON = {"bin", "lib", "lib32", "lib64", "pyvenv.cfg"}


@pytest.fixture(name="secret")
def _secret(tmp_path: Path) -> Path:
    """A file that only this user may read."""
    path = tmp_path / "secret"
    path.write_text("planted")
    path.chmod(0o600)
    return path


def test_a_script_cannot_break_out_of_its_root_directory(sandbox: Sandbox, secret: Path) -> None:
    sandbox.write("/tmp/escape.py", ESCAPE)
    python = f"/run/localaws{Path(sys.executable).resolve()}"
    for path in (sys.executable, python):
        assert "planted" not in sandbox.run(f"{path} -ESs /tmp/escape.py {secret}").stdout
    for option in ("--mount", "--mount --root=/proc/1/root", "--mount --wd=/"):
        command = f"nsenter --target 1 {option} cat {secret} ./{secret}"
        assert "planted" not in sandbox.run(command).stdout


def test_a_script_sees_only_named_files_of_etc(sandbox: Sandbox) -> None:
    seen = set(sandbox.run("find /etc -mindepth 1 -maxdepth 1 -printf '%f '").stdout.split())
    assert seen <= OF_ETC


def test_a_script_cannot_read_what_only_root_may_read_in_etc(sandbox: Sandbox) -> None:
    private = [
        path
        for directory, _, names in os.walk("/etc")
        for path in (Path(directory, name) for name in names)
        if not path.is_symlink() and not path.lstat().st_mode & stat.S_IROTH
    ]
    assert Path("/etc/shadow") in private
    readable = sandbox.run("\n".join(f"test ! -r {path} || echo {path}" for path in private))
    assert readable.stdout == ""


def test_a_script_sees_of_this_python_what_it_needs(sandbox: Sandbox) -> None:
    for prefix in {sys.prefix, sys.base_prefix} - {"/usr"}:
        assert {*sandbox.run(f"ls -A {prefix}").stdout.split()} <= OF_PYTHON
    assert sandbox.run("ls -A /run/localaws/usr/local").stdout == ""


def test_a_script_cannot_read_the_environment_of_the_server(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED", "planted")
    found = sandbox.run("cat /proc/[0-9]*/environ | tr '\\0' '\\n'")
    assert "PATH=" in found.stdout
    assert "planted" not in found.stdout


def test_a_script_has_no_network(sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        found = sandbox.run(f"#!/bin/bash\n: < /dev/tcp/127.0.0.1/{port} && echo connected")
    assert found.stdout == ""
    with socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0localaws-" + str(os.getpid()))
        abstract.listen()
        program = f"import socket; socket.socket(1).connect('\\0localaws-{os.getpid()}')"
        sandbox.write("/tmp/connect.py", program)
        # As the fake commands do: a Python of the machine's /usr/bin is not in the sandbox's.
        connect = '. /run/localaws/environment; exec "$LOCALAWS_PYTHON" /tmp/connect.py'
        assert "Connection refused" in sandbox.run(connect).stderr


def test_only_sockets_to_aws_and_the_hsms_lead_out(sandbox: Sandbox) -> None:
    # The stub of the HSMs; there is none of AWS.
    found = sandbox.run("cd /run/localaws/sockets; ls; test -S commands && echo socket")
    assert found.stdout == "commands\nsocket\n"
    assert sandbox.run("find / -xdev -type s").stdout == ""
