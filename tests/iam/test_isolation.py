"""No role of a stack may touch anything of another stack, whatever it tags first.

Every action that a role allows is tried on the other stack's things, with the role's credentials.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from botocore import xform_name

from localaws.client import LocalAws
from rehearsal.drivers.key_store import KeyStoreDriver, on_stack_cluster
from rehearsal.drivers.stack import StackDriver
from rehearsal.timings import QUICK
from tests.iam.decisions import grants
from tests.iam.roles import ANYWHERE, STACK_TAG, Role, role_of_stack, stack_tags
from tests.templates.template import TEMPLATES

pytestmark = pytest.mark.long

Json = dict[str, Any]

# Services whose IAM prefix differs from their name in boto3.
SERVICES = {"cloudhsm": "cloudhsmv2", "states": "stepfunctions"}

# Granted actions that have no target in another stack, and why.
WITHOUT_TARGET = {
    "cloudformation:DescribeStacks": "reads",
    "cloudhsm:CreateCluster": "creates",
    "cloudhsm:DescribeBackups": "reads",
    "cloudhsm:DescribeClusters": "reads",
    "ec2:CreateNetworkInterface": "creates",
    "ec2:CreateSecurityGroup": "creates",
    "ec2:DescribeInstances": "reads",
    "ec2:DescribeNetworkInterfaceAttribute": "reads",
    "ec2:DescribeNetworkInterfaces": "reads",
    "ec2:DescribeSecurityGroups": "reads",
    "ec2:DescribeSubnets": "reads",
    "ec2:DescribeVpcs": "reads",
    "events:DescribeRule": "reads Step Functions' rule, one per account",
    "events:PutRule": "changes Step Functions' rule, one per account",
    "events:PutTargets": "changes Step Functions' rule, one per account",
    "iam:CreateServiceLinkedRole": "creates a role of AWS, one per account",
    "iam:GetInstanceProfile": "reads",
    "kms:CreateCustomKeyStore": "creates",
    "kms:CreateGrant": "only EC2 may use it, for the volumes of instances",
    "kms:DescribeCustomKeyStores": "reads",
    "logs:CreateLogDelivery": "creates",
    "logs:DeleteLogDelivery": "log deliveries have no names that a stack could know",
    "logs:DescribeLogGroups": "reads",
    "logs:DescribeResourcePolicies": "reads",
    "logs:GetLogDelivery": "reads",
    "logs:ListLogDeliveries": "reads",
    "logs:PutResourcePolicy": "lets AWS's delivery service write logs",
    "logs:UpdateLogDelivery": "log deliveries have no names that a stack could know",
    "s3:GetObject": "the package of pClientPkgUrl, which no stack owns",
    "secretsmanager:CreateSecret": "creates",
    "secretsmanager:DescribeSecret": "reads",
    "ssm:DescribeInstanceInformation": "reads",
    "ssm:GetParametersByPath": "reads which key store each stack claims, no secrets",
    "ssm:ListCommands": "reads IDs and states",
    "ssm:UpdateInstanceInformation": "concerns the instance that calls",
    "ssmmessages:CreateControlChannel": "concerns the instance that calls",
    "ssmmessages:CreateDataChannel": "concerns the instance that calls",
    "ssmmessages:OpenControlChannel": "concerns the instance that calls",
    "ssmmessages:OpenDataChannel": "concerns the instance that calls",
}

# What IAM cannot deny, because AWS knows no resource for the action, and what guards it instead.
KEY_STORES = "no resource-level permissions for key stores: the steps check the claim"
UNDENIABLE = {
    (
        "rClusterRole",
        "cloudhsm:DeleteHsm",
    ): "no resource-level permissions: the step checks",
    (
        "rClusterRole",
        "ec2:DeleteNetworkInterface",
    ): "EC2 refuses one that is in use",
    ("rRequestRole", "ssm:CancelCommand"): "no resource-level permissions: filtered by machine",
    ("rClientRole", "ssm:GetCommandInvocation"): "no resource-level permissions: only known IDs",
    ("rKeyStoreRole", "kms:ConnectCustomKeyStore"): KEY_STORES,
    ("rKeyStoreRole", "kms:DeleteCustomKeyStore"): KEY_STORES,
    ("rKeyStoreRole", "kms:DisconnectCustomKeyStore"): KEY_STORES,
    ("rKeyStoreRole", "kms:UpdateCustomKeyStore"): KEY_STORES,
}


class Stacks:
    """A cluster stack and a key store stack of a victim, and the same of an attacker."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        victim = StackDriver(aws)
        attacker = victim.second_stack("attacker")
        self.clusters = {"victim": victim, "attacker": attacker}
        _create(victim, attacker)
        parameters = on_stack_cluster(attacker, pEnvPurpose="attacker").stack.parameters
        self.keys = {
            "victim": on_stack_cluster(victim),
            "attacker": KeyStoreDriver(
                attacker, {**parameters, "pKeyStoreName": "attacker"}, "attacker-keys"
            ),
        }
        _create(*self.keys.values())

    def resources(self, stack: str) -> list[Json]:
        """The resources of a stack, as CloudFormation lists them."""
        pages = self.aws.client("cloudformation").get_paginator("list_stack_resources")
        return [
            resource
            for page in pages.paginate(StackName=stack)
            for resource in page["StackResourceSummaries"]
        ]

    def stacks(self, party: str) -> list[str]:
        """The names of both stacks of a party."""
        return [each[party].stack.name for each in (self.clusters, self.keys)]

    def physical_ids(self, party: str, kind: str) -> list[str]:
        """The physical IDs of a party's resources of one type."""
        return [
            each["PhysicalResourceId"]
            for stack in self.stacks(party)
            for each in self.resources(stack)
            if each["ResourceType"] == kind
        ]

    def roles(self) -> Iterator[tuple[str, Role]]:
        """All roles of the attacker, with their logical IDs."""
        for stack in self.stacks("attacker"):
            for each in self.resources(stack):
                if each["ResourceType"] == "AWS::IAM::Role":
                    name = each["LogicalResourceId"]
                    yield name, role_of_stack(self.aws, stack, name)


