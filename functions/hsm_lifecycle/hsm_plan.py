"""What to do next to give each zone of a cluster its HSMs. Pure: decides, calls nothing.

An HSM is identified by its network interface: when AWS replaces a failed one, the HsmId changes and
the interface stays (F1.27). A new one may get its interface later (F1.48): until then by its HsmId.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hsm_lifecycle import deadlines

Cluster = Mapping[str, Any]  # as DescribeClusters returns it
Hsm = dict[str, Any]
Entry = dict[str, str]

IN_PROGRESS = ("CREATE_IN_PROGRESS", "DELETE_IN_PROGRESS")
# DescribeClusters may not list a new HSM at once (F1.28 says the same of deleted ones), so for
# this long it counts as created without being listed.
_SECONDS_NOT_LISTED = 120


@dataclass(frozen=True)
class Plan:
    """The next action: the creation of all that is missing, or one deletion."""

    # CREATE, DELETE, WAIT, ALIGNED (nothing to do), UNHEALTHY (cannot be aligned) or DETACH.
    next: str
    zones: tuple[str, ...] = ()  # where to create HSMs, one for each time that a zone is named
    hsm: str = ""  # identity of the HSM to delete
    message: str = ""  # why it is UNHEALTHY, or what is left when the request ends
    leaves_two_zones: bool = True  # False if the deletion may leave HSMs in fewer than two zones

    @property
    def zone(self) -> str:
        """Where to create the next HSM; empty if none is missing."""
        return next(iter(self.zones), "")


@dataclass(frozen=True)
class Memory:
    """What earlier actions of the same workflow did."""

    not_listed: list[Entry]  # HSMs created recently and not listed yet
    replaced: list[Entry]  # DEGRADED HSMs deleted, each with the identity of its replacement
    deleted: list[Entry]  # surplus HSMs deleted
    is_settled: bool = True  # whether no lost call of CreateHsm may still take effect

    @classmethod
    def of(cls, state: Mapping[str, Any], cluster: Cluster, now: str) -> Memory:
        """Read the state data of align-hsms."""
        return cls(
            not_listed(listed(cluster), state["Created"], now),
            state["Replaced"],
            state["Deleted"],
            deadlines.has_passed(state.get("SettledAt") or "", now),
        )

    @property
    def replaced_ids(self) -> set[str]:
        """Identities of the DEGRADED HSMs deleted."""
        return {entry["EniId"] for entry in self.replaced}

    @property
    def replacement_ids(self) -> set[str]:
        """Identities of the HSMs created in place of a DEGRADED one."""
        return {entry["By"] for entry in self.replaced} - {""}

    @property
    def deleted_ids(self) -> set[str]:
        """Identities of the surplus HSMs deleted."""
        return {entry["EniId"] for entry in self.deleted}


def next_action(cluster: Cluster, wanted: int, memory: Memory) -> Plan:
    """The next action towards `wanted` HSMs in each zone."""
    if cluster["State"].endswith("_IN_PROGRESS"):
        return Plan("WAIT")
    if plan := _replacement(cluster, wanted, memory):
        return plan
    hsms = [hsm for hsm in listed(cluster) if identity(hsm) not in memory.deleted_ids]
    zones = sorted(cluster["SubnetMapping"])
    missing: list[str] = []
    for zone in zones:
        arriving = sum(entry["Zone"] == zone for entry in memory.not_listed)
        missing += [zone] * (wanted - len(usable(hsms, zone)) - arriving)
    if missing:
        return Plan("CREATE", zones=tuple(missing))
    if memory.not_listed or any(hsm["State"] == "CREATE_IN_PROGRESS" for hsm in hsms):
        return Plan("WAIT")
    for zone in zones:
        if len(usable(hsms, zone)) > wanted:
            # The HSM listed last goes first, so that long-serving ones stay.
            surplus = usable(hsms, zone)[-1]
            two_zones = wanted > 0 and len(zones) > 1
            return Plan("DELETE", hsm=identity(surplus), leaves_two_zones=two_zones)
    is_aligned = memory.is_settled and all(
        hsm["State"] == "ACTIVE" and identity(hsm) not in memory.deleted_ids
        for hsm in listed(cluster)
    )
    return Plan("ALIGNED" if is_aligned else "WAIT")


def is_aligned(cluster: Cluster, wanted: int) -> bool:
    """Whether each zone has `wanted` HSMs, all of them ACTIVE."""
    memory = Memory(not_listed=[], replaced=[], deleted=[])
    return next_action(cluster, wanted, memory).next == "ALIGNED"


def _replacement(cluster: Cluster, wanted: int, memory: Memory) -> Plan | None:
    """Delete the first DEGRADED HSM; give up if it is itself a replacement."""
    for hsm in listed(cluster):
        if hsm["State"] != "DEGRADED" or identity(hsm) in memory.replaced_ids:
            continue
        if wanted and {hsm["HsmId"], identity(hsm)} & memory.replacement_ids:
            reason = hsm.get("StateMessage") or "AWS gives no reason"
            where = f"{hsm['HsmId']} in {hsm['AvailabilityZone']}"
            return Plan("UNHEALTHY", message=f"{where} is DEGRADED like the one before: {reason}")
        return Plan("DELETE", hsm=identity(hsm))
    return None


def in_progress(cluster: Cluster, memory: Memory) -> str:
    """What AWS is busy with, as polling names it; an HSM that is created takes longest."""
    if cluster["State"].endswith("_IN_PROGRESS"):
        return f"cluster {cluster['State']}"
    states = {hsm["State"] for hsm in listed(cluster)}
    if memory.not_listed or "CREATE_IN_PROGRESS" in states:
        return "HSM CREATE_IN_PROGRESS"
    return "HSM DELETE_IN_PROGRESS" if "DELETE_IN_PROGRESS" in states else "HSMs"


def status(cluster: Cluster, memory: Memory) -> str:
    """What keeps the HSMs from being aligned."""
    hsms = listed(cluster)
    for hsm in hsms:
        if hsm["State"] in IN_PROGRESS:
            return f"{hsm['HsmId']} in {hsm['AvailabilityZone']} is still {hsm['State']}"
    for hsm in hsms:
        if identity(hsm) in memory.replaced_ids | memory.deleted_ids:
            where = f"{hsm['HsmId']} in {hsm['AvailabilityZone']}"
            return f"{where} was to be deleted and is still {hsm['State']}"
    if not memory.is_settled:
        return "A call of CreateHsm was lost and may still take effect"
    return f"The cluster is {cluster['State']} and still has {len(hsms)} HSMs"


def listed(cluster: Cluster) -> list[Hsm]:
    """The HSMs in the order in which AWS lists them, without the DELETED ones."""
    return [hsm for hsm in cluster["Hsms"] if hsm["State"] != "DELETED"]


def usable(hsms: list[Hsm], zone: str) -> list[Hsm]:
    """The HSMs of a zone that are ACTIVE or being created."""
    return [
        hsm
        for hsm in hsms
        if hsm["AvailabilityZone"] == zone and hsm["State"] in ("ACTIVE", "CREATE_IN_PROGRESS")
    ]


def not_listed(hsms: list[Hsm], created: list[Entry], now: str) -> list[Entry]:
    """The HSMs created recently that AWS does not list yet."""
    ids = {hsm["HsmId"] for hsm in hsms} | {hsm.get("EniId") for hsm in hsms} - {None, ""}
    return [
        entry
        for entry in created
        if not {entry.get("HsmId"), entry["EniId"]} & ids
        and deadlines.seconds_between(entry["At"], now) < _SECONDS_NOT_LISTED
    ]


def identity(hsm: Mapping[str, Any]) -> str:
    """The ID of the HSM's network interface, or the HSM's own if it never got one."""
    return str(hsm.get("EniId") or hsm["HsmId"])
