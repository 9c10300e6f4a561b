"""Dependent actions: what AWS requires of a caller in addition to the action called.

No call in the code and no workflow state shows that a role needs them; the source does. The local
AWS requires the same actions, which test_least_privilege.py checks in both directions.
"""

from __future__ import annotations

from dataclasses import dataclass

AUTHORIZATION = "https://docs.aws.amazon.com/service-authorization/latest/reference"
USER_GUIDE = "https://docs.aws.amazon.com/cloudhsm/latest/userguide/identity-access-management.html"
AGENT = "amazon-ssm-agent"


@dataclass(frozen=True)
class DependentActions:
    """Actions that AWS requires of the caller of an action, or of the SSM agent's role."""

    behind: str
    actions: tuple[str, ...]
    source: str


DEPENDENT_ACTIONS = (
    # A failed event goes to its destination with the permissions of the function that failed.
    DependentActions(
        "lambda:InvokeFunction",
        ("lambda:InvokeFunction",),
        "https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html",
    ),
    # CloudHSM creates its security group and network interfaces with the caller's permissions.
    DependentActions(
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
    DependentActions(
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
    DependentActions(
        "cloudhsm:DeleteHsm",
        ("ec2:DeleteNetworkInterface",),
        f"{AUTHORIZATION}/list_awscloudhsm.html",
    ),
    # Listed by an earlier edition of the page only. The handler of AWS::CloudHSM::Cluster has the
    # second.
    DependentActions(
        "cloudhsm:DeleteCluster",
        ("ec2:DeleteNetworkInterface", "ec2:DeleteSecurityGroup"),
        f"{AUTHORIZATION}/list_awscloudhsm.html",
    ),
    DependentActions(
        "cloudhsm:ModifyCluster",
        ("ec2:DescribeSubnets",),
        f"{AUTHORIZATION}/list_awscloudhsm.html",
    ),
    # Not in the reference, but in the example policies of the user guide. They also allow
    # ec2:CreateTags and ec2:DetachNetworkInterface, which are not granted (F5.10).
    DependentActions("cloudhsm:CreateCluster", ("ec2:DescribeVpcs",), USER_GUIDE),
    DependentActions(
        "cloudhsm:CreateHsm",
        ("ec2:DescribeNetworkInterfaceAttribute", "ec2:DescribeVpcs"),
        USER_GUIDE,
    ),
    DependentActions("cloudhsm:DeleteHsm", ("ec2:DescribeNetworkInterfaceAttribute",), USER_GUIDE),
    DependentActions(
        "kms:CreateCustomKeyStore",
        ("cloudhsm:DescribeClusters", "iam:CreateServiceLinkedRole"),
        "https://docs.aws.amazon.com/kms/latest/developerguide/authorize-key-store.html",
    ),
    DependentActions(
        "ec2:StartInstances",
        ("kms:CreateGrant",),
        "https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html",
    ),
    DependentActions(
        "secretsmanager:CreateSecret",
        ("secretsmanager:TagResource",),
        "https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html",
    ),
    DependentActions(
        "ssm:PutParameter",
        ("ssm:AddTagsToResource",),
        "https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-param-tags.html",
    ),
    DependentActions(
        "states:CreateStateMachine",
        ("events:DescribeRule", "events:PutRule", "events:PutTargets"),
        "https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html",
    ),
    DependentActions(
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
    DependentActions(
        "states:StartExecution",
        ("states:DescribeExecution", "states:StopExecution"),
        "https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html",
    ),
    DependentActions(
        "lambda:InvokeFunction",
        ("logs:CreateLogStream", "logs:PutLogEvents"),
        "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html",
    ),
    DependentActions(
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
