"""Wait conditions wait in virtual time, and keep nothing back that does not depend on them."""

from __future__ import annotations

import time
import urllib.request

from localaws.client import LocalAws, until
from tests.localaws.ministack.support import SampleStack, elapsed

HANDLE = {"Type": "AWS::CloudFormation::WaitConditionHandle"}
CONDITION = {
    "Type": "AWS::CloudFormation::WaitCondition",
    "Properties": {"Handle": {"Ref": "Handle"}, "Timeout": "3600", "Count": 1},
}


def test_a_wait_condition_times_out_in_virtual_time(aws: LocalAws, stack: SampleStack) -> None:
    began, real = elapsed(aws), time.monotonic()
    assert stack.create({"Handle": HANDLE, "Condition": CONDITION}) == "ROLLBACK_COMPLETE"
    assert "timed out. Received 0 conditions when expecting 1" in stack.reason("Condition")
    assert elapsed(aws) - began >= 3600
    assert time.monotonic() - real < 60


def test_a_signal_completes_a_wait_condition_created_before_its_sender(
    aws: LocalAws, stack: SampleStack
) -> None:
    sender = {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": stack.name}}
    aws.admin.pause()
    stack.create(
        {"Handle": HANDLE, "Condition": CONDITION, "Sender": sender},
        wait=False,
        Outputs={"Data": {"Value": {"Fn::GetAtt": "Condition.Data"}}},
    )
    until(lambda: ("Sender", "CREATE_COMPLETE", "") in stack.events("Sender"), "it is kept back")
    body = b'{"Status": "SUCCESS", "UniqueId": "one", "Data": "ready", "Reason": ""}'
    request = urllib.request.Request(
        stack.physical_id("Handle"), body, {"Content-Type": ""}, method="PUT"
    )
    with urllib.request.urlopen(request) as response:
        assert response.status == 200
    aws.admin.resume()
    assert stack.wait() == "CREATE_COMPLETE"
    assert stack.output("Data") == '{"one": "ready"}'
