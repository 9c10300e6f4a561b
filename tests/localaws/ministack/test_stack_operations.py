from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from localaws.client import LocalAws, until
from tests.localaws.ministack.custom_resource_function import Things
from tests.localaws.ministack.support import Json, Try, fresh, refusal

# Answers after this many virtual seconds.
SLOW = {"Sleep": "600"}
FAILING = {"Answer": {"Status": "FAILED", "Reason": "no"}}


def parameter(**more: Any) -> Json:
    return {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "x", **more}}


def begin(things: Things, operation: str, changed: Json) -> None:
    """Begin to create or update; time stands still while CloudFormation waits for an answer."""
    admin, before = things.stack.aws.admin, len(things.invoked())
    admin.pause_after(operation)
    act = things.stack.create if operation == "CreateStack" else things.stack.update
    act(things.resources(changed), wait=False)
    until(lambda: len(things.invoked()) > before, "nothing was asked")


def statuses(stack: Try) -> list[str]:
    """The stack's own statuses, earliest first."""
    return [status for _, status, _ in stack.events(stack.name)]


# --- Order and time ---


def test_events_carry_virtual_time(aws: LocalAws, things: Things) -> None:
    things.create(Create=SLOW)
    events = aws.client("cloudformation").describe_stack_events(StackName=things.stack.id)
    at = {
        (event["LogicalResourceId"], event["ResourceStatus"]): event["Timestamp"]
        for event in events["StackEvents"]
    }
    took = at["Thing", "CREATE_COMPLETE"] - at["Thing", "CREATE_IN_PROGRESS"]
    assert took == dt.timedelta(seconds=602)
    now = aws.admin.clock()["now"]
    assert abs(at[things.stack.name, "CREATE_COMPLETE"].timestamp() - now) < 1


def test_what_depends_on_a_thing_is_made_after_it_and_deleted_before(things: Things) -> None:
    assert things.create({"A": {"DependsOn": "B"}, "B": {}}) == "CREATE_COMPLETE"
    things.stack.delete()
    order = [(r["RequestType"], r["LogicalResourceId"]) for r in things.requests()]
    assert order == [("Create", "B"), ("Create", "A"), ("Delete", "A"), ("Delete", "B")]


def test_a_stack_under_way_cannot_be_updated(things: Things) -> None:
    begin(things, "CreateStack", {"Thing": {"Create": SLOW}})
    code, message = refusal(lambda: things.update(Size="2"))
    assert (code, "CREATE_IN_PROGRESS" in message) == ("ValidationError", True)


def test_a_stack_that_never_was_can_only_be_deleted(things: Things) -> None:
    assert things.create(Create=FAILING) == "ROLLBACK_COMPLETE"
    code, message = refusal(lambda: things.stack.update(things.resources({"Thing": {}})))
    assert (code, "ROLLBACK_COMPLETE" in message) == ("ValidationError", True)
    assert things.stack.delete() == "DELETE_COMPLETE"


# --- Deleting while creating ---


def test_a_deletion_overtakes_a_creation(aws: LocalAws, things: Things) -> None:
    begin(things, "CreateStack", {"Thing": {"Create": SLOW}})
    things.stack.delete(wait=False)
    aws.admin.resume()
    assert things.stack.wait() == "DELETE_COMPLETE"
    # It does not wait for the answer, but for that to the Delete.
    name = things.stack.name
    assert things.seconds("CREATE_IN_PROGRESS", "DELETE_COMPLETE", name) == 2
    assert things.stack.reason("Thing") == "Resource creation cancelled"
    (delete,) = things.requests()
    assert delete["RequestType"] == "Delete"
    assert delete["PhysicalResourceId"].startswith(f"{things.stack.name}-Thing-")
    assert statuses(things.stack) == [
        "CREATE_IN_PROGRESS",
        "DELETE_IN_PROGRESS",
        "DELETE_COMPLETE",
    ]


