from __future__ import annotations

import itertools

import pytest

from localaws.client import LocalAws
from rehearsal.checks import invariants
from tests.localaws.ministack.custom_resource_function import CODE, Things
from tests.localaws.ministack.support import Json, Try, function

# --- What is asked ---


def test_a_request_says_what_aws_says_and_all_properties_as_strings(things: Things) -> None:
    given = {"Number": 1, "Flag": True, "List": [1, False], "Deep": {"Half": 0.5}}
    assert things.create(**given) == "CREATE_COMPLETE"
    (request,) = things.requests()
    properties = request["ResourceProperties"]
    assert properties.pop("ServiceToken") == request["ServiceToken"]
    assert properties == {
        "Number": "1",
        "Flag": "true",
        "List": ["1", "false"],
        "Deep": {"Half": "0.5"},
    }
    assert request["RequestType"] == "Create"
    assert request["StackId"] == things.stack.id
    assert (request["LogicalResourceId"], request["ResourceType"]) == ("Thing", "Custom::Thing")
    assert request["ResponseURL"].startswith("https://")
    assert "PhysicalResourceId" not in request


def test_an_update_says_what_the_properties_were(things: Things) -> None:
    things.create(Size="1")
    assert things.update(Size="2") == "UPDATE_COMPLETE"
    update = things.requests()[-1]
    assert update["RequestType"] == "Update"
    assert update["PhysicalResourceId"] == "thing-1"
    assert update["OldResourceProperties"]["Size"] == "1"
    assert update["ResourceProperties"]["Size"] == "2"


def test_a_thing_is_not_asked_to_update_while_its_properties_stay(things: Things) -> None:
    things.create({"Thing": {"Size": "1"}, "Other": {"Size": "1"}})
    assert things.update({"Thing": {"Size": "1"}, "Other": {"Size": "2"}}) == "UPDATE_COMPLETE"
    assert [
        request["LogicalResourceId"]
        for request in things.requests()
        if request["RequestType"] == "Update"
    ] == ["Other"]


def test_deletion_says_the_physical_id(things: Things) -> None:
    things.create(Create={"Answer": {"PhysicalResourceId": "mine"}})
    assert things.stack.delete() == "DELETE_COMPLETE"
    assert [r.get("PhysicalResourceId") for r in things.requests()] == [None, "mine"]


# --- What is answered ---


def test_data_and_physical_id_can_be_referred_to(things: Things) -> None:
    how = {"Answer": {"PhysicalResourceId": "mine", "Data": {"Size": "big", "Deep.Er": "x"}}}
    outputs = {
        "Id": {"Value": {"Ref": "Thing"}},
        "Size": {"Value": {"Fn::GetAtt": ["Thing", "Size"]}},
        "Deeper": {"Value": {"Fn::GetAtt": ["Thing", "Deep.Er"]}},
    }
    stack = things.stack
    created = stack.create(things.resources({"Thing": {"Create": how}}), Outputs=outputs)
    assert created == "CREATE_COMPLETE"
    assert [stack.output(key) for key in outputs] == ["mine", "big", "x"]


def test_data_that_was_not_answered_cannot_be_referred_to(things: Things) -> None:
    others = {"Thing": {}, "Other": {"Size": {"Fn::GetAtt": ["Thing", "Size"]}}}
    assert things.create(others) == "ROLLBACK_COMPLETE"
    assert "attribute Size does not exist" in things.stack.reason("Other")


def test_a_failure_is_told_with_its_reason(things: Things) -> None:
    how = {"Answer": {"Status": "FAILED", "Reason": "QuotaExceeded: no more."}}
    assert things.create(Create=how) == "ROLLBACK_COMPLETE"
    assert things.stack.reason("Thing").startswith(
        "Received response status [FAILED] from custom resource. Message returned: "
        "QuotaExceeded: no more. (RequestId: "
    )


INVALID = {
    "too long": ({"Answer": {"Data": {"Text": "x" * 4096}}}, "Response object is too long."),
    "no JSON": ({"Raw": "{"}, "Invalid Json response"),
    "another status": ({"Answer": {"Status": "DONE"}}, "Status must be"),
    "no physical id": ({"Answer": {"PhysicalResourceId": "absent"}}, "Invalid PhysicalResourceId"),
    "an empty physical id": ({"Answer": {"PhysicalResourceId": ""}}, "Invalid PhysicalResourceId"),
    "a long physical id": (
        {"Answer": {"PhysicalResourceId": "x" * 1025}},
        "Invalid PhysicalResourceId",
    ),
    "another request": ({"Answer": {"RequestId": "other"}}, "RequestId is not that"),
    "a failure without reason": ({"Answer": {"Status": "FAILED"}}, "needs a Reason"),
    "data that is no object": ({"Answer": {"Data": "text"}}, "Data must be an object"),
}


