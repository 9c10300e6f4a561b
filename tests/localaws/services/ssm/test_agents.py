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
    stop(online)
    assert_unreachable(["Online"])
    online.at(71 + 300)
    assert_unreachable(["ConnectionLost"])


def stop(ssm: SystemsManager) -> None:
    launched = ssm.instances.launched[INSTANCE]
    assert launched is not None
    ssm.instances.runs[INSTANCE] = launched, ssm.clock.now()
    ssm.instances.launched[INSTANCE] = None


def test_a_ping_may_be_older_than_the_last_start(online: SystemsManager) -> None:
    online.document("true")
    online.at(100)
    stop(online)
    online.at(150)
    online.instances.launched[INSTANCE] = online.clock.now()
    online.at(220)
    assert pings(online) == [("Online", 100)]
    online.rejected_send("InvalidInstanceId")
    online.at(150 + 71)
    assert pings(online) == [("Online", 221)]
    online.send()


def test_an_agent_pings_every_five_minutes(online: SystemsManager) -> None:
    for at, expected in ((71, 71), (370, 71), (371, 371), (1000, 971)):
        online.at(at)
        assert pings(online) == [("Online", expected)]


def test_an_instance_stopped_before_its_agent_registered_is_not_listed(
    ssm: SystemsManager,
) -> None:
    ssm.at(60)
    stop(ssm)
    ssm.at(200)
    assert pings(ssm) == []


def pings(ssm: SystemsManager) -> list[tuple[str, float]]:
    """PingStatus and seconds from the start to LastPingDateTime, of each listed instance."""
    listed = ssm.call("DescribeInstanceInformation")["InstanceInformationList"]
    return [(one["PingStatus"], round(one["LastPingDateTime"] - ssm.start, 3)) for one in listed]


def test_instances_are_filtered_by_ping_status(online: SystemsManager) -> None:
    online.instances.launched[OTHER] = online.start
    online.faults.inject({"agent": "offline", "instance": OTHER})
    for status, instance in (("Online", INSTANCE), ("ConnectionLost", OTHER)):
        filters = [{"Key": "PingStatus", "Values": [status]}]
        listed = online.call("DescribeInstanceInformation", Filters=filters)
        assert [one["InstanceId"] for one in listed["InstanceInformationList"]] == [instance]
