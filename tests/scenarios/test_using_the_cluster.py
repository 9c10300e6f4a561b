"""Every command of docs/using-the-cluster.md runs in the local AWS, with IAM enforced."""

from __future__ import annotations

import json
import re
import subprocess
import uuid
from collections.abc import Iterator

import pytest

from localaws.client import ROOT, LocalAws
from rehearsal.drivers.stack import StackDriver
from rehearsal.timings import QUICK
from tests.localaws.ministack.support import SampleStack
from tests.localaws.ministack.test_instances import AGENT, Client, around, instance
from tests.support.terminal import Terminal

pytestmark = pytest.mark.long

DOCUMENT = ROOT / "docs" / "using-the-cluster.md"
POLICY = ROOT / "examples" / "policies" / "application.json"
PROMPT = "aws-cloudhsm > "
# The samples that a reader replaces.
SAMPLES = ("111122223333", "cluster-abcdefg2345", "my-cluster", "sg-0123456789abcdef0")
_BLOCK = re.compile(r"<!-- (not run|runs): ([^\n]+) -->\n```sh\n(.*?)```", re.DOTALL)
_PACKAGE = re.compile(
    r"^\| `cloudhsm-([a-z0-9-]+)` \| `([0-9a-f]{64})` \| `([0-9a-f]{64})` \|$", re.M
)


def text_of() -> str:
    return DOCUMENT.read_text()


def blocks() -> list[tuple[str, str]]:
    """Where each block runs, and its text."""
    return [(where, code) for kind, where, code in _BLOCK.findall(text_of()) if kind == "runs"]


def checksums() -> dict[str, str]:
    """The documented SHA-256 by package file."""
    return {
        f"cloudhsm-{name}-5.18.0-1.amzn2023.{architecture}.rpm": sha256
        for name, *of_architecture in _PACKAGE.findall(text_of())
        for architecture, sha256 in zip(("x86_64", "aarch64"), of_architecture, strict=True)
    }


class Shell:
    """A shell that goes on from block to block."""

    def __init__(self, command: list[str], env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=env, text=True, bufsize=1, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, code: str) -> list[str]:
        """The lines of output; every command must succeed."""
        assert self.process.stdin
        assert self.process.stdout
        mark = uuid.uuid4().hex
        lines: list[str] = []
        self.process.stdin.write(f"{code}\necho {mark} $?\n")
        while (line := self.process.stdout.readline()).split()[:1] != [mark]:
            assert line, f"{code}ended with {self.process.wait()}:\n{''.join(lines)}"
            lines.append(line)
        assert line.split()[1] == "0", "".join(lines)
        return lines

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(timeout=60)


class Reader:
    """Does what the document says, in a terminal for each place."""

    def __init__(self, aws: LocalAws, client: str, application: str) -> None:
        self.aws = aws
        self.samples: dict[str, str] = {}
        self.password = self.admin_password = ""
        self.operator = Shell(["bash"], aws.env)
        self.client = Shell(aws.admin.shell(client))
        self.application = Shell(aws.admin.shell(application))
        self.cli = Terminal(aws.admin.shell(client))
        for shell in (self.operator, self.client, self.application):
            shell.run("set -e -o pipefail")
        self.application.run("mkdir -p ~/packages; cd ~/packages; sudo dnf install -y -q jq")

    def follow(self, where: str, code: str) -> None:
        """Run a block."""
        for sample, real in self.samples.items():
            code = code.replace(sample, real)
        place, _, each = where.partition(", ")
        if place == "cli":
            self._type(code)
        elif each:
            for package, sha256 in checksums().items():
                self.application.run(_for_package(code, package, sha256))
        else:
            lines = getattr(self, place).run(code)
            self._remember(code, lines)

    def _remember(self, code: str, lines: list[str]) -> None:
        if 'echo "$password"' in code:
            self.password = lines[-1].strip()
        elif "get-secret-value" in code and lines:
            self.admin_password = json.loads("".join(lines)).get("password", "")

    def _type(self, code: str) -> None:
        for line in code.splitlines():
            self.cli.type(line)
            if line == "quit":
                return
            found, end = self.cli.read_until(PROMPT, "password: ")
            while end != PROMPT:
                is_login = line.startswith("login")
                self.cli.type(self.admin_password if is_login else self.password)
                found, end = self.cli.read_until(PROMPT, "password: ")
            assert '"error_code": 0' in found or "interactive" in line, found

    def close(self) -> None:
        for place in (self.operator, self.client, self.application, self.cli):
            place.close()


