from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from localaws.client import LocalAws, until
from tests.localaws.ministack.custom_resource_function import CustomResourceStack
from tests.localaws.ministack.support import Json, SampleStack, error_from, unique_name

# The function responds after this many virtual seconds.
SLOW = {"Sleep": "600"}
FAILING = {"Response": {"Status": "FAILED", "Reason": "no"}}


def parameter(**more: Any) -> Json:
    return {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "x", **more}}


def begin(custom: CustomResourceStack, operation: str, changed: Json) -> None:
    """Start to create or update; the clock is paused while CloudFormation waits for a response."""
    admin, before = custom.stack.aws.admin, len(custom.invoked())
    admin.pause_after(operation)
    start = custom.stack.create if operation == "CreateStack" else custom.stack.update
    start(custom.resources(changed), wait=False)
    until(lambda: len(custom.invoked()) > before, "no request was sent")


def statuses(stack: SampleStack) -> list[str]:
    """The statuses of the stack itself, earliest first."""
    return [status for _, status, _ in stack.events(stack.name)]


# --- Order and time ---


def test_stack_events_have_virtual_timestamps(aws: LocalAws, custom: CustomResourceStack) -> None:
    custom.create(Create=SLOW)
    events = aws.client("cloudformation").describe_stack_events(StackName=custom.stack.id)
    at = {
        (event["LogicalResourceId"], event["ResourceStatus"]): event["Timestamp"]
        for event in events["StackEvents"]
    }
    took = at["Example", "CREATE_COMPLETE"] - at["Example", "CREATE_IN_PROGRESS"]
    assert took == dt.timedelta(seconds=602)
    now = aws.admin.clock()["now"]
    assert abs(at[custom.stack.name, "CREATE_COMPLETE"].timestamp() - now) < 1


def test_a_dependent_resource_is_created_later_and_deleted_earlier(
    custom: CustomResourceStack,
) -> None:
    assert custom.create({"A": {"DependsOn": "B"}, "B": {}}) == "CREATE_COMPLETE"
    custom.stack.delete()
    order = [(r["RequestType"], r["LogicalResourceId"]) for r in custom.requests()]
    assert order == [("Create", "B"), ("Create", "A"), ("Delete", "A"), ("Delete", "B")]


def test_a_stack_in_progress_cannot_be_updated(custom: CustomResourceStack) -> None:
    begin(custom, "CreateStack", {"Example": {"Create": SLOW}})
    code, message = error_from(lambda: custom.update(Size="2"))
    assert (code, "CREATE_IN_PROGRESS" in message) == ("ValidationError", True)


def test_a_stack_in_rollback_complete_can_only_be_deleted(custom: CustomResourceStack) -> None:
    assert custom.create(Create=FAILING) == "ROLLBACK_COMPLETE"
    code, message = error_from(lambda: custom.stack.update(custom.resources({"Example": {}})))
    assert (code, "ROLLBACK_COMPLETE" in message) == ("ValidationError", True)
    assert custom.stack.delete() == "DELETE_COMPLETE"


# --- Events of an update ---


def test_an_update_has_events_only_for_the_resources_that_change(
    aws: LocalAws, stack: SampleStack
) -> None:
    group = {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 1}}
    kept = {"Kept": parameter(), "Dependent": {**group, "DependsOn": "Changed"}}
    stack.create({**kept, "Changed": parameter(), "Removed": parameter()})
    created = stack.events()
    changed = {"Changed": parameter(Value="y"), "New": parameter()}
    assert stack.update({**kept, **changed}) == "UPDATE_COMPLETE"
    later = [event[:2] for event in stack.events()[len(created) :]]
    assert sorted(event for event in later if event[0] != stack.name) == [
        ("Changed", "UPDATE_COMPLETE"),
        ("Changed", "UPDATE_IN_PROGRESS"),
        ("New", "CREATE_COMPLETE"),
        ("New", "CREATE_IN_PROGRESS"),
        ("Removed", "DELETE_COMPLETE"),
        ("Removed", "DELETE_IN_PROGRESS"),
    ]
    listed = aws.client("cloudformation").describe_stack_resources(StackName=stack.id)
    assert {
        each["LogicalResourceId"]: each["ResourceStatus"] for each in listed["StackResources"]
    } == {
        "Changed": "UPDATE_COMPLETE",
        "Dependent": "CREATE_COMPLETE",
        "Kept": "CREATE_COMPLETE",
        "New": "CREATE_COMPLETE",
    }


