"""What the client's scripts call: exit codes, messages and files as on Amazon Linux."""

from __future__ import annotations

import http.server
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localaws.sandbox import lay_out
from localaws.sandbox import sandbox as sandboxes
from localaws.sandbox.fake_bin import fake, packages
from localaws.sandbox.sandbox import Sandbox
from localaws.services.ssm.interfaces import Outcome
from tests.localaws.conftest import AdminApi

SOFTWARE = "https://s3.amazonaws.com/cloudhsmv2-software/CloudHsmClient"
CLI = f"{SOFTWARE}/Amzn2023/cloudhsm-cli-5.18.0-1.amzn2023.x86_64.rpm"
ARM_CLI = f"{SOFTWARE}/Amzn2023/cloudhsm-cli-5.18.0-1.amzn2023.aarch64.rpm"
SDK3 = f"{SOFTWARE}/EL7/cloudhsm-client-latest.el7.x86_64.rpm"
# The user guide's "latest releases" (F3.4).
CLI_SHA256 = "0c77a4014d77df64ea3faaf1cc8d8f67dacd8a5ca53baa0026ab0b65d4fe6b69"
ARM_CLI_SHA256 = "a709088dd8857988c893475d85b9a1b3d7a3545006b119156d1e45bebe77021e"

CONFIGURE = "/opt/cloudhsm/bin/configure-cli"
HSM = "/opt/cloudhsm/bin/cloudhsm-cli"


def bash(sandbox: Sandbox, script: str, **environment: str) -> Outcome:
    return sandbox.run(f"#!/bin/bash\nset -uo pipefail\n{script}", environment)


@pytest.fixture(name="client")
def _client(sandbox: Sandbox) -> Sandbox:
    """A sandbox in which the CloudHSM CLI is installed and configured."""
    outcome = bash(
        sandbox,
        f"set -e; curl -fsSo /tmp/cli.rpm {CLI}; dnf install -y -q /tmp/cli.rpm\n"
        f"echo the CA > /opt/cloudhsm/etc/customerCA.crt; {CONFIGURE} -a 10.0.1.7",
    )
    assert outcome == Outcome(0, "", "")
    return sandbox


# --- The machinery


def called(first: str) -> set[str]:
    """The commands of the branch of command.sh that begins with this one."""
    text = (sandboxes.HERE / "command.sh").read_text()
    branch = re.search(rf"^({first} \|[^)]*)\)$", text, re.MULTILINE)
    assert branch
    return {*branch[1].replace("\\\n", "").replace(" ", "").split("|")}


def test_every_stand_in_is_called_and_every_one_that_is_called_is_there() -> None:
    in_python, in_shell = called("aws") | called("date"), called("cloud-init")
    modules = {fake.MODULES.get(name, name.replace("-", "_")) for name in in_python}
    support = {"__init__", "admin", "lay_out", "packages", "stand_in"}
    assert modules == {path.stem for path in (sandboxes.HERE / "fake_bin").glob("*.py")} - support
    assert in_shell == {path.stem for path in (sandboxes.HERE / "fake_bin").glob("*.sh")} - {
        "sandbox",
        "command",
    }
    installed = {Path(command).name for paths in packages.COMMANDS.values() for command in paths}
    names = in_python | in_shell | {"python3"}
    assert names == lay_out.PRESENT | lay_out.ABSENT | installed


def test_the_shell_scripts_are_clean() -> None:
    scripts = sorted(map(str, (sandboxes.HERE / "fake_bin").glob("*.sh")))
    shellcheck = Path(sys.executable).with_name("shellcheck")
    checked = subprocess.run([shellcheck, *scripts], capture_output=True, text=True, check=False)
    assert checked.stdout == ""
    assert len(scripts) == 4


def test_the_first_start_is_over(sandbox: Sandbox) -> None:
    assert bash(sandbox, "cloud-init status --wait") == Outcome(0, "\nstatus: done\n", "")
    assert bash(sandbox, "cloud-init status") == Outcome(0, "status: done\n", "")
    assert bash(sandbox, "cloud-init query").exit_code == 2