def _create(*drivers: StackDriver) -> None:
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.wait()
        driver.expect_stack("CREATE_COMPLETE")


@dataclass(frozen=True)
class Attempt:
    """A request about something of the victim."""

    action: str
    request: Json

    def is_allowed(self, role: Role) -> bool:
        service, _, operation = self.action.partition(":")
        name = xform_name({"InvokeFunction": "Invoke"}.get(operation, operation))
        return role.may(f"{SERVICES.get(service, service)}.{name}", **self.request)


def attempts(stacks: Stacks) -> Iterator[Attempt]:
    """Requests about everything of the victim, tagging first what can be tagged."""
    victim = stacks.clusters["victim"].stack.outputs()
    own = [tag for stack in stacks.stacks("attacker") for tag in stack_tags(stacks.aws, stack)]
    yield from _about_cluster(stacks, victim["oClusterId"], own)
    yield from _about_secrets(stacks, victim["oClusterId"], own)
    yield from _about_client(stacks, victim["oClientInstanceId"], own)
    yield from _about_stacks(stacks)
    yield from _about_workflows(stacks)
    yield from _about_key_store(stacks)
    yield from _about_identity(f"/cloudhsm/{victim['oClusterId']}/hsm-identity/Verdict", own)


def _about_identity(name: str, tags: list[Json]) -> Iterator[Attempt]:
    """The evidence of an HSM's identity; reading it is allowed, for clusters restored from it."""
    forged = {"Name": name, "Value": "forged", "Type": "String"}
    yield Attempt("ssm:PutParameter", {**forged, "Overwrite": True})
    for tag in tags:
        yield Attempt("ssm:PutParameter", {**forged, "Tags": [tag]})
        resource = {"ResourceType": "Parameter", "ResourceId": name}
        yield Attempt("ssm:AddTagsToResource", {**resource, "Tags": [tag]})
    yield Attempt("ssm:DeleteParameters", {"Names": [name]})