def test_a_rolled_back_update_has_events_only_for_the_resources_that_changed(
    stack: SampleStack,
) -> None:
    bad = {"Type": "AWS::IAM::InstanceProfile", "Properties": {"Roles": ["missing"]}}
    stack.create({"Kept": parameter(), "Changed": parameter()})
    created = stack.events()
    changed = {"Kept": parameter(), "Changed": parameter(Value="y")}
    changed["Bad"] = {**bad, "DependsOn": ["Changed", "Kept"]}
    assert stack.update(changed) == "UPDATE_ROLLBACK_COMPLETE"
    later = [event[:2] for event in stack.events()[len(created) :] if event[0] != stack.name]
    assert later == [
        ("Changed", "UPDATE_IN_PROGRESS"),
        ("Changed", "UPDATE_COMPLETE"),
        ("Bad", "CREATE_IN_PROGRESS"),
        ("Bad", "CREATE_FAILED"),
        ("Changed", "UPDATE_IN_PROGRESS"),
        ("Changed", "UPDATE_COMPLETE"),
    ]


# --- Deleting while creating ---


def test_a_deletion_interrupts_a_creation(aws: LocalAws, custom: CustomResourceStack) -> None:
    begin(custom, "CreateStack", {"Example": {"Create": SLOW}})
    custom.stack.delete(wait=False)
    aws.admin.resume()
    assert custom.stack.wait() == "DELETE_COMPLETE"
    # The deletion waits only for the response to its own request.
    name = custom.stack.name
    assert custom.seconds("CREATE_IN_PROGRESS", "DELETE_COMPLETE", name) == 2
    assert custom.stack.reason("Example") == "Resource creation cancelled"
    (delete,) = custom.requests()
    assert delete["RequestType"] == "Delete"
    assert delete["PhysicalResourceId"].startswith(f"{custom.stack.name}-Example-")
    assert statuses(custom.stack) == [
        "CREATE_IN_PROGRESS",
        "DELETE_IN_PROGRESS",
        "DELETE_COMPLETE",
    ]


def test_a_protected_stack_is_neither_deleted_nor_interrupted(
    aws: LocalAws, custom: CustomResourceStack
) -> None:
    cloudformation, name = aws.client("cloudformation"), custom.stack.name

    def protect(enabled: bool) -> None:
        cloudformation.update_termination_protection(
            StackName=name, EnableTerminationProtection=enabled
        )

    begin(custom, "CreateStack", {"Example": {"Create": SLOW}})
    protect(True)
    code, message = error_from(cloudformation.delete_stack, StackName=name)
    assert code == "ValidationError"
    assert "cannot be deleted while TerminationProtection is enabled" in message
    aws.admin.resume()
    assert custom.stack.wait() == "CREATE_COMPLETE"
    assert error_from(cloudformation.delete_stack, StackName=name) == (code, message)
    protect(False)
    assert custom.stack.delete() == "DELETE_COMPLETE"


def test_the_function_of_an_interrupted_create_continues(
    aws: LocalAws, custom: CustomResourceStack
) -> None:
    begin(custom, "CreateStack", {"Example": {"Create": SLOW}})
    custom.stack.delete(wait=False)
    aws.admin.resume()
    assert custom.stack.wait() == "DELETE_COMPLETE"
    until(lambda: len(custom.succeeded()) == 2, "the create did not end")
    deleted, created = custom.succeeded()
    assert (deleted - custom.invoked()[1], created - custom.invoked()[0]) == (0, 600)


def test_a_deletion_interrupts_a_rollback(aws: LocalAws, custom: CustomResourceStack) -> None:
    begin(custom, "CreateStack", {"Example": {"Create": {**FAILING, **SLOW}, "Delete": SLOW}})
    aws.admin.advance(602)
    until(lambda: len(custom.invoked()) == 2, "the rollback did not start")
    assert custom.stack.status() == "ROLLBACK_IN_PROGRESS"
    custom.stack.delete(wait=False)
    aws.admin.resume()
    assert custom.stack.wait() == "DELETE_COMPLETE"
    aws.admin.advance(700)
    until(lambda: custom.request_types() == ["Create", "Delete", "Delete"], "a request is missing")
    assert "ROLLBACK_COMPLETE" not in statuses(custom.stack)