def test_python_is_there(sandbox: Sandbox) -> None:
    assert bash(sandbox, "python3 -c 'print(6 * 7)'").stdout == "42\n"


# --- Packages


@pytest.mark.parametrize("manager", ["dnf", "yum"])
def test_a_package_is_installed_by_name_and_removed_again(sandbox: Sandbox, manager: str) -> None:
    assert bash(sandbox, "command -v jq").exit_code == 1
    installed = bash(sandbox, f"{manager} install -y jq")
    assert installed.exit_code == 0
    assert "Installed:\n  jq-" in installed.stdout
    assert bash(sandbox, "command -v jq; jq -n 1").stdout == "/usr/bin/jq\n1\n"
    again = bash(sandbox, f"{manager} install -y jq")
    assert (again.exit_code, "Nothing to do." in again.stdout) == (0, True)
    assert "Removed:\n  jq-" in bash(sandbox, f"{manager} remove -y jq").stdout
    assert bash(sandbox, "command -v jq").exit_code == 1
    assert bash(sandbox, f"{manager} remove -y jq").exit_code == 0


def test_a_quiet_installation_says_nothing(sandbox: Sandbox) -> None:
    assert bash(sandbox, "dnf install -y -q jq") == Outcome(0, "", "")


def test_nobody_agrees_to_an_installation_but_the_option(sandbox: Sandbox) -> None:
    outcome = bash(sandbox, "dnf install jq")
    assert (outcome.exit_code, "Operation aborted" in outcome.stderr) == (1, True)
    assert bash(sandbox, "rpm -q jq").exit_code == 1


def test_a_package_that_nobody_has_is_not_found(sandbox: Sandbox) -> None:
    outcome = bash(sandbox, "dnf install -y cloudhsm-cli")
    assert outcome.exit_code == 1
    assert "Unable to find a match: cloudhsm-cli" in outcome.stderr


@pytest.mark.parametrize("command", ["dnf install -y ./x.rpm", "rpm -i x.rpm", "rpm -qp x.rpm"])
@pytest.mark.parametrize("content", [None, "half a pack"])
def test_what_is_no_package_is_refused(sandbox: Sandbox, command: str, content: str | None) -> None:
    if content:
        sandbox.write("/tmp/x.rpm", content)
    outcome = bash(sandbox, f"cd /tmp; {command}")
    assert outcome.exit_code == 1
    assert "x.rpm" in outcome.stderr


def test_a_package_of_another_architecture_is_refused(sandbox: Sandbox) -> None:
    for command in ("dnf install -y", "rpm -i"):
        outcome = bash(sandbox, f"cd /tmp; curl -fsSO {ARM_CLI}; {command} ./*.rpm")
        assert outcome.exit_code == 1
        assert "architecture" in outcome.stderr


def test_the_architecture_is_the_instances(make_box: Callable[..., Sandbox]) -> None:
    sandbox = make_box("i-2", REHEARSAL_ARCHITECTURE="aarch64")
    assert bash(sandbox, "uname -m").stdout == "aarch64\n"
    assert bash(sandbox, "uname -s").stdout == "Linux\n"
    assert bash(sandbox, f"cd /tmp; curl -fsSO {ARM_CLI}; dnf install -y ./*.rpm").exit_code == 0


def test_rpm_tells_what_is_installed(client: Sandbox) -> None:
    full = "cloudhsm-cli-5.18.0-1.amzn2023.x86_64\n"
    assert bash(client, "rpm -q cloudhsm-cli") == Outcome(0, full, "")
    assert bash(client, "rpm -qp /tmp/cli.rpm") == Outcome(0, full, "")
    assert full in bash(client, "rpm -qa").stdout
    layout = "rpm -q --qf '%{NAME} %{VERSION}\\n' cloudhsm-cli"
    assert bash(client, layout).stdout == "cloudhsm-cli 5.18.0\n"
    missing = "package cloudhsm-client is not installed\n"
    assert bash(client, "rpm -q cloudhsm-client") == Outcome(1, missing, "")


