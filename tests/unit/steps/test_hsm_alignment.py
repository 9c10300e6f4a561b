"""The steps of align-hsms together, in the order of its state machine."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hsm_lifecycle import aws, ownership
from hsm_lifecycle.errors import (
    HsmBusyError,
)
from hsm_lifecycle.steps import hsms
from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2.provider import CloudHsmProvider
from localaws.services.cloudhsmv2.settings import Assumptions, Quotas
from tests.localaws.services.cloudhsm import CloudHsm
from tests.support.account import (
    STACK_ID,
    TIMINGS,
    ZONES,
    Json,
    raise_as_boto3,
)
from tests.support.step_events import moment


def action_of(result: Json) -> str:
    """The next action and what it is about, such as "CREATE us-east-1a"."""
    return " ".join(filter(None, [result["Next"], result["Zone"], result["EniId"]]))


class DirectClient:
    """A boto3 client that calls the model directly, which is faster than HTTP."""

    def __init__(self, region: CloudHsmProvider, *, one_at_a_time: bool) -> None:
        self._region = region
        self._one_at_a_time = one_at_a_time

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        action = "".join(word.capitalize() for word in operation.split("_"))

        def call(**request: Any) -> Any:
            try:
                if action == "DeleteHsm" and self._one_at_a_time:
                    self._refuse_a_second()
                return self._region.call(action, request)
            except ApiError as refusal:
                raise_as_boto3(refusal, action)

        return call

    def get_paginator(self, operation: str) -> Pages:
        return Pages(getattr(self, operation))

    def _refuse_a_second(self) -> None:
        """The stricter assumption of F1.31, which the model makes for CreateHsm only."""
        for cluster in self._region.call("DescribeClusters", {})["Clusters"]:
            if any(hsm["State"].endswith("_IN_PROGRESS") for hsm in cluster["Hsms"]):
                raise ApiError("CloudHsmInvalidRequestException", "Another HSM is in progress.")


class Pages:
    """A paginator with one page."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def paginate(self, **request: Any) -> list[Any]:
        return [self._call(**request)]


class Alignment:
    """An ACTIVE cluster in two zones, and the loop of align-hsms."""

    def __init__(self, cloudhsm: CloudHsm) -> None:
        self.cloudhsm = cloudhsm
        self.decisions: list[str] = []
        backup = cloudhsm.provider.share_backup("Password1")
        self.id = cloudhsm.create(
            SubnetIds=["subnet-0000000a", "subnet-0000000b"],
            SourceBackupId=backup["BackupArn"],
            TagList=[{"Key": ownership.STACK_TAG, "Value": STACK_ID}],
        )
        cloudhsm.wait(cloudhsm.timings.create_cluster)

    def draw(self, drawn: str) -> None:
        """Bring the cluster's HSMs into these states: see tests/support/drawn_cluster.py."""
        cloudhsm, placed = self.cloudhsm, []
        for zone, letters in (part.split(":") for part in drawn.split()):
            placed += [(ZONES["ab".index(zone)], letter) for letter in letters]
        made = [
            (cloudhsm.add_hsm(self.id, zone), letter) for zone, letter in placed if letter != "C"
        ]
        for zone, _ in filter(lambda place: place[1] == "C", placed):
            cloudhsm.call("CreateHsm", ClusterId=self.id, AvailabilityZone=zone)
        for hsm, letter in made:
            if letter == "D":
                cloudhsm.provider.degrade_hsm(hsm["HsmId"])
            elif letter == "G":
                cloudhsm.call("DeleteHsm", ClusterId=self.id, HsmId=hsm["HsmId"])

    def align(self, wanted: int) -> Json:
        """Run the loop until its end or the time limit of its state machine."""
        cloudhsm = self.cloudhsm
        state: Json = {"Created": [], "Replaced": [], "Deleted": []}
        begin = cloudhsm.clock.now()
        while (spent := cloudhsm.clock.now() - begin) < 2800:
            event: Json = {
                "ClusterId": self.id,
                "StackId": STACK_ID,
                "HsmsPerSubnet": str(wanted),
                "Hsms": state,
                "EnteredTime": moment(spent),
            }
            state = hsms.describe_hsms(event)
            self.decisions.append(action_of(state))
            if state["Next"] in ("ALIGNED", "UNHEALTHY"):
                return state
            try:
                if state["Next"] == "CREATE":
                    state = hsms.create_hsm({**event, "Hsms": state})
                elif state["Next"] == "DELETE":
                    state = hsms.delete_hsm({**event, "Hsms": state})
                else:
                    cloudhsm.wait(15)
            except HsmBusyError:
                cloudhsm.wait(15)
        raise TimeoutError(f"still {cloudhsm.states(self.id)} after {self.decisions[-3:]}")

    def counts(self) -> list[int]:
        """The number of ACTIVE HSMs in each zone; asserts that there are no others."""
        listed = [hsm for hsm in self.cloudhsm.hsms(self.id) if hsm["State"] != "DELETED"]
        assert {hsm["State"] for hsm in listed} <= {"ACTIVE"}
        return [sum(hsm["AvailabilityZone"] == zone for hsm in listed) for zone in ZONES[:2]]


