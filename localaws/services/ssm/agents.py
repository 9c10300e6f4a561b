"""The SSM agents of the instances."""

from __future__ import annotations

from localaws.core.api_error import ApiError
from localaws.core.clock import Clock
from localaws.core.faults import Faults
from localaws.services.ssm.interfaces import Instances, Json, Timings
from localaws.services.ssm.paging import page

# Virtual seconds for which PingStatus says Online without a ping: agents ping every five minutes
# (F6.26).
PING_INTERVAL = 300.0


class Agents:
    """Which agents are registered, and which are online."""

    def __init__(
        self, clock: Clock, instances: Instances, timings: Timings, faults: Faults
    ) -> None:
        self._clock = clock
        self._instances = instances
        self._timings = timings
        self._faults = faults

    def is_online(self, instance_id: str) -> bool:
        """Whether the instance's agent takes commands."""
        return self._online_since(instance_id) is not None

    def describe_instance_information(self, parameters: Json) -> Json:
        """DescribeInstanceInformation."""
        wanted = _filters(parameters)
        found = []
        for instance_id in sorted(self._instances.ids()):
            ping = self._ping(instance_id)
            if ping is None or instance_id not in wanted.get("InstanceIds", {instance_id}):
                continue
            status, pinged_at = ping
            if status not in wanted.get("PingStatus", {status}):
                continue
            found.append(
                {
                    "InstanceId": instance_id,
                    "PingStatus": status,
                    "LastPingDateTime": pinged_at,
                    "AgentVersion": "3.3.3572.0",
                    "IsLatestVersion": True,
                    "PlatformType": "Linux",
                    "PlatformName": "Amazon Linux",
                    "PlatformVersion": "2023",
                    "ResourceType": "EC2Instance",
                }
            )
        return page("InstanceInformationList", found, parameters)

    def _online_since(self, instance_id: str) -> float | None:
        """When the agent came online after the instance's last start; None if it is not online."""
        if instance_id not in set(self._instances.ids()):
            return None
        launched_at = self._instances.launched_at(instance_id)
        if launched_at is None or self._faults.agent(instance_id) != "online":
            return None
        online = launched_at + self._timings.ssm_online
        return online if online <= self._clock.now() else None

    def _ping(self, instance_id: str) -> tuple[str, float] | None:
        """PingStatus and LastPingDateTime; None if the agent has never registered (F6.26).

        An agent that has gone offline is reported as Online until a ping is overdue.
        """
        if instance_id not in set(self._instances.ids()):
            return None
        now, agent = self._clock.now(), self._faults.agent(instance_id)
        online = self._online_since(instance_id)
        if online is not None:
            return "Online", now - (now - online) % PING_INTERVAL
        if agent == "never":
            return None
        run = self._instances.last_run(instance_id)
        if run and run[0] + self._timings.ssm_online <= run[1]:
            is_overdue = agent == "offline" or now >= run[1] + PING_INTERVAL
            return "ConnectionLost" if is_overdue else "Online", run[1]
        launched_at = self._instances.launched_at(instance_id)
        if launched_at is None or now < launched_at + self._timings.ssm_online:
            return None
        return "ConnectionLost", launched_at + self._timings.ssm_online


def _filters(parameters: Json) -> dict[str, set[str]]:
    """The values wanted by key; the API knows two ways to give them."""
    wanted: dict[str, set[str]] = {}
    for filter_ in parameters.get("Filters", []):
        wanted[filter_["Key"]] = set(filter_["Values"])
    for filter_ in parameters.get("InstanceInformationFilterList", []):
        wanted[filter_["key"]] = set(filter_["valueSet"])
    unknown = set(wanted) - {"InstanceIds", "PingStatus"}
    if unknown:
        raise ApiError("InvalidFilterKey", f"{', '.join(sorted(unknown))} is not modelled.")
    return wanted