def test_work_goes_on_that_was_overtaken(aws: LocalAws, things: Things) -> None:
    begin(things, "CreateStack", {"Thing": {"Create": SLOW}})
    things.stack.delete(wait=False)
    aws.admin.resume()
    assert things.stack.wait() == "DELETE_COMPLETE"
    until(lambda: len(things.succeeded()) == 2, "the Create did not end")
    deleted, created = things.succeeded()
    assert (deleted - things.invoked()[1], created - things.invoked()[0]) == (0, 600)


def test_a_deletion_overtakes_a_rollback(aws: LocalAws, things: Things) -> None:
    begin(things, "CreateStack", {"Thing": {"Create": {**FAILING, **SLOW}, "Delete": SLOW}})
    aws.admin.advance(602)
    until(lambda: len(things.invoked()) == 2, "nothing was rolled back")
    assert things.stack.status() == "ROLLBACK_IN_PROGRESS"
    things.stack.delete(wait=False)
    aws.admin.resume()
    assert things.stack.wait() == "DELETE_COMPLETE"
    aws.admin.advance(700)
    until(lambda: things.asked() == ["Create", "Delete", "Delete"], "not all was asked")
    assert "ROLLBACK_COMPLETE" not in statuses(things.stack)


# --- Cancelling an update ---


def test_a_cancelled_update_does_not_wait_for_the_answer(aws: LocalAws, things: Things) -> None:
    things.create(Size="1")
    begin(things, "UpdateStack", {"Thing": {"Size": "2", "Update": SLOW}})
    things.stack.cancel()
    aws.admin.resume()
    assert things.stack.wait() == "UPDATE_ROLLBACK_COMPLETE"
    # Only for the answer to the update back.
    assert things.seconds("UPDATE_FAILED", "UPDATE_COMPLETE") == 2
    assert things.stack.reason("Thing") == "Resource update cancelled"
    (back,) = [
        request
        for request in things.requests()
        if (request.get("OldResourceProperties") or {}).get("Size") == "2"
    ]
    assert back["RequestType"] == "Update"
    assert back["ResourceProperties"]["Size"] == "1"


def test_an_update_cannot_be_cancelled_while_it_cleans_up(aws: LocalAws, things: Things) -> None:
    things.create({"Thing": {}, "Old": {"Delete": SLOW}})
    stack = things.stack
    aws.admin.pause_after("UpdateStack")
    stack.update(things.resources({"Thing": {}}), wait=False)
    until(lambda: len(things.invoked()) == 3, "nothing was cleaned up")
    assert stack.status() == "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
    code, _ = refusal(stack.cancel)
    assert code == "ValidationError"
    aws.admin.resume()
    assert stack.wait() == "UPDATE_COMPLETE"


def test_a_stack_cannot_be_deleted_while_it_is_updated(aws: LocalAws, things: Things) -> None:
    things.create(Size="1")
    begin(things, "UpdateStack", {"Thing": {"Size": "2", "Update": SLOW}})
    code, message = refusal(lambda: things.stack.delete(wait=False))
    assert (code, "UPDATE_IN_PROGRESS" in message) == ("ValidationError", True)


def test_a_stack_that_is_at_rest_has_no_update_to_cancel(things: Things) -> None:
    things.create()
    assert refusal(things.stack.cancel)[0] == "ValidationError"


# --- Failures ---


def test_what_cannot_be_deleted_keeps_what_it_needs_and_is_asked_again(things: Things) -> None:
    resources = things.resources({"Thing": {"Delete": FAILING}})
    resources["Free"] = parameter()
    things.stack.create(resources)
    assert things.stack.delete() == "DELETE_FAILED"
    left = {logical_id for logical_id, status, _ in things.stack.events() if "DELETE" in status}
    # Neither the function nor its role was touched.
    assert left == {things.stack.name, "Thing", "Free"}
    assert things.stack.delete() == "DELETE_FAILED"
    assert things.asked() == ["Create", "Delete", "Delete"]
    things.stack.aws.client("cloudformation").delete_stack(
        StackName=things.stack.id, RetainResources=["Thing"]
    )
    assert things.stack.wait() == "DELETE_COMPLETE"
    assert ("Thing", "DELETE_SKIPPED", "") in things.stack.events()


