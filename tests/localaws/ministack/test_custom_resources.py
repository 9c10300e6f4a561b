from __future__ import annotations

import datetime as dt
import itertools
from urllib.parse import parse_qs, urlsplit

import pytest

from localaws.client import LocalAws
from rehearsal.checks import invariants
from tests.localaws.ministack.custom_resource_function import CODE, CustomResourceStack
from tests.localaws.ministack.support import Json, SampleStack, function, role

# --- The module cfnresponse ---

RESPOND = """
import cfnresponse

def handler(event, context):
    if event["RequestType"] == "Update":
        cfnresponse.send(event, context, cfnresponse.FAILED, {}, "mine", reason="no update")
    else:
        cfnresponse.send(event, context, cfnresponse.SUCCESS, {"Word": "one"}, "mine")
"""
LOG_STREAM = """
import cfnresponse

def handler(event, context):
    cfnresponse.send(event, context, cfnresponse.SUCCESS, {})
    print("sent")
"""


def responding(code: str, **properties: str) -> Json:
    token = {"ServiceToken": {"Fn::GetAtt": ["Function", "Arn"]}}
    return {
        "FunctionRole": role("lambda", everything=True),
        "Function": function(code),
        "It": {"Type": "Custom::It", "Properties": {**token, **properties}},
    }


def test_inline_code_can_respond_by_the_module_cfnresponse(stack: SampleStack) -> None:
    outputs = {"Word": {"Value": {"Fn::GetAtt": ["It", "Word"]}}}
    assert stack.create(responding(RESPOND), Outputs=outputs) == "CREATE_COMPLETE"
    assert (stack.physical_id("It"), stack.output("Word")) == ("mine", "one")
    assert stack.update(responding(RESPOND, Size="2"), Outputs=outputs) == "UPDATE_ROLLBACK_FAILED"
    assert "no update" in stack.reason("It")


def test_without_an_id_cfnresponse_sends_the_name_of_the_log_stream(stack: SampleStack) -> None:
    assert stack.create(responding(LOG_STREAM)) == "CREATE_COMPLETE"
    assert "[$LATEST]" in stack.physical_id("It")


def test_only_the_documented_import_statement_adds_cfnresponse(stack: SampleStack) -> None:
    code = RESPOND.replace("import cfnresponse", "import cfnresponse as response")
    resources = responding(code.replace("cfnresponse.", "response."))
    del resources["It"]
    stack.create(resources)
    assert stack.invoke("Function", {})["payload"]["errorType"] == "Runtime.ImportModuleError"


def test_inline_code_is_in_a_file_named_index(stack: SampleStack) -> None:
    resources = {
        "FunctionRole": role("lambda"),
        "Function": function("def handler(e, c): pass", Handler="app.handler"),
    }
    stack.create(resources)
    assert stack.invoke("Function", {})["payload"]["errorType"] == "Runtime.ImportModuleError"


# --- Requests ---


def test_a_request_has_the_documented_fields_and_string_properties(
    custom: CustomResourceStack,
) -> None:
    given = {"Number": 1, "Flag": True, "List": [1, False], "Deep": {"Half": 0.5}}
    assert custom.create(**given) == "CREATE_COMPLETE"
    (request,) = custom.requests()
    properties = request["ResourceProperties"]
    assert properties.pop("ServiceToken") == request["ServiceToken"]
    assert properties == {
        "Number": "1",
        "Flag": "true",
        "List": ["1", "false"],
        "Deep": {"Half": "0.5"},
    }
    assert request["RequestType"] == "Create"
    assert request["StackId"] == custom.stack.id
    assert (request["LogicalResourceId"], request["ResourceType"]) == ("Example", "Custom::Example")
    assert request["ResponseURL"].startswith("https://")
    assert "PhysicalResourceId" not in request


def test_an_update_request_has_the_old_properties(custom: CustomResourceStack) -> None:
    custom.create(Size="1")
    assert custom.update(Size="2") == "UPDATE_COMPLETE"
    update = custom.requests()[-1]
    assert update["RequestType"] == "Update"
    assert update["PhysicalResourceId"] == "example-1"
    assert update["OldResourceProperties"]["Size"] == "1"
    assert update["ResourceProperties"]["Size"] == "2"


def test_a_resource_with_unchanged_properties_gets_no_update_request(
    custom: CustomResourceStack,
) -> None:
    custom.create({"Example": {"Size": "1"}, "Other": {"Size": "1"}})
    assert custom.update({"Example": {"Size": "1"}, "Other": {"Size": "2"}}) == "UPDATE_COMPLETE"
    assert [
        request["LogicalResourceId"]
        for request in custom.requests()
        if request["RequestType"] == "Update"
    ] == ["Other"]


