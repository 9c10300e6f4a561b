"""Loads CloudFormation templates as plain data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

TEMPLATES = Path("templates")
# The template that offers the others as products; it deploys nothing of them itself.
CATALOG = "service-catalog.yml"
Template = dict[str, Any]


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short-form functions."""


def _long_form(loader: _Loader, name: str, node: yaml.Node) -> dict[str, Any]:
    """`!GetAtt A.Arn` as {"Fn::GetAtt": ["A", "Arn"]}; Ref and Condition have no prefix."""
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)  # nosec B101 # for mypy
        value = loader.construct_mapping(node, deep=True)
    if name == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _long_form)


def load(path: Path) -> Template:
    """A template with its functions in long form."""
    template: Template = yaml.load(path.read_text(), _Loader)  # nosec B506 # a SafeLoader
    return template


def load_all(directory: Path = TEMPLATES) -> dict[str, Template]:
    """Every template by file name."""
    return {path.name: load(path) for path in all_paths(directory)}


def all_paths(directory: Path = TEMPLATES) -> list[Path]:
    """The paths of the products' templates, sorted by name without extension."""
    found = (path for path in directory.glob("*.yml") if path.name != CATALOG)
    return sorted(found, key=lambda path: path.stem)


def references(value: Any) -> set[str]:
    """The parameters, resources and conditions that a value of a template refers to."""
    match value:
        case {"Ref": str(name)} | {"Condition": str(name)}:
            return {name}
        case {"Fn::GetAtt": [str(name), *_]}:
            return {name}
        case {"Fn::Sub": str(text)}:
            return {name.split(".")[0] for name in re.findall(r"\$\{([^!}][^}]*)\}", text)}
        case {"Fn::If": [str(condition), *branches]}:
            return {condition} | references(branches)
        case dict():
            return set().union(*map(references, value.values()))
        case list():
            return set().union(*map(references, value))
    return set()
