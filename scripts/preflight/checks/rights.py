"""What the caller must be allowed so that CloudFormation can create and delete the resources.

The actions are those of CloudFormation's resource handlers for the properties that the templates
use; tests/scripts/preflight compares them with the published schemas.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from scripts.preflight.findings import Check, Finding
from scripts.preflight.simulation import Denial, denials
from scripts.preflight.subject import Subject

CHECK = Check("your rights")


@dataclass(frozen=True)
class Right:
    """Actions on a resource of one type; of the resource's name, `{name}` is what is known."""

    kind: str
    actions: tuple[str, ...]
    service: str
    resource: str
    name: str = ""
    is_global: bool = False
    context: Mapping[str, str] = field(default_factory=dict)


RIGHTS = (
    Right(
        "AWS::Lambda::Function",
        ("lambda:CreateFunction", "lambda:GetFunction", "lambda:DeleteFunction"),
        "lambda",
        "function:{name}",
        "FunctionName",
    ),
    Right(
        "AWS::Lambda::EventInvokeConfig",
        ("lambda:PutFunctionEventInvokeConfig", "lambda:DeleteFunctionEventInvokeConfig"),
        "lambda",
        "function:{prefix}-request",
    ),
    Right(
        "AWS::Lambda::Permission",
        ("lambda:AddPermission", "lambda:RemovePermission"),
        "lambda",
        "function:{prefix}-response",
    ),
    Right(
        "AWS::IAM::Role",
        (
            "iam:CreateRole",
            "iam:GetRole",
            "iam:PutRolePolicy",
            "iam:DeleteRolePolicy",
            "iam:DeleteRole",
        ),
        "iam",
        "role/{name}",
        is_global=True,
    ),
    Right(
        "AWS::IAM::InstanceProfile",
        (
            "iam:CreateInstanceProfile",
            "iam:GetInstanceProfile",
            "iam:AddRoleToInstanceProfile",
            "iam:RemoveRoleFromInstanceProfile",
            "iam:DeleteInstanceProfile",
        ),
        "iam",
        "instance-profile/{name}",
        is_global=True,
    ),
    Right(
        "AWS::Logs::LogGroup",
        (
            "logs:CreateLogGroup",
            "logs:DescribeLogGroups",
            "logs:PutRetentionPolicy",
            "logs:DeleteLogGroup",
        ),
        "logs",
        "log-group:{name}",
        "LogGroupName",
    ),
    Right(
        "AWS::SecretsManager::Secret",
        (
            "secretsmanager:CreateSecret",
            "secretsmanager:DescribeSecret",
            "secretsmanager:DeleteSecret",
        ),
        "secretsmanager",
        "secret:{name}-AbCdEf",
    ),
    Right("AWS::SecretsManager::Secret", ("secretsmanager:GetRandomPassword",), "", "*"),
    Right(
        "AWS::Events::Rule",
        (
            "events:PutRule",
            "events:DescribeRule",
            "events:PutTargets",
            "events:RemoveTargets",
            "events:DeleteRule",
        ),
        "events",
        "rule/{name}",
    ),
    Right(
        "AWS::StepFunctions::StateMachine",
        (
            "states:CreateStateMachine",
            "states:DescribeStateMachine",
            "states:DeleteStateMachine",
        ),
        "states",
        "stateMachine:{name}",
        "StateMachineName",
    ),
    Right("AWS::EC2::Instance", ("ec2:RunInstances", "ec2:CreateTags"), "ec2", "instance/*"),
    Right("AWS::EC2::Instance", ("ec2:TerminateInstances",), "ec2", "instance/*"),
    Right("AWS::EC2::Instance", ("ec2:DescribeInstances",), "", "*"),
    Right(
        "AWS::EC2::SecurityGroup",
        (
            "ec2:CreateSecurityGroup",
            "ec2:AuthorizeSecurityGroupEgress",
            "ec2:RevokeSecurityGroupEgress",
            "ec2:DeleteSecurityGroup",
        ),
        "ec2",
        "security-group/*",
    ),
    Right("AWS::EC2::SecurityGroup", ("ec2:DescribeSecurityGroups",), "", "*"),
    Right(
        "AWS::SSM::Document",
        ("ssm:CreateDocument", "ssm:GetDocument", "ssm:DeleteDocument"),
        "ssm",
        "document/{name}",
    ),
    *(
        Right(
            kind,
            ("iam:PassRole",),
            "iam",
            "role/{name}",
            is_global=True,
            context={"iam:PassedToService": f"{service}.amazonaws.com"},
        )
        for kind, service in (
            ("AWS::Lambda::Function", "lambda"),
            ("AWS::StepFunctions::StateMachine", "states"),
            ("AWS::EC2::Instance", "ec2"),
        )
    ),
)
# Beside its resources: the stack, and the custom resource, which CloudFormation invokes with the
# caller's credentials (F7.122).
STACK_ACTIONS = (
    "cloudformation:CreateChangeSet",
    "cloudformation:DescribeChangeSet",
    "cloudformation:ExecuteChangeSet",
    "cloudformation:DescribeStacks",
    "cloudformation:DescribeStackEvents",
    "cloudformation:DeleteStack",
    # make deploy, unless PROTECT=no
    "cloudformation:UpdateTerminationProtection",
)
BUCKET_ACTIONS = ("s3:PutObject", "s3:GetObject")


