"""IAM roles: least privilege, one inline policy per role, and who may assume it."""

from __future__ import annotations

import itertools
import re
from typing import Any

from hsm_lifecycle import aws
from hsm_lifecycle.ownership import STACK_TAG
from tests.templates.template import (
    TEMPLATES,
    Statement,
    Template,
    as_list,
    branches,
    references,
    walk,
)

# Condition keys that can evaluate to false here, and when.
CONDITION_KEYS = {
    r"aws:RequestTag/hsm-lifecycle:[a-z-]+": "a request may carry another tag or none",
    r"aws:ResourceTag/hsm-lifecycle:[a-z-]+": "the account contains resources of other stacks",
    r"aws:ResourceTag/aws:cloudformation:stack-id": "other stacks created security groups",
    r"aws:TagKeys": "a request may set other tags",
    r"iam:AWSServiceName": "a service-linked role can be created for any service",
    r"kms:GrantIsForAWSResource": "a principal may create grants for others too",
    r"kms:ViaService": "other services, and the principal itself, may call KMS",
    r"aws:SourceAccount": "the service acts for other accounts too",
    r"aws:SourceArn": "the service acts for other resources too",
}
# Statements whose condition has a set operator, with a Null condition on the same key: a set
# operator is true if the key is absent.
SET_OPERATORS = ("RecordAdminLogins",)
# Statements about the resources of any cluster without a condition on the stack's tag, and why.
UNTAGGED = {
    "DescribeClusterSecrets": "a secret that does not exist has no tags",
    "ReadBackupSecrets": "the stack that created the backup created its secrets",
    "FindPasswordOfBackup": "the stack that created the backup created its secrets",
    "ReadHsmIdentity": "the stack that created a backup stored the evidence of its cluster",
    "DeleteHsmIdentity": "a parameter that does not exist has no tags",
}
# Statements that also allow resources without the stack's tag, and why.
IF_EXISTS = {
    "ChangeOwnedCluster": "pCloudHsmIamScope=ANY: AWS may not evaluate tags",
    "CreateCluster": "pCloudHsmIamScope=ANY: AWS may not evaluate tags",
    "InitializeOwnedCluster": "pCloudHsmIamScope=ANY: AWS may not evaluate tags",
    "DeleteOwnedCluster": "a rollback must leave nothing behind if AWS does not evaluate tags",
    "CreateClusterSecrets": "a new secret has no tags",
    "CreateKmsUserPassword": "a new secret has no tags",
    "StoreHsmIdentity": "a new parameter has no tags",
    "DeleteHsmIdentity": "a parameter that does not exist has no tags",
    "ManageClusterSecurityGroup": "CloudHSM creates the group without tags",
    "TagClusterSecurityGroup": "CloudHSM creates the group without tags",
    "TagNewCluster": "a new cluster has no tags",
}
_STACK_TAG = re.compile(r"aws:(Request|Resource)Tag/hsm-lifecycle:stack-id")
_EXPLAINED_STAR = re.compile(r"'\*' # \S.* https://\S+$")

STATEMENTS: list[tuple[str, Statement]] = [
    (f"{template} {role} {statement.get('Sid')}", statement)
    for template in TEMPLATES
    for role, statement in template.role_statements()
]


def statements_of(template: Template, role: str) -> list[Statement]:
    return [statement for name, statement in template.role_statements() if name == role]


def conditions_of(statement: Statement) -> list[dict[str, Any]]:
    """The Condition of a statement in each branch of !If."""
    return branches(statement.get("Condition", {}))


def test_every_statement_has_a_sid_of_at_least_two_words() -> None:
    wrong = [
        label
        for label, statement in STATEMENTS
        if not re.fullmatch(r"([A-Z][a-z0-9]+){2,}", statement.get("Sid", ""))
    ]
    assert wrong == []


def test_sids_are_unique_within_a_role() -> None:
    labels = [label for label, _ in STATEMENTS]
    assert [label for label in labels if labels.count(label) > 1] == []


def test_statements_allow_sorted_actions_without_wildcards() -> None:
    wrong = []
    for label, statement in STATEMENTS:
        actions = as_list(statement["Action"])
        if (
            actions != sorted(set(actions))
            or not all(re.fullmatch(r"[a-z0-9-]+:[A-Za-z]+", action) for action in actions)
            or statement["Effect"] != "Allow"
            or {"NotAction", "NotResource"} & set(statement)
        ):
            wrong.append(label)
    assert wrong == []


def test_conditions_use_keys_that_can_be_false_without_set_operators_or_wildcards() -> None:
    wrong = [
        (label, operator, key)
        for label, statement in STATEMENTS
        for condition in conditions_of(statement)
        for operator, conditions in condition.items()
        for key, value in conditions.items()
        if (":" in operator and not label.endswith(SET_OPERATORS))
        or not any(re.fullmatch(pattern, key) for pattern in CONDITION_KEYS)
        or "*" in str(value)
    ]
    assert wrong == []


