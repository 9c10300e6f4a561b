"""Resource properties of the types that their schemas demand.

CloudFormation takes "24" for a number and 24 for a string, and hands handlers what the schema says:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
ministack hands them what the template says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from localaws.ministack import resource_schemas

Schema = Mapping[str, Any]


def converted(kind: str, properties: Any, region: str) -> Any:
    """The properties of a resource, converted to the types of its schema."""
    if not resource_schemas.is_known(kind, region) or kind.startswith("Custom::"):
        return properties
    schema: Schema = resource_schemas.schema(kind, region)
    return _convert(properties, schema, schema)


def _convert(value: Any, schema: Schema, root: Schema) -> Any:
    while isinstance(reference := schema.get("$ref"), str):
        schema = root
        for part in reference.removeprefix("#/").split("/"):
            schema = schema.get(part) or {}
    if isinstance(value, dict):
        members = schema.get("properties") or {}
        return {key: _convert(each, members.get(key) or {}, root) for key, each in value.items()}
    if isinstance(value, list):
        items = schema.get("items")
        return [_convert(each, items if isinstance(items, dict) else {}, root) for each in value]
    return _scalar(value, schema.get("type"))


def _scalar(value: Any, kind: Any) -> Any:
    if kind == "string" and isinstance(value, bool):
        return "true" if value else "false"
    if kind == "string" and isinstance(value, int | float):
        return str(value)
    if isinstance(value, str) and kind == "boolean" and value in ("true", "false"):
        return value == "true"
    if isinstance(value, str) and kind in ("integer", "number"):
        if re.fullmatch(r"[+-]?\d+", value):
            return int(value)
        if kind == "number" and re.fullmatch(r"[+-]?\d+\.\d+", value):
            return float(value)
    return value
