"""The same actions with the same timings are the same description, to the virtual second."""

from __future__ import annotations

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
from rehearsal.scenarios import SCENARIOS, STANDARD
from tests.support.normalized_event_log import Moment, normalize
from tests.support.timings import QUICK

Timings = dict[str, Any]

TIMINGS: Timings = {**QUICK, "create_cluster": 29.5, "create_hsm": 97}


def creation(timings: Timings) -> list[Moment]:
    with LocalAws(timings=timings) as aws:
        driver = StackDriver(aws)
        with driver.step("Create"):
            driver.start()
            driver.wait()
        driver.expect_stack("CREATE_COMPLETE")
        return normalize(driver.admin.event_log())


def life_and_death(timings: Timings) -> list[Moment]:
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


def rehearsal(by_the_cli: bool) -> list[Moment]:
    with LocalAws(timings=QUICK) as aws, pytest.MonkeyPatch.context() as patch:
        if not by_the_cli:
            patch.setattr(Stack, "deploy", requested)
        SCENARIOS[STANDARD](StackDriver(aws))
        event_log = aws.admin.event_log()
        assert not invariants.violations(event_log)
        # `aws cloudformation deploy` makes change sets, and a stack to be is in review until then.
        return [moment for moment in normalize(event_log) if moment[3] != "REVIEW_IN_PROGRESS"]


def requested(stack: Stack, **changes: object) -> str:
    """What `make deploy` asks for, without the CLI's looks at what becomes of it."""
    stack.start(**changes)
    return stack.wait()


def connection(timings: Timings) -> list[Moment]:
    with LocalAws(timings=timings) as aws:
        store, _ = on_existing_cluster(StackDriver(aws))
        store.request()
        store.expect_store("CONNECTED")
        return normalize(aws.admin.event_log())


def milestones(description: list[Moment]) -> list[Moment]:
    """What happened to clusters, HSMs and the stack, without how often anybody looked."""
    return [moment for moment in description if moment[1] in ("cloudhsm", "cloudformation")]


def moved(description: list[Moment], seconds: float, *, after: float) -> list[Moment]:
    return [(at + seconds if at > after else at, *rest) for at, *rest in description]  # type: ignore[misc]


# Keeps a processor busy for as long as its parent lives.
SPIN = """if True:
    import os
    parent = os.getppid()
    while os.getppid() == parent:
        pass
"""


@pytest.fixture(name="loaded_machine")
def _loaded_machine() -> Iterator[None]:
    """A machine whose processors all have something else to do."""
    spinning = [
        subprocess.Popen([sys.executable, "-S", "-c", SPIN]) for _ in range(os.cpu_count() or 1)
    ]
    yield
    for process in spinning:
        process.kill()
        process.wait()


@pytest.mark.usefixtures("loaded_machine")
def test_two_runs_are_the_same_though_they_hinder_each_other_on_a_loaded_machine() -> None:
    with ThreadPoolExecutor(2) as both:
        one, other = both.map(life_and_death, [QUICK, QUICK])
    assert one == other
    assert len(one) > 300


# Servers that are forked from one process hash strings alike, and a set has one order in them all.
def test_two_rehearsals_are_the_same_whoever_looks_for_the_end_and_how_often() -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as elsewhere:
        by_the_cli = elsewhere.submit(rehearsal, True)
        by_the_api = rehearsal(False)
        assert by_the_cli.result() == by_the_api
    assert len(by_the_api) > 2000


def test_a_connection_that_takes_a_second_longer_for_the_same_look_moves_nothing_else() -> None:
    with ThreadPoolExecutor(2) as both:
        description, longer = both.map(
            connection, [{**QUICK, "connect": 52}, {**QUICK, "connect": 53}]
        )
    gone, come = sorted(set(description) - set(longer)), sorted(set(longer) - set(description))
    # KMS logs in when it has connected.
    assert [moment[1:] for moment in gone] == [
        ("cloudhsm", "cluster-*", "Login"),
        ("kms", "cks-*", "CONNECTED"),
    ]
    assert come == [(at + 1, *rest) for at, *rest in gone]


@pytest.fixture(scope="module", name="description")
def _story() -> list[Moment]:
    """A creation to compare others with; the cluster is looked at after 15 and 30 seconds."""
    return creation(TIMINGS)


def test_an_hsm_that_takes_a_second_longer_but_is_seen_at_the_same_look_moves_nothing_else(
    description: list[Moment],
) -> None:
    longer = creation({**TIMINGS, "create_hsm": 98})
    gone, come = sorted(set(description) - set(longer)), sorted(set(longer) - set(description))
    assert [moment[1:] for moment in gone] == [("cloudhsm", "hsm-*", "ACTIVE")] * 2
    assert come == [(at + 1, *rest) for at, *rest in gone]


def test_a_cluster_that_takes_a_second_longer_and_misses_a_look_moves_all_the_rest_by_one_look(
    description: list[Moment],
) -> None:
    before = milestones(description)
    after = milestones(creation({**TIMINGS, "create_cluster": 30.5}))
    [uninitialized] = [moment for moment in before if moment[3] == "UNINITIALIZED"]
    before.remove(uninitialized)
    after.remove((uninitialized[0] + 1, *uninitialized[1:]))
    assert after == moved(before, 15, after=uninitialized[0])
