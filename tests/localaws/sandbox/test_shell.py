"""A shell in a sandbox, as Session Manager opens one, and the CloudHSM CLI's interactive mode."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from localaws.sandbox.sandbox import Sandbox
from tests.localaws.sandbox.test_fake_bin import CA, CLI, CONFIGURE, HSM, bash, download
from tests.support.data_plane import DataPlaneStub
from tests.support.terminal import SECONDS, Terminal


def run(sandbox: Sandbox, script: str) -> str:
    """The output of commands that are typed without a terminal."""
    done = subprocess.run(
        sandbox.shell(), input=script, text=True, capture_output=True, check=False, timeout=SECONDS
    )
    return done.stdout + done.stderr


@pytest.fixture(name="session")
def _session(sandbox: Sandbox, hsms: DataPlaneStub) -> Iterator[Terminal]:
    """The CLI, configured, at the prompt of its interactive mode."""
    done = bash(sandbox, f"{download(CLI)}; dnf install -y -q /tmp/p.rpm; echo CA > {CA}")
    assert done.exit_code == 0, done.stderr
    run(sandbox, f"sudo {CONFIGURE} -a 10.0.1.7 --hsm-ca-cert {CA}")
    hsms.responses["/data-plane"] = lambda body: {"error_code": 0, "data": body["operation"]}
    terminal = Terminal(sandbox.shell())
    terminal.type(f"{HSM} interactive")
    terminal.read_until("aws-cloudhsm > ")
    yield terminal
    terminal.close()


def test_a_shell_gets_nothing_of_its_callers_environment(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCALAWS_ADMIN_TOKEN", "planted")
    assert "planted" not in run(sandbox, "env; cat /proc/*/environ")


def test_a_shell_starts_where_session_manager_does(sandbox: Sandbox) -> None:
    assert run(sandbox, "pwd; cd; pwd; sleep 0.01; whoami") == "/usr/bin\n/home/ssm-user\nroot\n"


def test_sudo_resets_the_environment(sandbox: Sandbox) -> None:
    found = run(sandbox, "export CLOUDHSM_PIN=admin:secret; sudo env; sudo sh -c 'echo $0'")
    assert "CLOUDHSM_PIN" not in found
    assert found.endswith("sh\n")
    for refused in ("sudo -i", "sudo A=b true", "sudo"):
        assert "sudo: not supported" in run(sandbox, refused)


def test_one_login_serves_all_commands_of_an_interactive_session(
    session: Terminal, hsms: DataPlaneStub
) -> None:
    session.type("login --username admin --role admin")
    session.read_until("Enter password: ")
    session.type("Admin0Password")
    assert "Admin0Password" not in session.read_until("aws-cloudhsm > ")[0]
    session.type("user create --username app --role crypto-user")
    session.read_until("Enter password: ")
    session.type("Crypto0Password")
    session.read_until("Confirm password: ")
    session.type("Crypto0Password")
    session.read_until("aws-cloudhsm > ")
    session.type("logout")
    session.read_until("Logout successful")
    session.type("user delete --username app --role crypto-user")
    session.read_until("needs a login")
    asked = [body["parameters"] for path, body in hsms.requests if path == "/data-plane"]
    login = {"login_role": "admin", "username": "admin", "password": "Admin0Password"}
    assert len(asked) == 2
    assert all(login.items() <= each.items() for each in asked)
    assert (asked[1]["new_username"], asked[1]["new_password"]) == ("app", "Crypto0Password")


def test_a_changed_own_password_is_used_from_then_on(
    session: Terminal, hsms: DataPlaneStub
) -> None:
    session.type("login --username admin --role admin --password Admin0Password")
    session.read_until('"login"')
    session.type("user change-password --username ADMIN --role admin --password Admin1Password")
    session.read_until('"user-change-password"')
    session.type("user list")
    session.read_until('"user-list"')
    assert hsms.requests[-1][1]["parameters"]["password"] == "Admin1Password"


def test_mistyped_passwords_and_commands_change_nothing(
    session: Terminal, hsms: DataPlaneStub
) -> None:
    session.type("login --username admin --role admin --password Admin0Password")
    session.read_until('"login"')
    before = len(hsms.requests)
    session.type("user create --username app --role crypto-user")
    session.read_until("Enter password: ")
    session.type("Crypto0Password")
    session.read_until("Confirm password: ")
    session.type("Crypto1Password")
    session.read_until("do not match")
    for unknown in ("key list", "user create --username app", 'user "list'):
        session.type(unknown)
        session.read_until("error: ")
    session.type("quit")
    session.read_until("sh-")
    assert len(hsms.requests) == before