def test_rpm_installs_and_erases(sandbox: Sandbox) -> None:
    assert bash(sandbox, f"cd /tmp; curl -fsSO {CLI}; rpm -ivh *.rpm").exit_code == 0
    assert bash(sandbox, f"test -x {HSM} && cd /tmp && rpm -i *.rpm").exit_code == 1
    assert bash(sandbox, "rpm -e cloudhsm-cli").exit_code == 0
    assert bash(sandbox, f"test -e {HSM}").exit_code == 1
    assert "not installed" in bash(sandbox, "rpm -e cloudhsm-cli").stderr


def test_the_package_lists_say_what_is_installed_and_not_what_could_be(client: Sandbox) -> None:
    assert bash(client, "dnf list installed cloudhsm-cli").exit_code == 0
    assert bash(client, "dnf list installed jq").exit_code == 1


def test_sdk_3_takes_the_place_of_the_cli(client: Sandbox) -> None:
    outcome = bash(client, f"cd /tmp; curl -fsSO {SDK3}; dnf install -y ./cloudhsm-client*.rpm")
    assert outcome.exit_code == 0
    assert bash(client, "rpm -q cloudhsm-cli").exit_code == 1
    assert bash(client, f"ls {HSM}").exit_code == 2
    assert bash(client, "/opt/cloudhsm/bin/configure -a 10.0.1.7").exit_code == 0
    assert "10.0.1.7" in client.read("/opt/cloudhsm/etc/cloudhsm_client.cfg")


# --- Downloads and checksums


@pytest.mark.parametrize(("url", "sha256"), [(CLI, CLI_SHA256), (ARM_CLI, ARM_CLI_SHA256)])
def test_a_documented_download_has_the_documented_checksum(
    sandbox: Sandbox, url: str, sha256: str
) -> None:
    outcome = bash(sandbox, f"cd /tmp; curl -fsSL --retry 3 -o p {url}; sha256sum p; sha256sum < p")
    assert outcome.stdout == f"{sha256}  p\n{sha256}  -\n"


def test_a_file_has_its_own_checksum(sandbox: Sandbox) -> None:
    sha256 = "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c"
    assert bash(sandbox, "echo foo | sha256sum").stdout == f"{sha256}  -\n"


def test_checksums_are_checked(sandbox: Sandbox) -> None:
    right = f"curl -fsSo /tmp/p {CLI}; cd /tmp; echo '{CLI_SHA256}  p'"
    assert bash(sandbox, f"{right} | sha256sum -c -") == Outcome(0, "p: OK\n", "")
    assert bash(sandbox, f"{right} | sha256sum --check --status") == Outcome(0, "", "")
    wrong = bash(sandbox, f"cd /tmp; echo '{ARM_CLI_SHA256}  p' | sha256sum -c")
    assert (wrong.exit_code, wrong.stdout) == (1, "p: FAILED\n")
    assert wrong.stderr == "sha256sum: WARNING: 1 computed checksum did NOT match\n"
    silent = f"cd /tmp; echo '{ARM_CLI_SHA256}  p' | sha256sum -c --status"
    assert bash(sandbox, silent) == Outcome(1, "", "")
    absent = bash(sandbox, f"echo '{CLI_SHA256}  /no' | sha256sum -c")
    assert (absent.exit_code, absent.stdout) == (1, "/no: FAILED open or read\n")
    assert bash(sandbox, "echo nonsense | sha256sum -c").exit_code == 1