def _for_package(code: str, package: str, sha256: str) -> str:
    """The block for another package; one for other processors cannot be installed."""
    code = re.sub(r"^package=.*$", f"package={package}", code, flags=re.M)
    code = re.sub(r"^sha256=.*$", f"sha256={sha256}", code, flags=re.M)
    if "aarch64" in package:
        code = "true\n" if "configure-" in code else code.replace("sudo dnf", ": sudo dnf")
    name = package.split("-5.")[0].removeprefix("cloudhsm-")
    return code.replace("configure-pkcs11", f"configure-{name}")


@pytest.fixture(scope="module", name="cluster")
def _cluster() -> Iterator[StackDriver]:
    with LocalAws(timings=QUICK) as aws:
        driver = StackDriver(aws)
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        yield driver


@pytest.fixture(scope="module", name="application")
def _application(cluster: StackDriver) -> Client:
    """An instance with the documented policy."""
    outputs = cluster.stack.outputs()
    account = cluster.aws.client("sts").get_caller_identity()["Account"]
    samples = {"111122223333": account, "cluster-abcdefg2345": outputs["oClusterId"]}
    policy = POLICY.read_text()
    for sample, real in samples.items():
        policy = policy.replace(sample, real)
    application = Client(SampleStack(cluster.aws))
    statements = [AGENT, *json.loads(policy)["Statement"]]
    application.create({**around(*statements), "Client": instance()})
    return application


@pytest.fixture(scope="module", name="reader")
def _reader(cluster: StackDriver, application: Client) -> Iterator[Reader]:
    outputs = cluster.stack.outputs()
    aws = cluster.aws
    aws.admin.advance(300)  # until the application's agent is online
    reader = Reader(aws, outputs["oClientInstanceId"], application.id)
    real = (
        aws.client("sts").get_caller_identity()["Account"],
        outputs["oClusterId"],
        cluster.stack.name,
        application.stack.physical_id("Group"),
    )
    reader.samples = dict(zip(SAMPLES, real, strict=True))
    yield reader
    reader.close()


def test_every_command_works(reader: Reader, cluster: StackDriver, application: Client) -> None:
    for where, code in blocks():
        reader.follow(where, code)
    users = {user["username"] for user in cluster.cluster()["Users"]}
    assert {"admin", "app"} <= users
    secrets = cluster.aws.client("secretsmanager")
    admin = secrets.get_secret_value(SecretId=cluster.stack.outputs()["oAdminPasswordSecretName"])
    stored = json.loads(admin["SecretString"])
    assert stored == {"username": "admin", "password": reader.password}
    assert reader.password != reader.admin_password
    used = {
        each["action"]
        for each in cluster.aws.admin.decisions()
        if each["allowed"] and application.stack.physical_id("InstanceRole") in json.dumps(each)
    }
    granted = {each["Action"] for each in json.loads(POLICY.read_text())["Statement"]}
    assert granted - used == set()


def test_every_block_says_where_it_runs_or_is_listed_as_not_tested() -> None:
    found = _BLOCK.findall(text_of())
    assert len(found) == text_of().count("```sh\n")
    untested = text_of().split("## Not tested")[1]
    assert [where for kind, where, _ in found if kind == "not run" and where not in untested] == []
    places = {where.partition(", ")[0] for kind, where, _ in found if kind == "runs"}
    assert places == {"operator", "client", "cli", "application"}


def test_the_documented_checksums_are_those_of_the_template() -> None:
    template = (ROOT / "templates" / "cloudhsm.yml").read_text()
    pinned = {name: sha256 for name, sha256 in checksums().items() if "-cli-" in name}
    assert len(pinned) == 2
    assert [name for name, sha256 in pinned.items() if sha256 not in template] == []


def test_the_policy_grants_nothing_on_other_secrets() -> None:
    policy = json.loads(POLICY.read_text())
    sids = [each["Sid"] for each in policy["Statement"]]
    assert sids == ["FindHsms", "ReadCaCertificateAndCryptoUser"]
    assert all(name.endswith("-??????") for name in policy["Statement"][1]["Resource"])
