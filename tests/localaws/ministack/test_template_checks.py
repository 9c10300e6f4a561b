from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from localaws.client import LocalAws
from tests.localaws.ministack.support import Json, SampleStack, error_from, role, unique_name

GROUP = {"Type": "AWS::Logs::LogGroup"}
PARAMETER = {
    "Type": "AWS::SSM::Parameter",
    "Properties": {"Type": "String", "Value": {"Ref": "Group"}},
}


def create(aws: LocalAws, resources: Json, **sections: Any) -> tuple[str, str]:
    """The error of CreateStack; the stack must not exist then."""
    name = unique_name()
    error = error_from(
        aws.client("cloudformation").create_stack,
        StackName=name,
        TemplateBody=json.dumps({"Resources": resources, **sections}),
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    missing, _ = error_from(aws.client("cloudformation").describe_stacks, StackName=name)
    assert missing == "ValidationError"
    return error


def function(**properties: Any) -> Json:
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Code": {"ZipFile": "def handler(e, c): pass"},
            "Handler": "index.handler",
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            "Runtime": "python3.13",
            **properties,
        },
    }


# --- Templates ---


@pytest.mark.parametrize(
    ("resources", "sections", "message"),
    [
        (
            {
                "B": {**PARAMETER, "DependsOn": "A"},
                "A": {**GROUP, "DependsOn": "B"},
                "Group": GROUP,
            },
            {},
            "Circular dependency between resources: [A, B]",
        ),
        (
            {"Group": {**GROUP, "Properties": {"LogGroupName": {"Ref": "Nothing"}}}},
            {},
            "Template format error: Unresolved resource dependencies [Nothing] in the Resources "
            "block of the template",
        ),
        (
            {"Group": {**GROUP, "DependsOn": ["Nothing"]}},
            {},
            "Unresolved resource dependencies [Nothing] in the Resources block",
        ),
        (
            {"Group": GROUP},
            {"Outputs": {"O": {"Value": {"Fn::Sub": "${Nothing.Arn}"}}}},
            "Unresolved resource dependencies [Nothing] in the Outputs block",
        ),
        (
            {"Group": {**GROUP, "Condition": "Never"}},
            {},
            "Unresolved condition dependency Never in the Resources block",
        ),
        (
            {"Group": GROUP},
            {"Outputs": {"O": {"Value": {"Fn::GetAtt": ["Group", "Colour"]}}}},
            "Template error: resource Group does not support attribute type Colour in Fn::GetAtt",
        ),
        (
            {"Group": {**GROUP, "Propertys": {}}},
            {},
            "Invalid template resource property 'Propertys'",
        ),
        ({"Group": GROUP}, {"Outputz": {}}, "Invalid template property or properties [Outputz]"),
        ({"Group-1": GROUP}, {}, "Resource name Group-1 is non alphanumeric."),
        (
            {"Group": {}},
            {},
            "[/Resources/Group] Every Resources object must contain a Type member.",
        ),
        (
            {"Group": {**GROUP, "Properties": {"LogGroupName": None}}},
            {},
            "[/Resources/Group/Properties/LogGroupName] 'null' values are not allowed in templates",
        ),
        (
            {"Group": {**GROUP, "Properties": {"LogGroupName": {"Fn::If": ["No", "a", "b"]}}}},
            {},
            "Unresolved condition dependency No in the Resources block",
        ),
        (
            {"Group": {**GROUP, "Properties": {"LogGroupName": {"Fn::Foo": "x"}}}},
            {},
            "Encountered unsupported function: Fn::Foo",
        ),
        ({"Group": {**GROUP, "DeletionPolicy": "Keep"}}, {}, "Unrecognized DeletionPolicy Keep"),
        (
            {"Group": GROUP},
            {"Parameters": {"Days": {"Type": "Strng", "Default": "x"}}},
            "Unrecognized parameter type: Strng",
        ),
        (
            {"Group": GROUP},
            {"Parameters": {"Days": {"Type": "String", "Default": "x", "Foo": "x"}}},
            "Invalid template parameter property 'Foo'",
        ),
        (
            {"Group": GROUP},
            {"Parameters": {"Group": {"Type": "String", "Default": "x"}}},
            "Duplicate name [Group] in the Parameters and Resources blocks",
        ),
        ({"Group": GROUP}, {"Outputs": {"O": {}}}, "Every Outputs object must contain a Value"),
        (
            {"Group": GROUP},
            {"Conditions": {"C": {"Fn::Equals": [{"Ref": "Group"}, "x"]}}},
            "Cannot reference resources in the Conditions block of the template",
        ),
        (
            {"Group": {"Type": "AWS::Logs::LogGrop"}},
            {},
            "Template format error: Unrecognized resource types: [AWS::Logs::LogGrop]",
        ),
    ],
)
def test_an_invalid_template_is_refused_before_a_stack_exists(
    aws: LocalAws, resources: Json, sections: Json, message: str
) -> None:
    code, found = create(aws, resources, **sections)
    assert (code, message in found) == ("ValidationError", True), found