def test_a_download_that_was_spoiled_shows_in_its_checksum(sandbox: Sandbox) -> None:
    check = f"curl -fsSo /tmp/p {CLI} && echo '{CLI_SHA256}  /tmp/p' | sha256sum -c --status"
    assert bash(sandbox, check, REHEARSAL_DOWNLOAD="corrupt").exit_code == 1
    assert bash(sandbox, check, REHEARSAL_DOWNLOAD="missing").exit_code == 22
    assert bash(sandbox, check, REHEARSAL_DOWNLOAD="").exit_code == 0


@pytest.mark.parametrize("url", ["https://example.com/x.rpm", f"{CLI}.sig", "ftp://x/y"])
def test_an_address_that_does_not_exist_is_not_found(sandbox: Sandbox, url: str) -> None:
    outcome = bash(sandbox, f"curl -fsS -o /tmp/p {url}")
    assert outcome.exit_code == 22
    assert outcome.stderr == "curl: (22) The requested URL returned error: 404\n"
    assert bash(sandbox, f"curl -fs -o /tmp/p {url}") == Outcome(22, "", "")
    assert bash(sandbox, "test -e /tmp/p").exit_code == 1


def test_without_fail_the_error_page_is_what_was_downloaded(sandbox: Sandbox) -> None:
    outcome = bash(sandbox, "curl -s -o /tmp/p https://example.com/x && cat /tmp/p")
    assert (outcome.exit_code, "<Error>" in outcome.stdout) == (0, True)


def test_a_download_that_cannot_be_written_fails(sandbox: Sandbox) -> None:
    assert bash(sandbox, f"curl -fsS -o /nowhere/p {CLI}").exit_code == 23
    assert bash(sandbox, "curl --no-such-option https://example.com").exit_code == 2


@pytest.fixture(name="s3")
def _s3() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/mine/tools/cli.rpm"
            self.send_response(200 if found else 403)
            self.end_headers()
            package = packages.Package("cloudhsm-cli", "5.19.0", "1.amzn2023", "x86_64")
            self.wfile.write(package.line.encode() if found else b"<Error/>")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_package_may_come_from_a_bucket_of_ones_own(
    make_box: Callable[..., Sandbox], s3: str
) -> None:
    sandbox = make_box("i-2", AWS_ENDPOINT_URL=s3)
    for host in ("mine.s3.amazonaws.com", "mine.s3.eu-west-1.amazonaws.com"):
        fetch = f"curl -fsSo /tmp/x.rpm https://{host}/tools/cli.rpm"
        assert bash(sandbox, f"{fetch} && dnf install -y /tmp/x.rpm").exit_code == 0
    assert bash(sandbox, "rpm -q cloudhsm-cli").stdout.startswith("cloudhsm-cli-5.19.0")
    refused = bash(sandbox, "curl -fsSo /tmp/x.rpm https://mine.s3.amazonaws.com/other.rpm")
    assert (refused.exit_code, "403" in refused.stderr) == (22, True)


# --- jq


@pytest.fixture(name="jq", scope="module")
def _jq() -> Iterator[Callable[[str], Outcome]]:
    sandbox = Sandbox("i-1", {})
    bash(sandbox, "dnf install -y -q jq")
    yield lambda script: bash(sandbox, script)
    sandbox.destroy()


def test_jq_reads_nested_values(jq: Callable[[str], Outcome]) -> None:
    secret = json.dumps({"SecretString": json.dumps({"a": {"b": 'it\'s "q" é'}})})
    read = jq(f"cat > /tmp/s <<'END'\n{secret}\nEND\njq -r .SecretString /tmp/s | jq -r .a.b")
    assert read == Outcome(0, 'it\'s "q" é\n', "")


def test_jq_takes_arguments_and_writes_json(jq: Callable[[str], Outcome]) -> None:
    program = '{name: $name, size: $size, list: [$name, "x"]}'
    command = f"jq -n --arg name 'a \"b\"' --argjson size 3 '{program}'"
    assert json.loads(jq(command).stdout) == {
        "name": 'a "b"',
        "size": 3,
        "list": ['a "b"', "x"],
    }
    assert jq("jq -cn '{b: 1, a: [1, 2]}'").stdout == '{"b":1,"a":[1,2]}\n'
    assert jq("jq -n '{b: [1], c: {}}'").stdout == ('{\n  "b": [\n    1\n  ],\n  "c": {}\n}\n')