def _about_cluster(stacks: Stacks, cluster_id: str, tags: list[Json]) -> Iterator[Attempt]:
    cluster = {"ClusterId": cluster_id}
    described = stacks.aws.client("cloudhsmv2").describe_clusters(
        Filters={"clusterIds": [cluster_id]}
    )["Clusters"][0]
    resource = {"ResourceId": cluster_id}
    for tag in tags:
        yield Attempt("cloudhsm:TagResource", {**resource, "TagList": [tag]})
    yield Attempt("cloudhsm:UntagResource", {**resource, "TagKeyList": [STACK_TAG]})
    yield Attempt("cloudhsm:CreateHsm", {**cluster, "AvailabilityZone": "us-east-1a"})
    yield Attempt("cloudhsm:ModifyCluster", {**cluster, "HsmType": "hsm2m.medium"})
    yield Attempt("cloudhsm:DeleteHsm", {**cluster, "HsmId": "hsm-aaaaaaaaaaa"})
    yield Attempt("cloudhsm:DeleteCluster", cluster)
    certificates = {"SignedCert": "a", "TrustAnchor": "b"}
    yield Attempt("cloudhsm:InitializeCluster", {**cluster, **certificates})
    group, clients = described["SecurityGroup"], stacks.physical_ids("victim", SECURITY_GROUP)
    for group_id in (group, *clients):
        for tag in tags:
            yield Attempt("ec2:CreateTags", {"Resources": [group_id], "Tags": [tag]})
        for verb in ("Authorize", "Revoke"):
            for direction in ("Egress", "Ingress"):
                action = f"ec2:{verb}SecurityGroup{direction}"
                yield Attempt(action, {"GroupId": group_id, "IpPermissions": ANYWHERE})
        yield Attempt("ec2:DeleteSecurityGroup", {"GroupId": group_id})
    interface = described["Hsms"][0]["EniId"]
    yield Attempt("ec2:DeleteNetworkInterface", {"NetworkInterfaceId": interface})


SECURITY_GROUP = "AWS::EC2::SecurityGroup"


def _about_secrets(stacks: Stacks, cluster_id: str, tags: list[Json]) -> Iterator[Attempt]:
    pages = stacks.aws.client("secretsmanager").get_paginator("list_secrets").paginate()
    names = [each["Name"] for page in pages for each in page["SecretList"]]
    found = [name for name in names if cluster_id in name]
    response_secrets = stacks.physical_ids("victim", "AWS::SecretsManager::Secret")
    assert (len(found), len(response_secrets)) == (4, 2)
    for name in (*found, *response_secrets):
        secret = {"SecretId": name}
        for tag in tags:
            yield Attempt("secretsmanager:TagResource", {**secret, "Tags": [tag]})
        yield Attempt("secretsmanager:UntagResource", {**secret, "TagKeys": [STACK_TAG]})
        yield Attempt("secretsmanager:GetSecretValue", secret)
        yield Attempt("secretsmanager:PutSecretValue", {**secret, "SecretString": "text"})
        policy = {"ResourcePolicy": json.dumps({"Version": "2012-10-17", "Statement": []})}
        yield Attempt("secretsmanager:PutResourcePolicy", {**secret, **policy})
        yield Attempt("secretsmanager:ListSecretVersionIds", secret)
        yield Attempt("secretsmanager:DeleteSecret", secret)


def _about_client(stacks: Stacks, instance: str, tags: list[Json]) -> Iterator[Attempt]:
    for tag in tags:
        yield Attempt("ec2:CreateTags", {"Resources": [instance], "Tags": [tag]})
    yield Attempt("ec2:DeleteTags", {"Resources": [instance], "Tags": [{"Key": STACK_TAG}]})
    yield Attempt("ec2:StartInstances", {"InstanceIds": [instance]})
    yield Attempt("ec2:StopInstances", {"InstanceIds": [instance]})
    documents = {
        party: stacks.physical_ids(party, "AWS::SSM::Document") for party in ("victim", "attacker")
    }
    clients = {
        party: driver.stack.outputs()["oClientInstanceId"]
        for party, driver in stacks.clusters.items()
    }
    for client, document in (("victim", "attacker"), ("attacker", "victim"), ("victim", "victim")):
        for name in (*documents[document], "AWS-RunShellScript"):
            request = {"DocumentName": name, "InstanceIds": [clients[client]]}
            yield Attempt("ssm:SendCommand", request)
    ssm = stacks.aws.client("ssm")
    command = ssm.list_commands(InstanceId=instance)["Commands"][0]["CommandId"]
    yield Attempt("ssm:CancelCommand", {"CommandId": command})
    invocation = {"CommandId": command, "InstanceId": instance}
    yield Attempt("ssm:GetCommandInvocation", invocation)