def test_resources_of_any_cluster_are_restricted_to_those_with_the_stacks_tag() -> None:
    unrestricted = {
        statement["Sid"]
        for _, statement in STATEMENTS
        if re.search(r"cluster[-/]\*", str(statement["Resource"]))
        and not any(
            _STACK_TAG.fullmatch(key) and value == {"Ref": "AWS::StackId"}
            for condition in conditions_of(statement)[:1]
            for key, value in condition.get("StringEquals", {}).items()
        )
    }
    assert unrestricted == set(UNTAGGED)


def test_a_statement_allows_untagged_resources_only_for_a_reason() -> None:
    found = {
        statement["Sid"]
        for _, statement in STATEMENTS
        for condition in conditions_of(statement)
        if "StringEqualsIfExists" in condition
    }
    assert found == set(IF_EXISTS)


def test_no_statement_can_add_the_stacks_tag_to_a_resource_of_another_stack() -> None:
    wrong = [
        label
        for label, statement in STATEMENTS
        if not label.endswith(SET_OPERATORS)  # another tag only
        and any(
            re.search(r":(Tag|Create)(Resource|Tags)$", a) for a in as_list(statement["Action"])
        )
        and "instance/" not in str(statement["Resource"])
        and any(
            {"Ref": "AWS::StackId"}
            not in (
                condition.get(operator, {}).get(f"aws:ResourceTag/{STACK_TAG}")
                for operator in ("StringEquals", "StringEqualsIfExists")
            )
            for condition in conditions_of(statement)
        )
    ]
    assert wrong == []


def test_the_error_about_the_scope_covers_the_actions_that_the_scope_restricts() -> None:
    scoped = {
        action.removeprefix("cloudhsm:")
        for _, statement in STATEMENTS
        if "cScopesByTag" in str(statement)
        for action in as_list(statement["Action"])
    }
    assert scoped == aws.SCOPED_OPERATIONS


def test_the_functions_with_scoped_actions_know_the_scope() -> None:
    found = {
        logical_id.removesuffix("Function")
        for template in TEMPLATES
        for logical_id, function in template.of_type("AWS::Lambda::Function").items()
        if function.get("Environment", {}).get("Variables", {}).get("CLOUDHSM_IAM_SCOPE")
        == {"Ref": "pCloudHsmIamScope"}
    }
    expected = {
        role.removesuffix("Role")
        for template in TEMPLATES
        for role, statement in template.role_statements()
        if "cScopesByTag" in str(statement)
    }
    assert found == expected != set()


def test_arns_name_the_partition_and_the_account_of_the_stack() -> None:
    wrong = []
    for label, statement in STATEMENTS:
        for resource in branches(statement["Resource"]):
            text = resource.get("Fn::Sub", "") if isinstance(resource, dict) else str(resource)
            text = text[0] if isinstance(text, list) else text
            if text.startswith("arn:"):
                parts = text.replace("AWS::", "").split(":")
                # Buckets are named without an account.
                account = "" if parts[2] == "s3" else "${AccountId}"
                if (parts[1], parts[4]) != ("${Partition}", account):
                    wrong.append((label, text))
    assert wrong == []


def test_every_wildcard_resource_is_explained_on_its_line_with_a_source() -> None:
    unexplained, missed = [], []
    for template in TEMPLATES:
        lines = [
            line.strip()
            for line in template.text.splitlines()
            if re.search(r"""(Resource:|-) ['"]\*['"]""", line)
        ]
        unexplained += [(template, line) for line in lines if not _EXPLAINED_STAR.search(line)]
        wildcards = [s for _, s in template.role_statements() if "*" in branches(s["Resource"])]
        if len(lines) < len(wildcards):  # one is written in a form that the search misses
            missed.append(template)
    assert unexplained == []
    assert missed == []


def test_no_two_statements_of_a_role_allow_the_same_action_on_the_same_resources() -> None:
    wrong = [
        (template, role, one["Sid"], other["Sid"])
        for template in TEMPLATES
        for role in template.of_type("AWS::IAM::Role")
        for one, other in itertools.combinations(statements_of(template, role), 2)
        if branches(one["Resource"]) == branches(other["Resource"])
        and one.get("Condition") == other.get("Condition")
        and set(as_list(one["Action"])) & set(as_list(other["Action"]))
    ]
    assert wrong == []