def test_a_parameter_that_the_template_lacks_is_refused(aws: LocalAws, stack: SampleStack) -> None:
    code, message = error_from(
        aws.client("cloudformation").create_stack,
        StackName=stack.name,
        TemplateBody=json.dumps({"Resources": {"Group": GROUP}}),
        Parameters=[{"ParameterKey": "pDays", "ParameterValue": "1"}],
    )
    assert (code, message) == (
        "ValidationError",
        "Parameters: [pDays] do not exist in the template",
    )


def test_an_update_with_a_circular_dependency_changes_nothing(
    aws: LocalAws, stack: SampleStack
) -> None:
    stack.create({"Group": GROUP})
    circular = {"Group": {**GROUP, "DependsOn": "B"}, "B": {**GROUP, "DependsOn": "Group"}}
    code, message = error_from(
        aws.client("cloudformation").update_stack,
        StackName=stack.id,
        TemplateBody=json.dumps({"Resources": circular}),
    )
    assert (code, message) == (
        "ValidationError",
        "Circular dependency between resources: [B, Group]",
    )
    assert stack.status() == "CREATE_COMPLETE"


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        ({"Type": "AWS::SQS::Queue"}, "the resource type AWS::SQS::Queue of It"),
        ({**GROUP, "CreationPolicy": {"ResourceSignal": {}}}, "the CreationPolicy of It"),
        ({**GROUP, "UpdatePolicy": {}}, "the UpdatePolicy of It"),
        (function(Layers=["x"], Role="x"), "the property Layers of AWS::Lambda::Function"),
    ],
)
def test_what_the_local_aws_cannot_emulate_is_refused_by_name(
    aws: LocalAws, resource: Json, name: str
) -> None:
    code, message = create(aws, {"It": resource})
    assert (code, f"The local AWS does not offer {name}" in message) == ("NotImplemented", True)


def test_a_property_without_a_value_is_none(stack: SampleStack) -> None:
    nothing = {"Fn::If": ["Never", ["x"], {"Ref": "AWS::NoValue"}]}
    resources = {"Role": role("lambda"), "It": function(Layers=nothing)}
    conditions = {"Never": {"Fn::Equals": ["a", "b"]}}
    assert stack.create(resources, Conditions=conditions) == "CREATE_COMPLETE"


# --- Properties ---


INVALID: list[tuple[Json, str]] = [
    (function(Color="red"), "It#: extraneous key [Color] is not permitted"),
    (function(Runtime="banana"), "It#/Runtime: banana is not a valid enum value"),
    (function(MemorySize=50), "It#/MemorySize: 50 is not greater or equal to 128"),
    (function(FunctionName="f" * 70), "It#/FunctionName: string [ffff"),
    (function(Environment={"Variables": []}), "It#/Environment/Variables: expected type: object"),
    (
        {
            "Type": "AWS::IAM::Role",
            "Properties": {**role("lambda")["Properties"], "RoleName": "r" * 70},
        },
        "It#/RoleName: expected maxLength: 64, actual: 70",
    ),
    (
        {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 4}},
        "It#/RetentionInDays: 4 is not a valid enum value",
    ),
    (
        {"Type": "AWS::Logs::LogGroup", "Properties": {"Arn": "arn"}},
        "It#: extraneous key [Arn] is not permitted",
    ),
    ({"Type": "AWS::SSM::Document"}, "It#: required key [Content] not found"),
    (
        {"Type": "AWS::CloudFormation::CustomResource"},
        "It#: required key [ServiceToken] not found",
    ),
]


