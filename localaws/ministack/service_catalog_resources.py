"""The AWS::ServiceCatalog resource types, with which administrators manage the catalog."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localaws.core.api_error import ApiError
from localaws.ministack.access import ministack
from localaws.ministack.resource_handlers import Created, Handlers, Props, handler_error
from localaws.services.servicecatalog.catalog import LAUNCH, RESOURCE_UPDATE, TEMPLATE, Catalog
from localaws.services.servicecatalog.models import Product

CatalogOf = Callable[[], Catalog]
Create = Callable[[Catalog, Props], Created]
Delete = Callable[[Catalog, str, Props], None]

_provisioners = ministack("services.cloudformation.provisioners")
_iam = ministack("services.iam")

CONSTRAINTS = {
    "AWS::ServiceCatalog::LaunchRoleConstraint": LAUNCH,
    "AWS::ServiceCatalog::LaunchTemplateConstraint": TEMPLATE,
    "AWS::ServiceCatalog::ResourceUpdateConstraint": RESOURCE_UPDATE,
}
# These cannot be changed: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_ServiceCatalog.html
CREATE_ONLY = {
    "PortfolioProductAssociation": ("PortfolioId", "ProductId", "SourcePortfolioId"),
    "PortfolioPrincipalAssociation": ("PortfolioId", "PrincipalARN", "PrincipalType"),
    "TagOption": ("Key", "Value"),
    "TagOptionAssociation": ("TagOptionId", "ResourceId"),
    "ServiceActionAssociation": ("ProductId", "ProvisioningArtifactId", "ServiceActionId"),
    **{name.rpartition(":")[2]: ("PortfolioId", "ProductId") for name in CONSTRAINTS},
}


def install(catalog_of: CatalogOf) -> None:
    """Add the resource types."""
    types: dict[str, Handlers] = _provisioners._RESOURCE_HANDLERS
    for kind, constraint in CONSTRAINTS.items():
        types[kind] = _constraint(catalog_of, constraint)
    for name, (create, delete) in _SIMPLE.items():
        types[f"AWS::ServiceCatalog::{name}"] = _simple(catalog_of, create, delete)
    product = types["AWS::ServiceCatalog::CloudFormationProduct"]
    product["update"] = _product_update(catalog_of)
    for name, properties in CREATE_ONLY.items():
        _provisioners._REPLACING_PROPERTIES[f"AWS::ServiceCatalog::{name}"] = properties


def _simple(catalog_of: CatalogOf, create: Create, delete: Delete) -> Handlers:
    def run_create(logical_id: str, props: Props, stack_name: str) -> Created:
        created: Created = _reporting(lambda: create(catalog_of(), props))
        return created

    def run_update(physical_id: str, old: Props, new: Props, stack_name: str) -> Created:
        return physical_id, {}

    def run_delete(physical_id: str, props: Props) -> None:
        _reporting(lambda: delete(catalog_of(), physical_id, props))

    return {"create": run_create, "update": run_update, "delete": run_delete}


def _reporting(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except ApiError as error:
        code = "NotFound" if "NotFound" in error.code else "InvalidRequest"
        raise handler_error(
            f"{error.message} (Service: ServiceCatalog, Status Code: {error.status})", code
        ) from error


def _constraint(catalog_of: CatalogOf, kind: str) -> Handlers:
    def create(catalog: Catalog, props: Props) -> Created:
        if kind == LAUNCH and props["RoleArn"].rpartition("/")[2] not in _iam._roles:
            raise ApiError("ResourceNotFoundException", f"Role {props['RoleArn']} not found.")
        made = catalog.create_constraint(kind, props["PortfolioId"], props["ProductId"], props)
        return made.id, {"Id": made.id}

    def delete(catalog: Catalog, physical_id: str, props: Props) -> None:
        catalog.constraints.pop(physical_id, None)

    def update(physical_id: str, old: Props, new: Props, stack_name: str) -> Created:
        catalog_of().constraints[physical_id].parameters = new
        return physical_id, {"Id": physical_id}

    return {**_simple(catalog_of, create, delete), "update": update}


def _attributes(product: Product) -> dict[str, Any]:
    return {
        "ProductName": product.properties["Name"],
        "ProvisioningArtifactIds": ",".join(each.id for each in product.artifacts),
        "ProvisioningArtifactNames": ",".join(each.name for each in product.artifacts),
    }


def _create_product(catalog: Catalog, props: Props) -> Created:
    made = catalog.create_product(props)
    return made.id, _attributes(made)


def _product_update(catalog_of: CatalogOf) -> Callable[..., Created]:
    def update(product_id: str, old: Props, new: Props, stack_name: str) -> Created:
        changed: Product = _reporting(lambda: catalog_of().update_product(product_id, new))
        return product_id, _attributes(changed)

    return update


def _create_portfolio(catalog: Catalog, props: Props) -> Created:
    made = catalog.create_portfolio(props)
    return made.id, {"PortfolioName": props["DisplayName"]}


def _add_product(catalog: Catalog, props: Props) -> Created:
    catalog.add_product(props["PortfolioId"], props["ProductId"])
    return f"{props['PortfolioId']}|{props['ProductId']}", {}


def _add_principal(catalog: Catalog, props: Props) -> Created:
    if props["PrincipalType"] != "IAM" or "*" in props["PrincipalARN"]:
        raise ApiError("NotImplemented", "The local AWS has principals of type IAM only.", 501)
    catalog.portfolio(props["PortfolioId"]).principals.append(props["PrincipalARN"])
    return f"{props['PortfolioId']}|{props['PrincipalARN']}", {}


def _create_tag_option(catalog: Catalog, props: Props) -> Created:
    identifier = catalog.create_tag_option(props["Key"], props["Value"])
    return identifier, {"Id": identifier}


def _add_tag_option(catalog: Catalog, props: Props) -> Created:
    catalog.portfolio(props["ResourceId"]).tag_options.append(props["TagOptionId"])
    return f"{props['TagOptionId']}|{props['ResourceId']}", {}


def _create_action(catalog: Catalog, props: Props) -> Created:
    identifier = catalog.create_action(props)
    return identifier, {"Id": identifier}


def _add_action(catalog: Catalog, props: Props) -> Created:
    given = props["ProductId"], props["ProvisioningArtifactId"], props["ServiceActionId"]
    catalog.associate_action(*given)
    return "|".join(given), {}


def _remove_action(catalog: Catalog, physical_id: str, props: Props) -> None:
    given = props["ProductId"], props["ProvisioningArtifactId"], props["ServiceActionId"]
    if given in catalog.action_associations:
        catalog.action_associations.remove(given)


def _remove_tag_option(catalog: Catalog, physical_id: str, props: Props) -> None:
    catalog.portfolio(props["ResourceId"]).tag_options.remove(props["TagOptionId"])


def _remove_principal(catalog: Catalog, physical_id: str, props: Props) -> None:
    catalog.portfolio(props["PortfolioId"]).principals.remove(props["PrincipalARN"])


_SIMPLE: dict[str, tuple[Create, Delete]] = {
    "CloudFormationProduct": (
        _create_product,
        lambda catalog, physical_id, props: catalog.delete_product(physical_id),
    ),
    "Portfolio": (
        _create_portfolio,
        lambda catalog, physical_id, props: catalog.delete_portfolio(physical_id),
    ),
    "PortfolioPrincipalAssociation": (_add_principal, _remove_principal),
    "PortfolioProductAssociation": (
        _add_product,
        lambda catalog, physical_id, props: catalog.remove_product(
            props["PortfolioId"], props["ProductId"]
        ),
    ),
    "ServiceAction": (
        _create_action,
        lambda catalog, physical_id, props: catalog.delete_action(physical_id),
    ),
    "ServiceActionAssociation": (_add_action, _remove_action),
    "TagOption": (
        _create_tag_option,
        lambda catalog, physical_id, props: catalog.delete_tag_option(physical_id),
    ),
    "TagOptionAssociation": (_add_tag_option, _remove_tag_option),
}
