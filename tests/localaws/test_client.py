from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from localaws.client import ROOT, LocalAws, LocalAwsError, until


@pytest.fixture(scope="module", name="aws")
def _aws() -> Iterator[LocalAws]:
    with LocalAws() as aws:
        yield aws


def test_the_stock_cli_finds_it(aws: LocalAws) -> None:
    done = aws.run("aws", "ec2", "describe-subnets", "--query", "Subnets[].SubnetId")
    assert done.returncode == 0, done.stderr
    assert set(aws.subnets) <= set(json.loads(done.stdout))


def test_it_begins_with_three_subnets_in_three_zones_of_one_vpc(aws: LocalAws) -> None:
    subnets = aws.client("ec2").describe_subnets(SubnetIds=aws.subnets)["Subnets"]
    assert len({subnet["AvailabilityZone"] for subnet in subnets}) == 3
    assert {subnet["VpcId"] for subnet in subnets} == {aws.vpc}


def test_it_begins_with_the_bucket_that_deployments_need(aws: LocalAws) -> None:
    names = [bucket["Name"] for bucket in aws.client("s3").list_buckets()["Buckets"]]
    assert names == ["rehearsal-artifacts"]


def test_thirty_seconds_of_a_waiting_cli_are_one(aws: LocalAws) -> None:
    program = "import time; time.sleep(30)"
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", program], env=aws.env, check=True)
    assert 1 <= time.monotonic() - began < 20


def test_nothing_of_a_real_account_reaches_the_cli(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "real")
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN"} & set(aws.env)


def test_a_make_that_started_us_does_not_steer_ours(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAKEFLAGS", "n")
    assert "MAKEFLAGS" not in aws.env


def test_time_can_be_moved_on(aws: LocalAws) -> None:
    before = aws.admin.clock()["elapsed"]
    aws.admin.advance(3600)
    assert aws.admin.clock()["elapsed"] >= before + 3600


def test_a_fault_without_sense_is_refused_in_words(aws: LocalAws) -> None:
    with pytest.raises(LocalAwsError, match="kind of fault"):
        aws.admin.fault(nonsense=True)


def test_nothing_is_left_of_it_in_the_end() -> None:
    with LocalAws() as aws:
        server, scratch = aws.process_id, aws.scratch
        os.killpg(server, 0)
        assert scratch.is_dir()
    with pytest.raises(ProcessLookupError):
        os.killpg(server, 0)
    assert not scratch.exists()


def tell_whether_ministack_is_imported(tells: Connection) -> None:
    tells.send("ministack.app" in sys.modules)


def test_its_server_is_forked_from_a_process_that_has_imported_what_it_consists_of() -> None:
    hears, tells = multiprocessing.Pipe(duplex=False)
    forked = multiprocessing.get_context("forkserver").Process(
        target=tell_whether_ministack_is_imported, args=(tells,)
    )
    forked.start()
    forked.join()
    assert hears.recv()


def test_it_ends_with_a_process_that_was_killed() -> None:
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
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    server = Path("/proc", done.stdout.strip())
    until(lambda: not server.exists(), "the server went on", 10)


def test_it_says_why_it_did_not_start() -> None:
    with pytest.raises(LocalAwsError, match="--no-such-argument"), LocalAws("--no-such-argument"):
        pass


def test_waiting_has_an_end_that_says_for_what() -> None:
    with pytest.raises(LocalAwsError, match=r"nothing came within 0\.1 real seconds"):
        until(lambda: False, "nothing came", 0.1)