# --- Cancelling an update ---


def test_a_cancelled_update_does_not_wait_for_the_response(
    aws: LocalAws, custom: CustomResourceStack
) -> None:
    custom.create(Size="1")
    begin(custom, "UpdateStack", {"Example": {"Size": "2", "Update": SLOW}})
    custom.stack.cancel()
    aws.admin.resume()
    assert custom.stack.wait() == "UPDATE_ROLLBACK_COMPLETE"
    # Only for the response to the rollback request.
    assert custom.seconds("UPDATE_FAILED", "UPDATE_COMPLETE") == 2
    assert custom.stack.reason("Example") == "Resource update cancelled"
    (back,) = [
        request
        for request in custom.requests()
        if (request.get("OldResourceProperties") or {}).get("Size") == "2"
    ]
    assert back["RequestType"] == "Update"
    assert back["ResourceProperties"]["Size"] == "1"


def test_an_update_cannot_be_cancelled_while_it_cleans_up(
    aws: LocalAws, custom: CustomResourceStack
) -> None:
    custom.create({"Example": {}, "Old": {"Delete": SLOW}})
    stack = custom.stack
    aws.admin.pause_after("UpdateStack")
    stack.update(custom.resources({"Example": {}}), wait=False)
    until(lambda: len(custom.invoked()) == 3, "the cleanup did not start")
    assert stack.status() == "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
    code, _ = error_from(stack.cancel)
    assert code == "ValidationError"
    aws.admin.resume()
    assert stack.wait() == "UPDATE_COMPLETE"


def test_a_stack_cannot_be_deleted_during_an_update(
    aws: LocalAws, custom: CustomResourceStack
) -> None:
    custom.create(Size="1")
    begin(custom, "UpdateStack", {"Example": {"Size": "2", "Update": SLOW}})
    code, message = error_from(lambda: custom.stack.delete(wait=False))
    assert (code, "UPDATE_IN_PROGRESS" in message) == ("ValidationError", True)


def test_cancelling_without_an_update_in_progress_fails(custom: CustomResourceStack) -> None:
    custom.create()
    assert error_from(custom.stack.cancel)[0] == "ValidationError"


# --- Failures ---


def test_a_failed_deletion_retains_dependencies_and_can_be_repeated(
    custom: CustomResourceStack,
) -> None:
    resources = custom.resources({"Example": {"Delete": FAILING}})
    resources["Free"] = parameter()
    custom.stack.create(resources)
    assert custom.stack.delete() == "DELETE_FAILED"
    left = {logical_id for logical_id, status, _ in custom.stack.events() if "DELETE" in status}
    # CloudFormation did not try to delete the function and its role.
    assert left == {custom.stack.name, "Example", "Free"}
    assert custom.stack.delete() == "DELETE_FAILED"
    assert custom.request_types() == ["Create", "Delete", "Delete"]
    custom.stack.aws.client("cloudformation").delete_stack(
        StackName=custom.stack.id, RetainResources=["Example"]
    )
    assert custom.stack.wait() == "DELETE_COMPLETE"
    assert ("Example", "DELETE_SKIPPED", "") in custom.stack.events()


def test_a_rollback_that_cannot_delete_a_resource_fails_and_a_deletion_retries(
    custom: CustomResourceStack,
) -> None:
    assert custom.create(Create=FAILING, Delete=FAILING) == "ROLLBACK_FAILED"
    assert custom.request_types() == ["Create", "Delete"]
    assert custom.stack.delete() == "DELETE_FAILED"
    assert custom.request_types() == ["Create", "Delete", "Delete"]


def test_a_failed_update_deletes_the_resources_it_created(custom: CustomResourceStack) -> None:
    custom.create({"Example": {}})
    changed = {"Example": {}, "New": {}, "Bad": {"DependsOn": "New", "Create": FAILING}}
    assert custom.update(changed) == "UPDATE_ROLLBACK_COMPLETE"
    order = [(r["RequestType"], r["LogicalResourceId"]) for r in custom.requests()]
    assert order == [
        ("Create", "Example"),
        ("Create", "New"),
        ("Create", "Bad"),
        ("Delete", "Bad"),
        ("Delete", "New"),
    ]
    assert "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS" in statuses(custom.stack)