def _about_stacks(stacks: Stacks) -> Iterator[Attempt]:
    stack = stacks.clusters["victim"].stack.name
    yield Attempt("cloudformation:DescribeStackEvents", {"StackName": stack})
    yield Attempt(
        "cloudformation:DescribeStackResource",
        {"StackName": stack, "LogicalResourceId": "rCloudHsmCluster"},
    )


def _about_workflows(stacks: Stacks) -> Iterator[Attempt]:
    states = stacks.aws.client("stepfunctions")
    for machine in stacks.physical_ids("victim", "AWS::StepFunctions::StateMachine"):
        yield Attempt("states:StartExecution", {"stateMachineArn": machine})
        yield Attempt("states:ListExecutions", {"stateMachineArn": machine})
        for execution in states.list_executions(stateMachineArn=machine)["executions"][:1]:
            arn = {"executionArn": execution["executionArn"]}
            yield Attempt("states:DescribeExecution", arn)
            yield Attempt("states:GetExecutionHistory", arn)
            yield Attempt("states:StopExecution", arn)
    for function in stacks.physical_ids("victim", "AWS::Lambda::Function"):
        yield Attempt("lambda:InvokeFunction", {"FunctionName": function})
        stream = {"logGroupName": f"/aws/lambda/{function}", "logStreamName": "forged"}
        yield Attempt("logs:CreateLogStream", stream)
        events = {"logEvents": [{"timestamp": 1, "message": "forged"}]}
        yield Attempt("logs:PutLogEvents", {**stream, **events})


def _about_key_store(stacks: Stacks) -> Iterator[Attempt]:
    keys = stacks.keys["victim"]
    claim = "/hsm-lifecycle/cloudhsm-ks-1/key-store"
    yield Attempt("ssm:GetParameter", {"Name": claim})
    yield Attempt("ssm:PutParameter", {"Name": claim, "Value": "forged", "Overwrite": True})
    yield Attempt("ssm:DeleteParameter", {"Name": claim})
    store = {"CustomKeyStoreId": keys.store()["CustomKeyStoreId"]}
    for verb in ("Update", "Connect", "Delete", "Disconnect"):
        yield Attempt(f"kms:{verb}CustomKeyStore", store)


@dataclass(frozen=True)
class Outcome:
    """The actions that were tried, and the requests that each role was allowed, by action."""

    tried: set[str]
    allowed: Mapping[tuple[str, str], list[Json]]


@pytest.fixture(scope="module", name="outcome")
def _outcome() -> Outcome:
    """Try everything with all roles of the attacker."""
    with LocalAws(timings=QUICK) as aws:
        stacks = Stacks(aws)
        every, allowed = list(attempts(stacks)), dict[tuple[str, str], list[Json]]()
        for name, role in stacks.roles():
            for each in every:
                if each.is_allowed(role):
                    allowed.setdefault((name, each.action), []).append(each.request)
        return Outcome({each.action for each in every}, allowed)


def test_no_role_may_do_anything_to_another_stack(outcome: Outcome) -> None:
    assert {cell: done for cell, done in outcome.allowed.items() if cell not in UNDENIABLE} == {}


def test_every_exception_is_needed(outcome: Outcome) -> None:
    assert [cell for cell in UNDENIABLE if cell not in outcome.allowed] == []


def test_every_granted_action_is_tried_or_has_no_target(outcome: Outcome) -> None:
    granted = {each.action for template in TEMPLATES for each in grants(template)}
    assert sorted(granted - outcome.tried - {*WITHOUT_TARGET}) == []
    assert sorted(outcome.tried - granted) == []
    assert [action for action in WITHOUT_TARGET if action not in granted] == []