def test_roles_have_only_inline_policies() -> None:
    # An inline policy is deleted with its role.
    wrong = []
    for template in TEMPLATES:
        wrong += [
            *template.of_type("AWS::IAM::Policy"),
            *template.of_type("AWS::IAM::ManagedPolicy"),
        ]
        for logical_id, role in template.of_type("AWS::IAM::Role").items():
            versions = {policy["PolicyDocument"]["Version"] for policy in role["Policies"]}
            if "ManagedPolicyArns" in role or versions != {"2012-10-17"}:
                wrong.append(logical_id)
    assert wrong == []


def test_every_role_is_assumed_by_one_service() -> None:
    wrong = []
    for template in TEMPLATES:
        for logical_id, statement in template.trust_statements():
            service = statement["Principal"]["Service"]
            conditions = statement.get("Condition", {})
            keys = {key for values in conditions.values() for key in values}
            if (
                statement["Action"] != "sts:AssumeRole"
                or not re.fullmatch(r"(lambda|states|ec2)\.amazonaws\.com", service)
                or any(":" in operator for operator in conditions)
                or not keys <= {"aws:SourceAccount", "aws:SourceArn"}
            ):
                wrong.append((template, logical_id))
    assert wrong == []


def test_step_functions_assumes_its_role_only_for_this_account() -> None:
    conditions = [
        statement["Condition"]["StringEquals"]["aws:SourceAccount"]
        for template in TEMPLATES
        for role, statement in template.trust_statements()
        if role == "rStateMachineRole"
    ]
    assert conditions == [{"Ref": "AWS::AccountId"}] * len(TEMPLATES)


def test_every_function_writes_only_to_its_own_log_group() -> None:
    wrong = []
    for template in TEMPLATES:
        for function in template.of_type("AWS::Lambda::Function"):
            stem = function.removesuffix("Function")
            logging = [
                statement
                for statement in statements_of(template, f"{stem}Role")
                if any(action.startswith("logs:") for action in as_list(statement["Action"]))
            ]
            expected = {
                "Sid": "WriteLogs",
                "Effect": "Allow",
                "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                "Resource": {"Fn::GetAtt": [f"{stem}LogGroup", "Arn"]},
            }
            if logging != [expected]:
                wrong.append((template, function, logging))
    assert wrong == []


def test_the_response_function_may_only_read_and_invoke_the_request_function() -> None:
    sids = [
        [statement["Sid"] for statement in statements_of(template, "rResponseRole")]
        for template in TEMPLATES
    ]
    assert sids == [
        [
            "DecryptResponseUrl",
            "WriteLogs",
            "DetectStartedRequests",
            "DetectRollbacks",
            "DeliverRequestsAgain",
            "ReadFailedSteps",
        ]
    ] * len(TEMPLATES)


def test_no_policy_spells_out_a_log_group_arn() -> None:
    wrong = [
        (template, path)
        for template in TEMPLATES
        for path, value in walk(template.resources)
        if isinstance(value, str) and ":log-group:" in value
    ]
    assert wrong == []


def test_only_documents_of_the_stack_can_run_on_the_client() -> None:
    found, expected = [], []
    for template in TEMPLATES:
        documents = set(template.of_type("AWS::SSM::Document"))
        own = "rClientInstance" in template.resources
        # test_conditions.py: those of the stack only.
        client = ":instance/*" if own else ":instance/${pClientInstanceId}"
        expected.append(({"rClientRole"}, documents, [client]))
        statements = [
            (role, arn["Fn::Sub"])
            for role, statement in template.role_statements()
            if "ssm:SendCommand" in as_list(statement["Action"])
            for arn in branches(statement["Resource"])
        ]
        runnable = [arn for _, arn in statements if ":document/" in arn]
        targets = [re.sub(r".*(?=:instance/)", "", arn) for _, arn in statements if ":ec2:" in arn]
        named = {name for arn in runnable for name in references({"Fn::Sub": arn})}
        roles = {role for role, _ in statements}
        found.append((roles, named & set(template.resources), targets))
    assert found == expected
    assert [template for template in TEMPLATES if "AWS-Run" in template.text] == []


def test_workflows_may_start_describe_and_stop_every_workflow_they_call() -> None:
    wrong = []
    for template in TEMPLATES:
        machines = {
            machine["StateMachineName"]["Fn::Sub"]
            for machine in template.of_type("AWS::StepFunctions::StateMachine").values()
        }
        called = machines - {"${pSystem}-${pEnvPurpose}-handle-request"}
        for action in ("DescribeExecution", "StartExecution", "StopExecution"):
            allowed = {
                re.split(r":(?:stateMachine|execution):", arn["Fn::Sub"])[1].removesuffix(":*")
                for statement in statements_of(template, "rStateMachineRole")
                if f"states:{action}" in as_list(statement["Action"])
                for arn in branches(statement["Resource"])
            }
            if not called <= allowed <= machines:
                wrong.append((template, action, called ^ allowed))
    assert wrong == []