# --- Policies ---


def test_deletion_policy_retain_retains_a_resource(aws: LocalAws, stack: SampleStack) -> None:
    name = f"/{unique_name()}"
    retained = {**parameter(Name=name), "DeletionPolicy": "Retain"}
    stack.create({"Retained": retained})
    assert stack.delete() == "DELETE_COMPLETE"
    assert ("Retained", "DELETE_SKIPPED", "") in stack.events()
    assert name in aws.admin.inventory()["ssm"]["parameters"]
    aws.client("ssm").delete_parameter(Name=name)


def test_retain_except_on_create_deletes_a_resource_in_a_rollback(
    aws: LocalAws, stack: SampleStack
) -> None:
    name = f"/{unique_name()}"
    retained = {**parameter(Name=name), "DeletionPolicy": "RetainExceptOnCreate"}
    bad = {"Type": "AWS::IAM::InstanceProfile", "Properties": {"Roles": ["missing"]}}
    assert (
        stack.create({"Retained": retained, "Bad": {**bad, "DependsOn": "Retained"}})
        == "ROLLBACK_COMPLETE"
    )
    assert name not in aws.admin.inventory()["ssm"]["parameters"]


def test_update_replace_policy_retain_retains_the_replaced_resource(
    aws: LocalAws, stack: SampleStack
) -> None:
    old, new = f"/{unique_name()}", f"/{unique_name()}"
    stack.create({"It": {**parameter(Name=old), "UpdateReplacePolicy": "Retain"}})
    stack.update({"It": {**parameter(Name=new), "UpdateReplacePolicy": "Retain"}})
    assert {old, new} <= set(aws.admin.inventory()["ssm"]["parameters"])
    for name in (old, new):
        aws.client("ssm").delete_parameter(Name=name)


# --- Parameters and rules ---

RULES = {
    "NoSmall": {
        "RuleCondition": {"Fn::Equals": [{"Ref": "pFast"}, "true"]},
        "Assertions": [
            {
                "Assert": {"Fn::Not": [{"Fn::Equals": [{"Ref": "pSize"}, "small"]}]},
                "AssertDescription": "Choose a larger size.",
            }
        ],
    }
}
PARAMETERS = {
    "pSize": {
        "Type": "String",
        "Default": "small",
        "AllowedPattern": "[a-z]+",
        "ConstraintDescription": "must be lower case",
    },
    "pFast": {"Type": "String", "Default": "false", "AllowedValues": ["true", "false"]},
}
SIZED = {"It": parameter(Value={"Ref": "pSize"})}


def with_size(operation: Callable[..., str], **parameters: str) -> str:
    return operation(SIZED, parameters, Parameters=PARAMETERS, Rules=RULES)


def test_rules_are_checked_on_create_and_update(stack: SampleStack) -> None:
    code, message = error_from(lambda: with_size(stack.create, pFast="true"))
    assert (code, "Choose a larger size." in message) == ("ValidationError", True)
    assert with_size(stack.create, pFast="true", pSize="big") == "CREATE_COMPLETE"
    code, message = error_from(lambda: with_size(stack.update, pFast="true"))
    assert (code, "Choose a larger size." in message) == ("ValidationError", True)


def test_a_parameter_must_match_its_pattern(stack: SampleStack) -> None:
    code, message = error_from(lambda: with_size(stack.create, pSize="BIG"))
    assert (code, "must be lower case" in message) == ("ValidationError", True)


def test_a_parameter_must_be_an_allowed_value(stack: SampleStack) -> None:
    code, _ = error_from(lambda: with_size(stack.create, pFast="maybe"))
    assert code == "ValidationError"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("AWS::EC2::VPC::Id", "vpc-0abc"),
        ("List<AWS::EC2::Subnet::Id>", "subnet-0abc"),
        ("AWS::EC2::SecurityGroup::Id", "sg-0abc"),
        ("AWS::EC2::Instance::Id", "i-0abc"),
    ],
)
def test_the_resource_in_a_typed_parameter_must_exist(
    stack: SampleStack, kind: str, value: str
) -> None:
    code, message = error_from(
        lambda: stack.create(
            {"It": parameter()}, {"pIt": value}, Parameters={"pIt": {"Type": kind}}
        )
    )
    assert (code, f"{value} " in message) == ("ValidationError", True)