def test_a_rollback_that_cannot_delete_ends_as_failed_and_a_deletion_asks_again(
    things: Things,
) -> None:
    assert things.create(Create=FAILING, Delete=FAILING) == "ROLLBACK_FAILED"
    assert things.asked() == ["Create", "Delete"]
    assert things.stack.delete() == "DELETE_FAILED"
    assert things.asked() == ["Create", "Delete", "Delete"]


def test_an_update_that_fails_takes_back_what_it_made(things: Things) -> None:
    things.create({"Thing": {}})
    changed = {"Thing": {}, "New": {}, "Bad": {"DependsOn": "New", "Create": FAILING}}
    assert things.update(changed) == "UPDATE_ROLLBACK_COMPLETE"
    order = [(r["RequestType"], r["LogicalResourceId"]) for r in things.requests()]
    assert order == [
        ("Create", "Thing"),
        ("Create", "New"),
        ("Create", "Bad"),
        ("Delete", "Bad"),
        ("Delete", "New"),
    ]
    assert "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS" in statuses(things.stack)


# --- Policies ---


def test_what_is_to_be_retained_is_retained(aws: LocalAws, stack: Try) -> None:
    name = f"/{fresh()}"
    kept = {**parameter(Name=name), "DeletionPolicy": "Retain"}
    stack.create({"Kept": kept})
    assert stack.delete() == "DELETE_COMPLETE"
    assert ("Kept", "DELETE_SKIPPED", "") in stack.events()
    assert name in aws.admin.inventory()["ssm"]["parameters"]
    aws.client("ssm").delete_parameter(Name=name)


def test_what_is_retained_except_on_create_goes_in_a_rollback(aws: LocalAws, stack: Try) -> None:
    name = f"/{fresh()}"
    kept = {**parameter(Name=name), "DeletionPolicy": "RetainExceptOnCreate"}
    bad = {"Type": "AWS::IAM::InstanceProfile", "Properties": {"Roles": ["nobody"]}}
    assert stack.create({"Kept": kept, "Bad": {**bad, "DependsOn": "Kept"}}) == "ROLLBACK_COMPLETE"
    assert name not in aws.admin.inventory()["ssm"]["parameters"]


def test_what_is_replaced_may_be_retained(aws: LocalAws, stack: Try) -> None:
    old, new = f"/{fresh()}", f"/{fresh()}"
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
                "AssertDescription": "What is fast is not small.",
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


def try_sized(act: Callable[..., str], **given: str) -> str:
    return act(SIZED, given, Parameters=PARAMETERS, Rules=RULES)


def test_a_rule_is_asked_on_create_and_on_update(stack: Try) -> None:
    code, message = refusal(lambda: try_sized(stack.create, pFast="true"))
    assert (code, "What is fast is not small." in message) == ("ValidationError", True)
    assert try_sized(stack.create, pFast="true", pSize="big") == "CREATE_COMPLETE"
    code, message = refusal(lambda: try_sized(stack.update, pFast="true"))
    assert (code, "What is fast is not small." in message) == ("ValidationError", True)


def test_a_parameter_has_to_match_its_pattern(stack: Try) -> None:
    code, message = refusal(lambda: try_sized(stack.create, pSize="BIG"))
    assert (code, "must be lower case" in message) == ("ValidationError", True)


def test_a_parameter_has_to_be_one_of_its_values(stack: Try) -> None:
    code, _ = refusal(lambda: try_sized(stack.create, pFast="maybe"))
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
def test_a_parameter_that_names_something_needs_it_to_exist(
    stack: Try, kind: str, value: str
) -> None:
    code, message = refusal(
        lambda: stack.create(
            {"It": parameter()}, {"pIt": value}, Parameters={"pIt": {"Type": kind}}
        )
    )
    assert (code, f"{value} " in message) == ("ValidationError", True)
