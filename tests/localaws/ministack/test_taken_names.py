from __future__ import annotations

from typing import Any

import pytest

from localaws.client import LocalAws
from localaws.ministack import offered
from tests.localaws.ministack.support import Json, SampleStack, role, unique_name

TRUST = role("lambda")["Properties"]["AssumeRolePolicyDocument"]
STATEMENT = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}
POLICY = {"Version": "2012-10-17", "Statement": [STATEMENT]}
RESOURCE_POLICY = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": '
    '"events.amazonaws.com"}, "Action": "logs:PutLogEvents", "Resource": "*"}]}'
)
CODE = "def handler(event, context): pass"
COMMAND = {"action": "aws:runShellScript", "name": "Run", "inputs": {"runCommand": ["true"]}}


# By resource type: the property with the name, its prefix, and the other properties.
NAMED: dict[str, tuple[str, str, Json]] = {
    "AWS::EC2::SecurityGroup": ("GroupName", "", {"GroupDescription": "d"}),
    "AWS::Events::EventBus": ("Name", "", {}),
    "AWS::Events::Rule": ("Name", "", {"ScheduleExpression": "rate(1 day)"}),
    "AWS::IAM::InstanceProfile": ("InstanceProfileName", "", {"Roles": []}),
    "AWS::IAM::ManagedPolicy": ("ManagedPolicyName", "", {"PolicyDocument": POLICY}),
    "AWS::IAM::Role": ("RoleName", "", {"AssumeRolePolicyDocument": TRUST}),
    "AWS::IAM::User": ("UserName", "", {}),
    "AWS::KMS::Alias": ("AliasName", "alias/", {"TargetKeyId": {"Ref": "Key"}}),
    "AWS::Lambda::Function": (
        "FunctionName",
        "",
        {
            "Code": {"ZipFile": CODE},
            "Handler": "index.handler",
            "Role": {"Fn::GetAtt": ["LambdaRole", "Arn"]},
            "Runtime": "python3.13",
        },
    ),
    "AWS::Logs::LogGroup": ("LogGroupName", "/", {}),
    "AWS::Logs::ResourcePolicy": ("PolicyName", "", {"PolicyDocument": RESOURCE_POLICY}),
    "AWS::S3::Bucket": ("BucketName", "", {}),
    "AWS::SSM::Document": (
        "Name",
        "",
        {
            "DocumentType": "Command",
            "Content": {"schemaVersion": "2.2", "mainSteps": [COMMAND]},
        },
    ),
    "AWS::SSM::Parameter": ("Name", "/", {"Type": "String", "Value": "x"}),
    "AWS::SecretsManager::Secret": ("Name", "/", {"SecretString": "x"}),
    "AWS::StepFunctions::StateMachine": (
        "StateMachineName",
        "",
        {
            "DefinitionString": '{"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}',
            "RoleArn": {"Fn::GetAtt": ["StatesRole", "Arn"]},
        },
    ),
}
NAMELESS = {
    "AWS::CDK::Metadata",
    "AWS::CloudFormation::CustomResource",
    "AWS::CloudFormation::WaitCondition",
    "AWS::CloudFormation::WaitConditionHandle",
    "AWS::EC2::Instance",
    "AWS::EC2::InternetGateway",
    "AWS::EC2::Route",
    "AWS::EC2::RouteTable",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::EC2::Subnet",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::EC2::VPC",
    "AWS::EC2::VPCEndpoint",
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::KMS::Key",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Version",
    "AWS::S3::BucketPolicy",
    # Several portfolios, products and service actions may have one name.
    "AWS::ServiceCatalog::CloudFormationProduct",
    "AWS::ServiceCatalog::LaunchRoleConstraint",
    "AWS::ServiceCatalog::LaunchTemplateConstraint",
    "AWS::ServiceCatalog::Portfolio",
    "AWS::ServiceCatalog::PortfolioPrincipalAssociation",
    "AWS::ServiceCatalog::PortfolioProductAssociation",
    "AWS::ServiceCatalog::ResourceUpdateConstraint",
    "AWS::ServiceCatalog::ServiceAction",
    "AWS::ServiceCatalog::ServiceActionAssociation",
    "AWS::ServiceCatalog::TagOption",
    "AWS::ServiceCatalog::TagOptionAssociation",
}
# Their names are those of stacks, or unique within a function, role or log group.
WITHIN_ANOTHER = {
    "AWS::IAM::Policy",
    "AWS::Lambda::Alias",
    "AWS::Logs::LogStream",
}