def test_a_delete_request_has_the_physical_id(custom: CustomResourceStack) -> None:
    custom.create(Create={"Response": {"PhysicalResourceId": "mine"}})
    assert custom.stack.delete() == "DELETE_COMPLETE"
    assert [r.get("PhysicalResourceId") for r in custom.requests()] == [None, "mine"]


# --- Responses ---


def test_ref_and_getatt_return_the_physical_id_and_data(custom: CustomResourceStack) -> None:
    behavior = {"Response": {"PhysicalResourceId": "mine", "Data": {"Size": "big", "Deep.Er": "x"}}}
    outputs = {
        "Id": {"Value": {"Ref": "Example"}},
        "Size": {"Value": {"Fn::GetAtt": ["Example", "Size"]}},
        "Deeper": {"Value": {"Fn::GetAtt": ["Example", "Deep.Er"]}},
    }
    stack = custom.stack
    created = stack.create(custom.resources({"Example": {"Create": behavior}}), Outputs=outputs)
    assert created == "CREATE_COMPLETE"
    assert [stack.output(key) for key in outputs] == ["mine", "big", "x"]


def test_getatt_of_missing_data_fails(custom: CustomResourceStack) -> None:
    others = {"Example": {}, "Other": {"Size": {"Fn::GetAtt": ["Example", "Size"]}}}
    assert custom.create(others) == "ROLLBACK_COMPLETE"
    assert "attribute Size does not exist" in custom.stack.reason("Other")


def test_a_failure_is_reported_with_its_reason(custom: CustomResourceStack) -> None:
    behavior = {"Response": {"Status": "FAILED", "Reason": "QuotaExceeded: no more."}}
    assert custom.create(Create=behavior) == "ROLLBACK_COMPLETE"
    assert custom.stack.reason("Example").startswith(
        "Received response status [FAILED] from custom resource. Message returned: "
        "QuotaExceeded: no more. (RequestId: "
    )


INVALID = {
    "too long": ({"Response": {"Data": {"Text": "x" * 4096}}}, "Response object is too long."),
    "no JSON": ({"Raw": "{"}, "Invalid Json response"),
    "another status": ({"Response": {"Status": "DONE"}}, "Status must be"),
    "no physical id": (
        {"Response": {"PhysicalResourceId": "absent"}},
        "Invalid PhysicalResourceId",
    ),
    "an empty physical id": (
        {"Response": {"PhysicalResourceId": ""}},
        "Invalid PhysicalResourceId",
    ),
    "a long physical id": (
        {"Response": {"PhysicalResourceId": "x" * 1025}},
        "Invalid PhysicalResourceId",
    ),
    "another request": ({"Response": {"RequestId": "other"}}, "RequestId is not that"),
    "a failure without reason": ({"Response": {"Status": "FAILED"}}, "needs a Reason"),
    "data that is no object": ({"Response": {"Data": "text"}}, "Data must be an object"),
}


@pytest.mark.parametrize(("behavior", "problem"), INVALID.values(), ids=INVALID)
def test_an_invalid_response_fails_the_resource(
    custom: CustomResourceStack, behavior: Json, problem: str
) -> None:
    assert custom.create(Create=behavior) == "ROLLBACK_COMPLETE"
    assert problem in custom.stack.reason("Example")


def test_a_response_with_a_content_type_is_rejected(custom: CustomResourceStack) -> None:
    behavior = {"ContentType": "application/json"}
    assert custom.create(ServiceTimeout=600, Create=behavior) == "ROLLBACK_COMPLETE"
    assert "did not receive a response" in custom.stack.reason("Example")
    # urllib raised, so Lambda tried twice more.
    assert custom.request_types() == ["Create"] * 3 + ["Delete"]


def test_a_response_of_the_maximum_size_is_accepted(custom: CustomResourceStack) -> None:
    behavior = {"Response": {"PhysicalResourceId": "x" * 1024, "Data": {"Text": "x" * 2000}}}
    assert custom.create(Create=behavior) == "CREATE_COMPLETE"


# --- Missing responses ---


def test_a_missing_response_fails_after_the_service_timeout(custom: CustomResourceStack) -> None:
    assert custom.create(ServiceTimeout=120, Create={"Silent": "yes"}) == "ROLLBACK_COMPLETE"
    assert custom.stack.reason("Example").startswith(
        "CloudFormation did not receive a response from your Custom Resource."
    )
    assert custom.seconds("CREATE_IN_PROGRESS", "CREATE_FAILED") == 120


def test_the_default_service_timeout_is_one_hour(custom: CustomResourceStack) -> None:
    assert custom.create(Create={"Silent": "yes"}) == "ROLLBACK_COMPLETE"
    assert custom.seconds("CREATE_IN_PROGRESS", "CREATE_FAILED") == 3600


