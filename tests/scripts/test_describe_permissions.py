from __future__ import annotations

from typing import Any

from scripts import templates
from scripts.describe_permissions import permissions

STATEMENTS: list[dict[str, Any]] = [
    {"Sid": "WriteLogs", "Action": ["logs:A", "logs:B"]},
    {"Fn::If": ["cHasBackup", {"Sid": "AdoptSecrets", "Action": "kms:C"}, {"Ref": "AWS::NoValue"}]},
]
TEMPLATE: dict[str, Any] = {
    "Resources": {
        "rBucket": {"Type": "AWS::S3::Bucket"},
        "rRole": {
            "Type": "AWS::IAM::Role",
            "Properties": {"Policies": [{"PolicyDocument": {"Statement": STATEMENTS}}]},
        },
    },
}


def test_each_statement_is_a_row() -> None:
    assert permissions({"some.yml": TEMPLATE}).splitlines()[2:] == [
        "| some: rRole | WriteLogs | `logs:A`, `logs:B` |",
        "| some: rRole | AdoptSecrets | `kms:C` |",
    ]


def test_the_repository_s_roles_are_described() -> None:
    assert "| cloudhsm: rClusterRole | DeleteHsms | `cloudhsm:DeleteHsm` |" in permissions(
        templates.load_all()
    )
