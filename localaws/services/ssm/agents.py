"""The SSM agents of the instances."""

from __future__ import annotations

from localaws.core.api_error import ApiError
from localaws.core.clock import Clock
from localaws.core.faults import Faults
from localaws.services.ssm.interfaces import Instances, Json, Timings
from localaws.services.ssm.paging import page


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
        return self._ping_status(instance_id) == "Online"

    def describe_instance_information(self, parameters: Json) -> Json:
        """DescribeInstanceInformation."""
        wanted = _filters(parameters)
        found = []
        for instance_id in sorted(self._instances.ids()):
            status = self._ping_status(instance_id)
            if status is None or instance_id not in wanted.get("InstanceIds", {instance_id}):
                continue
            if status not in wanted.get("PingStatus", {status}):
                continue
            found.append(
                {
                    "InstanceId": instance_id,
                    "PingStatus": status,
                    "LastPingDateTime": self._clock.now(),
                    "AgentVersion": "3.3.3572.0",
                    "IsLatestVersion": True,
                    "PlatformType": "Linux",
                    "PlatformName": "Amazon Linux",
                    "PlatformVersion": "2023",
                    "ResourceType": "EC2Instance",
                }
            )
        return page("InstanceInformationList", found, parameters)

    def _ping_status(self, instance_id: str) -> str | None:
        """Online or ConnectionLost; None if the agent has never registered (F6.26)."""
        if instance_id not in set(self._instances.ids()):
            return None
        agent = self._faults.agent(instance_id)
        launched_at = self._instances.launched_at(instance_id)
        if agent == "never":
            return None
        if launched_at is None:
            return "ConnectionLost"
        if self._clock.now() < launched_at + self._timings.ssm_online:
            return None
        return "Online" if agent == "online" else "ConnectionLost"


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
