from __future__ import annotations

from localaws.client import LocalAws
from tests.localaws.ministack.support import SampleStack, elapsed, function, role

SECONDS = {
    "create_role": 17,
    "create_policy": 16,
    "create_instance_profile": 121,
    "create_function": 6,
}
CODE = "def handler(event, context): pass"
POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}],
}


def test_cloudformation_takes_as_long_as_the_timings_say_once_for_each_type() -> None:
    policy = {"PolicyName": "p", "PolicyDocument": POLICY, "Roles": [{"Ref": "One"}]}
    resources = {
        "One": role("lambda"),
        "Two": role("ec2"),
        "Policy": {"Type": "AWS::IAM::Policy", "Properties": policy, "DependsOn": "Two"},
        "Profile": {
            "Type": "AWS::IAM::InstanceProfile",
            "Properties": {"Roles": [{"Ref": "Two"}]},
            "DependsOn": "Policy",
        },
        "First": {**function(CODE, "One"), "DependsOn": "Profile"},
        "Second": {**function(CODE, "One"), "DependsOn": "Profile"},
    }
    with LocalAws(timings=SECONDS) as aws:
        stack, began = SampleStack(aws), elapsed(aws)
        assert stack.create(resources) == "CREATE_COMPLETE"
        assert round(elapsed(aws) - began) == sum(SECONDS.values())