@pytest.mark.parametrize(("how", "problem"), INVALID.values(), ids=INVALID)
def test_an_invalid_answer_fails_the_resource(things: Things, how: Json, problem: str) -> None:
    assert things.create(Create=how) == "ROLLBACK_COMPLETE"
    assert problem in things.stack.reason("Thing")


def test_an_answer_with_a_content_type_is_not_accepted(things: Things) -> None:
    how = {"ContentType": "application/json"}
    assert things.create(ServiceTimeout=600, Create=how) == "ROLLBACK_COMPLETE"
    assert "did not receive a response" in things.stack.reason("Thing")
    # urllib raised, so Lambda tried twice more.
    assert things.asked() == ["Create"] * 3 + ["Delete"]


def test_the_longest_answer_is_accepted(things: Things) -> None:
    how = {"Answer": {"PhysicalResourceId": "x" * 1024, "Data": {"Text": "x" * 2000}}}
    assert things.create(Create=how) == "CREATE_COMPLETE"


# --- When nothing is answered ---


def test_no_answer_fails_after_the_service_timeout(things: Things) -> None:
    assert things.create(ServiceTimeout=120, Create={"Silent": "yes"}) == "ROLLBACK_COMPLETE"
    assert things.stack.reason("Thing").startswith(
        "CloudFormation did not receive a response from your Custom Resource."
    )
    assert things.seconds("CREATE_IN_PROGRESS", "CREATE_FAILED") == 120


def test_no_answer_fails_after_an_hour_unless_told_otherwise(things: Things) -> None:
    assert things.create(Create={"Silent": "yes"}) == "ROLLBACK_COMPLETE"
    assert things.seconds("CREATE_IN_PROGRESS", "CREATE_FAILED") == 3600


@pytest.mark.parametrize("seconds", [0, 3601])
def test_a_service_timeout_is_a_second_to_an_hour(things: Things, seconds: int) -> None:
    assert things.create(ServiceTimeout=seconds) == "ROLLBACK_COMPLETE"
    assert "ServiceTimeout" in things.stack.reason("Thing")


def test_a_function_that_fails_is_tried_again_after_one_and_two_minutes(things: Things) -> None:
    how = {"Crash": "no"}
    assert things.create(ServiceTimeout=1000, Create=how) == "ROLLBACK_COMPLETE"
    invoked = things.invoked()
    # The fourth is the Delete.
    assert [after - before for before, after in itertools.pairwise(invoked)][:2] == [60, 120]
    requests = things.requests()
    assert things.asked() == ["Create"] * 3 + ["Delete"]
    assert len({request["RequestId"] for request in requests[:3]}) == 1


def test_a_function_that_is_not_to_be_retried_is_not(things: Things) -> None:
    resources = things.resources({"Thing": {"ServiceTimeout": 600, "Create": {"Crash": "no"}}})
    resources["Once"] = {
        "Type": "AWS::Lambda::EventInvokeConfig",
        "Properties": {
            "FunctionName": {"Ref": "Function"},
            "Qualifier": "$LATEST",
            "MaximumRetryAttempts": 0,
        },
    }
    resources["Thing"]["DependsOn"] = "Once"
    assert things.stack.create(resources) == "ROLLBACK_COMPLETE"
    assert things.asked() == ["Create", "Delete"]


def test_a_function_that_is_not_there_fails_the_resource(stack: Try) -> None:
    token = "arn:aws:lambda:us-east-1:123456789012:function:nobody"
    thing = {"Type": "Custom::Thing", "Properties": {"ServiceToken": token}}
    assert stack.create({"Thing": thing}) == "ROLLBACK_COMPLETE"
    assert "Function not found" in stack.reason("Thing")


# --- Failed creations ---


