"""Portfolios, products, constraints, TagOptions and service actions: what administrators manage.

https://docs.aws.amazon.com/servicecatalog/latest/adminguide/
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from localaws.core.api_error import ApiError
from localaws.services.servicecatalog.models import (
    Artifact,
    Constraint,
    Json,
    Portfolio,
    Product,
    Stacks,
    invalid,
    new_id,
    not_found,
)

LAUNCH, TEMPLATE, RESOURCE_UPDATE = "LAUNCH", "TEMPLATE", "RESOURCE_UPDATE"


class Catalog:
    """The catalog of one account and Region."""

    def __init__(self, stacks: Stacks, arn: str) -> None:
        """`arn` is the beginning of the ARNs of portfolios and products."""
        self._stacks, self._arn = stacks, arn
        self.portfolios: dict[str, Portfolio] = {}
        self.products: dict[str, Product] = {}
        self.constraints: dict[str, Constraint] = {}
        # Key and value by id.
        self.tag_options: dict[str, tuple[str, str]] = {}
        self.actions: dict[str, Json] = {}
        # Product, version and service action.
        self.action_associations: list[tuple[str, str, str]] = []

    def product(self, product_id: str) -> Product:
        """The product with this id."""
        if product_id not in self.products:
            raise not_found(f"Product {product_id}")
        return self.products[product_id]

    def portfolio(self, portfolio_id: str) -> Portfolio:
        """The portfolio with this id."""
        if portfolio_id not in self.portfolios:
            raise not_found(f"Portfolio {portfolio_id}")
        return self.portfolios[portfolio_id]

    # --- Portfolios and products ---

    def create_portfolio(self, properties: Json) -> Portfolio:
        """CreatePortfolio."""
        identifier = new_id("port")
        created = Portfolio(identifier, f"{self._arn}:portfolio/{identifier}", properties)
        self.portfolios[identifier] = created
        return created

    def delete_portfolio(self, portfolio_id: str) -> None:
        """DeletePortfolio: only if nothing is associated with it."""
        found = self.portfolio(portfolio_id)
        if found.products or found.principals or found.tag_options:
            raise _in_use(f"Portfolio {portfolio_id}")
        del self.portfolios[portfolio_id]

    def create_product(self, properties: Json) -> Product:
        """CreateProduct with all its versions."""
        identifier = new_id("prod")
        created = Product(identifier, f"{self._arn}:product/{identifier}", properties)
        created.artifacts = [self._artifact(each) for each in _versions(properties)]
        self.products[identifier] = created
        return created

    def update_product(self, product_id: str, properties: Json) -> Product:
        """Update a product; versions with the same name and template keep their id (F7.105)."""
        found = self.product(product_id)
        kept = {} if properties.get("ReplaceProvisioningArtifacts") else _by_source(found)
        found.artifacts = [
            kept.get(_source(each)) or self._artifact(each) for each in _versions(properties)
        ]
        found.properties = properties
        return found

    def delete_product(self, product_id: str) -> None:
        """DeleteProduct: only if no portfolio has it."""
        if any(product_id in each.products for each in self.portfolios.values()):
            raise _in_use(f"Product {product_id}")
        self.product(product_id)
        del self.products[product_id]

    def _artifact(self, given: Mapping[str, Any]) -> Artifact:
        """A version: Service Catalog copies and validates the template (F7.112)."""
        name, url = _source(given)
        template = self._stacks.read_template(url)
        self._stacks.parse(template)
        return Artifact(new_id("pa"), name, url, str(given.get("Description", "")), template)

    def add_product(self, portfolio_id: str, product_id: str) -> None:
        """AssociateProductWithPortfolio."""
        self.portfolio(portfolio_id).products.append(self.product(product_id).id)

    def remove_product(self, portfolio_id: str, product_id: str) -> None:
        """DisassociateProductFromPortfolio: only if no constraint needs it."""
        for each in self.constraints.values():
            if (each.portfolio, each.product) == (portfolio_id, product_id):
                raise _in_use(f"Product {product_id} of portfolio {portfolio_id}")
        self.portfolio(portfolio_id).products.remove(product_id)

    # --- Constraints ---

    def create_constraint(
        self, kind: str, portfolio_id: str, product_id: str, parameters: Json
    ) -> Constraint:
        """CreateConstraint: at most one of LAUNCH and RESOURCE_UPDATE for a product (F7.111)."""
        if product_id not in self.portfolio(portfolio_id).products:
            raise not_found(f"Product {product_id} of portfolio {portfolio_id}")
        if kind != TEMPLATE and self.of_kind(kind, portfolio_id, product_id):
            raise ApiError("DuplicateResourceException", f"The product has a {kind} constraint.")
        if kind == TEMPLATE:
            _check_rules(parameters["Rules"])
        created = Constraint(new_id("cons"), kind, portfolio_id, product_id, parameters)
        self.constraints[created.id] = created
        return created

    def of_kind(self, kind: str, portfolio_id: str, product_id: str) -> list[Constraint]:
        """The constraints of a kind on a product of a portfolio."""
        wanted = kind, portfolio_id, product_id
        found = self.constraints.values()
        return [each for each in found if (each.kind, each.portfolio, each.product) == wanted]

    # --- TagOptions and service actions ---

    def create_tag_option(self, key: str, value: str) -> str:
        """CreateTagOption."""
        if (key, value) in self.tag_options.values():
            raise ApiError("DuplicateResourceException", f"TagOption {key}={value} exists.")
        identifier = new_id("tag")
        self.tag_options[identifier] = key, value
        return identifier

    def delete_tag_option(self, identifier: str) -> None:
        """DeleteTagOption: only if nothing is associated with it."""
        if any(identifier in each.tag_options for each in self.portfolios.values()):
            raise _in_use(f"TagOption {identifier}")
        del self.tag_options[identifier]

    def tag_values(self, portfolio_id: str) -> dict[str, list[str]]:
        """The values that a portfolio's TagOptions permit, by key."""
        found: dict[str, list[str]] = {}
        for identifier in self.portfolio(portfolio_id).tag_options:
            key, value = self.tag_options[identifier]
            found.setdefault(key, []).append(value)
        return found

    def create_action(self, properties: Json) -> str:
        """CreateServiceAction."""
        identifier = new_id("act")
        self.actions[identifier] = properties
        return identifier

    def delete_action(self, identifier: str) -> None:
        """DeleteServiceAction: only if no version has it."""
        if any(each[2] == identifier for each in self.action_associations):
            raise _in_use(f"Service action {identifier}")
        del self.actions[identifier]

    def associate_action(self, product_id: str, artifact_id: str, action_id: str) -> None:
        """AssociateServiceActionWithProvisioningArtifact."""
        self.product(product_id).artifact({"ProvisioningArtifactId": artifact_id})
        if action_id not in self.actions:
            raise not_found(f"Service action {action_id}")
        self.action_associations.append((product_id, artifact_id, action_id))


def _in_use(what: str) -> ApiError:
    return ApiError("ResourceInUseException", f"{what} is in use.")


def _versions(properties: Mapping[str, Any]) -> list[Json]:
    found = list(properties.get("ProvisioningArtifactParameters") or [])
    names = [_source(each)[0] for each in found]
    if len({*names}) < len(names):
        raise invalid("Names of provisioning artifacts must be unique.")
    return found


def _source(given: Mapping[str, Any]) -> tuple[str, str]:
    """The name of a version and the address of its template."""
    info = given.get("Info") or {}
    url = info.get("LoadTemplateFromURL", "")
    if not url:
        raise ApiError("NotImplemented", "The local AWS reads templates by URL only.", 501)
    return str(given.get("Name", "")), str(url)


def _by_source(product: Product) -> dict[tuple[str, str], Artifact]:
    return {(each.name, each.url): each for each in product.artifacts}


def _check_rules(rules: str) -> None:
    try:
        parsed = json.loads(rules)["Rules"]
        assertions = [each["Assert"] for rule in parsed.values() for each in rule["Assertions"]]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise invalid(f"Rules of the template constraint cannot be read: {error}") from error
    if not assertions:
        raise invalid("The template constraint has no rule.")
