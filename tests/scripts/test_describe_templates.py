from __future__ import annotations

from typing import Any

import pytest

from scripts import statemachines, templates
from scripts.describe_templates import outputs, parameters, read_by
from scripts.parameter_readers import Readers, Source

TEMPLATE: dict[str, Any] = {
    "Parameters": {
        "pSubnets": {"Type": "String", "Description": "Private\nsubnets | zones."},
        "pMode": {"Description": "Mode.", "Default": "FIPS", "AllowedValues": ["FIPS", "NON_FIPS"]},
        "pCount": {"Description": "HSMs.", "Default": 1, "MinValue": 0, "MaxValue": 28},
        "pBackupId": {"Description": "Backup.", "Default": ""},
    },
    "Resources": {
        "rClient": {
            "Type": "AWS::EC2::Instance",
            "Properties": {"All": [{"Ref": f"p{name}"} for name in ("Subnets", "Mode", "Count")]},
        }
    },
    "Outputs": {"oClusterId": {"Description": "Cluster | ID."}},
}


def test_each_parameter_is_a_row_in_the_order_of_the_template() -> None:
    assert parameters({"some.yml": TEMPLATE}, {}, Source([])).splitlines() == [
        "**templates/some.yml**",
        "",
        "| Parameter | Default | Description | Read by |",
        "| --- | --- | --- | --- |",
        "| `pSubnets` | required | Private subnets \\| zones. | rClient |",
        "| `pMode` | `FIPS` | Mode. One of `FIPS`, `NON_FIPS`. | rClient |",
        "| `pCount` | `1` | HSMs. 0 to 28. | rClient |",
        "| `pBackupId` | empty | Backup. | CloudFormation, which sends an update for a new value |",
    ]


def test_each_output_is_a_row() -> None:
    assert outputs({"some.yml": TEMPLATE}).splitlines()[2:] == [
        "| Output | Description |",
        "| --- | --- |",
        "| `oClusterId` | Cluster \\| ID. |",
    ]


def test_each_template_has_its_own_table() -> None:
    both = {"a.yml": TEMPLATE, "b.yml": TEMPLATE}
    for text in parameters(both, {}, Source([])), outputs(both):
        assert [line for line in text.splitlines() if line.startswith("**")] == [
            "**templates/a.yml**",
            "**templates/b.yml**",
        ]


SIX = tuple("ABCDEF")


@pytest.mark.parametrize(
    ("readers", "cell"),
    [
        (Readers((), ("rA", "rB"), ("Create", "Delete")), "rA, rB; Create, Delete"),
        (Readers(("One", "Two"), (), ("Create",)), "Create; rules One, Two"),
        (Readers((), SIX[:5], SIX[:5]), "A, B, C, D, E; A, B, C, D, E"),
        (Readers((), SIX, SIX), "6 resources; A, B, C, D, E and 1 more"),
    ],
)
def test_readers_are_listed_and_long_lists_are_shortened(readers: Readers, cell: str) -> None:
    assert read_by(readers) == cell


def test_the_repository_s_templates_are_described() -> None:
    found = templates.load_all()
    text = parameters(found, statemachines.load_all(), Source.read())
    assert (
        "cannot be changed later. | CheckCreation, CreateCluster, CheckUpdate, CreateFirst" in text
    )
    assert "| `oKeyStoreState` |" in outputs(found)
