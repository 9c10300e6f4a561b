from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import localaws
from localaws.client import LocalAws
from tests.localaws.ministack.support import SampleStack, function, role

CODE = "def handler(event, context): return context.invoked_function_arn"
OUTPUTS = {
    "Partition": {"Value": {"Ref": "AWS::Partition"}},
    "Suffix": {"Value": {"Fn::Sub": "${AWS::Partition}.${AWS::URLSuffix}"}},
    "Role": {"Value": {"Fn::GetAtt": ["FunctionRole", "Arn"]}},
    "Stack": {"Value": {"Ref": "AWS::StackId"}},
}


def with_policy(arn: str) -> dict[str, Any]:
    found = role("lambda")
    found["Properties"]["ManagedPolicyArns"] = [arn]
    return {"FunctionRole": found, "Function": function(CODE)}


def test_arns_of_govcloud_have_its_partition() -> None:
    with LocalAws("--region", "us-gov-west-1") as aws:
        stack = SampleStack(aws)
        resources = with_policy("arn:aws-us-gov:iam::aws:policy/ReadOnlyAccess")
        assert stack.create(resources, Outputs=OUTPUTS) == "CREATE_COMPLETE"
        assert stack.output("Partition") == "aws-us-gov"
        assert stack.output("Suffix") == "aws-us-gov.amazonaws.com"
        arns = [
            stack.id,
            stack.output("Role"),
            stack.output("Stack"),
            stack.invoke("Function")["payload"],
            aws.client("sts").get_caller_identity()["Arn"],
        ]
        assert [arn for arn in arns if not arn.startswith("arn:aws-us-gov:")] == []
        secrets = aws.client("secretsmanager")
        secret = secrets.create_secret(Name="one", SecretString="text")["ARN"]
        assert secrets.get_secret_value(SecretId=secret)["SecretString"] == "text"
        other = SampleStack(aws)
        literal = "arn:aws:iam::aws:policy/ReadOnlyAccess"
        assert other.create(with_policy(literal)) == "ROLLBACK_COMPLETE"
        assert f"{literal} does not exist or is not attachable" in other.reason("FunctionRole")


def test_other_regions_have_the_partition_aws(stack: SampleStack) -> None:
    stack.create(with_policy("arn:aws:iam::aws:policy/ReadOnlyAccess"), Outputs=OUTPUTS)
    assert stack.output("Partition") == "aws"
    assert stack.output("Role").startswith("arn:aws:iam::")


def test_no_arn_is_spelled_with_a_partition() -> None:
    literal = re.compile(r"[\"']arn:aws:")
    sources = Path(localaws.__file__).parent.rglob("*.py")
    assert [str(source) for source in sources if literal.search(source.read_text())] == []
