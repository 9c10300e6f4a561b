"""The fake commands: exit codes, messages and files as on Amazon Linux, and errors for the rest."""

from __future__ import annotations

import http.server
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localaws.sandbox import link_commands, sandbox
from localaws.sandbox.fake_bin import __main__ as fake_bin
from localaws.sandbox.fake_bin import packages
from localaws.sandbox.sandbox import Sandbox
from localaws.services.ssm.interfaces import Outcome
from tests.support.data_plane import DataPlaneStub
from tests.support.plain_http import serving

SOFTWARE = "https://s3.amazonaws.com/cloudhsmv2-software/CloudHsmClient"
CLI = f"{SOFTWARE}/Amzn2023/cloudhsm-cli-5.18.0-1.amzn2023.x86_64.rpm"
ARM_CLI = f"{SOFTWARE}/Amzn2023/cloudhsm-cli-5.18.0-1.amzn2023.aarch64.rpm"
SDK3 = f"{SOFTWARE}/EL7/cloudhsm-client-latest.el7.x86_64.rpm"
# The user guide's "latest releases" (F3.4).
CLI_SHA256 = "0c77a4014d77df64ea3faaf1cc8d8f67dacd8a5ca53baa0026ab0b65d4fe6b69"
ARM_CLI_SHA256 = "a709088dd8857988c893475d85b9a1b3d7a3545006b119156d1e45bebe77021e"

CA = "/opt/cloudhsm/etc/customerCA.crt"
CONFIGURE = "/opt/cloudhsm/bin/configure-cli"
HSM = "/opt/cloudhsm/bin/cloudhsm-cli"


def bash(sandbox: Sandbox, script: str, **environment: str) -> Outcome:
    return sandbox.run(f"#!/bin/bash\nset -uo pipefail\n{script}", environment)


def download(url: str) -> str:
    return f"curl -fsS --retry 3 -o /tmp/p.rpm {url}"


@pytest.fixture(name="client")
def _client(sandbox: Sandbox) -> Sandbox:
    """A sandbox in which the CloudHSM CLI is installed and configured."""
    outcome = bash(
        sandbox,
        f"set -e; {download(CLI)}; dnf install -y -q /tmp/p.rpm\n"
        f"echo the CA > {CA}; {CONFIGURE} -a 10.0.1.7 --hsm-ca-cert {CA}",
    )
    assert outcome == Outcome(0, "", "")
    return sandbox


def test_command_sh_dispatches_to_every_fake_command() -> None:
    text = (sandbox.HERE / "command.sh").read_text()
    in_python, in_shell = (
        {*branch.split(" | ")} for branch in re.findall(r"^([a-z0-9 |-]+)\)$", text, re.MULTILINE)
    )
    directory = sandbox.HERE / "fake_bin"
    modules = {fake_bin.MODULES.get(name, name.replace("-", "_")) for name in in_python}
    support = {"__init__", "__main__", "durations", "packages", "sigv4", "sockets", "usage"}
    support |= {"cli_session", "routes"}
    assert modules == {path.stem for path in directory.glob("*.py")} - support
    assert in_shell == {path.stem for path in directory.glob("*.sh")}
    from_packages = {
        Path(command).name for paths in packages.COMMANDS.values() for command in paths
    }
    assert in_python | in_shell == link_commands.INSTALLED | from_packages


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("aws s3 ls", "s3 ls"),
        ("aws secretsmanager get-secret-value --region x --secret-id x --output text", "text"),
        ("cloud-init query", "query"),
        (f"{HSM} user list --verbose", "--verbose"),
        (f"{HSM} key list", "key"),
        (f"{HSM} user create --role admin", "--username"),
        (f"{HSM} user create --username a --role king --password Secret123", "king"),
        (f"{HSM} cluster activate", "--password"),
        (f"{HSM} interactive", "terminal"),
        (f"{HSM} login --username a --role admin", "login"),
        (f"{CONFIGURE} -a 10.0.1.7 --cluster-id x --hsm-ca-cert /x", "--cluster-id"),
        (f"{CONFIGURE} --hsm-ca-cert /x", "-a"),
        (f"curl -fsSL -o /tmp/p {CLI}", "L"),
        (f"curl -sS -o /tmp/p {CLI}", "-f"),
        ("dnf upgrade -y", "upgrade"),
        ("dnf install jq", "-y"),
        ("dnf install -y --nogpgcheck jq", "--nogpgcheck"),
        ("jq -c . <<< 1", "-c"),
        ("jq -n 1", "-n"),
        ("rpm -qa", "-qa"),
        ("sleep 1m", "1m"),
        ("rpm -i /tmp/p.rpm", "-i"),
        ("sha256sum /tmp/p.rpm", "/tmp/p.rpm"),
        ("sha256sum --check --quiet < /dev/null", "--quiet"),
        ("systemctl enable cloudhsm-client", "enable"),
        ("systemctl start chronyd", "chronyd"),
        ("uname -s", "-s"),
    ],
)
def test_anything_that_no_script_uses_is_a_loud_error(
    client: Sandbox, command: str, option: str
) -> None:
    outcome = bash(client, f"dnf install -y -q jq; {command}")
    assert outcome.exit_code == 2
    assert option in outcome.stderr