@pytest.fixture(name="make_alignment")
def _make_alignment(quick_keys: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Alignment]:
    def make(drawn: str = "a: b:", *, concurrent: bool = True) -> Alignment:
        cloudhsm = CloudHsm(
            quotas=Quotas(hsms=28), assumptions=Assumptions(concurrent_create=concurrent)
        )
        direct = DirectClient(cloudhsm.provider, one_at_a_time=not concurrent)
        monkeypatch.setattr(aws, "client", lambda service: direct)
        alignment = Alignment(cloudhsm)
        alignment.draw(drawn)
        return alignment

    return make


def drawings() -> Iterator[str]:
    """Two zones with up to two HSMs each in all combinations of states, without mirror images."""
    zone = ["", *"ACDG", *map("".join, itertools.combinations_with_replacement("ACDG", 2))]
    for first, second in itertools.combinations_with_replacement(zone, 2):
        yield f"a:{first} b:{second}"


@pytest.mark.parametrize("concurrent", [True, False])
@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_any_hsms_become_aligned(
    make_alignment: Callable[..., Alignment], wanted: int, concurrent: bool
) -> None:
    failed = []
    for drawn in drawings():
        # One at a time, two HSMs cannot be in progress, and three cannot be replaced in time.
        if not concurrent and (drawn.count("C") > 1 or (wanted and drawn.count("D") > 2)):
            continue
        alignment = make_alignment(drawn, concurrent=concurrent)
        try:
            alignment.align(wanted)
            assert alignment.counts() == [wanted, wanted]
        except (TimeoutError, AssertionError) as error:
            failed.append(f"{drawn}: {error}")
    assert failed == []


def test_a_degraded_hsm_is_deleted_after_a_conflict(
    make_alignment: Callable[..., Alignment],
) -> None:
    alignment = make_alignment("a:D b:D", concurrent=False)
    alignment.align(0)
    assert alignment.counts() == [0, 0]


@pytest.mark.parametrize("concurrent", [True, False])
def test_working_hsms_are_retained(
    make_alignment: Callable[..., Alignment], concurrent: bool
) -> None:
    alignment = make_alignment("a:AA b:A", concurrent=concurrent)
    before = {hsm["EniId"] for hsm in alignment.cloudhsm.hsms(alignment.id)}
    alignment.align(2)
    assert before < {hsm["EniId"] for hsm in alignment.cloudhsm.hsms(alignment.id)}
    assert [word for word in alignment.decisions if word != "WAIT"] == [
        f"CREATE {ZONES[1]}",
        "ALIGNED",
    ]


def test_missing_hsms_are_created_at_once(make_alignment: Callable[..., Alignment]) -> None:
    alignment = make_alignment("a:A b:")
    begin = alignment.cloudhsm.clock.now()
    alignment.align(2)
    assert alignment.cloudhsm.clock.now() - begin < TIMINGS.create_hsm + 15


@pytest.mark.parametrize("concurrent", [True, False])
def test_a_degraded_new_hsm_is_replaced(
    make_alignment: Callable[..., Alignment], concurrent: bool
) -> None:
    alignment = make_alignment("a:A b:", concurrent=concurrent)
    alignment.cloudhsm.faults.inject({"hsm": "DEGRADED"})
    assert alignment.align(1)["Next"] == "ALIGNED"
    assert alignment.counts() == [1, 1]


def test_two_degraded_new_hsms_in_one_zone_are_replaced(
    make_alignment: Callable[..., Alignment],
) -> None:
    alignment = make_alignment("a:AA b:")
    alignment.cloudhsm.faults.inject({"hsm": "DEGRADED", "times": 2})
    assert alignment.align(2)["Next"] == "ALIGNED"
    assert alignment.counts() == [2, 2]


@pytest.mark.parametrize("concurrent", [True, False])
def test_a_degraded_replacement_is_unhealthy(
    make_alignment: Callable[..., Alignment], concurrent: bool
) -> None:
    alignment = make_alignment("a:A b:", concurrent=concurrent)
    alignment.cloudhsm.faults.inject({"hsm": "DEGRADED", "times": 2})
    result = alignment.align(1)
    assert result["Next"] == "UNHEALTHY"
    pattern = rf"hsm-\w+ in {ZONES[1]} is DEGRADED like the one before: HSM is not responding\."
    assert re.fullmatch(pattern, result["Message"])