def test_what_failed_to_be_created_is_deleted_by_the_id_it_answered(things: Things) -> None:
    how = {"Answer": {"Status": "FAILED", "Reason": "no", "PhysicalResourceId": "half-made"}}
    assert things.create(Create=how) == "ROLLBACK_COMPLETE"
    create, delete = things.requests()
    assert delete["RequestType"] == "Delete"
    assert delete["PhysicalResourceId"] == "half-made"
    assert delete["RequestId"] != create["RequestId"]


def test_what_never_answered_is_deleted_by_an_id_of_cloudformation(things: Things) -> None:
    things.create(ServiceTimeout=60, Create={"Silent": "yes"})
    delete = things.requests()[-1]
    assert delete["RequestType"] == "Delete"
    assert delete["PhysicalResourceId"].startswith(f"{things.stack.name}-Thing-")


# --- Updates ---


def test_another_physical_id_means_that_the_old_thing_is_deleted(things: Things) -> None:
    things.create(Size="1")
    how = {"Answer": {"PhysicalResourceId": "thing-2"}}
    assert things.update(Size="2", Update=how) == "UPDATE_COMPLETE"
    asked = [(r["RequestType"], r.get("PhysicalResourceId")) for r in things.requests()]
    assert asked == [("Create", None), ("Update", "thing-1"), ("Delete", "thing-1")]
    delete = things.requests()[-1]
    assert delete["ResourceProperties"]["Size"] == "1"
    assert things.stack.physical_id("Thing") == "thing-2"
    *_, update, cleanup, deleting, deleted, done = [
        status for _, status, _ in things.stack.events()
    ]
    assert (update, cleanup) == ("UPDATE_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
    assert (deleting, deleted, done) == ("DELETE_IN_PROGRESS", "DELETE_COMPLETE", "UPDATE_COMPLETE")


def test_another_service_token_is_refused(things: Things) -> None:
    things.create(Size="1")
    resources = things.resources({"Thing": {"Size": "1"}})
    resources["Another"] = function(CODE)
    resources["Thing"]["Properties"]["ServiceToken"] = {"Fn::GetAtt": ["Another", "Arn"]}
    assert things.stack.update(resources) == "UPDATE_ROLLBACK_COMPLETE"
    assert things.stack.reason("Thing") == "Modifying service token is not allowed."
    assert things.asked() == ["Create"]


def test_a_failed_update_is_followed_by_an_update_back(things: Things) -> None:
    things.create(Size="1")
    how = {"Answer": {"Status": "FAILED", "Reason": "no"}}
    assert things.update(Size="2", Update=how) == "UPDATE_ROLLBACK_COMPLETE"
    create, update, back = things.requests()
    assert back["RequestType"] == "Update"
    assert back["ResourceProperties"] == create["ResourceProperties"]
    assert back["OldResourceProperties"] == update["ResourceProperties"]


def test_an_update_back_that_fails_as_well_ends_in_what_our_laws_forbid(
    aws: LocalAws, things: Things
) -> None:
    how = {"Answer": {"Status": "FAILED", "Reason": "no"}}
    things.create(Size="1", Update=how)
    assert invariants.violations(told_of(aws, things)) == []
    assert things.update(Size="2", Update=how) == "UPDATE_ROLLBACK_FAILED"
    assert invariants.violations(told_of(aws, things)) == [
        f"stack {things.stack.name} ended in UPDATE_ROLLBACK_FAILED"
    ]


def told_of(aws: LocalAws, things: Things) -> list[Json]:
    return [event for event in aws.admin.event_log() if event.get("stack") == things.stack.name]


# --- Deliveries that come again ---


def test_a_request_may_be_delivered_twice(aws: LocalAws, things: Things) -> None:
    aws.admin.fault({"deliver": "twice", "request": "Create"})
    assert things.create() == "CREATE_COMPLETE"
    first, second = things.requests()
    assert first == second


def test_a_request_may_be_delivered_again_after_another(aws: LocalAws, things: Things) -> None:
    aws.admin.fault({"deliver": "twice", "request": "Create", "after": "Delete"})
    things.create()
    assert things.stack.delete() == "DELETE_COMPLETE"
    assert things.asked() == ["Create", "Delete", "Create"]


def test_a_late_answer_does_no_harm(things: Things) -> None:
    how = {"Sleep": "100"}
    assert things.create(ServiceTimeout=60, Create=how) == "ROLLBACK_COMPLETE"
    things.stack.aws.admin.advance(100)
    assert things.stack.status() == "ROLLBACK_COMPLETE"
