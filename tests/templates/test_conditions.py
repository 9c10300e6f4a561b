"""The contract of IAM conditions: each protects another stack's, or another service's, things.

A condition that is removed, weakened or added fails here; tests/iam tries them with the roles' own
credentials.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.templates.template import TEMPLATES, Template, walk

_STACK = "hsm-lifecycle:stack-id AWS::StackId"
_STARTED = "hsm-lifecycle:started-by ${pSystem}-${pEnvPurpose}-run-on-client"
IF_OWNED = {f"StringEquals aws:ResourceTag/{_STACK}"}
IF_OWNED_OR_UNTAGGED = {f"StringEqualsIfExists aws:ResourceTag/{_STACK}"}
IF_TAGGED_AS_OWN = {f"StringEquals aws:RequestTag/{_STACK}"}
NEW_OR_OWNED = IF_TAGGED_AS_OWN | IF_OWNED_OR_UNTAGGED
# With pCloudHsmIamScope=TAG, and with ANY.
BY_SCOPE = {f"cScopesByTag ? {each}" for each in IF_OWNED} | {
    f"cScopesByTag : {each}" for each in IF_OWNED_OR_UNTAGGED
}
NOT_OF_A_TEMPLATE = {"Null aws:ResourceTag/aws:cloudformation:stack-id true"}
IF_STARTING = {f"StringEquals aws:RequestTag/{_STARTED}"}
IF_STARTED = {f"StringEquals aws:ResourceTag/{_STARTED}"}
# The client that CloudFormation launched for this stack.
IF_LAUNCHED = {"StringEquals aws:ResourceTag/aws:cloudformation:stack-id AWS::StackId"}

BOTH = {
    "rRequestRole StopStartedClient": IF_STARTED,
    "rStateMachineRole trust": {"StringEquals aws:SourceAccount AWS::AccountId"},
    "rClientRole UseVolumeKey": {
        "Bool kms:GrantIsForAWSResource true",
        "StringEquals kms:ViaService ec2.${AWS::Region}.amazonaws.com",
    },
}
CONDITIONS: dict[str, dict[str, set[str]]] = {
    "cloudhsm.yml": BOTH
    | {
        "rClientRole RunOnClient": IF_LAUNCHED,
        "rClientRole StartAndStopClient": IF_LAUNCHED,
        "rClientRole TagStartedClient": IF_STARTING | IF_LAUNCHED,
        "rClientRole UntagStartedClient": IF_STARTED | IF_LAUNCHED,
        "rClusterRole CreateCluster": {
            f"cScopesByTag ? StringEquals aws:RequestTag/{_STACK}",
            f"cScopesByTag : StringEqualsIfExists aws:RequestTag/{_STACK}",
        },
        "rClusterRole TagNewCluster": NEW_OR_OWNED,
        "rClusterRole ChangeOwnedCluster": BY_SCOPE,
        "rClusterRole DeleteOwnedCluster": IF_OWNED_OR_UNTAGGED,
        "rClusterRole ManageClusterSecurityGroup": NOT_OF_A_TEMPLATE | IF_OWNED_OR_UNTAGGED,
        "rClusterRole TagClusterSecurityGroup": NOT_OF_A_TEMPLATE | NEW_OR_OWNED,
        "rClusterRole CreateServiceLinkedRoleForCloudHsm": {
            "StringEquals iam:AWSServiceName cloudhsm.amazonaws.com"
        },
        "rCertificateRole InitializeOwnedCluster": BY_SCOPE,
        "rCertificateRole CreateClusterSecrets": NEW_OR_OWNED,
        "rCertificateRole ReadAndWriteCertificates": IF_OWNED,
        "rCertificateRole DeleteClusterSecrets": IF_OWNED,
        "rCertificateRole StoreHsmIdentity": NEW_OR_OWNED,
        "rCertificateRole UpdateHsmIdentity": IF_OWNED,
        "rCertificateRole DeleteHsmIdentity": IF_OWNED_OR_UNTAGGED,
        "rClientInstanceRole ReadPasswordAndCaCertificate": IF_OWNED,
    },
    "cloudhsm-key-store.yml": BOTH
    | {
        "rClientRole TagStartedClient": IF_STARTING,
        "rClientRole UntagStartedClient": IF_STARTED,
        "rKeyStoreRole CreateServiceLinkedRoleForKms": {
            "StringEquals iam:AWSServiceName cks.kms.amazonaws.com"
        },
        # Null: a set operator is true if the key is absent.
        "rKeyStoreRole RecordAdminLogins": {
            "ForAllValues:StringEquals aws:TagKeys"
            " hsm-lifecycle:admin-logins:${pCloudHsmClusterId}",
            "Null aws:TagKeys false",
        },
        "rKeyStoreRole CreateKmsUserPassword": NEW_OR_OWNED,
        "rKeyStoreRole ManageKmsUserPassword": IF_OWNED,
    },
}


def test_every_condition_is_that_of_the_contract() -> None:
    assert {template.name: conditions(template) for template in TEMPLATES} == CONDITIONS


def conditions(template: Template) -> dict[str, set[str]]:
    """The conditions of all statements that have one, by resource and Sid."""
    return {
        f"{path[0]} {statement.get('Sid', 'trust')}": set(terms(statement["Condition"]))
        for path, statement in walk(template.resources)
        if isinstance(statement, dict) and {"Effect", "Condition"} <= set(statement)
    }


def terms(condition: dict[str, Any]) -> Iterator[str]:
    """Each operator with its key and value; in both branches of !If."""
    if "Fn::If" in condition:
        name, yes, no = condition["Fn::If"]
        yield from (f"{name} ? {term}" for term in terms(yes))
        yield from (f"{name} : {term}" for term in terms(no))
        return
    for operator, keys in condition.items():
        for key, value in keys.items():
            text = next(iter(value.values())) if isinstance(value, dict) else value
            yield f"{operator} {key} {text}"
