"""The Service Catalog model, with CloudFormation replaced by a record of its calls."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from localaws.core.api_error import ApiError
from localaws.core.jump_clock import JumpClock
from localaws.services.servicecatalog.catalog import LAUNCH, RESOURCE_UPDATE, TEMPLATE
from localaws.services.servicecatalog.models import Given
from localaws.services.servicecatalog.provider import ServiceCatalog

Json = dict[str, Any]

USER, STRANGER = "arn:aws:iam::123456789012:role/user", "arn:aws:iam::123456789012:role/other"
ROLE = "arn:aws:iam::123456789012:role/launch"
BODY = "Parameters: {pName: {Type: String, Default: a, AllowedValues: [a, b]}}\nResources: {}\n"
RULES = json.dumps({"Rules": {"Named": {"Assertions": [{"Assert": {"Fn::Equals": ["a", "a"]}}]}}})


class Stacks:
    """Implements the interface; a stack's status is what a test sets."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.status = ""

    def read_template(self, url: str) -> str:
        return BODY

    def parse(self, template: str) -> Json:
        return dict(yaml.safe_load(template))

    def create(self, role: str, source: str, name: str, template: Json, given: Given) -> None:
        self.calls.append(("create", role, name, template, given))
        self.status = "CREATE_IN_PROGRESS"

    def update(self, role: str, source: str, name: str, template: Json, given: Given) -> None:
        self.calls.append(("update", role, name, template, given))
        self.status = "UPDATE_IN_PROGRESS"

    def delete(self, role: str, source: str, name: str) -> None:
        self.calls.append(("delete", role, name))
        self.status = "DELETE_IN_PROGRESS"

    def describe(self, name: str) -> Json | None:
        return {"StackId": f"stack/{name}", "StackStatus": self.status}

    def failure(self, name: str) -> str:
        return "Role: denied"


class Setting:
    """A portfolio with one product, which USER may launch."""

    def __init__(self) -> None:
        self.stacks = Stacks()
        self.service = ServiceCatalog(
            JumpClock(), self.stacks, partition="aws", region="us-east-1", account="123456789012"
        )
        catalog = self.catalog = self.service.catalog
        self.portfolio = catalog.create_portfolio({"DisplayName": "HSMs"}).id
        self.product = catalog.create_product(properties("1.0.0")).id
        catalog.add_product(self.portfolio, self.product)
        catalog.portfolio(self.portfolio).principals.append(USER)
        self.constrain(LAUNCH, RoleArn=ROLE)

    def constrain(self, kind: str, **parameters: Any) -> None:
        self.catalog.create_constraint(kind, self.portfolio, self.product, parameters)

    def provision(self, caller: str = USER, **changes: Any) -> Json:
        request = {
            "ProductId": self.product,
            "ProvisioningArtifactName": "1.0.0",
            "ProvisionedProductName": "mine",
            "ProvisionToken": "token",
            **changes,
        }
        return dict(self.service.call("ProvisionProduct", request, caller)["RecordDetail"])

    def update(self, **changes: Any) -> Json:
        request = {"ProvisionedProductName": "mine", "UpdateToken": "update", **changes}
        return dict(self.service.call("UpdateProvisionedProduct", request, USER)["RecordDetail"])

    def end(self, status: str, record: Json) -> Json:
        self.stacks.status = status
        described = self.service.call("DescribeRecord", {"Id": record["RecordId"]}, USER)
        return dict(described["RecordDetail"])

    def is_(self) -> str:
        found = self.service.call("DescribeProvisionedProduct", {"Name": "mine"}, USER)
        return str(found["ProvisionedProductDetail"]["Status"])


def properties(*versions: str, **changes: Any) -> Json:
    return {
        "Name": "HSM",
        "Owner": "us",
        "ProvisioningArtifactParameters": [
            {"Name": each, "Info": {"LoadTemplateFromURL": f"https://s3/{each}"}}
            for each in versions
        ],
        **changes,
    }


@pytest.fixture(name="setting")
def _setting() -> Setting:
    return Setting()


def refusal(code: str) -> Any:
    return pytest.raises(ApiError, check=lambda error: error.code == code)


def test_a_stack_is_named_after_account_and_provisioned_product(setting: Setting) -> None:
    record = setting.provision()
    ((call, role, name, *_),) = setting.stacks.calls
    assert (call, role) == ("create", ROLE)
    assert name == f"SC-123456789012-{record['ProvisionedProductId']}"


def test_the_five_auto_tags_are_added_and_kept(setting: Setting) -> None:
    setting.constrain(RESOURCE_UPDATE, TagUpdateOnProvisionedProduct="ALLOWED")
    setting.end("CREATE_COMPLETE", setting.provision(Tags=[{"Key": "team", "Value": "a"}]))
    tags = setting.stacks.calls[0][-1].tags
    assert len([key for key in tags if key.startswith("aws:servicecatalog:")]) == 5
    setting.update(Tags=[{"Key": "team", "Value": "b"}])
    assert setting.stacks.calls[1][-1].tags == {**tags, "team": "b"}


def test_only_principals_of_the_portfolio_see_the_product(setting: Setting) -> None:
    with refusal("ResourceNotFoundException"):
        setting.provision(STRANGER)


def test_a_repeated_token_does_not_provision_twice(setting: Setting) -> None:
    assert setting.provision()["RecordId"] == setting.provision()["RecordId"]
    assert len(setting.stacks.calls) == 1
    with refusal("InvalidParametersException"):
        setting.provision(ProvisionToken="another")


