"""How every role is written: what may be done, to what, and who may take the role."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.templates.template import TEMPLATES, Template, branches, references, walk

# Conditions that can be false, which is why they are worth a line.
CONDITION_KEYS = {
    r"aws:RequestTag/hsm-lifecycle:[a-z-]+": "a request may carry another tag or none",
    r"aws:ResourceTag/hsm-lifecycle:[a-z-]+": "the account holds resources of other stacks",
    r"aws:TagKeys": "a request may set other tags",
    r"iam:AWSServiceName": "a role can be made for any service",
    r"aws:SourceAccount": "the service works for other accounts too",
    r"aws:SourceArn": "the service works for other resources too",
}
_EXPLAINED = re.compile(r"'\*' # \S.* https://\S+$")

Statement = dict[str, Any]


def role_policies(template: Template) -> list[tuple[str, Statement]]:
    """Each statement of each role's own policies, with the role."""
    return [
        (logical_id, statement)
        for logical_id, role in template.of_type("AWS::IAM::Role").items()
        for policy in role["Policies"]
        for statement in branches(policy["PolicyDocument"]["Statement"])
    ]


def trust_policies(template: Template) -> list[tuple[str, Statement]]:
    """Each statement of each role's trust policy, with the role."""
    return [
        (logical_id, statement)
        for logical_id, role in template.of_type("AWS::IAM::Role").items()
        for statement in role["AssumeRolePolicyDocument"]["Statement"]
    ]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


STATEMENTS = [
    pytest.param(template, role, statement, id=f"{template}-{role}-{statement.get('Sid')}")
    for template in TEMPLATES
    for role, statement in role_policies(template)
]
in_every_template = pytest.mark.parametrize("template", TEMPLATES, ids=repr)
in_every_statement = pytest.mark.parametrize(("template", "role", "statement"), STATEMENTS)


@in_every_statement
def test_a_statement_says_in_a_sentence_what_it_is_for(
    template: Template, role: str, statement: Statement
) -> None:
    assert re.fullmatch(r"([A-Z][a-z0-9]+){2,}", statement.get("Sid", "")), (template, role)


@in_every_template
def test_no_role_has_two_statements_of_one_name(template: Template) -> None:
    names = [(role, statement.get("Sid")) for role, statement in role_policies(template)]
    assert len(names) == len(set(names))


@in_every_statement
def test_actions_are_spelled_out_and_sorted(
    template: Template, role: str, statement: Statement
) -> None:
    actions = as_list(statement["Action"])
    assert actions == sorted(set(actions)), (template, role)
    assert [name for name in actions if not re.fullmatch(r"[a-z0-9-]+:[A-Za-z]+", name)] == []
    assert statement["Effect"] == "Allow"
    assert not {"NotAction", "NotResource"} & set(statement)


@in_every_statement
def test_conditions_can_be_false_and_use_no_set_operator(
    template: Template, role: str, statement: Statement
) -> None:
    for operator, conditions in statement.get("Condition", {}).items():
        assert ":" not in operator, (template, role)
        for key, value in conditions.items():
            assert any(re.fullmatch(pattern, key) for pattern in CONDITION_KEYS), key
            assert "*" not in str(value), key


@in_every_statement
def test_only_this_account_is_meant(template: Template, role: str, statement: Statement) -> None:
    for resource in branches(statement["Resource"]):
        text = resource.get("Fn::Sub", "") if isinstance(resource, dict) else str(resource)
        if text.startswith("arn:"):
            parts = text.replace("AWS::", "").split(":")
            assert parts[1] == "${Partition}", (template, role)
            assert parts[4] == "${AccountId}", (template, role)


@in_every_template
def test_a_star_is_explained_on_its_line_with_a_source(template: Template) -> None:
    stars = [
        line
        for line in template.text.splitlines()
        if re.search(r"""(Resource:|-) ['"]\*['"]""", line)
    ]
    assert [line.strip() for line in stars if not _EXPLAINED.search(line)] == []
    statements = [s for _, s in role_policies(template) if "*" in branches(s["Resource"])]
    assert len(stars) >= len(statements)


@in_every_template
def test_no_statement_repeats_what_another_of_the_role_allows(template: Template) -> None:
    for role, statement in role_policies(template):
        for other_role, other in role_policies(template):
            if role == other_role and statement["Sid"] != other["Sid"]:
                same = (
                    branches(statement["Resource"]) == branches(other["Resource"])
                    and statement.get("Condition") == other.get("Condition")
                    and set(as_list(statement["Action"])) & set(as_list(other["Action"]))
                )
                assert not same, (role, statement["Sid"], other["Sid"])


