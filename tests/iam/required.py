"""What AWS needs of a caller beyond what our own calls show, each with its source.

No call in the code and no state of a workflow leads to these actions, so nobody reading a role
could tell why they are there. The local AWS demands each of the caller as AWS does, which
test_least_privilege.py holds to this list in both directions.
"""

from __future__ import annotations

from dataclasses import dataclass

AUTHORIZATION = "https://docs.aws.amazon.com/service-authorization/latest/reference"
AGENT = "amazon-ssm-agent"


@dataclass(frozen=True)
class Required:
    """Actions that AWS demands of whoever makes a call, or of the role that somebody works with."""

    behind: str
    actions: tuple[str, ...]
    source: str


REQUIRED = (
    # CloudHSM makes its security group and network interfaces with the caller's permissions. The
    # example policies of its user guide hold four actions more (ec2:CreateTags,
    # ec2:DescribeNetworkInterfaceAttribute, ec2:DescribeVpcs, ec2:DetachNetworkInterface), which
    # the reference never had and which its clusters did not miss.
    Required(
        "cloudhsm:CreateCluster",
        (
            "cloudhsm:TagResource",
            "ec2:AuthorizeSecurityGroupEgress",
            "ec2:AuthorizeSecurityGroupIngress",
            "ec2:CreateSecurityGroup",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:RevokeSecurityGroupEgress",
            "iam:CreateServiceLinkedRole",
        ),
        f"{AUTHORIZATION}/list_awscloudhsm.html",
    ),
    Required(
        "cloudhsm:CreateHsm",
        (
            "ec2:AuthorizeSecurityGroupEgress",
            "ec2:AuthorizeSecurityGroupIngress",
            "ec2:CreateNetworkInterface",
            "ec2:CreateSecurityGroup",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:RevokeSecurityGroupEgress",
        ),
        f"{AUTHORIZATION}/list_awscloudhsm.html",
    ),
    Required(
        "cloudhsm:DeleteHsm",
        ("ec2:DeleteNetworkInterface",),
        f"{AUTHORIZATION}/list_awscloudhsm.html",
    ),
    # Only an earlier edition of that page lists these. The handler of AWS::CloudHSM::Cluster has
    # the second.
    Required(
        "cloudhsm:DeleteCluster",
        ("ec2:DeleteNetworkInterface", "ec2:DeleteSecurityGroup"),
        f"{AUTHORIZATION}/list_awscloudhsm.html",
    ),
    Required(
        "kms:CreateCustomKeyStore",
        ("cloudhsm:DescribeClusters", "iam:CreateServiceLinkedRole"),
        "https://docs.aws.amazon.com/kms/latest/developerguide/authorize-key-store.html",
    ),
    Required(
        "secretsmanager:CreateSecret",
        ("secretsmanager:TagResource",),
        "https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html",
    ),
    Required(
        "states:CreateStateMachine",
        ("events:DescribeRule", "events:PutRule", "events:PutTargets"),
        "https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html",
    ),
    Required(
        "states:CreateStateMachine",
        (
            "logs:CreateLogDelivery",
            "logs:DeleteLogDelivery",
            "logs:DescribeLogGroups",
            "logs:DescribeResourcePolicies",
            "logs:GetLogDelivery",
            "logs:ListLogDeliveries",
            "logs:PutResourcePolicy",
            "logs:UpdateLogDelivery",
        ),
        "https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html",
    ),
    Required(
        "states:StartExecution",
        ("states:DescribeExecution", "states:StopExecution"),
        "https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html",
    ),
    Required(
        "lambda:InvokeFunction",
        ("logs:CreateLogStream", "logs:PutLogEvents"),
        "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html",
    ),
    Required(
        AGENT,
        (
            "ssm:UpdateInstanceInformation",
            "ssmmessages:CreateControlChannel",
            "ssmmessages:CreateDataChannel",
            "ssmmessages:OpenControlChannel",
            "ssmmessages:OpenDataChannel",
        ),
        "https://docs.aws.amazon.com/systems-manager/latest/userguide/systems-manager-setting-up-messageAPIs.html",
    ),
)