def resources(kind: str, name: str) -> Json:
    name_property, prefix, others = NAMED[kind]
    key_policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*"}
        ],
    }
    needed: dict[str, Json] = {
        "AWS::KMS::Alias": {
            "Key": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": key_policy}}
        },
        "AWS::Lambda::Function": {"LambdaRole": role("lambda")},
        "AWS::StepFunctions::StateMachine": {"StatesRole": role("states")},
    }
    properties: dict[str, Any] = {name_property: f"{prefix}{name}", **others}
    return {"It": {"Type": kind, "Properties": properties}, **needed.get(kind, {})}


def refusals(stack: SampleStack) -> str:
    return " ".join([*stack.invalid_properties(), *stack.reasons("It")])


def test_every_offered_type_with_a_name_is_tried() -> None:
    known = {*NAMED, *NAMELESS, *WITHIN_ANOTHER}
    assert known == offered.RESOURCE_TYPES


@pytest.mark.parametrize("kind", NAMED)
def test_a_second_stack_cannot_have_a_resource_of_the_same_name(
    aws: LocalAws, stack: SampleStack, kind: str
) -> None:
    name, second = unique_name("taken"), SampleStack(aws)
    assert stack.create(resources(kind, name)) == "CREATE_COMPLETE", stack.events()
    before = aws.admin.inventory()
    assert second.create(resources(kind, name)) == "ROLLBACK_COMPLETE"
    # Or DocumentAlreadyExists.
    assert "alreadyexists" in refusals(second).lower().replace(" ", "")
    assert second.delete() == "DELETE_COMPLETE"
    after = aws.admin.inventory()
    assert {**after, "cloudformation": ()} == {**before, "cloudformation": ()}
    assert stack.delete() == "DELETE_COMPLETE"
    third = SampleStack(aws)
    assert third.create(resources(kind, name)) == "CREATE_COMPLETE"
    assert third.delete() == "DELETE_COMPLETE"


@pytest.mark.parametrize("kind", ["AWS::IAM::Role", "AWS::SecretsManager::Secret"])
def test_a_resource_cannot_be_renamed_to_a_name_that_another_stack_has(
    aws: LocalAws, stack: SampleStack, kind: str
) -> None:
    name, second = unique_name("taken"), SampleStack(aws)
    stack.create(resources(kind, name))
    second.create(resources(kind, unique_name("free")))
    before = aws.admin.inventory()
    assert second.update(resources(kind, name)) == "UPDATE_ROLLBACK_COMPLETE"
    assert f"{name} already exists in stack {stack.id}" in second.reason("It")
    assert aws.admin.inventory()["iam"] == before["iam"]
    assert second.delete() == "DELETE_COMPLETE"


def test_a_name_that_no_stack_has_is_refused_in_the_words_of_the_handler(
    aws: LocalAws, stack: SampleStack
) -> None:
    name = unique_name("taken")
    aws.client("secretsmanager").create_secret(Name=f"/{name}", SecretString="x")
    assert stack.create(resources("AWS::SecretsManager::Secret", name)) == "ROLLBACK_COMPLETE"
    assert (
        f"Resource of type 'AWS::SecretsManager::Secret' with identifier '/{name}' already exists."
        in stack.reason("It")
    )
    aws.client("secretsmanager").delete_secret(SecretId=f"/{name}", ForceDeleteWithoutRecovery=True)