def test_jq_reads_raw_lines_and_slurps(jq: Callable[[str], Outcome]) -> None:
    assert jq("printf 'a\\nb' | jq -Rc .").stdout == '"a"\n"b"\n'
    assert jq("printf 'a\\nb\\n' | jq -Rsc .").stdout == '"a\\nb\\n"\n'
    assert jq("echo 1 2 3 | jq -sc .").stdout == "[1,2,3]\n"
    assert jq("echo 1 2 3 | jq -c '. + 1'").stdout == "2\n3\n4\n"
    assert jq("printf 'a' | jq -Rj .").stdout == "a"


@pytest.mark.parametrize(
    ("command", "exit_code"),
    [
        ("jq -e .a <<< '{\"a\": 0}'", 0),
        ("jq -e .a <<< '{\"a\": false}'", 1),
        ("jq -e .a <<< '{}'", 1),
        ("jq -e empty <<< '{}'", 4),
        ("jq . <<< '{'", 2),
        ("jq . <<< 'not json'", 2),
        ("jq .a <<< '[1]'", 5),
        ("jq '.[' <<< '{}'", 3),
        ("jq . /no/file", 2),
        ("jq --no-such-option . <<< 1", 2),
        ("jq . < /dev/null", 0),
        ("jq 'error(\"no\")' <<< 1", 5),
    ],
)
def test_jq_ends_as_jq_does(jq: Callable[[str], Outcome], command: str, exit_code: int) -> None:
    outcome = jq(command)
    assert outcome.exit_code == exit_code
    assert bool(outcome.stderr) == (exit_code in (2, 3, 5))


# --- Services and time


def test_services_are_those_of_the_installed_packages(sandbox: Sandbox) -> None:
    outcome = bash(sandbox, "systemctl start cloudhsm-client")
    assert outcome.exit_code == 5
    assert "Unit cloudhsm-client.service not found." in outcome.stderr
    bash(sandbox, f"curl -fsSo /tmp/p.rpm {SDK3}; rpm -i /tmp/p.rpm")
    assert bash(sandbox, "systemctl is-active cloudhsm-client") == Outcome(3, "inactive\n", "")
    assert bash(sandbox, "systemctl enable --now cloudhsm-client.service").exit_code == 0
    assert bash(sandbox, "systemctl start cloudhsm-client").exit_code == 0
    assert bash(sandbox, "systemctl is-active cloudhsm-client") == Outcome(0, "active\n", "")
    assert bash(sandbox, "systemctl stop cloudhsm-client").exit_code == 0
    assert bash(sandbox, "systemctl is-active cloudhsm-client").exit_code == 3


def test_sleep_is_the_rehearsals(sandbox: Sandbox, admin: AdminApi) -> None:
    assert bash(sandbox, "sleep 5; sleep 1.5m 2s", REHEARSAL_COMMAND="c/i").exit_code == 0
    assert admin.asked == [
        ("/sleep", {"seconds": 5.0, "command": "c/i"}),
        ("/sleep", {"seconds": 92.0, "command": "c/i"}),
    ]
    assert bash(sandbox, "sleep").exit_code == 1
    assert "invalid time interval 'x'" in bash(sandbox, "sleep x").stderr


def test_the_date_is_virtual(sandbox: Sandbox, admin: AdminApi) -> None:
    admin.answers["/clock"] = {"now": 2000000000.25}
    assert bash(sandbox, "date +%s; date -u +%Y").stdout == "2000000000\n2033\n"
    assert bash(sandbox, "date -u -d @0 +%Y").stdout == "1970\n"


# --- CloudHSM