@pytest.mark.parametrize("seconds", [0, 3601])
def test_service_timeout_must_be_between_one_second_and_one_hour(
    custom: CustomResourceStack, seconds: int
) -> None:
    assert custom.create(ServiceTimeout=seconds) == "ROLLBACK_COMPLETE"
    assert "ServiceTimeout" in custom.stack.reason("Example")


def test_a_failing_function_is_retried_after_one_and_two_minutes(
    custom: CustomResourceStack,
) -> None:
    behavior = {"Crash": "no"}
    assert custom.create(ServiceTimeout=1000, Create=behavior) == "ROLLBACK_COMPLETE"
    invoked = custom.invoked()
    # The fourth is the Delete.
    assert [after - before for before, after in itertools.pairwise(invoked)][:2] == [60, 120]
    requests = custom.requests()
    assert custom.request_types() == ["Create"] * 3 + ["Delete"]
    assert len({request["RequestId"] for request in requests[:3]}) == 1


def test_a_function_without_retries_is_invoked_once(custom: CustomResourceStack) -> None:
    resources = custom.resources({"Example": {"ServiceTimeout": 600, "Create": {"Crash": "no"}}})
    resources["Once"] = {
        "Type": "AWS::Lambda::EventInvokeConfig",
        "Properties": {
            "FunctionName": {"Ref": "Function"},
            "Qualifier": "$LATEST",
            "MaximumRetryAttempts": 0,
        },
    }
    resources["Example"]["DependsOn"] = "Once"
    assert custom.stack.create(resources) == "ROLLBACK_COMPLETE"
    assert custom.request_types() == ["Create", "Delete"]


def test_a_missing_function_fails_the_resource(stack: SampleStack) -> None:
    token = "arn:aws:lambda:us-east-1:123456789012:function:missing"
    thing = {"Type": "Custom::Example", "Properties": {"ServiceToken": token}}
    assert stack.create({"Example": thing}) == "ROLLBACK_COMPLETE"
    assert "Function not found" in stack.reason("Example")


# --- Failed creates ---


def test_a_failed_create_is_deleted_with_the_physical_id_in_its_response(
    custom: CustomResourceStack,
) -> None:
    behavior = {
        "Response": {"Status": "FAILED", "Reason": "no", "PhysicalResourceId": "incomplete"}
    }
    assert custom.create(Create=behavior) == "ROLLBACK_COMPLETE"
    create, delete = custom.requests()
    assert delete["RequestType"] == "Delete"
    assert delete["PhysicalResourceId"] == "incomplete"
    assert delete["RequestId"] != create["RequestId"]


def test_a_create_without_response_is_deleted_with_a_generated_id(
    custom: CustomResourceStack,
) -> None:
    custom.create(ServiceTimeout=60, Create={"Silent": "yes"})
    delete = custom.requests()[-1]
    assert delete["RequestType"] == "Delete"
    assert delete["PhysicalResourceId"].startswith(f"{custom.stack.name}-Example-")


# --- Updates ---


