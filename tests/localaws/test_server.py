from __future__ import annotations

import io
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.parse
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from localaws.client import ROOT, LocalAws
from tests.localaws.ministack.support import Json, SampleStack, elapsed, error_from, function, role

LISTENS = "0A"
LOOPBACK = "0100007F"


class Server:
    """`python -m localaws` in its own process group and directory."""

    def __init__(self, home: Path, *arguments: str, stdin: int | None = None) -> None:
        self.home = home
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "localaws"),
                *("--port", "0", "--admin-port", "0", *arguments),
            ],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(home)},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.facts: Json = json.loads(line) if line else {}

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.facts["endpoint"],
            region_name=self.facts["region"],
            aws_access_key_id=self.facts["access_key_id"],
            aws_secret_access_key=self.facts["secret_access_key"],
            config=Config(proxies={}, read_timeout=5, retries={"total_max_attempts": 1}),
        )

    def end(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Send a signal; the exit code and the real seconds until the end."""
        began = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(10)
        return code, time.monotonic() - began


@pytest.fixture(name="server")
def _server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    if server.process.poll() is None:
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()


def invoke(server: Server) -> None:
    """Start an execution environment."""
    stack = server.client("cloudformation")
    resources = {
        "FunctionRole": role("lambda", everything=True),
        "Function": function("def handler(e, c): return 1", FunctionName="warm"),
    }
    stack.create_stack(
        StackName="it",
        TemplateBody=json.dumps({"Resources": resources}),
        Capabilities=["CAPABILITY_IAM"],
    )
    stack.get_waiter("stack_create_complete").wait(StackName="it", WaiterConfig={"Delay": 0.1})
    server.client("lambda").invoke(FunctionName="warm")


def group_of(leader: int) -> list[int]:
    """The live processes of a group."""
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == leader and fields[0] != "Z":
                members.append(int(entry.name))
    return members


def listening(process: int) -> list[tuple[str, int]]:
    """Address and port of every listening socket of a process."""
    sockets = set()
    for entry in Path(f"/proc/{process}/fd").iterdir():
        target = os.readlink(entry)
        if target.startswith("socket:["):
            sockets.add(target[8:-1])
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENS and fields[9] in sockets:
                address, _, port = fields[1].partition(":")
                found.append((address, int(port, 16)))
    return found


def test_the_first_line_of_output_has_urls_network_and_settings(server: Server) -> None:
    facts = server.facts
    urls, settings = {"endpoint", "admin"}, {"region", "clock", "auth"}
    secrets = {"access_key_id", "secret_access_key", "admin_token"}
    assert set(facts) == {*urls, *secrets, "vpc", "subnets", *settings}
    assert facts["endpoint"].startswith("http://127.0.0.1:")
    assert facts["admin"].startswith("http://127.0.0.1:")
    assert (facts["region"], facts["clock"], facts["auth"]) == ("us-east-1", "jump", True)
    assert len(facts["subnets"]) == 3


def test_it_prints_what_the_cli_needs(server: Server) -> None:
    assert server.process.stdout is not None
    exports = [server.process.stdout.readline() for _ in range(6)]
    assert all(line.startswith("export ") for line in exports)
    done = subprocess.run(
        ["bash", "-c", "".join(exports) + "aws sts get-caller-identity --query Arn --output text"],
        env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.stdout.endswith(":root\n"), done.stderr


def test_its_credentials_are_in_no_argument_and_no_file(server: Server) -> None:
    invoke(server)
    names = ("secret_access_key", "admin_token")
    planted = [server.facts[name].encode() for name in names]
    commands = [
        Path(f"/proc/{process}/cmdline").read_bytes() for process in group_of(server.process.pid)
    ]
    files = [path for path in server.home.rglob("*") if path.is_file()]
    assert len(commands) > 1
    assert len(files) > 1
    found = [*commands, *(path.read_bytes() for path in files)]
    assert not any(secret in text for secret in planted for text in found)


def test_it_listens_on_loopback_only(server: Server) -> None:
    found = listening(server.process.pid)
    assert {address for address, _ in found} == {LOOPBACK}
    # AWS as HTTP and as HTTPS, and the admin API.
    assert len(found) == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_leaves_no_process_and_no_file(
    server: Server, tmp_path: Path, number: int
) -> None:
    invoke(server)
    # The server and an execution environment.
    assert len(group_of(server.process.pid)) == 2
    code, seconds = server.end(number)
    assert (code, seconds < 20) == (0, True)
    assert group_of(server.process.pid) == []
    assert list(tmp_path.iterdir()) == []
    assert server.process.stderr is not None
    lines = [line.split(maxsplit=1)[1] for line in server.process.stderr.read().splitlines()]
    assert lines == ["stack it CREATE_IN_PROGRESS", "stack it CREATE_COMPLETE"]


def test_it_prints_a_line_for_each_state_of_a_stack_and_nothing_else(server: Server) -> None:
    group = {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/tiny"}}
    server.client("cloudformation").create_stack(
        StackName="tiny", TemplateBody=json.dumps({"Resources": {"rLogGroup": group}})
    )
    server.client("cloudformation").get_waiter("stack_create_complete").wait(
        StackName="tiny", WaiterConfig={"Delay": 1}
    )
    server.end()
    assert server.process.stderr is not None
    lines = [line.split(maxsplit=1)[1] for line in server.process.stderr.read().splitlines()]
    assert lines == ["stack tiny CREATE_IN_PROGRESS", "stack tiny CREATE_COMPLETE"]


def test_it_can_end_with_its_standard_input(tmp_path: Path) -> None:
    server = Server(tmp_path, "--exit-on-stdin-eof", stdin=subprocess.PIPE)
    assert server.process.poll() is None
    assert server.process.stdin is not None
    server.process.stdin.close()
    assert server.process.wait(20) == 0


def test_it_ends_while_a_function_is_running(server: Server, tmp_path: Path) -> None:
    run_endlessly(server)
    exit_code, seconds = server.end()
    assert (exit_code, seconds < 20) == (0, True)
    assert group_of(server.process.pid) == []
    assert list(tmp_path.iterdir()) == []


def test_it_ends_while_a_request_waits_for_virtual_time(tmp_path: Path) -> None:
    server = Server(tmp_path, "--timings", '{"create_role": 1000}', "--clock", "real")
    create = {
        "StackName": "slow",
        "TemplateBody": json.dumps({"Resources": {"Role": role("lambda")}}),
        "Capabilities": ["CAPABILITY_IAM"],
    }
    server.client("cloudformation").create_stack(**create)
    time.sleep(0.3)
    exit_code, seconds = server.end()
    assert (exit_code, seconds < 20) == (0, True)
    assert list(tmp_path.iterdir()) == []


def test_functions_end_when_the_server_is_killed(server: Server) -> None:
    run_endlessly(server)
    server.end(signal.SIGKILL)
    limit = time.monotonic() + 10
    while group_of(server.process.pid) and time.monotonic() < limit:
        time.sleep(0.05)
    assert group_of(server.process.pid) == []


def run_endlessly(server: Server) -> None:
    """Start a function that never returns."""
    invoke(server)
    client = server.client("lambda")
    client.create_function(
        FunctionName="endless",
        Runtime="python3.13",
        Handler="index.handler",
        Role=client.get_function(FunctionName="warm")["Configuration"]["Role"],
        Code={"ZipFile": zipped("def handler(e, c):\n    while True: pass\n")},
    )
    client.invoke(FunctionName="endless", InvocationType="Event")
    time.sleep(0.3)


def zipped(code: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("index.py", code)
    return archive.getvalue()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--timings", '{"nobody": 1}'),
        ("--timings", "{"),
        ("--quotas", '{"nobody": 1}'),
        ("--clock", "sundial"),
    ],
)
def test_invalid_arguments_are_rejected(tmp_path: Path, arguments: tuple[str, str]) -> None:
    server = Server(tmp_path, *arguments)
    assert server.facts == {}
    assert server.process.wait(10) == 2
    assert server.process.stderr is not None
    assert arguments[0] in server.process.stderr.read()


@pytest.mark.parametrize("option", ["--port", "--admin-port"])
def test_a_port_that_is_taken_is_reported_in_one_line(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = Server(tmp_path, option, str(port))
        assert server.process.wait(10) == 1
    assert server.process.stderr is not None
    [line] = server.process.stderr.read().splitlines()
    assert line.startswith(f"Port {port} is in use")
    assert "make serve PORT=" in line


def test_a_client_that_disconnects_leaves_no_traceback(server: Server) -> None:
    url = urllib.parse.urlsplit(server.facts["admin"])
    for text in (b"GET /clo", b"GET /clock HTTP/1.1\r\nHost: x\r\n\r\n"):
        with socket.create_connection((url.hostname or "", url.port or 0)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(text)
            time.sleep(0.2)  # until it is read
    time.sleep(0.5)  # until it is answered
    server.end()
    assert server.process.stderr is not None
    assert server.process.stderr.read() == ""


def test_timings_are_configurable(tmp_path: Path) -> None:
    with LocalAws(timings={"create_cluster": 5}) as aws:
        client = aws.client("cloudhsmv2")
        given: Json = {"HsmType": "hsm2m.medium", "Mode": "FIPS", "SubnetIds": aws.subnets[:1]}
        client.create_cluster(**given)
        aws.admin.advance(6)
        assert client.describe_clusters()["Clusters"][0]["State"] == "UNINITIALIZED"


def test_quotas_year_and_region_are_configurable() -> None:
    arguments = ("--quotas", '{"clusters": 1}', "--year", "2024", "--region", "eu-central-1")
    with LocalAws(*arguments) as aws:
        assert aws.region == "eu-central-1"
        zones = aws.client("ec2").describe_subnets(SubnetIds=aws.subnets)["Subnets"]
        assert all(zone["AvailabilityZone"].startswith("eu-central-1") for zone in zones)
        client = aws.client("cloudhsmv2")
        old: Json = {"HsmType": "hsm1.medium", "SubnetIds": aws.subnets[:1]}
        client.create_cluster(**old)
        assert "limit" in error_from(client.create_cluster, **old)[1].lower()


def test_no_auth_allows_every_request() -> None:
    with LocalAws("--no-auth") as aws:
        stack = SampleStack(aws)
        code = "import boto3\ndef handler(e, c): boto3.client('ec2').describe_vpcs()"
        stack.create({"FunctionRole": role("lambda"), "Function": function(code, Timeout=60)})
        assert stack.invoke("Function")["error"] is None
        assert aws.admin.decisions() == []


def test_the_real_clock_runs_in_real_time() -> None:
    with LocalAws("--clock", "real", timings={"create_cluster": 1}) as aws:
        began = elapsed(aws)
        client = aws.client("cloudhsmv2")
        given: Json = {"HsmType": "hsm2m.medium", "Mode": "FIPS", "SubnetIds": aws.subnets[:1]}
        client.create_cluster(**given)
        assert client.describe_clusters()["Clusters"][0]["State"] == "CREATE_IN_PROGRESS"
        time.sleep(1.1)
        assert client.describe_clusters()["Clusters"][0]["State"] == "UNINITIALIZED"
        assert 1 < elapsed(aws) - began < 10
