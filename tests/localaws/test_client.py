from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from localaws import client
from localaws.client import ROOT, LocalAws, LocalAwsError, until
from localaws.fork_server import ForkServer


@pytest.fixture(scope="module", name="aws")
def _aws() -> Iterator[LocalAws]:
    with LocalAws() as aws:
        yield aws


def test_env_points_the_stock_cli_at_it(aws: LocalAws) -> None:
    done = aws.run("aws", "ec2", "describe-subnets", "--query", "Subnets[].SubnetId")
    assert done.returncode == 0, done.stderr
    assert set(aws.subnets) <= set(json.loads(done.stdout))


def test_it_starts_with_three_subnets_in_three_zones_of_one_vpc(aws: LocalAws) -> None:
    subnets = aws.client("ec2").describe_subnets(SubnetIds=aws.subnets)["Subnets"]
    assert len({subnet["AvailabilityZone"] for subnet in subnets}) == 3
    assert {subnet["VpcId"] for subnet in subnets} == {aws.vpc}


def test_it_starts_with_the_bucket_for_deployments(aws: LocalAws) -> None:
    names = [bucket["Name"] for bucket in aws.client("s3").list_buckets()["Buckets"]]
    assert names == ["rehearsal-artifacts"]


def test_env_shortens_the_pauses_of_the_cli(aws: LocalAws) -> None:
    program = "import time; time.sleep(30)"
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", program], env=aws.env, check=True)
    assert 0.3 <= time.monotonic() - began < 20


def test_env_has_no_settings_of_a_real_account(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "real")
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN"} & set(aws.env)


def test_env_has_no_flags_of_an_outer_make(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAKEFLAGS", "n")
    assert "MAKEFLAGS" not in aws.env


def test_advance_moves_virtual_time(aws: LocalAws) -> None:
    before = aws.admin.clock()["elapsed"]
    aws.admin.advance(3600)
    assert aws.admin.clock()["elapsed"] >= before + 3600


def test_an_invalid_fault_is_an_error_with_the_reason(aws: LocalAws) -> None:
    with pytest.raises(LocalAwsError, match="kind of fault"):
        aws.admin.fault(nonsense=True)


def test_exit_leaves_no_process_and_no_file() -> None:
    with LocalAws() as aws:
        server, scratch = aws.process_id, aws.scratch
        os.killpg(server, 0)
        assert scratch.is_dir()
    until(lambda: not Path(f"/proc/{server}").exists(), "the server's process did not end")
    with pytest.raises(ProcessLookupError):
        os.killpg(server, 0)
    assert not scratch.exists()


def test_the_server_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    program = """
        import os, signal
        from localaws.client import LocalAws
        with LocalAws() as aws:
            print(aws.process_id, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    server = Path("/proc", done.stdout.strip())
    until(lambda: not server.exists(), "the server was still running", 30)


def test_a_failed_start_has_the_reason() -> None:
    with pytest.raises(LocalAwsError, match="--no-such-argument"), LocalAws("--no-such-argument"):
        pass


def test_until_raises_with_what_it_waited_for() -> None:
    with pytest.raises(LocalAwsError, match=r"nothing came within 0\.1 real seconds"):
        until(lambda: False, "nothing came", 0.1)


def test_servers_that_start_at_the_same_time_share_their_fork_servers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started = []

    class Counted(ForkServer):
        def __init__(self, module: str, *arguments: str) -> None:
            started.append(module)
            time.sleep(0.2)  # the other thread asks for it meanwhile
            super().__init__(module, *arguments)

    def start(_: int) -> str:
        with LocalAws() as aws:
            return aws.endpoint

    monkeypatch.setattr(client, "ForkServer", Counted)
    # Caches of the test's own: other tests' servers need the fork servers that are cached.
    for name in ("_fork_server", "_runtime"):
        monkeypatch.setattr(client, name, functools.cache(getattr(client, name).__wrapped__))
    with ThreadPoolExecutor(2) as both:
        assert len({*both.map(start, range(2))}) == 2
    assert sorted(started) == ["localaws.lambda_runtime.environment", "localaws.ministack.loading"]
