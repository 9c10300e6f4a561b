from __future__ import annotations

from tests.localaws.services.ssm.conftest import INSTANCE, OTHER, SystemsManager

ONLY_INSTANCE = [{"Key": "InstanceIds", "Values": [INSTANCE]}]


def test_an_instance_is_listed_once_its_agent_is_online(ssm: SystemsManager) -> None:
    ssm.document("true")
    ssm.at(70.9)
    listed = ssm.call("DescribeInstanceInformation", Filters=ONLY_INSTANCE)
    assert listed["InstanceInformationList"] == []
    ssm.rejected_send("InvalidInstanceId")
    ssm.at(71)
    listed = ssm.call("DescribeInstanceInformation", Filters=ONLY_INSTANCE)
    [one] = listed["InstanceInformationList"]
    assert (one["InstanceId"], one["PingStatus"]) == (INSTANCE, "Online")


def test_an_unknown_instance_is_not_listed_and_takes_no_command(online: SystemsManager) -> None:
    online.document("true")
    filters = [{"Key": "InstanceIds", "Values": [OTHER]}]
    listed = online.call("DescribeInstanceInformation", Filters=filters)
    assert listed["InstanceInformationList"] == []
    assert OTHER in online.rejected_send("InvalidInstanceId", InstanceIds=[OTHER])


def test_an_instance_without_an_online_agent_takes_no_command(online: SystemsManager) -> None:
    online.document("true")

    def assert_unreachable(listed_as: list[str]) -> None:
        online.rejected_send("InvalidInstanceId")
        listed = online.call("DescribeInstanceInformation")["InstanceInformationList"]
        assert [one["PingStatus"] for one in listed] == listed_as

    for agent, listed_as in (("offline", ["ConnectionLost"]), ("never", [])):
        online.faults.inject({"agent": agent, "instance": INSTANCE})
        assert_unreachable(listed_as)
    online.faults.inject({"agent": "online", "instance": INSTANCE})
    online.instances.launched[INSTANCE] = None
    assert_unreachable(["ConnectionLost"])


def test_instances_are_filtered_by_ping_status(online: SystemsManager) -> None:
    online.instances.launched[OTHER] = online.start
    online.faults.inject({"agent": "offline", "instance": OTHER})
    for status, instance in (("Online", INSTANCE), ("ConnectionLost", OTHER)):
        filters = [{"Key": "PingStatus", "Values": [status]}]
        listed = online.call("DescribeInstanceInformation", Filters=filters)
        assert [one["InstanceId"] for one in listed["InstanceInformationList"]] == [instance]