@pytest.mark.parametrize(("resource", "problem"), INVALID)
def test_invalid_properties_fail_a_stack_before_anything_is_created(
    stack: SampleStack, resource: Json, problem: str
) -> None:
    assert stack.create({"Role": role("lambda"), "It": resource}) == "ROLLBACK_COMPLETE"
    assert problem in "".join(stack.invalid_properties())
    assert {logical_id for logical_id, _, _ in stack.events()} == {stack.name}


def test_invalid_properties_fail_an_update_before_anything_changes(stack: SampleStack) -> None:
    stack.create({"Group": GROUP})
    before = stack.events("Group")
    changed = {"Group": {**GROUP, "Properties": {"RetentionInDays": 4}}}
    assert stack.update(changed) == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.events("Group") == before


def test_invalid_properties_fail_a_change_set(aws: LocalAws, stack: SampleStack) -> None:
    stack.create({"Group": GROUP})
    client = aws.client("cloudformation")
    changed = {"Group": {**GROUP, "Properties": {"RetentionInDays": 4}}}
    client.create_change_set(
        StackName=stack.name,
        ChangeSetName="invalid",
        TemplateBody=json.dumps({"Resources": changed}),
    )
    found = client.describe_change_set(StackName=stack.name, ChangeSetName="invalid")
    assert (found["Status"], found["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert "AWS::EarlyValidation::PropertyValidation" in found["StatusReason"]
    assert stack.invalid_properties() == ["Group#/RetentionInDays: 4 is not a valid enum value"]


def test_a_value_known_only_during_deployment_is_checked_before_the_handler_is_called(
    stack: SampleStack,
) -> None:
    resources = {
        "Role": role("lambda"),
        # The ARN of a log group where that of a role must be.
        "Group": GROUP,
        "It": function(Role={"Fn::GetAtt": ["Group", "Arn"]}),
    }
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert "Properties validation failed for resource It with message:" in stack.reason("It")
    assert "#/Role: string [arn:aws:logs:" in stack.reason("It")


def test_a_rule_that_only_prose_documents_fails_the_resource(stack: SampleStack) -> None:
    folded = {"GroupDescription": "One line.\n", "VpcId": stack.aws.vpc}
    resources = {"It": {"Type": "AWS::EC2::SecurityGroup", "Properties": folded}}
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert "Invalid security group description" in stack.reason("It")


def test_numbers_and_booleans_may_be_strings(stack: SampleStack) -> None:
    resources = {"Role": role("lambda"), "It": function(MemorySize="256", Timeout="3")}
    assert stack.create(resources) == "CREATE_COMPLETE"


def test_values_that_depend_on_conditions_and_parameters_are_resolved_first(
    stack: SampleStack,
) -> None:
    properties = {
        "RetentionInDays": {"Fn::If": ["Long", {"Ref": "Days"}, {"Ref": "AWS::NoValue"}]},
        "LogGroupName": {"Fn::Sub": "/try/${AWS::StackName}"},
    }
    resources = {"Group": {**GROUP, "Properties": properties}}
    sections: Json = {
        "Parameters": {"Days": {"Type": "Number", "Default": 4}},
        "Conditions": {"Long": {"Fn::Equals": [{"Ref": "Days"}, "4"]}},
    }
    assert stack.create(resources, {"Days": "3"}, **sections) == "CREATE_COMPLETE"
    assert stack.update(resources, {"Days": "4"}, **sections) == "UPDATE_ROLLBACK_COMPLETE"


def test_disable_validation_leaves_the_check_to_the_deployment(
    aws: LocalAws, stack: SampleStack
) -> None:
    resources = {"Group": GROUP, "It": {**GROUP, "Properties": {"Color": "red"}}}
    create_stack: Callable[..., Any] = aws.client("cloudformation").create_stack
    stack.id = create_stack(
        StackName=stack.name,
        TemplateBody=json.dumps({"Resources": resources}),
        DisableValidation=True,
    )["StackId"]
    assert stack.wait() == "ROLLBACK_COMPLETE"
    assert "#: extraneous key [Color] is not permitted" in stack.reason("It")
