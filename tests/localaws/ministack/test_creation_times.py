from __future__ import annotations

from typing import Any

from localaws.client import LocalAws
from localaws.ministack.images import IMAGES
from tests.localaws.ministack.custom_resource_function import CustomResourceStack
from tests.localaws.ministack.support import SampleStack, elapsed, function, machine, role

SECONDS = {
    "create_role": 17,
    "create_policy": 16,
    "create_instance_profile": 121,
    "create_function": 6,
}
CODE = "def handler(event, context): pass"
POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}],
}


def test_cloudformation_takes_as_long_as_the_timings_say_once_for_each_type() -> None:
    policy = {"PolicyName": "p", "PolicyDocument": POLICY, "Roles": [{"Ref": "One"}]}
    resources = {
        "One": role("lambda"),
        "Two": role("ec2"),
        "Policy": {"Type": "AWS::IAM::Policy", "Properties": policy, "DependsOn": "Two"},
        "Profile": {
            "Type": "AWS::IAM::InstanceProfile",
            "Properties": {"Roles": [{"Ref": "Two"}]},
            "DependsOn": "Policy",
        },
        "First": {**function(CODE, "One"), "DependsOn": "Profile"},
        "Second": {**function(CODE, "One"), "DependsOn": "Profile"},
    }
    with LocalAws(timings=SECONDS) as aws:
        stack, began = SampleStack(aws), elapsed(aws)
        assert stack.create(resources) == "CREATE_COMPLETE"
        assert round(elapsed(aws) - began) == sum(SECONDS.values())


PROFILE = {"Type": "AWS::IAM::InstanceProfile", "Properties": {"Roles": [{"Ref": "ProfileRole"}]}}


def beside(custom: CustomResourceStack, **properties: Any) -> dict[str, Any]:
    """A custom resource, and an instance profile that it does not depend on."""
    return {
        **custom.resources({"Example": properties}),
        "ProfileRole": role("ec2"),
        "Profile": PROFILE,
    }


def moments(aws: LocalAws, logical_id: str) -> dict[str, float]:
    return {
        event["event"]: event["at"]
        for event in aws.admin.event_log()
        if event["subject"] == logical_id and event["service"] == "cloudformation"
    }


def test_a_custom_resource_begins_once_what_it_depends_on_is_complete() -> None:
    with LocalAws(timings=SECONDS) as aws:
        stack = SampleStack(aws)
        custom = CustomResourceStack(stack)
        outputs = {
            "Id": {"Value": {"Ref": "Example"}},
            "Word": {"Value": {"Fn::GetAtt": "Example.Word"}},
        }
        behavior = {"Sleep": "50", "Response": {"Data": {"Word": "ready"}}}
        assert stack.create(beside(custom, Create=behavior), Outputs=outputs) == "CREATE_COMPLETE"
        assert moments(aws, "Example") == {"CREATE_IN_PROGRESS": 23, "CREATE_COMPLETE": 75}
        assert moments(aws, "Profile") == {"CREATE_IN_PROGRESS": 17, "CREATE_COMPLETE": 138}
        assert (stack.output("Id"), stack.output("Word")) == ("example-1", "ready")
        assert [status for _, status, _ in stack.events("Example")] == [
            "CREATE_IN_PROGRESS",
            "CREATE_COMPLETE",
        ]


def test_a_resource_in_progress_is_cancelled_when_another_fails() -> None:
    with LocalAws(timings=SECONDS) as aws:
        stack = SampleStack(aws)
        custom = CustomResourceStack(stack)
        failure = {"Sleep": "50", "Response": {"Status": "FAILED", "Reason": "no luck"}}
        assert stack.create(beside(custom, Create=failure)) == "ROLLBACK_COMPLETE"
        assert "no luck" in stack.reason("Example")
        assert stack.reason("Profile") == "Resource creation cancelled"
        assert custom.request_types() == ["Create", "Delete"]
        assert moments(aws, "Profile")["DELETE_COMPLETE"] < 138
        assert "[Example, Profile]" in next(
            reason for _, status, reason in stack.events(stack.name) if status[:8] == "ROLLBACK"
        )


