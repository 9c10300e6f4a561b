"""templates/service-catalog.yml: what its launch roles may do, and what they may not."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from scripts import templates
from scripts.release.artifacts import NAME
from tests.templates.template import ROOT, TEMPLATES, as_list

Json = dict[str, Any]

CATALOG: Json = templates.load(ROOT / "templates" / templates.CATALOG)
EXAMPLE = ROOT / "examples/policies/service-catalog-launch.json"
ROLES = ("rClusterLaunchRole", "rKeyStoreLaunchRole")
# The values that stand for the reader's own in the example.
VALUES = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "111122223333",
    "pBucket": "amzn-s3-demo-bucket",
    "pPrefix": "cloudhsm-cloudformation",
    "pSystem": "cloudhsm",
}
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
MANAGED_POLICY_CHARACTERS, ROLE_POLICY_CHARACTERS = 6144, 10240


def resource(logical_id: str) -> Json:
    found: Json = CATALOG["Resources"][logical_id]["Properties"]
    return found


def documents(role: str) -> list[Json]:
    """The policies of a launch role."""
    managed = [resource(each["Ref"]) for each in resource(role)["ManagedPolicyArns"]]
    return [each["PolicyDocument"] for each in [*managed, *resource(role).get("Policies", [])]]


def statements(role: str) -> list[Json]:
    return [statement for document in documents(role) for statement in document["Statement"]]


def resolved(value: Any) -> Any:
    """A policy with VALUES for its parameters."""
    if isinstance(value, dict) and "Fn::Sub" in value:
        return re.sub(r"\$\{([^}]+)\}", lambda found: VALUES[found[1]], value["Fn::Sub"])
    if isinstance(value, dict):
        return {key: resolved(each) for key, each in value.items()}
    return [resolved(each) for each in value] if isinstance(value, list) else value


def test_the_example_policy_is_that_of_the_cluster_s_launch_role() -> None:
    expected = {"Version": "2012-10-17", "Statement": resolved(statements(ROLES[0]))}
    text = json.dumps(expected, indent=2) + "\n"
    assert EXAMPLE.read_text() == text, f"Write this to {EXAMPLE.relative_to(ROOT)}:\n{text}"


def test_the_policies_fit_iam_s_quotas() -> None:
    def characters(document: Json) -> int:
        return len(re.sub(r"\s", "", json.dumps(resolved(document))))

    managed = characters(resource("rLaunchPolicy")["PolicyDocument"])
    # A bucket, a prefix and a system name may be longer than those above.
    assert managed < MANAGED_POLICY_CHARACTERS - 400
    for role in ROLES:
        inline = [each["PolicyDocument"] for each in resource(role).get("Policies", [])]
        assert sum(map(characters, inline)) < ROLE_POLICY_CHARACTERS


@pytest.mark.parametrize("role", ROLES)
def test_a_launch_role_has_no_wildcard_action_and_none_of_service_catalog(role: str) -> None:
    # With ProvisionProduct it would launch products itself, which Service Catalog refuses (F7.119).
    actions = [action for each in statements(role) for action in as_list(each["Action"])]
    assert [each for each in actions if "*" in each or each.startswith("servicecatalog:")] == []
    assert [each for each in {*actions} if actions.count(each) > 1] == ["s3:GetObject"] or {
        each for each in actions if actions.count(each) > 1
    } == {"iam:PassRole", "s3:GetObject"}


@pytest.mark.parametrize("role", ROLES)
def test_only_service_catalog_of_this_account_assumes_a_launch_role(role: str) -> None:
    (statement,) = resource(role)["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "servicecatalog.amazonaws.com"}
    assert statement["Condition"]["StringEquals"] == {
        "aws:SourceAccount": {"Ref": "AWS::AccountId"}
    }
    assert list(statement["Condition"]["ArnLike"]) == ["aws:SourceArn"]


def test_roles_are_passed_to_the_services_of_the_products_only() -> None:
    passed = {
        service
        for each in statements(ROLES[0])
        if each["Action"] == ["iam:PassRole"]
        for service in as_list(each["Condition"]["StringEquals"]["iam:PassedToService"])
    }
    assert passed == {"ec2.amazonaws.com", "lambda.amazonaws.com", "states.amazonaws.com"}


def test_versions_are_read_where_a_release_puts_them() -> None:
    assert CATALOG["Parameters"]["pPrefix"]["Default"] == NAME
    urls = re.findall(r"LoadTemplateFromURL.*?Fn::Sub': '([^']+)'", str(CATALOG["Resources"]))
    assert len(urls) == 2 * len(versions())
    form = "https://${pBucket}.s3.${AWS::Region}.${AWS::URLSuffix}/${pPrefix}/${%s}/%s"
    assert urls == [form % (each, name.name) for name in TEMPLATES for each in versions()]


def versions() -> list[str]:
    return [name for name in CATALOG["Parameters"] if re.fullmatch(r"pVersion\d", name)]


def test_every_version_has_the_service_action() -> None:
    found = [
        (each["ProductId"]["Ref"], each["ProvisioningArtifactId"]["Fn::Select"][0])
        for name in CATALOG["Resources"]
        if (each := resource(name)).get("ServiceActionId")
    ]
    products = ("rClusterProduct", "rKeyStoreProduct")
    assert found == [(each, index) for each in products for index in range(len(versions()))]


def test_no_parameter_of_a_product_is_one_that_service_catalog_cannot_keep() -> None:
    # The console shows no value of a NoEcho parameter, so that each update would need it again.
    offenders = [
        f"{template.name}: {name}"
        for template in TEMPLATES
        for name, parameter in template.parameters.items()
        if "NoEcho" in parameter
    ]
    assert offenders == []


def test_products_need_no_macro_which_a_launch_cannot_acknowledge() -> None:
    assert [each.name for each in TEMPLATES if "Transform" in each.body] == []


def definition() -> dict[str, Any]:
    """What the service action says to Service Catalog."""
    return {each["Key"]: each["Value"] for each in resource("rReconcileAction")["Definition"]}


def action_statements() -> list[Json]:
    """What the role of the service action may do."""
    attached = [
        each["Properties"]["PolicyDocument"]
        for each in CATALOG["Resources"].values()
        if {"Ref": "rReconcileRole"} in each.get("Properties", {}).get("Roles", [])
    ]
    inline = [each["PolicyDocument"] for each in resource("rReconcileRole")["Policies"]]
    return [statement for document in [*inline, *attached] for statement in document["Statement"]]


def test_service_catalog_and_systems_manager_assume_the_service_action_s_role() -> None:
    # "Access denied while assuming the role" without the first (F7.133).
    assert definition()["AssumeRole"] == {"Fn::GetAtt": ["rReconcileRole", "Arn"]}
    trusted = resource("rReconcileRole")["AssumeRolePolicyDocument"]["Statement"]
    assert {each["Principal"]["Service"] for each in trusted} == {
        "servicecatalog.amazonaws.com",
        "ssm.amazonaws.com",
    }
    assert [each for each in trusted if "aws:SourceAccount" not in json.dumps(each)] == []


def test_the_service_action_s_role_may_start_its_document_and_no_other() -> None:
    allowed = {
        action: as_list(each["Resource"])
        for each in action_statements()
        for action in as_list(each["Action"])
    }
    assert {
        "cloudformation:ListStackResources",
        "iam:PassRole",
        "ssm:DescribeDocument",
        "ssm:GetAutomationExecution",
        "ssm:StartAutomationExecution",
    } <= set(allowed)
    arns = [each["Fn::Sub"] for each in allowed["ssm:StartAutomationExecution"]]
    assert [re.sub(r".*\$\{AWS::AccountId\}:", "", arn) for arn in arns] == [
        "automation-definition/${rReconcileDocument}:*",
        "automation-execution/*",
        "document/${rReconcileDocument}",
    ]
    assert allowed["iam:PassRole"] == [{"Fn::GetAtt": ["rReconcileRole", "Arn"]}]


def test_the_service_action_gives_the_document_each_parameter_that_it_requires() -> None:
    # Service Catalog passes no parameter that the definition lacks (F7.133).
    parameters = resource("rReconcileDocument")["Content"]["parameters"]
    required = [name for name, each in parameters.items() if "default" not in each]
    given = json.loads(definition()["Parameters"])
    assert [(each["Name"], each["Type"]) for each in given] == [(required[0], "TARGET")]
    assert len(required) == 1


def test_the_version_of_the_service_action_s_document_is_a_number() -> None:
    # The documented form; only a replaced document has the same number after a change.
    document = resource("rReconcileDocument")
    assert (definition()["Version"], document["UpdateMethod"]) == ("1", "Replace")
    assert "Name" not in document


def test_a_product_has_exactly_one_target_of_the_service_action() -> None:
    kind = resource("rReconcileDocument")["TargetType"].removeprefix("/")
    targets = {
        each.name: [name for name, found in each.resources.items() if found["Type"] == kind]
        for each in TEMPLATES
    }
    assert set(map(tuple, targets.values())) == {("rResponseSecret",)}