@pytest.mark.parametrize(
    ("fault", "status"), [("", "done"), ("0", "done"), ("1", "error"), ("2", "done")]
)
def test_cloud_init_has_completed_the_first_boot(sandbox: Sandbox, fault: str, status: str) -> None:
    outcome = bash(sandbox, "cloud-init status --wait", LOCALAWS_CLOUD_INIT=fault)
    assert outcome == Outcome(int(fault or 0), f"\nstatus: {status}\n", "")


# --- Secrets


class SecretsManager(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        credential = self.headers["Authorization"].partition("Credential=")[2].split("/")
        found = body["SecretId"] == "known" and credential[0] == "AKIAINSTANCE"
        error = {"__type": "ResourceNotFoundException", "message": "not found"}
        secret = {"SecretString": f"sesame {credential[2]}", "VersionId": "v1"}
        self.send_response(200 if found else 400)
        self.end_headers()
        self.wfile.write(json.dumps(secret if found else error).encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(name="_secrets_manager")
def _secrets_manager(hsms: DataPlaneStub) -> Iterator[None]:
    with serving(hsms.sockets / "aws", SecretsManager):
        yield


@pytest.mark.usefixtures("_secrets_manager")
def test_aws_reads_a_secret_with_the_credentials_of_the_instance(
    make_sandbox: Callable[..., Sandbox],
) -> None:
    sandbox = make_sandbox(
        AWS_ACCESS_KEY_ID="AKIAINSTANCE",
        AWS_SECRET_ACCESS_KEY="it's $ecret",
    )
    read = "aws secretsmanager get-secret-value --region eu-west-3 --secret-id"
    text = f'{read} known --query SecretString --output text; echo "${{AWS_ACCESS_KEY_ID-none}}"'
    assert bash(sandbox, text) == Outcome(0, "sesame eu-west-3\nnone\n", "")
    secret = json.loads(bash(sandbox, f"{read} known --output json").stdout)
    assert secret == {"SecretString": "sesame eu-west-3", "VersionId": "v1"}
    missing = bash(sandbox, f"{read} missing --output json")
    assert (missing.exit_code, missing.stdout) == (254, "")
    assert missing.stderr == (
        "\nAn error occurred (ResourceNotFoundException) when calling the GetSecretValue "
        "operation: not found\n"
    )


def test_aws_fails_without_credentials_or_endpoint(make_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = make_sandbox(AWS_ACCESS_KEY_ID="")
    read = "aws secretsmanager get-secret-value --region x --secret-id x --output json"
    outcome = bash(sandbox, read)
    assert (outcome.exit_code, outcome.stderr) == (253, "\nUnable to locate credentials.\n")
    assert (
        bash(sandbox, f"export AWS_ACCESS_KEY_ID=A AWS_SECRET_ACCESS_KEY=B; {read}").exit_code
        == 255
    )


# --- Packages


def test_dnf_installs_a_package_by_name_and_removes_it(sandbox: Sandbox) -> None:
    assert bash(sandbox, "command -v jq").exit_code == 1
    installed = bash(sandbox, "dnf install -y jq")
    assert installed.exit_code == 0
    assert "Installed:\n  jq-" in installed.stdout
    assert bash(sandbox, "command -v jq; jq -r . <<< 1").stdout == "/usr/bin/jq\n1\n"
    again = bash(sandbox, "dnf install -y jq")
    assert (again.exit_code, "Nothing to do." in again.stdout) == (0, True)
    assert "Removed:\n  jq-" in bash(sandbox, "dnf remove -y jq").stdout
    assert bash(sandbox, "command -v jq").exit_code == 1
    assert bash(sandbox, "dnf remove -y jq").exit_code == 0


def test_dnf_is_silent_with_q(sandbox: Sandbox) -> None:
    assert bash(sandbox, "dnf install -y -q jq") == Outcome(0, "", "")


def test_dnf_does_not_find_packages_that_amazon_does_not_distribute(sandbox: Sandbox) -> None:
    outcome = bash(sandbox, "dnf install -y cloudhsm-cli")
    assert outcome.exit_code == 1
    assert "Unable to find a match: cloudhsm-cli" in outcome.stderr


@pytest.mark.parametrize("content", [None, "half a pack"])
def test_dnf_rejects_a_file_that_is_not_a_package(sandbox: Sandbox, content: str | None) -> None:
    if content:
        sandbox.write("/tmp/x.rpm", content)
    outcome = bash(sandbox, "dnf install -y /tmp/x.rpm")
    assert outcome.exit_code == 1
    assert "/tmp/x.rpm" in outcome.stderr


def test_dnf_rejects_a_package_for_another_architecture(sandbox: Sandbox) -> None:
    outcome = bash(sandbox, f"{download(ARM_CLI)}; dnf install -y /tmp/p.rpm")
    assert outcome.exit_code == 1
    assert "architecture" in outcome.stderr


def test_a_failed_swap_removes_nothing(client: Sandbox) -> None:
    client.write("/tmp/arm.rpm", "rpm cloudhsm-client 3.4.4 1.el7 aarch64\n")
    outcome = bash(client, "dnf swap -y cloudhsm-cli /tmp/arm.rpm")
    assert (outcome.exit_code, "architecture" in outcome.stderr) == (1, True)
    assert bash(client, f"ls {HSM}").exit_code == 0


def test_dnf_reinstalls_only_the_installed_version(client: Sandbox) -> None:
    assert bash(client, "dnf reinstall -y -q /tmp/p.rpm") == Outcome(0, "", "")
    client.write("/tmp/p.rpm", "rpm cloudhsm-cli 5.17.2 1.amzn2023 x86_64\n")
    assert bash(client, "dnf reinstall -y -q /tmp/p.rpm").exit_code == 1
    assert bash(client, "dnf install -y -q /tmp/p.rpm") == Outcome(0, "", "")
    assert "5.17.2" in bash(client, "rpm -q cloudhsm-cli").stdout


def test_the_architecture_is_that_of_the_instance(make_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = make_sandbox("i-2", LOCALAWS_ARCHITECTURE="aarch64")
    assert bash(sandbox, "uname -m").stdout == "aarch64\n"
    assert bash(sandbox, f"{download(ARM_CLI)}; dnf install -y /tmp/p.rpm").exit_code == 0


def test_rpm_queries_installed_packages(client: Sandbox) -> None:
    full = "cloudhsm-cli-5.18.0-1.amzn2023.x86_64\n"
    assert bash(client, "rpm -q cloudhsm-cli") == Outcome(0, full, "")
    missing = "package cloudhsm-client is not installed\n"
    assert bash(client, "rpm -q cloudhsm-client") == Outcome(1, missing, "")


def test_rpm_queries_package_files(sandbox: Sandbox) -> None:
    full = "cloudhsm-client-3.4.4-1.el7.x86_64\n"
    query = f"{download(SDK3)}; rpm -qp"
    assert bash(sandbox, f"{query} /tmp/p.rpm") == Outcome(0, full, "")
    assert (
        bash(sandbox, f"{query} --queryformat '%{{NAME}}' /tmp/p.rpm").stdout == "cloudhsm-client"
    )
    assert "not an rpm package" in bash(sandbox, f"{query} /etc/passwd").stderr


def test_dnf_swaps_packages_that_conflict(client: Sandbox) -> None:
    install = bash(client, f"{download(SDK3)}; dnf install -y /tmp/p.rpm")
    assert install.exit_code == 1
    assert "conflicts with cloudhsm-cli" in install.stderr
    assert bash(client, f"ls {HSM}").exit_code == 0
    assert bash(client, "dnf swap -y -q cloudhsm-client /tmp/p.rpm").exit_code == 1
    assert bash(client, "dnf swap -y -q cloudhsm-cli /tmp/p.rpm") == Outcome(0, "", "")
    assert bash(client, "rpm -q cloudhsm-cli").exit_code == 1
    assert bash(client, f"ls {HSM}").exit_code == 2
    assert bash(client, "/opt/cloudhsm/bin/configure -a 10.0.1.7").exit_code == 0
    assert "10.0.1.7" in client.read("/opt/cloudhsm/etc/cloudhsm_client.cfg")


# --- Downloads and checksums


@pytest.mark.parametrize(("url", "sha256"), [(CLI, CLI_SHA256), (ARM_CLI, ARM_CLI_SHA256)])
def test_a_documented_download_has_the_documented_checksum(
    sandbox: Sandbox, url: str, sha256: str
) -> None:
    check = f"{download(url)}; echo '{sha256}  /tmp/p.rpm' | sha256sum --check --status"
    assert bash(sandbox, check) == Outcome(0, "", "")


def test_checksums_are_compared(sandbox: Sandbox) -> None:
    sandbox.write("/tmp/foo", "foo\n")
    sha256 = "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c"

    def check(line: str) -> Outcome:
        return bash(sandbox, f"echo '{line}' | sha256sum --check --status")

    assert check(f"{sha256}  /tmp/foo") == Outcome(0, "", "")
    assert check(f"{CLI_SHA256}  /tmp/foo") == Outcome(1, "", "")
    assert check(f"{sha256}  /no").stderr == "sha256sum: /no: No such file or directory\n"
    assert bash(sandbox, "sha256sum --check --status < /dev/null").exit_code == 1


def test_an_injected_fault_corrupts_a_download(sandbox: Sandbox) -> None:
    check = f"{download(CLI)} && echo '{CLI_SHA256}  /tmp/p.rpm' | sha256sum --check --status"
    assert bash(sandbox, check, LOCALAWS_DOWNLOAD="corrupt").exit_code == 1
    assert bash(sandbox, check, LOCALAWS_DOWNLOAD="missing").exit_code == 22
    assert bash(sandbox, check, LOCALAWS_DOWNLOAD="").exit_code == 0


def test_an_injected_fault_fails_a_command_without_its_effect(
    sandbox: Sandbox, hsms: DataPlaneStub
) -> None:
    fault = {"exit": 28, "stderr": "curl: (28) timed out\n"}
    hsms.responses["/command"] = {"fault": fault}
    of_script = {"LOCALAWS_FAULTS": "yes", "LOCALAWS_DOCUMENT": "Install"}
    outcome = bash(
        sandbox, f"{download(CLI)}; code=$?; [ ! -e /tmp/p.rpm ] && exit $code", **of_script
    )
    assert outcome == Outcome(28, "", "curl: (28) timed out\n")
    asked = {"command": download(CLI), "document": "Install"}
    assert hsms.requests == [("/command", asked)]


def test_an_injected_fault_kills_a_script_right_after_a_command(
    sandbox: Sandbox, hsms: DataPlaneStub
) -> None:
    hsms.responses["/command"] = {"fault": {"kill": True}}
    outcome = bash(sandbox, f"{download(CLI)}; echo went on", LOCALAWS_FAULTS="yes")
    assert outcome == Outcome(-9, "", "")
    assert sandbox.read("/tmp/p.rpm").startswith("rpm cloudhsm-cli")


@pytest.mark.parametrize("url", ["https://example.com/x.rpm", f"{CLI}.sig", "ftp://x/y"])
def test_curl_reports_an_unknown_url_as_not_found(sandbox: Sandbox, url: str) -> None:
    outcome = bash(sandbox, download(url))
    assert outcome.exit_code == 22
    assert outcome.stderr == "curl: (22) The requested URL returned error: 404\n"
    assert bash(sandbox, "test -e /tmp/p.rpm").exit_code == 1


def test_curl_fails_if_it_cannot_write_the_file(sandbox: Sandbox) -> None:
    assert bash(sandbox, f"curl -fsS -o /nowhere/p {CLI}").exit_code == 23


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = self.path == "/mine/tools/cli.rpm"
        self.send_response(200 if found else 403)
        self.end_headers()
        package = packages.Package("cloudhsm-cli", "5.19.0", "1.amzn2023", "x86_64")
        self.wfile.write(package.line.encode() if found else b"<Error/>")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(name="_s3")
def _s3(hsms: DataPlaneStub) -> Iterator[None]:
    with serving(hsms.sockets / "aws", Handler):
        yield


@pytest.mark.usefixtures("_s3")
def test_a_package_may_come_from_an_operators_bucket(make_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = make_sandbox("i-2")
    for host in ("mine.s3.amazonaws.com", "mine.s3.eu-west-1.amazonaws.com"):
        fetch = download(f"https://{host}/tools/cli.rpm")
        assert bash(sandbox, f"{fetch} && dnf install -y /tmp/p.rpm").exit_code == 0
    assert bash(sandbox, "rpm -q cloudhsm-cli").stdout.startswith("cloudhsm-cli-5.19.0")
    refused = bash(sandbox, download("https://mine.s3.amazonaws.com/other.rpm"))
    assert (refused.exit_code, "403" in refused.stderr) == (22, True)


# --- jq


@pytest.fixture(name="jq", scope="module")
def _jq() -> Iterator[Callable[[str], Outcome]]:
    sandbox = Sandbox("i-1", {})
    bash(sandbox, "dnf install -y -q jq")
    yield lambda script: bash(sandbox, script)
    sandbox.destroy()


def test_jq_takes_a_variable(sandbox: Sandbox) -> None:
    filter_ = "jq -r --arg name 'a\"b' '.[$name]' <<< '{\"a\\\"b\": 1}'"
    assert bash(sandbox, f"dnf install -y -q jq; {filter_}").stdout == "1\n"


def test_jq_reads_nested_values(jq: Callable[[str], Outcome]) -> None:
    secret = json.dumps({"SecretString": json.dumps({"a": {"b": 'it\'s "q" é'}})})
    read = jq(f"jq -r .SecretString <<'END' | jq -r .a.b\n{secret}\nEND")
    assert read == Outcome(0, 'it\'s "q" é\n', "")


@pytest.mark.parametrize(
    ("command", "exit_code"),
    [
        ("jq -e .a <<< '{\"a\": 0}'", 0),
        ("jq -e .a <<< '{\"a\": false}'", 1),
        ("jq -e .a <<< '{}'", 1),
        ("jq -e empty <<< '{}'", 4),
        ("jq -r . <<< '{'", 2),
        ("jq -r . <<< 'not json'", 2),
        ("jq -r .a <<< '[1]'", 5),
        ("jq -r '.[' <<< '{}'", 3),
        ("jq -r . < /dev/null", 0),
        ("jq -r 'error(\"no\")' <<< 1", 5),
    ],
)
def test_jq_has_the_exit_codes_of_jq(
    jq: Callable[[str], Outcome], command: str, exit_code: int
) -> None:
    outcome = jq(command)
    assert outcome.exit_code == exit_code
    assert bool(outcome.stderr) == (exit_code in (2, 3, 5))


# --- Services


def test_the_service_comes_with_its_package(sandbox: Sandbox) -> None:
    outcome = bash(sandbox, "systemctl start cloudhsm-client")
    assert outcome.exit_code == 5
    assert "Unit cloudhsm-client.service not found." in outcome.stderr
    bash(sandbox, f"{download(SDK3)}; dnf install -y /tmp/p.rpm")
    assert bash(sandbox, "systemctl is-active cloudhsm-client") == Outcome(3, "inactive\n", "")
    assert bash(sandbox, "systemctl start cloudhsm-client").exit_code == 0
    assert bash(sandbox, "systemctl is-active cloudhsm-client") == Outcome(0, "active\n", "")
    assert bash(sandbox, "systemctl stop cloudhsm-client").exit_code == 0
    assert bash(sandbox, "systemctl is-active cloudhsm-client").exit_code == 3


# --- CloudHSM


def test_configure_cli_writes_the_addresses(client: Sandbox) -> None:
    bash(client, f"{CONFIGURE} -a 10.0.1.7 10.0.2.9 --hsm-ca-cert {CA}")
    [one] = json.loads(client.read("/opt/cloudhsm/etc/cloudhsm-cli.cfg"))["clusters"]
    assert [server["hostname"] for server in one["cluster"]["servers"]] == ["10.0.1.7", "10.0.2.9"]


def test_configure_cli_rejects_a_missing_certificate(client: Sandbox) -> None:
    before = client.read("/opt/cloudhsm/etc/cloudhsm-cli.cfg")
    outcome = bash(client, f"{CONFIGURE} -a 10.0.1.9 --hsm-ca-cert /no/file")
    assert (outcome.exit_code, outcome.stderr) == (1, "The file /no/file does not exist\n")
    assert client.read("/opt/cloudhsm/etc/cloudhsm-cli.cfg") == before


def output(outcome: Outcome) -> Any:
    return json.loads(outcome.stdout)


def test_the_cli_requires_a_configuration_and_the_certificate(client: Sandbox) -> None:
    bash(client, f"rm {CA}")
    outcome = bash(client, f"{HSM} user list")
    assert outcome.exit_code == 1
    assert CA in output(outcome)["data"]
    bash(client, "rm /opt/cloudhsm/etc/cloudhsm-cli.cfg")
    outcome = bash(client, f"{HSM} user list")
    assert (outcome.exit_code, output(outcome)["error_code"]) == (1, 1)
    assert "configure-cli" in output(outcome)["data"]


def test_the_cli_prints_the_response_of_the_hsm(client: Sandbox, hsms: DataPlaneStub) -> None:
    hsms.responses["/data-plane"] = {"error_code": 0, "data": {"users": []}}
    outcome = bash(client, f"{HSM} user list")
    assert (outcome.exit_code, output(outcome)) == (0, hsms.responses["/data-plane"])
    [request] = hsms.requests
    parameters = {"ip": "10.0.1.7", "ca": "the CA\n", "instance_id": client.instance_id}
    sent = {"operation": "user-list", "parameters": parameters, "command": "user list"}
    assert request == ("/data-plane", sent)


def test_the_cli_fails_as_an_injected_fault_says(client: Sandbox, hsms: DataPlaneStub) -> None:
    injected = {"data": "The HSM is busy.", "error_code": 0, "exit_code": 7}
    hsms.responses["/data-plane"] = {"injected": injected}
    outcome = bash(client, f"{HSM} user list")
    assert outcome.exit_code == 7
    assert output(outcome) == {"error_code": 0, "data": "The HSM is busy."}


LOGIN = "CLOUDHSM_ROLE=admin CLOUDHSM_PIN=admin:se:same"


@pytest.mark.parametrize(
    ("command", "operation", "parameters"),
    [
        (f"{HSM} cluster activate --password Secret123", "activate", {"password": "Secret123"}),
        (f"{HSM} user list", "user-list", {}),
        # With both variables, every command logs in (F3.23).
        (f"{LOGIN} {HSM} user list", "user-list", {}),
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
    ],
)
def test_each_command_sends_a_request_to_the_hsm(
    client: Sandbox, hsms: DataPlaneStub, command: str, operation: str, parameters: dict[str, str]
) -> None:
    hsms.responses["/data-plane"] = {"error_code": 0, "data": {}}
    assert bash(client, command).exit_code == 0
    [(_, request)] = hsms.requests
    assert request["operation"] == operation
    login = {"login_role": "admin", "username": "admin", "password": "se:same"}
    expected = {**parameters, **(login if LOGIN in command else {})}
    assert {key: request["parameters"][key] for key in expected} == expected
    assert set(request["parameters"]) == {*expected, "ip", "ca", "instance_id"}


CREATE = f"{HSM} user create --username bob --role admin --password Secret123"


def test_a_command_without_a_login_does_not_reach_the_hsm(
    client: Sandbox, hsms: DataPlaneStub
) -> None:
    outcome = bash(client, CREATE)
    assert (outcome.exit_code, output(outcome)["error_code"]) == (1, 1)
    assert hsms.requests == []


def test_an_error_of_the_hsm_is_an_error_code_and_an_exit_code(
    client: Sandbox, hsms: DataPlaneStub
) -> None:
    hsms.responses["/data-plane"] = {"error": "LoginFailed", "message": "Login failed"}
    outcome = bash(client, f"{LOGIN} {CREATE}")
    assert outcome.exit_code == 1
    assert output(outcome) == {"error_code": 1, "data": "Login failed"}


def test_the_cli_tries_the_next_hsm_if_one_is_unreachable(
    client: Sandbox, hsms: DataPlaneStub
) -> None:
    def respond(body: Any) -> Any:
        if body["parameters"]["ip"] == "10.0.1.7":
            return {"error": "Unreachable", "message": "Connection to 10.0.1.7:2223 timed out."}
        return {"error_code": 0, "data": {}}

    hsms.responses["/data-plane"] = respond
    assert bash(client, f"{HSM} user list").exit_code == 1
    configure = f"{CONFIGURE} -a 10.0.1.7 10.0.2.9 --hsm-ca-cert {CA}"
    assert bash(client, f"{configure}; {HSM} user list").exit_code == 0
