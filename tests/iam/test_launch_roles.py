"""Both products are provisioned, updated and terminated with the rights of their launch roles."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from localaws.client import LocalAws
from localaws.core.partitions import partition_of
from rehearsal.timings import QUICK
from scripts import templates
from tests.support.portfolio import ACCOUNT, Portfolio, publish, session
from tests.templates.template import ROOT, as_list

pytestmark = pytest.mark.long

Json = dict[str, Any]
Grants = set[tuple[str, str]]

ROLES = ("rClusterLaunchRole", "rKeyStoreLaunchRole")
OLD, NEW = "1.8.0", "1.9.0"
AUTO_TAGS = ("portfolioArn", "productArn", "provisioningPrincipalArn", "provisionedProductArn")


@dataclass
class Launches:
    """What became of both products in a Region."""

    partition: str
    records: list[Json] = field(default_factory=list)
    decisions: list[Json] = field(default_factory=list)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    artifacts: list[list[str]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    reconciled: dict[str, str] = field(default_factory=dict)


def changed(text: str) -> str:
    """The next version of a template: with a change of each type that has no tags of the stack."""
    text, documents = re.subn(
        r"(Type: AWS::SSM::Document\n    Properties:\n)",
        r"\1      Tags: [{ Key: version, Value: next }]\n",
        text,
    )
    text, ages = re.subn(r"MaximumEventAgeInSeconds: \d+", "MaximumEventAgeInSeconds: 600", text)
    text, rules = re.subn(
        r"(Type: AWS::Events::Rule\n    Properties:\n      Description: )", r"\1Next. ", text
    )
    assert all((documents, ages, rules))
    return text


@pytest.fixture(scope="module", name="launches", params=["us-east-1", "us-gov-west-1"])
def _launches(request: pytest.FixtureRequest) -> Launches:
    found = Launches(partition_of(request.param))
    with LocalAws("--region", request.param, timings=QUICK) as aws:
        publish(aws, OLD)
        portfolio = Portfolio(aws)
        offered = portfolio.offer(pVersion1=OLD)
        clusters, stores = offered["oClusterProductId"], offered["oKeyStoreProductId"]
        network = _network(aws)
        for wrong in ({"pSystem": "other"}, {"pHsmType": "hsm1.medium"}, {"pHsmsPerSubnet": "28"}):
            with pytest.raises(ClientError) as refused:
                portfolio.launch(clusters, "refused", {**network, **wrong}, OLD)
            found.refusals.append(str(refused.value))
        cluster = portfolio.launch(clusters, "hsm", network, OLD)
        outputs = cluster["Outputs"]
        source = {
            "pKeyStoreName": "keys",
            "pDeleteKeyStoreUponStackDeletion": "true",
            "pCloudHsmClusterId": outputs["oClusterId"],
            "pCloudHsmAdminPasswordSecretName": outputs["oAdminPasswordSecretName"],
            "pCloudHsmCustCaCertSecretName": outputs["oCustomerCaCertSecretName"],
            "pClientInstanceId": outputs["oClientInstanceId"],
        }
        store = portfolio.launch(stores, "keys", source, OLD)
        found.artifacts.append(_artifacts(portfolio, clusters))
        publish(aws, NEW, changed)
        portfolio.offer(pVersion2=NEW)
        found.artifacts.append(_artifacts(portfolio, clusters))
        found.records = [
            cluster,
            store,
            portfolio.update("hsm", network, NEW, pReconcile="next"),
            portfolio.update("keys", source, NEW, pReconcile="next"),
        ]
        found.tags = {each: _tags(aws, each) for each in (cluster["Outputs"]["oClusterId"],)}
        found.reconciled = _reconcile(aws, portfolio, store)
        found.records += [portfolio.terminate("keys"), portfolio.terminate("hsm")]
        found.decisions = aws.admin.decisions()
    return found


def _network(aws: LocalAws) -> dict[str, str]:
    subnets = aws.subnets[:2]
    return {
        "pSubnets": ",".join(subnets),
        "pClientVpcId": aws.vpc,
        "pClientSubnet": subnets[0],
    }


def _artifacts(portfolio: Portfolio, product: str) -> list[str]:
    described = portfolio.client.describe_product(Id=product)["ProvisioningArtifacts"]
    return [each["Id"] for each in described]


def _tags(aws: LocalAws, cluster: str) -> dict[str, str]:
    listed = aws.client("cloudhsmv2").list_tags(ResourceId=cluster)["TagList"]
    return {tag["Key"]: tag["Value"] for tag in listed}


def _reconcile(aws: LocalAws, portfolio: Portfolio, store: Json) -> dict[str, str]:
    """Do what the service action does, as its role; returns the parameters afterwards.

    Service Catalog finds the target among the resources (F7.133); Automation runs the script.
    """
    stack = store["Outputs"]["CloudformationStackARN"]
    catalog = templates.load(ROOT / "templates" / templates.CATALOG)["Resources"]
    document = catalog["rReconcileDocument"]["Properties"]
    (step,) = document["Content"]["mainSteps"]
    found = aws.client("cloudformation").describe_stack_resource(
        StackName="catalog", LogicalResourceId="rReconcileRole"
    )
    role = found["StackResourceDetail"]["PhysicalResourceId"]
    aws.client("iam").update_assume_role_policy(RoleName=role, PolicyDocument=_TRUST_ACCOUNT)
    services = ("cloudformation", "secretsmanager", "servicecatalog")
    clients = {service: session(aws, role, service) for service in services}
    resources = clients["cloudformation"].list_stack_resources(StackName=stack)
    (target,) = [
        each["PhysicalResourceId"]
        for each in resources["StackResourceSummaries"]
        if f"/{each['ResourceType']}" == document["TargetType"]
    ]
    namespace: Json = {}
    exec(step["inputs"]["Script"], namespace)  # the script that Automation runs
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boto3, "client", clients.__getitem__)
        started = namespace[step["inputs"]["Handler"]]({"ResponseSecret": target}, None)
    portfolio.complete(started["RecordId"])
    (described,) = aws.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return {each["ParameterKey"]: each["ParameterValue"] for each in described["Parameters"]}


_TRUST_ACCOUNT = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": '
    f'{{"AWS": "{ACCOUNT}"}}, "Action": "sts:AssumeRole"}}]}}'
)


def granted(role: str) -> Grants:
    """Every statement and action of a launch role."""
    resources = templates.load(ROOT / "templates" / templates.CATALOG)["Resources"]
    properties = resources[role]["Properties"]
    documents = [each["PolicyDocument"] for each in properties.get("Policies", [])]
    documents += [
        resources[each["Ref"]]["Properties"]["PolicyDocument"]
        for each in properties["ManagedPolicyArns"]
    ]
    return {
        (statement["Sid"], action)
        for document in documents
        for statement in document["Statement"]
        for action in as_list(statement["Action"])
    }


def of_role(launches: Launches, role: str) -> list[Json]:
    return [each for each in launches.decisions if each["principal"].startswith(f"catalog-{role}-")]


def test_both_products_are_provisioned_updated_and_terminated(launches: Launches) -> None:
    assert [(each["RecordType"], each["ProvisionedProductName"]) for each in launches.records] == [
        ("PROVISION_PRODUCT", "hsm"),
        ("PROVISION_PRODUCT", "keys"),
        ("UPDATE_PROVISIONED_PRODUCT", "hsm"),
        ("UPDATE_PROVISIONED_PRODUCT", "keys"),
        ("TERMINATE_PROVISIONED_PRODUCT", "keys"),
        ("TERMINATE_PROVISIONED_PRODUCT", "hsm"),
    ]


@pytest.mark.parametrize("role", ROLES)
def test_every_action_of_a_launch_role_is_used_and_no_other(launches: Launches, role: str) -> None:
    decisions = of_role(launches, role)
    assert [(each["action"], each["resource"]) for each in decisions if not each["allowed"]] == []
    used = {(each["statement"], each["action"]) for each in decisions}
    assert granted(role) - used == set()
    # A statement of None: two statements allow the same, so one of them may go.
    assert used - granted(role) == set()


def test_versions_keep_their_ids_when_another_is_added(launches: Launches) -> None:
    before, after = launches.artifacts
    assert after[: len(before)] == before
    assert len(after) == len(before) + 1


def test_the_portfolio_limits_names_types_and_numbers(launches: Launches) -> None:
    names = ("pSystem", "pHsmType", "pHsmsPerSubnet")
    expected = [f"{name} must be" for name in names]
    assert [
        each for each in zip(expected, launches.refusals, strict=True) if each[0] not in each[1]
    ] == []


def test_the_chosen_tag_reaches_the_cluster_and_the_service_s_own_do_not(
    launches: Launches,
) -> None:
    (tags,) = launches.tags.values()
    assert tags["environment"] == "production"
    assert [key for key in tags if key.startswith("aws:")] == []


def test_the_service_s_own_tags_are_on_the_stack(launches: Launches) -> None:
    tags = {each["Key"] for each in launches.records[0]["RecordTags"]}
    assert {f"aws:servicecatalog:{name}" for name in AUTO_TAGS} <= tags


def test_the_service_action_keeps_all_parameters_but_one(launches: Launches) -> None:
    assert launches.reconciled["pKeyStoreName"] == "keys"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*", launches.reconciled["pReconcile"])


def test_every_launch_is_of_its_partition(launches: Launches) -> None:
    arns = [each["LaunchRoleArn"] for each in launches.records]
    arns += [launches.records[index]["Outputs"]["CloudformationStackARN"] for index in (0, 1)]
    assert len(arns) == 8
    assert [each for each in arns if each.split(":")[1] != launches.partition] == []
