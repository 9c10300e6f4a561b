"""The same requests with the same timings yield the same event log, to the virtual second."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest

from localaws.client import LocalAws
from rehearsal.checks import invariants
from rehearsal.drivers.deployment import Stack
from rehearsal.drivers.key_store import on_existing_cluster
from rehearsal.drivers.stack import StackDriver
from rehearsal.report.progress import RECORDED
from rehearsal.scenarios import SCENARIOS, STANDARD
from rehearsal.timings import QUICK
from tests.support.normalized_event_log import NormalizedEvent, normalize

pytestmark = pytest.mark.long

Timings = dict[str, Any]
Log = list[NormalizedEvent]

TIMINGS: Timings = {**QUICK, "create_cluster": 29.5, "create_hsm": 97}
# Seconds between two polls of a new cluster's state, the first after as many.
POLL = 15


def create(timings: Timings) -> Log:
    with LocalAws(timings=timings) as aws:
        driver = StackDriver(aws)
        with driver.step("Create"):
            driver.start()
            driver.wait()
        driver.expect_stack("CREATE_COMPLETE")
        return normalize(driver.admin.event_log())


def create_update_delete(timings: Timings) -> Log:
    with LocalAws(timings=timings) as aws:
        driver = StackDriver(aws)
        for hsms, status in (1, "CREATE_COMPLETE"), (0, "UPDATE_COMPLETE"):
            with driver.step(f"{hsms} per subnet"):
                driver.start(pHsmsPerSubnet=hsms)
                driver.wait()
                driver.expect_stack(status)
        driver.stack.start_delete()
        driver.wait()
        driver.expect_stack("DELETE_COMPLETE")
        return normalize(driver.admin.event_log())


def standard_scenario(with_cli: bool) -> Log:
    with LocalAws(timings=QUICK) as aws, pytest.MonkeyPatch.context() as patch:
        if not with_cli:
            patch.setattr(Stack, "deploy", deploy_through_api)
        driver = StackDriver(aws)
        SCENARIOS[STANDARD](driver)
        # `make rehearse` says from the first run on how many steps there are.
        recorded = json.loads((RECORDED / f"{STANDARD}.json").read_text())
        assert len(driver.steps) == len(recorded)
        event_log = aws.admin.event_log()
        assert not invariants.violations(event_log)
        # Only the CLI creates change sets, with which a new stack is REVIEW_IN_PROGRESS.
        return [event for event in normalize(event_log) if event[3] != "REVIEW_IN_PROGRESS"]


def deploy_through_api(stack: Stack, **changes: object) -> str:
    """The requests of `make deploy`, without the CLI's polling."""
    stack.start(**changes)
    return stack.wait()


def connect(timings: Timings) -> Log:
    with LocalAws(timings=timings) as aws:
        store, _ = on_existing_cluster(StackDriver(aws))
        store.request()
        store.expect_store("CONNECTED")
        return normalize(aws.admin.event_log())


def milestones(log: Log) -> Log:
    """The events of clusters, HSMs and stacks; polling leaves none of these."""
    return [event for event in log if event[1] in ("cloudhsm", "cloudformation")]


def delayed(log: Log, seconds: float, *, after: float) -> Log:
    return [(at + seconds if at > after else at, *event) for at, *event in log]  # type: ignore[misc]  # unpacking loses the types


def differences(one: Log, other: Log) -> tuple[Log, Log]:
    """The events only in the first log, and those only in the second."""
    return sorted({*one} - {*other}), sorted({*other} - {*one})


# Occupies a processor until its parent ends.
BUSY_LOOP = """if True:
    import os
    parent = os.getppid()
    while os.getppid() == parent:
        pass
"""


@pytest.fixture(name="_busy_processors")
def _busy_processors() -> Iterator[None]:
    """Every processor has another process to run."""
    processes = [
        subprocess.Popen([sys.executable, "-S", "-c", BUSY_LOOP])
        for _ in range(os.cpu_count() or 1)
    ]
    yield
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.usefixtures("_busy_processors")
def test_two_parallel_runs_on_busy_processors_are_equal() -> None:
    with ThreadPoolExecutor(2) as both:
        one, other = both.map(create_update_delete, [QUICK, QUICK])
    assert one == other
    assert len(one) > 300


# In another process, because servers forked from one process share a hash seed and so set order.
def test_the_standard_scenario_is_the_same_with_the_cli_and_through_the_api() -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        with_cli = process.submit(standard_scenario, True)
        through_api = standard_scenario(False)
        assert with_cli.result() == through_api
    assert len(through_api) > 1500


def test_a_connection_a_second_slower_but_seen_by_the_same_poll_delays_nothing_else() -> None:
    with ThreadPoolExecutor(2) as both:
        log, slower = both.map(connect, [{**QUICK, "connect": 52}, {**QUICK, "connect": 53}])
    before, after = differences(log, slower)
    # KMS logs in when it connects.
    assert [event[1:] for event in before] == [
        ("cloudhsm", "cluster-*", "Login"),
        ("kms", "cks-*", "CONNECTED"),
    ]
    assert after == [(at + 1, *event) for at, *event in before]


@pytest.fixture(scope="module", name="log")
def _log() -> Log:
    """A creation with TIMINGS: a poll sees the cluster half a second after it was created."""
    return create(TIMINGS)


def test_an_hsm_a_second_slower_but_seen_by_the_same_poll_delays_nothing_else(log: Log) -> None:
    before, after = differences(log, create({**TIMINGS, "create_hsm": 98}))
    assert [event[1:] for event in before] == [("cloudhsm", "hsm-*", "ACTIVE")] * 2
    assert after == [(at + 1, *event) for at, *event in before]


def test_a_cluster_a_second_slower_that_misses_a_poll_delays_the_rest_by_one_poll(log: Log) -> None:
    before = milestones(log)
    after = milestones(create({**TIMINGS, "create_cluster": 30.5}))
    [uninitialized] = [event for event in before if event[3] == "UNINITIALIZED"]
    before.remove(uninitialized)
    after.remove((uninitialized[0] + 1, *uninitialized[1:]))
    assert after == delayed(before, POLL, after=uninitialized[0])