def test_the_cli_is_configured_with_addresses(client: Sandbox) -> None:
    bash(client, f"{CONFIGURE} -a 10.0.1.7 10.0.2.9 --hsm-ca-cert /opt/cloudhsm/etc/customerCA.crt")
    [one] = json.loads(client.read("/opt/cloudhsm/etc/cloudhsm-cli.cfg"))["clusters"]
    assert [server["hostname"] for server in one["cluster"]["servers"]] == ["10.0.1.7", "10.0.2.9"]
    bash(client, f"{CONFIGURE} -a 10.0.3.1 --disable-key-availability-check")
    [one] = json.loads(client.read("/opt/cloudhsm/etc/cloudhsm-cli.cfg"))["clusters"]
    assert [server["hostname"] for server in one["cluster"]["servers"]] == ["10.0.3.1"]
    assert one["cluster"]["options"] == {"disable_key_availability_check": True}


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [("", 2), ("-a", 2), ("--colour red", 2), ("-a 10.0.1.7 --hsm-ca-cert /no/file", 1)],
)
def test_the_configuration_tool_refuses_what_it_does_not_understand(
    client: Sandbox, arguments: str, exit_code: int
) -> None:
    before = client.read("/opt/cloudhsm/etc/cloudhsm-cli.cfg")
    outcome = bash(client, f"{CONFIGURE} {arguments}")
    assert outcome.exit_code == exit_code
    assert outcome.stderr
    assert client.read("/opt/cloudhsm/etc/cloudhsm-cli.cfg") == before


