"""What Service Catalog's actions say of products, provisioned products and records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localaws.services.servicecatalog.catalog import Catalog
from localaws.services.servicecatalog.models import Json, Product, Provisioned, Record

CONSTRAINTS = {
    "AllowedPattern": "AllowedPattern",
    "AllowedValues": "AllowedValues",
    "ConstraintDescription": "ConstraintDescription",
    "MaxLength": "MaxLength",
    "MaxValue": "MaxValue",
    "MinLength": "MinLength",
    "MinValue": "MinValue",
}


def product(described: Product, portfolio: str) -> Json:
    """The response of DescribeProduct."""
    return {
        "ProductViewSummary": {
            "ProductId": described.id,
            "Name": described.properties["Name"],
            "Owner": described.properties["Owner"],
            "Type": "CLOUD_FORMATION_TEMPLATE",
        },
        "ProvisioningArtifacts": [
            {"Id": each.id, "Name": each.name, "Description": each.description}
            for each in described.artifacts
        ],
        "LaunchPaths": [{"Id": _path_id(portfolio), "Name": portfolio}],
    }


def path(catalog: Catalog, described: Product, portfolio: str) -> Json:
    """A launch path: the portfolio that a product is launched from."""
    constraints = catalog.constraints.values()
    return {
        "Id": _path_id(portfolio),
        "Name": catalog.portfolio(portfolio).properties["DisplayName"],
        "ConstraintSummaries": [
            {"Type": each.kind, "Description": str(each.parameters.get("Description", ""))}
            for each in constraints
            if (each.portfolio, each.product) == (portfolio, described.id)
        ],
    }


def _path_id(portfolio: str) -> str:
    return f"lpv2-{portfolio.removeprefix('port-')}"


def parameters(template: Json, tag_values: Mapping[str, list[str]]) -> Json:
    """The response of DescribeProvisioningParameters."""
    return {
        "ProvisioningArtifactParameters": [
            {
                "ParameterKey": name,
                "ParameterType": declared.get("Type", "String"),
                "DefaultValue": str(declared.get("Default", "")),
                "IsNoEcho": str(declared.get("NoEcho", "false")).lower() == "true",
                "Description": declared.get("Description", ""),
                "ParameterConstraints": {
                    key: _text(declared[name]) for name, key in CONSTRAINTS.items()
                    if name in declared
                },
            }
            for name, declared in (template.get("Parameters") or {}).items()
        ],
        "TagOptions": [{"Key": key, "Values": values} for key, values in tag_values.items()],
    }  # fmt: skip


def _text(value: Any) -> Any:
    return [str(each) for each in value] if isinstance(value, list) else str(value)


def provisioned(found: Provisioned) -> Json:
    """A ProvisionedProductDetail."""
    return {
        "Name": found.name,
        "Arn": found.arn,
        "Type": "CFN_STACK",
        "Id": found.id,
        "Status": found.status,
        "CreatedTime": found.created,
        "LastRecordId": found.records[-1].id,
        "ProductId": found.product,
        "ProvisioningArtifactId": found.artifact,
    }


def record(found: Provisioned, described: Record, role: str) -> Json:
    """A RecordDetail."""
    return {
        "RecordId": described.id,
        "ProvisionedProductName": found.name,
        "Status": described.status,
        "CreatedTime": described.created,
        "ProvisionedProductType": "CFN_STACK",
        "RecordType": described.kind,
        "ProvisionedProductId": found.id,
        "ProductId": found.product,
        "ProvisioningArtifactId": found.artifact,
        "PathId": _path_id(found.portfolio),
        "RecordErrors": described.errors,
        "RecordTags": [{"Key": key, "Value": value} for key, value in found.tags.items()],
        "LaunchRoleArn": role,
    }


def outputs(stack: Json) -> list[Json]:
    """RecordOutputs: the stack's, and its ARN."""
    if not stack:
        return []
    arn = {"OutputKey": "CloudformationStackARN", "OutputValue": stack["StackId"]}
    found = stack.get("Outputs") or []
    return [arn, *({key: each[key] for key in ("OutputKey", "OutputValue")} for each in found)]