def test_a_custom_resource_in_progress_is_cancelled_when_another_resource_fails() -> None:
    with LocalAws(timings=SECONDS) as aws:
        stack = SampleStack(aws)
        custom = CustomResourceStack(stack)
        resources = beside(custom, Create={"Sleep": "500"})
        resources["Late"] = {
            "Type": "AWS::IAM::InstanceProfile",
            "Properties": {"Roles": ["no-such-role"]},
            "DependsOn": "Profile",
        }
        assert stack.create(resources) == "ROLLBACK_COMPLETE"
        assert "no-such-role" in stack.reason("Late")
        assert stack.reason("Example") == "Resource creation cancelled"
        # The function still works on the first request, and logs it when it has ended.
        assert custom.request_types() == ["Delete"]
        assert moments(aws, "Example")["CREATE_FAILED"] == 138


def with_instance(custom: CustomResourceStack, kind: str, **properties: Any) -> dict[str, Any]:
    """A custom resource, and an instance that it does not depend on."""
    instance = {"ImageId": next(iter(IMAGES)), "InstanceType": kind}
    return {
        **beside(custom, **properties),
        "Client": {
            "Type": "AWS::EC2::Instance",
            "Properties": instance,
            "DependsOn": "Profile",
        },
    }


def updated(
    behavior: dict[str, Any], kind: str = "t3a.large"
) -> tuple[str, dict[str, dict[str, float]], list[str]]:
    """The status after an update of both, when which was updated, and the requests."""
    with LocalAws(timings=SECONDS) as aws:
        stack = SampleStack(aws)
        custom = CustomResourceStack(stack)
        assert stack.create(with_instance(custom, "t3a.small")) == "CREATE_COMPLETE"
        began = elapsed(aws)
        status = stack.update(with_instance(custom, kind, Update=behavior))
        happened = {
            name: {event: at - began for event, at in moments(aws, name).items() if at >= began}
            for name in ("Example", "Client")
        }
        return status, happened, custom.request_types()


def test_a_custom_resource_is_updated_beside_an_instance() -> None:
    status, happened, _ = updated({"Sleep": "50"})
    assert status == "UPDATE_COMPLETE"
    assert happened["Example"] == {"UPDATE_IN_PROGRESS": 0, "UPDATE_COMPLETE": 52}
    assert happened["Client"]["UPDATE_IN_PROGRESS"] == 0
    assert 52 < happened["Client"]["UPDATE_COMPLETE"] < 120


def test_an_instance_in_progress_is_cancelled_when_a_custom_resource_fails() -> None:
    failure = {"Sleep": "5", "Response": {"Status": "FAILED", "Reason": "no luck"}}
    status, happened, requests = updated(failure)
    assert status == "UPDATE_ROLLBACK_COMPLETE"
    assert "UPDATE_FAILED" in happened["Example"].keys() & happened["Client"].keys()
    assert requests == ["Create", "Update", "Update"]


def test_a_replacing_instance_is_terminated_when_a_custom_resource_fails() -> None:
    failure = {"Sleep": "5", "Response": {"Status": "FAILED", "Reason": "no luck"}}
    with LocalAws(timings=SECONDS) as aws:
        stack = SampleStack(aws)
        custom = CustomResourceStack(stack)
        for subnet, behavior in zip(aws.subnets, ({}, failure), strict=False):
            resources = with_instance(custom, "t3a.small", Update=behavior)
            resources["Client"]["Properties"]["SubnetId"] = subnet
            status = stack.update(resources) if behavior else stack.create(resources)
        assert status == "UPDATE_ROLLBACK_COMPLETE"
        instances = [
            instance
            for reservation in aws.client("ec2").describe_instances()["Reservations"]
            for instance in reservation["Instances"]
            if instance["State"]["Name"] != "terminated"
        ]
        assert [instance["SubnetId"] for instance in instances] == aws.subnets[:1]


def test_a_custom_resource_update_is_cancelled_when_an_instance_fails() -> None:
    status, happened, _ = updated({"Sleep": "500"}, kind="no.such")
    assert status == "UPDATE_ROLLBACK_COMPLETE"
    assert happened["Example"]["UPDATE_FAILED"] < 10


def test_invocations_and_transitions_take_as_long_as_the_timings_say() -> None:
    states = {
        "First": {"Type": "Pass", "Next": "Second"},
        "Second": {"Type": "Task", "Resource": "${Function.Arn}", "End": True},
    }
    resources = {
        "FunctionRole": role("lambda"),
        "MachineRole": role("states", everything=True),
        "Function": function(CODE),
        "Machine": machine(states),
    }
    with LocalAws(timings={"invoke_function": 2, "state_transition": 0.5}) as aws:
        stack = SampleStack(aws)
        stack.create(resources)
        began = elapsed(aws)
        assert stack.run("Machine")["status"] == "SUCCEEDED"
        assert elapsed(aws) - began == 3
