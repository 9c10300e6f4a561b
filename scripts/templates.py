"""Reads CloudFormation templates as plain data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

TEMPLATES = Path("templates")
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
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if name == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _long_form)


def load(path: Path) -> Template:
    """A template, its functions in their long form."""
    template: Template = yaml.load(path.read_text(), _Loader)
    return template


def all_paths(directory: Path = TEMPLATES) -> list[Path]:
    """The templates of the repository by name: the cluster's before the key store's."""
    return sorted(directory.glob("*.yml"), key=lambda path: path.stem)