def test_a_new_physical_id_deletes_the_old_resource_in_the_cleanup(
    custom: CustomResourceStack,
) -> None:
    custom.create(Size="1")
    behavior = {"Response": {"PhysicalResourceId": "example-2"}}
    assert custom.update(Size="2", Update=behavior) == "UPDATE_COMPLETE"
    sent = [(r["RequestType"], r.get("PhysicalResourceId")) for r in custom.requests()]
    assert sent == [("Create", None), ("Update", "example-1"), ("Delete", "example-1")]
    delete = custom.requests()[-1]
    assert delete["ResourceProperties"]["Size"] == "1"
    assert custom.stack.physical_id("Example") == "example-2"
    *_, update, cleanup, deleting, deleted, done = [
        status for _, status, _ in custom.stack.events()
    ]
    assert (update, cleanup) == ("UPDATE_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
    assert (deleting, deleted, done) == ("DELETE_IN_PROGRESS", "DELETE_COMPLETE", "UPDATE_COMPLETE")


def test_a_new_service_token_is_rejected(custom: CustomResourceStack) -> None:
    custom.create(Size="1")
    resources = custom.resources({"Example": {"Size": "1"}})
    resources["Another"] = function(CODE)
    resources["Example"]["Properties"]["ServiceToken"] = {"Fn::GetAtt": ["Another", "Arn"]}
    assert custom.stack.update(resources) == "UPDATE_ROLLBACK_COMPLETE"
    assert custom.stack.reason("Example") == "Modifying service token is not allowed."
    assert custom.request_types() == ["Create"]


def test_a_failed_update_is_rolled_back_by_another_update(custom: CustomResourceStack) -> None:
    custom.create(Size="1")
    behavior = {"Response": {"Status": "FAILED", "Reason": "no"}}
    assert custom.update(Size="2", Update=behavior) == "UPDATE_ROLLBACK_COMPLETE"
    create, update, back = custom.requests()
    assert back["RequestType"] == "Update"
    assert back["ResourceProperties"] == create["ResourceProperties"]
    assert back["OldResourceProperties"] == update["ResourceProperties"]


@pytest.mark.parametrize(
    ("order", "by_new_version"),
    [("dependencies-first", False), ("custom-resources-first", True)],
)
def test_either_version_of_a_function_handles_the_rollback_s_request(
    order: str, by_new_version: bool
) -> None:
    # Which one does is open (F6.48).
    with LocalAws("--assume", f"rollback-order={order}") as aws:
        stack = SampleStack(aws)
        custom = CustomResourceStack(stack)
        custom.create(Size="1")
        resources = custom.resources(
            {"Example": {"Size": "2", "Update": {"Response": {"Status": "FAILED", "Reason": "no"}}}}
        )
        function = resources["Function"]["Properties"]
        function["Code"]["ZipFile"] = CODE.replace("print(", "print('new', ")
        assert stack.update(resources) == "UPDATE_ROLLBACK_COMPLETE"
        assert "failed to update: [Example]" in str(stack.events(stack.name))
        [*_, back] = [
            line for line in stack.logs(f"/aws/lambda/{custom.function_name}") if "{" in line
        ]
        assert back.startswith("new {") == by_new_version


def test_a_failed_rollback_ends_in_update_rollback_failed_which_breaks_an_invariant(
    aws: LocalAws, custom: CustomResourceStack
) -> None:
    behavior = {"Response": {"Status": "FAILED", "Reason": "no"}}
    custom.create(Size="1", Update=behavior)
    assert invariants.violations(events_of(aws, custom)) == []
    assert custom.update(Size="2", Update=behavior) == "UPDATE_ROLLBACK_FAILED"
    assert invariants.violations(events_of(aws, custom)) == [
        f"stack {custom.stack.name} ended in UPDATE_ROLLBACK_FAILED"
    ]


def events_of(aws: LocalAws, custom: CustomResourceStack) -> list[Json]:
    return [event for event in aws.admin.event_log() if event.get("stack") == custom.stack.name]


# --- Repeated deliveries ---


def test_a_fault_can_deliver_a_request_twice(aws: LocalAws, custom: CustomResourceStack) -> None:
    aws.admin.fault({"deliver": "twice", "request": "Create"})
    assert custom.create() == "CREATE_COMPLETE"
    first, second = custom.requests()
    assert first == second


def test_a_fault_can_deliver_a_request_again_after_a_later_one(
    aws: LocalAws, custom: CustomResourceStack
) -> None:
    aws.admin.fault({"deliver": "twice", "request": "Create", "after": "Delete"})
    custom.create()
    assert custom.stack.delete() == "DELETE_COMPLETE"
    assert custom.request_types() == ["Create", "Delete", "Create"]


def test_a_fault_can_deliver_a_request_late(aws: LocalAws, custom: CustomResourceStack) -> None:
    aws.admin.fault({"deliver": "late", "request": "Create", "seconds": 176})
    before = aws.admin.clock()["elapsed"]
    assert custom.create() == "CREATE_COMPLETE"
    assert aws.admin.clock()["elapsed"] >= before + 176
    assert custom.request_types() == ["Create"]


# --- The record of the resource ---


def record_of(custom: CustomResourceStack) -> tuple[str, dt.datetime]:
    detail = custom.stack.aws.client("cloudformation").describe_stack_resource(
        StackName=custom.stack.name, LogicalResourceId="Example"
    )["StackResourceDetail"]
    return detail["ResourceStatus"], detail["LastUpdatedTimestamp"]


def sent_at(request: Json) -> dt.datetime:
    date = parse_qs(urlsplit(request["ResponseURL"]).query)["X-Amz-Date"][0]
    return dt.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)


def test_the_record_of_a_resource_has_its_status_and_the_time_of_that(
    aws: LocalAws, custom: CustomResourceStack
) -> None:
    assert custom.create() == "CREATE_COMPLETE"
    aws.admin.advance(100)
    assert custom.update(Size="2") == "UPDATE_COMPLETE"
    create, update = custom.requests()
    assert (sent_at(update) - sent_at(create)).total_seconds() >= 100
    status, since = record_of(custom)
    assert status == "UPDATE_COMPLETE"
    assert since >= sent_at(update)


def test_a_response_after_the_timeout_is_ignored(custom: CustomResourceStack) -> None:
    behavior = {"Sleep": "100"}
    assert custom.create(ServiceTimeout=60, Create=behavior) == "ROLLBACK_COMPLETE"
    custom.stack.aws.admin.advance(100)
    assert custom.stack.status() == "ROLLBACK_COMPLETE"
