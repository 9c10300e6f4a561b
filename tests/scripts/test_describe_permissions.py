from __future__ import annotations

from typing import Any

from scripts import templates
from scripts.describe_permissions import permissions, stars, statements, unexplained

ARN = "arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:"
STATEMENTS: list[dict[str, Any]] = [
    {
        "Sid": "WriteLogs",
        "Action": ["logs:A", "logs:B"],
        "Resource": {"Fn::GetAtt": ["rGroup", "Arn"]},
    },
    {
        "Fn::If": [
            "cHasBackup",
            {
                "Sid": "AdoptSecrets",
                "Action": "kms:C",
                "Resource": ["*", {"Fn::Sub": f"{ARN}key/*"}],
                "Condition": {"Bool": {"kms:D": "true"}},
            },
            {
                "Fn::If": [
                    "cOther",
                    {"Sid": "ReadOthers", "Action": "kms:E", "Resource": {"Ref": "rKey"}},
                    {"Ref": "AWS::NoValue"},
                ]
            },
        ]
    },
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
SOURCE = """
Resources:
  rRole:
      - Sid: AdoptSecrets
        Resource:
          - '*' # none: https://a
"""
USES = {
    "some rRole WriteLogs logs:A": ["standard"],
    "some rRole WriteLogs logs:B": ["a", "b", "c", "9"],
}


def test_each_statement_is_a_row_with_uses_resources_condition_and_reasons() -> None:
    assert permissions({"some.yml": TEMPLATE}, {"some.yml": SOURCE}, USES).splitlines()[2:] == [
        "| some: rRole | WriteLogs | `logs:A`: standard; "
        "`logs:B`: a, b, c, 9 more | `rGroup` |  |  |",
        "| some: rRole | AdoptSecrets | `kms:C` | `*`, `key/*` | Bool `kms:D` | none: https://a; "
        "the key of the client's volumes is not known; EC2 alone may use the grant |",
        "| some: rRole | ReadOthers | `kms:E` | `rKey` |  |  |",
    ]


def test_every_wildcard_of_the_repository_s_roles_has_a_reason() -> None:
    missing = []
    for path in templates.all_paths():
        reasons = stars(path.read_text())
        for role, statement in statements(templates.load(path)):
            sid = statement["Sid"]
            missing += [
                (path.name, role, sid, wildcard)
                for wildcard in unexplained(statement, reasons.get((role, sid)))
            ]
    assert missing == []


def test_a_wildcard_without_a_reason_is_found() -> None:
    statement = {"Sid": "A", "Action": "s3:A", "Resource": ["*", {"Fn::Sub": f"{ARN}thing/*"}]}
    assert unexplained(statement, None) == ["*", "thing/*"]
    assert unexplained(statement, "none") == ["thing/*"]