@in_every_template
def test_roles_have_inline_policies_only(template: Template) -> None:
    # So a role and what it allows go together when the stack is deleted.
    assert template.of_type("AWS::IAM::Policy") == template.of_type("AWS::IAM::ManagedPolicy") == {}
    for logical_id, role in template.of_type("AWS::IAM::Role").items():
        assert "ManagedPolicyArns" not in role, logical_id
        assert all(
            policy["PolicyDocument"]["Version"] == "2012-10-17" for policy in role["Policies"]
        )


@in_every_template
def test_a_role_is_taken_by_one_service(template: Template) -> None:
    for logical_id, statement in trust_policies(template):
        assert statement["Action"] == "sts:AssumeRole", logical_id
        service = statement["Principal"]["Service"]
        assert re.fullmatch(r"(lambda|states|ec2)\.amazonaws\.com", service), logical_id
        for operator, conditions in statement.get("Condition", {}).items():
            assert ":" not in operator
            assert set(conditions) <= {"aws:SourceAccount", "aws:SourceArn"}


@in_every_template
def test_step_functions_takes_its_role_for_this_account_only(template: Template) -> None:
    (statement,) = (s for role, s in trust_policies(template) if role == "rStateMachineRole")
    assert statement["Condition"]["StringEquals"]["aws:SourceAccount"] == {"Ref": "AWS::AccountId"}


@in_every_template
def test_a_function_writes_to_its_own_log_group_and_nowhere_else(template: Template) -> None:
    for logical_id in template.of_type("AWS::Lambda::Function"):
        role = logical_id.removesuffix("Function") + "Role"
        logging = [
            (statement["Sid"], as_list(statement["Action"]), statement["Resource"])
            for name, statement in role_policies(template)
            if name == role and any(a.startswith("logs:") for a in as_list(statement["Action"]))
        ]
        group = logical_id.removesuffix("Function") + "LogGroup"
        assert logging == [
            (
                "WriteLogs",
                ["logs:CreateLogStream", "logs:PutLogEvents"],
                {"Fn::GetAtt": [group, "Arn"]},
            )
        ]


@in_every_template
def test_the_answer_can_do_nothing_but_log(template: Template) -> None:
    assert [s["Sid"] for role, s in role_policies(template) if role == "rResponseRole"] == [
        "WriteLogs"
    ]


@in_every_template
def test_no_log_group_is_named_in_a_policy(template: Template) -> None:
    typed = [value for _, value in walk(template.resources) if ":log-group:" in str(value)]
    assert typed == []


@in_every_template
def test_only_documents_of_this_stack_can_be_run_on_the_client(template: Template) -> None:
    assert "AWS-Run" not in template.text
    documents = set(template.of_type("AWS::SSM::Document"))
    for role, statement in role_policies(template):
        if "ssm:SendCommand" in as_list(statement["Action"]):
            assert role == "rClientRole"
            arns = [arn["Fn::Sub"] for arn in branches(statement["Resource"])]
            runnable = [arn for arn in arns if ":document/" in arn]
            assert {name for arn in runnable for name in references({"Fn::Sub": arn})} & set(
                template.resources
            ) == documents
            (target,) = (arn for arn in arns if arn not in runnable)
            assert re.search(r":instance/\$\{(rClientInstance|pClientInstanceId)\}$", target)


@in_every_template
def test_the_workflows_may_start_watch_and_stop_each_of_their_machines(template: Template) -> None:
    actions = ("states:DescribeExecution", "states:StartExecution", "states:StopExecution")
    allowed = {
        action: {
            re.split(r":(?:stateMachine|execution):", arn["Fn::Sub"])[1].removesuffix(":*")
            for role, statement in role_policies(template)
            if role == "rStateMachineRole" and action in as_list(statement["Action"])
            for arn in branches(statement["Resource"])
        }
        for action in actions
    }
    machines = {
        machine["StateMachineName"]["Fn::Sub"]
        for machine in template.of_type("AWS::StepFunctions::StateMachine").values()
    }
    children = machines - {"${pSystem}-${pEnvPurpose}-handle-request"}
    for action, names in allowed.items():
        assert children <= names <= machines, action
