"""The scripts that run cloudhsm-cli, run by bash with stubs: no failure counts as success."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.templates.template import ROOT, TEMPLATES

# Exit code and output of a run of cloudhsm-cli.
Run = tuple[int, str]

DOCUMENTS = {
    logical_id: str(document["Content"]["mainSteps"][0]["inputs"]["runCommand"][0])
    for template in TEMPLATES
    for logical_id, document in template.of_type("AWS::SSM::Document").items()
}
SECRET = json.dumps({"username": "admin", "password": "Pa55word"})


def answers(data: Any = "ok") -> Run:
    return 0, json.dumps({"error_code": 0, "data": data})


def fails(data: str, code: int = 1, exit_code: int = 1) -> Run:
    return exit_code, json.dumps({"error_code": code, "data": data})


def users(*roles: str, coverage: str = "full", locked: str = "false") -> Run:
    """A list of users: admin, kmsuser or the unactivated admin."""
    names = {"admin": "admin", "unactivated-admin": "admin", "crypto-user": "kmsuser"}
    more = {"locked": locked, "mfa": [], "cluster-coverage": coverage}
    listed = [{"username": names[role], "role": role, **more} for role in roles]
    return answers({"users": listed})


# What is no success: an error code despite exit code 0, an exit code despite error code 0, no JSON.
FAILURES = [
    fails("HSM Error: no"),
    fails("HSM Error: no", exit_code=0),
    fails("HSM Error: no", code=0),
    (1, "Segmentation fault"),
    (0, "no JSON"),
]


@dataclass(frozen=True)
class Client:
    """The directory that stands for the client's root."""

    root: Path

    def run(self, document: str, *runs: Run) -> tuple[int, str, list[str]]:
        """Run a script. Each run of the CLI takes the next outcome, the last one repeats.

        Its exit code, its output, and the arguments of the CLI's runs.
        """
        for number, (exit_code, output) in enumerate(runs):
            (self.root / f"run-{number}").write_text(f"{exit_code}\n{output}\n")
        script = DOCUMENTS[document].replace("/opt/cloudhsm", str(self.root / "cloudhsm"))
        for name in ("Region", "PasswordSecret", "SourceSecret", "AdminPasswordSecret"):
            script = script.replace("{{ " + name + " }}", name)
        script = script.replace("{{ VersionId }}", "v1")
        done = subprocess.run(
            ["bash", "-c", script],
            env={
                "PATH": f"{self.root / 'bin'}{os.pathsep}{os.environ['PATH']}",
                "ROOT": str(self.root),
                "LAST": str(len(runs) - 1),
                "PYTHONPATH": str(ROOT),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        calls = self.root / "calls"
        return (
            done.returncode,
            done.stdout + done.stderr,
            calls.read_text().splitlines() if calls.exists() else [],
        )


@pytest.fixture(name="client")
def _client(tmp_path: Path) -> Client:
    jq = "import sys; from localaws.sandbox.fake_bin.jq import main; sys.exit(main(sys.argv[1:]))"
    secret = json.dumps({"SecretString": SECRET, "VersionId": "v1"})
    stubs = {
        "bin/cloud-init": "",
        "bin/sleep": 'echo "sleep $1" >> "$ROOT/calls"',
        "bin/jq": f"exec {sys.executable} -c '{jq}' \"$@\"",
        "bin/aws": f"case $* in *SecretString*) echo '{SECRET}' ;; *) echo '{secret}' ;; esac",
        "cloudhsm/bin/cloudhsm-cli": 'n=$(grep -vc sleep "$ROOT/calls" 2> /dev/null)\n'
        'echo "$1 $2" >> "$ROOT/calls"\n'
        '[ "${n:-0}" -le "$LAST" ] || n=$LAST\n'
        '{ read -r code; cat; } < "$ROOT/run-${n:-0}"\nexit "$code"',
    }
    for name, body in stubs.items():
        stub = tmp_path / name
        stub.parent.mkdir(parents=True, exist_ok=True)
        stub.write_text(f"#!/bin/bash\n{body}\n")
        stub.chmod(0o755)
    return Client(tmp_path)


LISTED = ["user list", "sleep 30"] * 4 + ["user list"]


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("document", ["rActivateClusterDocument", "rCheckAdminLoginDocument"])
def test_users_that_cannot_be_listed_five_times_fail_the_script(
    client: Client, document: str, failure: Run
) -> None:
    exit_code, output, calls = client.run(document, failure)
    assert exit_code == 1
    assert "cloudhsm-cli user list: " in output
    assert "ctivated" not in output
    assert calls == LISTED


@pytest.mark.parametrize("failure", FAILURES)
def test_a_refused_activation_is_repeated_and_then_fails_the_script(
    client: Client, failure: Run
) -> None:
    runs = [users("unactivated-admin"), failure] * 5
    exit_code, output, calls = client.run("rActivateClusterDocument", *runs)
    assert exit_code == 1
    assert "cloudhsm-cli cluster activate: " in output
    assert "ctivated" not in output
    assert [call for call in calls if call != "sleep 30"] == ["user list", "cluster activate"] * 5


def test_a_cluster_is_activated_once(client: Client) -> None:
    done = users("unactivated-admin"), answers()
    assert client.run("rActivateClusterDocument", *done)[:2] == (0, "Cluster activated.\n")


def test_an_activation_whose_result_was_lost_is_not_repeated(client: Client) -> None:
    runs = users("unactivated-admin"), fails("timed out"), users("admin")
    exit_code, output, calls = client.run("rActivateClusterDocument", *runs)
    assert exit_code == 0
    assert output.startswith("The cluster is already activated.")
    assert calls == ["user list", "cluster activate", "sleep 30", "user list"]


@pytest.mark.parametrize(
    ("failure", "exit_code", "said"),
    [
        (fails("Login failed."), 3, "the HSMs refuse its password"),
        (fails("HSM Error: no", exit_code=0), 0, "The password was not checked"),
        (answers(), 0, "The password of admin is correct."),
    ],
)
def test_one_login_shows_whether_the_password_is_correct(
    client: Client, failure: Run, exit_code: int, said: str
) -> None:
    found, output, calls = client.run("rCheckAdminLoginDocument", users("admin"), failure)
    assert (found, calls) == (exit_code, ["user list", "quorum token-sign"])
    assert said in output


@pytest.mark.parametrize("failure", FAILURES)
def test_a_kmsuser_is_not_created_if_users_cannot_be_listed(client: Client, failure: Run) -> None:
    exit_code, output, calls = client.run("rCreateKmsUserDocument", failure)
    assert exit_code == 1
    assert output.splitlines()[-1].startswith("cloudhsm-cli user list: ")
    assert calls == LISTED


def test_a_refused_login_is_not_repeated(client: Client) -> None:
    runs = users("admin"), fails("Login failed: wrong password")
    exit_code, output, calls = client.run("rCreateKmsUserDocument", *runs)
    assert (exit_code, calls) == (3, ["user list", "user create"])
    assert "Login failed. Store the correct password of admin" in output


KMS_USER = users("admin", "crypto-user")


def test_a_busy_hsm_is_asked_again_for_the_kmsusers_password(client: Client) -> None:
    runs = KMS_USER, fails("HSM is busy"), KMS_USER, answers(), KMS_USER
    exit_code, output, calls = client.run("rCreateKmsUserDocument", *runs)
    assert (exit_code, output.splitlines()[0]) == (0, "kmsuser is ready.")
    again = ["user list", "user change-password"]
    assert calls == [*again, "sleep 30", *again, "user list"]


def test_what_may_be_a_refused_login_is_repeated_once(client: Client) -> None:
    runs = KMS_USER, fails("HSM Error: no"), KMS_USER, KMS_USER, answers(), KMS_USER
    exit_code, _, calls = client.run("rCreateKmsUserDocument", *runs)
    again = ["user list", "user change-password"]
    assert (exit_code, calls) == (0, [*again, "user list", "sleep 30", *again, "user list"])


def test_adding_the_kmsuser_to_other_hsms_is_repeated_once(client: Client) -> None:
    runs = users("admin"), answers(), users("admin"), fails("HSM Error: no"), answers(), KMS_USER
    exit_code, _, calls = client.run("rCreateKmsUserDocument", *runs)
    assert (exit_code, calls[3:]) == (0, ["user create", "sleep 30", "user create", "user list"])


@pytest.mark.parametrize(
    ("runs", "exit_code", "said"),
    [
        ([KMS_USER, *[fails("HSM is busy"), KMS_USER] * 3], 1, "HSM is busy"),
        ([KMS_USER, fails("HSM Error: no"), KMS_USER] * 2, 4, "HSM Error: no"),
        ([KMS_USER, fails("HSM Error: no"), *[KMS_USER] * 2, fails("Login failed")], 4, "Login"),
        (
            [KMS_USER, *[fails("HSM is busy"), KMS_USER] * 2, fails("HSM Error: no"), KMS_USER],
            4,
            "HSM Error: no",
        ),
        (
            [KMS_USER, fails("HSM Error: no"), KMS_USER, *[fails("HSM Error: no")] * 5],
            4,
            "cloudhsm-cli user list: HSM Error: no",
        ),
        ([users("crypto-user")], 1, "the cluster has no admin admin."),
        (
            [users("admin"), answers(), users("admin", "crypto-user", coverage="partial")],
            1,
            "kmsuser is not on every HSM.",
        ),
        (
            [users("admin"), answers(), users("admin"), *[fails("HSM Error: no")] * 2],
            1,
            "cloudhsm-cli user create: HSM Error: no",
        ),
    ],
)
def test_a_kmsuser_that_is_not_ready_fails_the_script(
    client: Client, runs: list[Run], exit_code: int, said: str
) -> None:
    # The user is created again, and listed, where it is not on every HSM.
    if "every HSM" in said:
        runs = [*runs, answers(), runs[-1]]
    found, output, _ = client.run("rCreateKmsUserDocument", *runs)
    assert found == exit_code
    assert said in output
    assert "is ready" not in output


@pytest.mark.parametrize(
    ("listed", "exit_code", "said"),
    [
        (users("admin", locked="true"), 0, "The password was not checked: admin is locked"),
        (users("unactivated-admin"), 3, "the restored cluster has no admin admin."),
    ],
)
def test_an_admin_that_cannot_log_in_is_not_tried(
    client: Client, listed: Run, exit_code: int, said: str
) -> None:
    found, output, calls = client.run("rCheckAdminLoginDocument", listed)
    assert (found, calls) == (exit_code, ["user list"])
    assert said in output


def test_a_locked_admin_is_not_logged_in_again(client: Client) -> None:
    exit_code, output, calls = client.run("rCreateKmsUserDocument", users("admin", locked="true"))
    assert (exit_code, calls) == (1, ["user list"])
    assert "admin is locked." in output


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("echo AccessDeniedException >&2; exit 254", "the client's role may not read it."),
        ("echo ResourceNotFoundException >&2; exit 254", "it does not exist or has no value."),
        ("echo the endpoint is down >&2; exit 1", "the endpoint is down"),
        ("echo '{}'", "it has no password."),
    ],
)
def test_a_cluster_is_not_activated_without_its_password(
    client: Client, secret: str, said: str
) -> None:
    (client.root / "bin/aws").write_text(f"#!/bin/bash\n{secret}\n")
    runs = users("unactivated-admin"), answers()
    exit_code, output, calls = client.run("rActivateClusterDocument", *runs)
    assert (exit_code, calls) == (1, ["user list"])
    assert f"Secret PasswordSecret: {said}" in output


def test_a_client_without_the_cli_is_named(client: Client) -> None:
    (client.root / "cloudhsm/bin/cloudhsm-cli").unlink()
    exit_code, output, _ = client.run("rCreateKmsUserDocument")
    assert exit_code == 1
    assert "cloudhsm-cli is not installed" in output