@pytest.mark.parametrize(
    ("status", "record", "product"),
    [
        ("CREATE_IN_PROGRESS", "IN_PROGRESS", "UNDER_CHANGE"),
        ("CREATE_COMPLETE", "SUCCEEDED", "AVAILABLE"),
        ("ROLLBACK_IN_PROGRESS", "IN_PROGRESS_IN_ERROR", "UNDER_CHANGE"),
        ("ROLLBACK_COMPLETE", "FAILED", "ERROR"),
    ],
)
def test_the_stack_decides_the_record(
    setting: Setting, status: str, record: str, product: str
) -> None:
    described = setting.end(status, setting.provision())
    assert (described["Status"], setting.is_()) == (record, product)
    failed = [each["Description"] for each in described["RecordErrors"]]
    assert failed == (["Role: denied"] if record == "FAILED" else [])


def test_a_failed_update_taints_the_product_which_can_be_updated_again(setting: Setting) -> None:
    setting.end("CREATE_COMPLETE", setting.provision())
    setting.end("UPDATE_ROLLBACK_COMPLETE", setting.update())
    assert setting.is_() == "TAINTED"
    setting.end("UPDATE_COMPLETE", setting.update())
    assert setting.is_() == "AVAILABLE"


def test_an_update_keeps_named_parameters_only(setting: Setting) -> None:
    setting.end("CREATE_COMPLETE", setting.provision())
    setting.update(
        ProvisioningParameters=[
            {"Key": "pKept", "UsePreviousValue": True},
            {"Key": "pChanged", "Value": "x"},
        ]
    )
    assert setting.stacks.calls[1][-1].parameters == {"pKept": None, "pChanged": "x"}


def test_a_terminated_product_is_gone_and_its_record_stays(setting: Setting) -> None:
    setting.end("CREATE_COMPLETE", setting.provision())
    request = {"ProvisionedProductName": "mine", "TerminateToken": "end"}
    record = setting.service.call("TerminateProvisionedProduct", request, USER)["RecordDetail"]
    assert setting.end("DELETE_COMPLETE", record)["Status"] == "SUCCEEDED"
    with refusal("ResourceNotFoundException"):
        setting.is_()
    assert setting.end("DELETE_COMPLETE", record)["Status"] == "SUCCEEDED"


def test_tags_of_an_update_need_a_constraint_that_allows_them(setting: Setting) -> None:
    setting.end("CREATE_COMPLETE", setting.provision())
    with refusal("InvalidParametersException"):
        setting.update(Tags=[{"Key": "team", "Value": "b"}])


def test_one_of_several_tag_values_must_be_chosen(setting: Setting) -> None:
    options = [setting.catalog.create_tag_option("stage", value) for value in ("test", "live")]
    setting.catalog.portfolio(setting.portfolio).tag_options += options
    for wrong in ([], [{"Key": "stage", "Value": "else"}]):
        with refusal("InvalidParametersException"):
            setting.provision(Tags=wrong)
    setting.provision(Tags=[{"Key": "stage", "Value": "live"}])
    assert setting.stacks.calls[0][-1].tags["stage"] == "live"


def test_a_tag_option_exists_once(setting: Setting) -> None:
    setting.catalog.create_tag_option("stage", "test")
    with refusal("DuplicateResourceException"):
        setting.catalog.create_tag_option("stage", "test")


def test_rules_of_template_constraints_are_added_to_the_template(setting: Setting) -> None:
    setting.constrain(TEMPLATE, Rules=RULES)
    setting.provision()
    assert list(setting.stacks.calls[0][3]["Rules"]) == ["Named"]


@pytest.mark.parametrize("rules", ["no JSON", "{}", '{"Rules": {}}', '{"Rules": {"A": {}}}'])
def test_rules_that_are_none_are_refused(setting: Setting, rules: str) -> None:
    with refusal("InvalidParametersException"):
        setting.constrain(TEMPLATE, Rules=rules)


def test_versions_keep_their_id_unless_their_address_changes(setting: Setting) -> None:
    def ids(*versions: str, **changes: Any) -> list[str]:
        updated = setting.catalog.update_product(setting.product, properties(*versions, **changes))
        return [each.id for each in updated.artifacts]

    first = ids("1.0.0")
    assert ids("1.0.0", "1.1.0")[0] == first[0]
    assert ids("1.0.0", ReplaceProvisioningArtifacts=True) != first


def test_a_second_launch_constraint_is_refused(setting: Setting) -> None:
    with refusal("DuplicateResourceException"):
        setting.constrain(LAUNCH, RoleArn=ROLE)


def test_a_constraint_needs_the_product_in_the_portfolio(setting: Setting) -> None:
    other = setting.catalog.create_portfolio({"DisplayName": "empty"}).id
    with refusal("ResourceNotFoundException"):
        setting.catalog.create_constraint(LAUNCH, other, setting.product, {"RoleArn": ROLE})


def test_nothing_in_use_is_deleted(setting: Setting) -> None:
    catalog = setting.catalog
    with refusal("ResourceInUseException"):
        catalog.delete_portfolio(setting.portfolio)
    with refusal("ResourceInUseException"):
        catalog.delete_product(setting.product)
    with refusal("ResourceInUseException"):
        catalog.remove_product(setting.portfolio, setting.product)


def test_parameters_are_described_with_their_constraints(setting: Setting) -> None:
    request = {"ProductId": setting.product, "ProvisioningArtifactName": "1.0.0"}
    described = setting.service.call("DescribeProvisioningParameters", request, USER)
    (parameter,) = described["ProvisioningArtifactParameters"]
    assert parameter["ParameterKey"] == "pName"
    assert parameter["ParameterConstraints"] == {"AllowedValues": ["a", "b"]}
