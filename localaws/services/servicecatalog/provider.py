"""Service Catalog of one account and Region: products provisioned as stacks of their launch role.

Administrators manage the catalog by CloudFormation, end users call the actions below. A stack's
status decides a record's: nothing here takes time of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from localaws.core.clock import Clock
from localaws.services.servicecatalog import descriptions
from localaws.services.servicecatalog.catalog import LAUNCH, RESOURCE_UPDATE, TEMPLATE, Catalog
from localaws.services.servicecatalog.models import (
    Artifact,
    Given,
    Json,
    Product,
    Provisioned,
    Record,
    Stacks,
    Tags,
    invalid,
    new_id,
    not_found,
)

ACTIONS = (
    "DescribeProduct",
    "DescribeProvisionedProduct",
    "DescribeProvisioningParameters",
    "DescribeRecord",
    "GetProvisionedProductOutputs",
    "ListLaunchPaths",
    "ProvisionProduct",
    "TerminateProvisionedProduct",
    "UpdateProvisionedProduct",
)
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}")
ROLLED_BACK = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED")
NOT_UPDATED = ("UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED", "UPDATE_FAILED")


class ServiceCatalog:
    """Entry point to the model."""

    def __init__(self, clock: Clock, stacks: Stacks, *, partition: str, region: str, account: str):
        self._clock, self._stacks, self._account = clock, stacks, account
        self.catalog = Catalog(stacks, f"arn:{partition}:catalog:{region}:{account}")
        self._arn = f"arn:{partition}:servicecatalog:{region}:{account}"
        self.provisioned: dict[str, Provisioned] = {}
        self._terminated: dict[str, Provisioned] = {}

    def call(self, action: str, request: Json, caller: str) -> Json:
        """Run an action for the principal with this ARN."""
        handler = getattr(self, re.sub(r"(?<!^)(?=[A-Z])", "_", action).lower())
        response: Json = handler(request, caller)
        return response

    # --- Products ---

    def describe_product(self, request: Json, caller: str) -> Json:
        """DescribeProduct."""
        product, portfolio = self._visible(request, caller)
        return descriptions.product(product, portfolio)

    def list_launch_paths(self, request: Json, caller: str) -> Json:
        """ListLaunchPaths: one for each portfolio."""
        product, portfolio = self._visible(request, caller)
        return {"LaunchPathSummaries": [descriptions.path(self.catalog, product, portfolio)]}

    def describe_provisioning_parameters(self, request: Json, caller: str) -> Json:
        """DescribeProvisioningParameters."""
        product, portfolio = self._visible(request, caller)
        template = self._stacks.parse(product.artifact(request).template)
        return descriptions.parameters(template, self.catalog.tag_values(portfolio))

    def _visible(self, request: Mapping[str, Any], caller: str) -> tuple[Product, str]:
        """A product in a portfolio of the caller; only principals of a portfolio see it."""
        for portfolio in self.catalog.portfolios.values():
            if caller not in portfolio.principals:
                continue
            for product in map(self.catalog.product, portfolio.products):
                named = request.get("ProductId") or request.get("Id")
                name = request.get("ProductName") or request.get("Name")
                if product.id == named or (not named and product.properties["Name"] == name):
                    return product, portfolio.id
        raise not_found("Product")

    # --- Provisioned products ---

    def provision_product(self, request: Json, caller: str) -> Json:
        """ProvisionProduct: CreateStack as the launch role, named SC-<account>-<id> (F7.124)."""
        token, name = request["ProvisionToken"], request["ProvisionedProductName"]
        if not NAME.fullmatch(name):
            raise invalid(f"{name} is not a valid name.")
        for each in self.provisioned.values():
            if each.name == name:
                if each.records[0].token == token:
                    return self._record_detail(each, each.records[0])
                raise invalid(f"A provisioned product named {name} already exists.")
        product, portfolio = self._visible(request, caller)
        artifact, identifier = product.artifact(request), new_id("pp")
        tags = self._chosen_tags(portfolio, _tags(request))
        made = Provisioned(
            identifier,
            f"{self._arn}:stack/{name}/{identifier}",
            name,
            product.id,
            artifact.id,
            portfolio,
            caller,
            f"SC-{self._account}-{identifier}",
            {**tags, **self._auto_tags(product, portfolio, caller, artifact, name, identifier)},
            self._clock.now(),
        )
        role = self._launch_role(portfolio, product)
        given = Given(
            {each["Key"]: each["Value"] for each in request.get("ProvisioningParameters", [])},
            made.tags,
        )
        template = self._constrained(artifact, portfolio, product)
        self._stacks.create(role, made.arn, made.stack, template, given)
        self.provisioned[made.id] = made
        return self._begin(made, "PROVISION_PRODUCT", token, ("CREATE_COMPLETE",), ROLLED_BACK)

    def update_provisioned_product(self, request: Json, caller: str) -> Json:
        """UpdateProvisionedProduct: a parameter that is not named gets the template's default.

        Whether Service Catalog keeps the previous value of those is not documented; UpdateStack
        does not (F7.213).
        """
        found = self._find(request)
        if found.status not in ("AVAILABLE", "TAINTED"):
            raise invalid(f"The provisioned product is {found.status}.")
        product, portfolio = self._visible({"ProductId": found.product}, caller)
        if request.get("ProductId", product.id) != product.id:
            raise invalid("The local AWS cannot move a provisioned product to another product.")
        named = {"ProvisioningArtifactId", "ProvisioningArtifactName"} & {*request}
        wanted = request if named else {"ProvisioningArtifactId": found.artifact}
        artifact, tags = product.artifact(wanted), dict(found.tags)
        if "Tags" in request:
            if not self._may_update_tags(portfolio, product):
                raise invalid("Tags need a RESOURCE_UPDATE constraint that allows their update.")
            tags = {
                **self._chosen_tags(portfolio, _tags(request)),
                # AutoTags keep the values of the launch (F7.125).
                **{key: value for key, value in tags.items() if key.startswith("aws:")},
            }
        given = Given(
            {
                each["Key"]: None if each.get("UsePreviousValue") else each.get("Value", "")
                for each in request.get("ProvisioningParameters", [])
            },
            tags,
        )
        role = self._launch_role(portfolio, product)
        template = self._constrained(artifact, portfolio, product)
        self._stacks.update(role, found.arn, found.stack, template, given)
        found.artifact, found.tags = artifact.id, tags
        token = request["UpdateToken"]
        kind = "UPDATE_PROVISIONED_PRODUCT"
        return self._begin(found, kind, token, ("UPDATE_COMPLETE",), NOT_UPDATED)

    def terminate_provisioned_product(self, request: Json, caller: str) -> Json:
        """TerminateProvisionedProduct: DeleteStack as the launch role."""
        found = self._find(request)
        if found.status == "UNDER_CHANGE":
            raise invalid("The provisioned product is UNDER_CHANGE.")
        product = self.catalog.product(found.product)
        role = self._launch_role(found.portfolio, product)
        self._stacks.delete(role, found.arn, found.stack)
        token, kind = request["TerminateToken"], "TERMINATE_PROVISIONED_PRODUCT"
        return self._begin(found, kind, token, ("DELETE_COMPLETE",), ("DELETE_FAILED",))

    def describe_provisioned_product(self, request: Json, caller: str) -> Json:
        """DescribeProvisionedProduct."""
        found = self._find({**request, "ProvisionedProductId": request.get("Id")})
        return {"ProvisionedProductDetail": descriptions.provisioned(found)}

    def get_provisioned_product_outputs(self, request: Json, caller: str) -> Json:
        """GetProvisionedProductOutputs."""
        found = self._find(request)
        return {"Outputs": descriptions.outputs(self._stacks.describe(found.stack) or {})}

    def describe_record(self, request: Json, caller: str) -> Json:
        """DescribeRecord."""
        for found in [*self.provisioned.values(), *self._terminated.values()]:
            for record in found.records:
                if record.id == request["Id"]:
                    self._refresh(found)
                    described = self._record_detail(found, record)
                    stack = self._stacks.describe(found.stack) or {}
                    return {**described, "RecordOutputs": descriptions.outputs(stack)}
        raise not_found(f"Record {request['Id']}")

    # --- Stacks ---

    def _find(self, request: Mapping[str, Any]) -> Provisioned:
        identifier = request.get("ProvisionedProductId")
        name = request.get("ProvisionedProductName") or request.get("Name")
        for each in self.provisioned.values():
            if identifier == each.id or (not identifier and name == each.name):
                self._refresh(each)
                if each.id in self.provisioned:
                    return each
        raise not_found("Provisioned product")

    def _begin(
        self,
        found: Provisioned,
        kind: str,
        token: str,
        succeeded: tuple[str, ...],
        failed: tuple[str, ...],
    ) -> Json:
        now, identifier = self._clock.now(), new_id("rec")
        found.records.append(Record(identifier, kind, token, now, succeeded, failed))
        found.status = "UNDER_CHANGE"
        return self._record_detail(found, found.records[-1])

    def _refresh(self, found: Provisioned) -> None:
        """Let the status of the stack decide those of the last record and of the product."""
        record, stack = found.records[-1], self._stacks.describe(found.stack)
        status = (stack or {}).get("StackStatus", "DELETE_COMPLETE")
        if not record.status.startswith("IN_PROGRESS"):
            return
        if status in record.succeeded:
            record.status, found.status = "SUCCEEDED", "AVAILABLE"
            if record.kind.startswith("TERMINATE"):
                self._terminated[found.id] = self.provisioned.pop(found.id)
        elif status in record.failed:
            is_new = record.kind == "PROVISION_PRODUCT"
            record.status, found.status = "FAILED", "ERROR" if is_new else "TAINTED"
            reason = self._stacks.failure(found.stack)
            record.errors = [{"Code": "ResourceFailure", "Description": reason}]
        elif "ROLLBACK" in status:
            record.status = "IN_PROGRESS_IN_ERROR"

    def _record_detail(self, found: Provisioned, record: Record) -> Json:
        role = self._launch_role(found.portfolio, self.catalog.product(found.product))
        return {"RecordDetail": descriptions.record(found, record, role)}

    # --- Constraints and tags ---

    def _launch_role(self, portfolio: str, product: Product) -> str:
        launch = self.catalog.of_kind(LAUNCH, portfolio, product.id)
        if not launch:
            raise invalid("The local AWS provisions products with a launch constraint only.")
        return str(launch[0].parameters["RoleArn"])

    def _constrained(self, artifact: Artifact, portfolio: str, product: Product) -> Json:
        """The template with the rules of the template constraints (F7.109)."""
        template = self._stacks.parse(artifact.template)
        rules = dict(template.get("Rules") or {})
        for constraint in self.catalog.of_kind(TEMPLATE, portfolio, product.id):
            rules.update(json.loads(constraint.parameters["Rules"])["Rules"])
        return {**template, "Rules": rules} if rules else template

    def _may_update_tags(self, portfolio: str, product: Product) -> bool:
        found = self.catalog.of_kind(RESOURCE_UPDATE, portfolio, product.id)
        allowed = [each.parameters["TagUpdateOnProvisionedProduct"] for each in found]
        return allowed == ["ALLOWED"]

    def _chosen_tags(self, portfolio: str, given: Tags) -> Tags:
        """The caller's tags with those of TagOptions, one of whose values it has to choose."""
        chosen = dict(given)
        for key, values in self.catalog.tag_values(portfolio).items():
            value = chosen.setdefault(key, values[0] if len(values) == 1 else "")
            if value not in values:
                raise invalid(f"Tag {key} must be one of {', '.join(values)}.")
        return chosen

    def _auto_tags(
        self,
        product: Product,
        portfolio: str,
        caller: str,
        artifact: Artifact,
        name: str,
        identifier: str,
    ) -> Tags:
        """https://docs.aws.amazon.com/servicecatalog/latest/adminguide/autotags.html (F7.125)."""
        return {
            "aws:servicecatalog:portfolioArn": self.catalog.portfolio(portfolio).arn,
            "aws:servicecatalog:productArn": product.arn,
            "aws:servicecatalog:provisioningPrincipalArn": caller,
            "aws:servicecatalog:provisionedProductArn": f"{self._arn}:stack/{name}/{identifier}",
            "aws:servicecatalog:provisioningArtifactIdentifier": artifact.id,
        }


def _tags(request: Mapping[str, Any]) -> Tags:
    return {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