def rights(subject: Subject) -> Iterator[Finding]:
    """Simulate the caller's policies for all that the creation asks of the caller."""
    arn = subject.caller["Arn"]
    if arn.endswith(":root"):
        yield CHECK.ok("root user: no policy limits it")
        return
    principal = _principal(subject, arn)
    if not principal:
        yield CHECK.warning(
            f"{arn} is neither a user nor a role, so its policies cannot be simulated.",
            "Use a role.",
        )
        return
    found = [
        denial
        for actions, resource, context in _requests(subject)
        for denial in denials(subject.account, principal, actions, resource, context)
    ]
    yield from _rows(found)
    if not found:
        yield CHECK.ok(f"{principal.rpartition(':')[2]} may create and delete all resources")


def _principal(subject: Subject, arn: str) -> str:
    """The user or role whose policies the simulator reads; the role of a session."""
    kind, _, name = arn.rpartition(":")[2].partition("/")
    if kind == "assumed-role":
        role = subject.account.ask("iam", "get_role", RoleName=name.partition("/")[0])
        return str(role["Role"]["Arn"])
    return arn if kind == "user" else ""


def _requests(subject: Subject) -> Iterator[tuple[tuple[str, ...], str, dict[str, str]]]:
    """Actions, the resource, and condition keys of each simulation."""
    always = {"aws:RequestedRegion": subject.account.region}
    stack = subject.stack or "preflight"
    yield STACK_ACTIONS, subject.arn("cloudformation", f"stack/{stack}/id"), always
    front = subject.arn("lambda", f"function:{subject.prefix}-request")
    yield ("lambda:InvokeFunction",), front, always
    if subject.bucket:
        bucket = f"arn:{subject.account.partition}:s3:::{subject.bucket}/object"
        yield BUCKET_ACTIONS, bucket, always
    for right in RIGHTS:
        resources = [
            (logical_id, each)
            for logical_id, each in subject.template["Resources"].items()
            if each["Type"] == right.kind
        ]
        if resources:
            yield (
                right.actions,
                _resource(subject, right, *resources[0]),
                {
                    **always,
                    **right.context,
                },
            )


def _resource(
    subject: Subject, right: Right, logical_id: str, resource: Mapping[str, Mapping[str, str]]
) -> str:
    """The ARN of the first resource of its type, with a name as CloudFormation would choose."""
    if not right.service:
        return right.resource
    name = f"{subject.stack or 'preflight'}-{logical_id}-ABCDEFGHIJKL"
    if right.name:
        name = subject.resolver.resolve(resource["Properties"][right.name])
    text = right.resource.format(name=name, prefix=subject.prefix)
    return subject.arn(right.service, text, is_global=right.is_global)


def _rows(found: list[Denial]) -> Iterator[Finding]:
    """One row a resource, for what is denied and for what depends on conditions."""
    for resource in dict.fromkeys(denial.resource for denial in found):
        these = [denial for denial in found if denial.resource == resource]
        open_ = [each for each in these if each.unknown_keys and not each.is_explicit]
        denied = [each for each in these if each not in open_]
        if denied:
            yield CHECK.error(
                f"{_actions(denied)} is denied on {resource}.",
                "Deploy with another role, or ask for the permission.",
            )
        if open_:
            keys = sorted({key for each in open_ for key in each.unknown_keys})
            yield CHECK.warning(
                f"{_actions(open_)} on {resource} depends on {', '.join(keys)}.",
                "The simulator does not know these conditions; see your policies.",
            )


def _actions(these: list[Denial]) -> str:
    return ", ".join(dict.fromkeys(each.action for each in these))