@pytest.fixture(name="cloudhsm")
def _cloudhsm() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.headers["Authorization"])
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            hsms = [
                {"EniIp": "10.0.1.7", "State": "ACTIVE", "HsmId": "hsm-a"},
                {"EniIp": "10.0.2.9", "State": "CREATE_IN_PROGRESS", "HsmId": "hsm-b"},
            ]
            self.wfile.write(json.dumps({"Clusters": [{"Hsms": hsms}]}).encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()


def test_the_cli_is_configured_with_a_cluster_of_a_region(
    make_box: Callable[..., Sandbox], cloudhsm: tuple[str, list[str]]
) -> None:
    endpoint, asked = cloudhsm
    sandbox = make_box(
        "i-2",
        AWS_ENDPOINT_URL=endpoint,
        AWS_REGION="eu-west-1",
        AWS_ACCESS_KEY_ID="x",
        AWS_SECRET_ACCESS_KEY="y",
    )
    bash(sandbox, f"curl -fsSo /tmp/p.rpm {CLI}; rpm -i /tmp/p.rpm")
    assert bash(sandbox, f"{CONFIGURE} --cluster-id cluster-abcdefghijk").exit_code == 0
    assert bash(sandbox, f"{CONFIGURE} --cluster-id cluster-x --region eu-west-1").exit_code == 0
    # F3.9: without --region it is not where the instance is.
    assert ["/us-east-1/" in asked[0], "/eu-west-1/" in asked[1]] == [True, True]
    [one] = json.loads(sandbox.read("/opt/cloudhsm/etc/cloudhsm-cli.cfg"))["clusters"]
    assert [server["hostname"] for server in one["cluster"]["servers"]] == ["10.0.1.7"]


def answer(outcome: Outcome) -> Any:
    return json.loads(outcome.stdout)


def test_a_command_needs_a_configuration_and_the_certificate(sandbox: Sandbox) -> None:
    bash(sandbox, f"curl -fsSo /tmp/p.rpm {CLI}; rpm -i /tmp/p.rpm")
    outcome = bash(sandbox, f"{HSM} user list")
    assert (outcome.exit_code, answer(outcome)["error_code"]) == (1, 1)
    assert "configure-cli" in answer(outcome)["data"]
    outcome = bash(sandbox, f"{CONFIGURE} -a 10.0.1.7; {HSM} user list")
    assert outcome.exit_code == 1
    assert "/opt/cloudhsm/etc/customerCA.crt" in answer(outcome)["data"]


def test_the_answer_is_printed_as_the_hsm_gave_it(client: Sandbox, admin: AdminApi) -> None:
    admin.answers["/hsm"] = {"error_code": 0, "data": {"users": []}}
    outcome = bash(client, f"{HSM} user list")
    assert (outcome.exit_code, answer(outcome)) == (0, admin.answers["/hsm"])
    assert admin.asked == [
        (
            "/hsm",
            {
                "op": "user-list",
                "params": {"ip": "10.0.1.7", "ca": "the CA\n", "instance_id": client.instance_id},
            },
        )
    ]


LOGIN = "CLOUDHSM_ROLE=admin CLOUDHSM_PIN=admin:se:same"


@pytest.mark.parametrize(
    ("command", "operation", "parameters"),
    [
        (f"{HSM} cluster activate --password Secret123", "activate", {"password": "Secret123"}),
        (f"{HSM} cluster hsm-info", "hsm-info", {}),
        (
            f"{LOGIN} {HSM} user create --username kmsuser --role crypto-user --password Secret123",
            "user-create",
            {"new_username": "kmsuser", "role": "crypto-user", "new_password": "Secret123"},
        ),
        (
            f"{LOGIN} {HSM} user change-password --username=bob --role=admin --password=Secret123",
            "user-change-password",
            {"new_username": "bob", "role": "admin", "new_password": "Secret123"},
        ),
        (
            f"{LOGIN} {HSM} user delete --username bob --role admin",
            "user-delete",
            {"new_username": "bob", "role": "admin"},
        ),
    ],
)
def test_each_command_asks_the_hsm(
    client: Sandbox, admin: AdminApi, command: str, operation: str, parameters: dict[str, str]
) -> None:
    admin.answers["/hsm"] = {"error_code": 0, "data": {}}
    assert bash(client, command).exit_code == 0
    [(_, asked)] = admin.asked
    assert asked["op"] == operation
    login = {"login_role": "admin", "username": "admin", "password": "se:same"}
    expected = {**parameters, **(login if "CLOUDHSM_PIN" in command else {})}
    assert {key: asked["params"][key] for key in expected} == expected
    assert set(asked["params"]) == {*expected, "ip", "ca", "instance_id"}


def test_a_refusal_is_an_error_code_and_an_exit_code(client: Sandbox, admin: AdminApi) -> None:
    admin.answers["/hsm"] = {"error": "LoginFailed", "message": "Login failed"}
    outcome = bash(client, f"{LOGIN} {HSM} user delete --username bob --role admin")
    assert outcome.exit_code == 1
    assert answer(outcome) == {"error_code": 1, "data": "Login failed"}


def test_another_hsm_is_asked_when_one_cannot_be_reached(client: Sandbox, admin: AdminApi) -> None:
    def answer_at(body: Any) -> Any:
        if body["params"]["ip"] == "10.0.1.7":
            return {"error": "Unreachable", "message": "Connection to 10.0.1.7:2223 timed out."}
        return {"error_code": 0, "data": {}}

    admin.answers["/hsm"] = answer_at
    assert bash(client, f"{HSM} user list").exit_code == 1
    assert bash(client, f"{CONFIGURE} -a 10.0.1.7 10.0.2.9; {HSM} user list").exit_code == 0


@pytest.mark.parametrize(
    ("command", "exit_code"),
    [
        ("user create --username a --role admin --password Secret123", 1),
        ("cluster activate", 1),
        ("user create --role admin", 2),
        ("user delete --username a --role king", 2),
        ("key list", 2),
        ("", 2),
    ],
)
def test_a_command_that_cannot_work_does_not_reach_the_hsm(
    client: Sandbox, admin: AdminApi, command: str, exit_code: int
) -> None:
    assert bash(client, f"{HSM} {command}").exit_code == exit_code
    assert admin.asked == []


def test_the_cli_tells_its_version(client: Sandbox) -> None:
    assert bash(client, f"{HSM} --version").stdout == "CloudHSM CLI 5.18.0\n"
