from __future__ import annotations

from typing import Any

from scripts import describe_templates as describe

TEMPLATE: dict[str, Any] = {
    "Parameters": {
        "pSubnets": {"Type": "String", "Description": "Private\nsubnets | zones."},
        "pMode": {"Description": "Mode.", "Default": "FIPS", "AllowedValues": ["FIPS", "NON_FIPS"]},
        "pCount": {"Description": "HSMs.", "Default": 1, "MinValue": 0, "MaxValue": 28},
        "pBackupId": {"Description": "Backup.", "Default": ""},
    },
    "Resources": {
        "rBucket": {"Type": "AWS::S3::Bucket"},
        "rRole": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "Policies": [
                    {
                        "PolicyDocument": {
                            "Statement": [
                                {"Sid": "WriteOwnLogs", "Action": ["logs:A", "logs:B"]},
                                {
                                    "Fn::If": [
                                        "cHasBackup",
                                        {"Sid": "AdoptSecrets", "Action": "kms:C"},
                                        {"Ref": "AWS::NoValue"},
                                    ]
                                },
                            ]
                        }
                    }
                ]
            },
        },
    },
}


def test_parameters_are_a_table_in_the_order_of_the_template() -> None:
    assert describe.parameters({"some.yml": TEMPLATE}).splitlines()[4:] == [
        "| `pSubnets` | required | Private subnets \\| zones. |",
        "| `pMode` | `FIPS` | Mode. One of `FIPS`, `NON_FIPS`. |",
        "| `pCount` | `1` | HSMs. 0 to 28. |",
        "| `pBackupId` | empty | Backup. |",
    ]


def test_each_template_has_a_table_of_its_own() -> None:
    text = describe.parameters({"a.yml": TEMPLATE, "b.yml": TEMPLATE})
    assert text.count("| Parameter | Default | What it is |") == 2
    assert "**templates/b.yml**" in text


def test_permissions_are_a_row_for_each_statement() -> None:
    assert describe.permissions({"some.yml": TEMPLATE}).splitlines()[2:] == [
        "| some: rRole | WriteOwnLogs | `logs:A`, `logs:B` |",
        "| some: rRole | AdoptSecrets | `kms:C` |",
    ]


def test_the_repositorys_own_templates_can_be_described() -> None:
    assert "`pHsmsPerSubnet`" in describe.parameters(describe.all_templates())
    assert "rClusterRole" in describe.permissions(describe.all_templates())
