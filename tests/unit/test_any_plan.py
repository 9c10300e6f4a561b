"""What holds for the next action on any cluster, and for all actions until it is aligned."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hsm_lifecycle import hsm_plan
from hsm_lifecycle.hsm_plan import Memory
from tests.support.drawn_cluster import drawn_cluster

START = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)
NOTHING: dict[str, list[dict[str, str]]] = {"Created": [], "Replaced": [], "Deleted": []}
WANTED = st.integers(0, 3)
INTERVAL = 15  # seconds between two actions
MANY_ACTIONS = 300


def drawn(states: str) -> st.SearchStrategy[str]:
    """Clusters of one to three zones with up to four HSMs each, in these states."""
    zone = st.text(st.sampled_from(states), max_size=4)
    return st.lists(zone, min_size=1, max_size=3).map(
        lambda zones: " ".join(f"{name}:{hsms}" for name, hsms in zip("abc", zones, strict=False))
    )


def at(seconds: int) -> str:
    return f"{START + dt.timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.000Z"


@st.composite
def situations(draw: st.DrawFn) -> tuple[Any, int, Memory]:
    """A cluster, the HSMs wanted, and what earlier actions may have done."""
    cluster = drawn_cluster(
        draw(drawn("AACDGXad")), draw(st.sampled_from(["ACTIVE", "DEGRADED", "MODIFY_IN_PROGRESS"]))
    )
    zones, hsms = sorted(cluster["SubnetMapping"]), hsm_plan.listed(cluster)
    ids = st.sampled_from([hsm_plan.identity(hsm) for hsm in hsms] or ["eni-gone"])
    entries = st.lists(
        st.fixed_dictionaries({"Zone": st.sampled_from(zones), "EniId": ids}), max_size=2
    )
    created = [
        {
            "Zone": draw(st.sampled_from(zones)),
            "EniId": f"eni-new{number}",
            "HsmId": "",
            "At": at(-age),
        }
        for number, age in enumerate(draw(st.lists(st.integers(0, 200), max_size=2)))
    ]
    replaced = [{**entry, "By": draw(ids | st.just(""))} for entry in draw(entries)]
    state = {"Created": created, "Replaced": replaced, "Deleted": draw(entries)}
    return cluster, draw(WANTED), Memory.of(state, cluster, at(0))


@given(situation=situations())
def test_any_next_action_is_needed_and_allowed(situation: tuple[Any, int, Memory]) -> None:
    cluster, wanted, memory = situation
    plan = hsm_plan.next_action(cluster, wanted, memory)
    by_id = {hsm_plan.identity(hsm): hsm for hsm in hsm_plan.listed(cluster)}
    kept = [hsm for eni, hsm in by_id.items() if eni not in memory.deleted_ids]
    arriving = Counter(entry["Zone"] for entry in memory.not_listed)
    present = {zone: len(hsm_plan.usable(kept, zone)) for zone in cluster["SubnetMapping"]}
    assert hsm_plan.status(cluster, memory)
    if cluster["State"].endswith("_IN_PROGRESS"):
        assert plan.next == "WAIT"
        return
    match plan.next:
        case "CREATE":
            missing = {name: max(0, wanted - present[name] - arriving[name]) for name in present}
            assert Counter(plan.zones) == Counter(missing)
        case "DELETE":
            hsm = by_id[plan.hsm]
            if hsm["State"] == "DEGRADED":
                assert plan.hsm not in memory.replaced_ids
            else:
                # Never below what is wanted, nothing twice, and only once no HSM is arriving.
                zone = hsm["AvailabilityZone"]
                assert hsm["State"] in ("ACTIVE", "CREATE_IN_PROGRESS")
                assert plan.hsm not in memory.deleted_ids
                assert present[zone] - 1 >= wanted
                assert all(count + arriving[name] >= wanted for name, count in present.items())
                assert not memory.not_listed
                assert plan.leaves_two_zones == (wanted > 0 and len(present) > 1)
        case "ALIGNED":
            assert set(present.values()) == {wanted}
            assert {hsm["State"] for hsm in by_id.values()} <= {"ACTIVE"}
            assert not memory.deleted_ids & by_id.keys()
        case "UNHEALTHY":
            assert wanted > 0
            assert plan.message
            assert any(hsm["State"] == "DEGRADED" for hsm in by_id.values())
        case _:
            assert plan.next == "WAIT"


class Simulated:
    """A cluster of AWS whose operations end, and become visible, at drawn times."""

    def __init__(self, cluster: Any, data: st.DataObject) -> None:
        self.cluster, self.data = cluster, data
        self.now, self.number = 0, 0
        self.state: dict[str, list[dict[str, str]]] = {key: [] for key in NOTHING}
        self.unlisted: list[dict[str, str]] = []
        # When each HSM becomes listed, and when its operation ends.
        self.listed: dict[str, int] = {}
        self.ends = {hsm["HsmId"]: self._later() for hsm in cluster["Hsms"]}

    def _later(self) -> int:
        """A time after which AWS has done something; new HSMs are listed within two minutes."""
        return self.now + INTERVAL * int(self.data.draw(st.integers(0, 5)))

    def act(self, plan: hsm_plan.Plan) -> None:
        """Do what CreateHsm and DeleteHsm do, and remember it as the steps do."""
        for zone in plan.zones:
            self.number += 1
            hsm = {
                "HsmId": f"hsm-new{self.number}",
                "EniId": f"eni-new{self.number}",
                "AvailabilityZone": zone,
                "State": "CREATE_IN_PROGRESS",
            }
            self.unlisted.append(hsm)
            self.listed[hsm["HsmId"]], self.ends[hsm["HsmId"]] = self._later(), self._later()
            entry = {"Zone": zone, "EniId": hsm["EniId"], "HsmId": "", "At": at(self.now)}
            self.state["Created"].append(entry)
            for earlier in self.state["Replaced"]:
                if earlier["Zone"] == zone and not earlier["By"]:
                    earlier["By"] = hsm["EniId"]
                    break
        if plan.next == "DELETE":
            (hsm,) = (each for each in self.cluster["Hsms"] if hsm_plan.identity(each) == plan.hsm)
            entry = {"Zone": hsm["AvailabilityZone"], "EniId": plan.hsm}
            if hsm["State"] == "DEGRADED":
                self.state["Replaced"].append({**entry, "By": ""})
            else:
                self.state["Deleted"].append(entry)
            hsm["State"] = "DELETE_IN_PROGRESS"
            self.ends[hsm["HsmId"]] = self._later()

    def pass_time(self) -> None:
        """Let time pass, in which some operations end and new HSMs become listed."""
        self.now += INTERVAL
        for hsm in list(self.unlisted):
            if self.now >= self.listed[hsm["HsmId"]]:
                self.unlisted.remove(hsm)
                self.cluster["Hsms"].append(hsm)
        for hsm in self.cluster["Hsms"]:
            if hsm["State"].endswith("_IN_PROGRESS") and self.now >= self.ends[hsm["HsmId"]]:
                hsm["State"] = "ACTIVE" if hsm["State"].startswith("CREATE") else "DELETED"

    def present(self) -> Counter[str]:
        """The usable HSMs of each zone, listed or not."""
        hsms = [*hsm_plan.listed(self.cluster), *self.unlisted]
        return Counter({z: len(hsm_plan.usable(hsms, z)) for z in self.cluster["SubnetMapping"]})


@given(cluster=drawn("AAACDG").map(drawn_cluster), wanted=WANTED, data=st.data())
def test_any_cluster_becomes_aligned_and_never_has_too_few_hsms(
    cluster: Any, wanted: int, data: st.DataObject
) -> None:
    aws = Simulated(cluster, data)
    least = {zone: min(count, wanted) for zone, count in aws.present().items()}
    for _ in range(MANY_ACTIONS):
        memory = Memory.of(aws.state, cluster, at(aws.now))
        plan = hsm_plan.next_action(cluster, wanted, memory)
        if plan.next == "ALIGNED":
            break
        aws.act(plan)
        present = aws.present()
        assert all(present[zone] >= count for zone, count in least.items())
        # Never more than wanted because of a creation.
        assert plan.next != "CREATE" or present[plan.zone] <= wanted
        aws.pass_time()
    assert plan.next == "ALIGNED"
    assert aws.unlisted == []
    assert set(aws.present().values()) == {wanted}
