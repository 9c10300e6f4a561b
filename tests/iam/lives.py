"""Lives in which the roles of both templates do all that they are ever asked to do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from rehearsal import laws
from rehearsal.ground import lay
from rehearsal.life import Life
from rehearsal.local_aws import LocalAws, until
from rehearsal.stacks import Stack
from tests.templates.template import Template
from tests.templates.test_policies import as_list, role_policies
from tests.timings import QUICK

KEY_STORE_TEMPLATE = "build/rehearsal/templates/cloudhsm-key-store.yml"
# Makes the workflow set the password of kmsuser anew, which takes a command.
WRONG_PASSWORD = {"connect": "INVALID_CREDENTIALS"}
# Virtual seconds within which an instance has stopped.
A_MINUTE = 60


@dataclass(frozen=True)
class Decision:
    """A row of GET /decisions, with the role's logical id instead of its name."""

    role: str
    action: str
    resource: str
    allowed: bool
    statement: str | None
    behind: str | None


@dataclass(frozen=True)
class Granted:
    """An action that a statement of a role allows."""

    role: str
    statement: str
    action: str


def granted(template: Template) -> list[Granted]:
    """Every action that the roles of a template may do."""
    return [
        Granted(role, statement["Sid"], action)
        for role, statement in role_policies(template)
        for action in as_list(statement["Action"])
    ]


def decisions(aws: LocalAws) -> list[Decision]:
    """What IAM decided about the roles of our stacks, which are named <stack>-<logical id>-..."""
    found = []
    for row in aws.control.decisions():
        role = re.search(r"-(r[A-Za-z]+Role)-[0-9A-Z]+$", row.pop("principal"))
        if role:
            found.append(Decision(role[1], **row))
    return found


def life_of_a_cluster() -> list[Decision]:
    """Created, changed in every way, cancelled, restored from its backup under other names."""
    with LocalAws(timings=QUICK) as aws:
        life = Life(aws)
        life.stack.parameters["pSubnets"] = aws.subnets[0]
        life.stack.tags = {"team": "crypto"}
        life.request()
        life.expect_stack("CREATE_COMPLETE")
        client = life.stack.outputs()["oClientInstanceId"]
        aws.client("ec2").stop_instances(InstanceIds=[client])
        life.control.advance(A_MINUTE)
        life.stack.tags = {"stage": "trial"}
        life.request(pBackupRetentionDays=30, pReconcile="a stopped client")
        life.expect_stack("UPDATE_COMPLETE")
        life.control.pause_after("SendCommand")
        life.start(pReconcile="to be cancelled")
        _cancel_while_a_command_runs(life, client)
        restored = life.beside("restored", **_backup_with_its_secrets(life))
        restored.request()
        restored.expect_stack("CREATE_COMPLETE")
        for each in (restored, life):
            each.delete()
            each.expect_stack("DELETE_COMPLETE")
        assert laws.broken(aws.control.timeline()) == []
        return decisions(aws)


def life_of_a_key_store() -> list[Decision]:
    """Created with a stopped client, renamed, reconnected, cancelled, deleted."""
    with LocalAws(timings=QUICK) as aws:
        ground = lay(aws)
        life = Life(aws)
        life.stack = Stack(
            aws,
            "store",
            KEY_STORE_TEMPLATE,
            pKeyStoreName="first",
            pDeleteKeyStoreUponStackDeletion="true",
            **ground.parameters,
        )
        aws.client("ec2").stop_instances(InstanceIds=[ground.client])
        life.control.advance(A_MINUTE)
        life.fault(WRONG_PASSWORD)
        life.request()
        life.expect_stack("CREATE_COMPLETE")
        store = life.stack.outputs()["oCloudHsmKeyStoreId"]
        aws.client("kms").disconnect_custom_key_store(CustomKeyStoreId=store)
        life.control.advance(2 * A_MINUTE)
        life.fault(WRONG_PASSWORD)
        life.control.pause_after("SendCommand")
        life.start(pKeyStoreName="second", pReconcile="renamed and disconnected")
        _cancel_while_a_command_runs(life, ground.client)
        life.delete()
        life.expect_stack("DELETE_COMPLETE")
        assert laws.broken(aws.control.timeline()) == []
        return decisions(aws)


def _cancel_while_a_command_runs(life: Life, client: str) -> None:
    """Cancel the update while a command waits for the client, so that it is cancelled as well."""
    with life.standing_still():
        life.fault(agent="offline", instance=client)
        life.cancel()
        # At once, and so while time stands still.
        until(lambda: _is_cancelled(life), "the command was not cancelled")
        life.fault(agent="online", instance=client)
    life.wait()
    life.expect_stack("UPDATE_ROLLBACK_COMPLETE")


def _is_cancelled(life: Life) -> bool:
    events = life.control.timeline()
    return any((each["service"], each["event"]) == ("ssm", "Cancelled") for each in events)


def _backup_with_its_secrets(life: Life) -> dict[str, str]:
    """The parameters that restore the cluster's newest backup, with copies of its secrets."""
    cluster_id = life.cluster()["ClusterId"]
    backups = life.aws.client("cloudhsmv2").describe_backups(
        Filters={"clusterIds": [cluster_id], "states": ["READY"]}, SortAscending=False
    )["Backups"]
    copies = {
        "pBackupCaCertSecretName": _copy(life, f"/cloudhsm/{cluster_id}/customer-ca-cert"),
        "pBackupAdminPasswordSecretName": _copy(
            life, f"/cloudhsm/{cluster_id}/initial-crypto-officer-password"
        ),
    }
    return {"pBackupId": backups[0]["BackupId"], **copies}


def _copy(life: Life, secret: str) -> str:
    secrets, copy = life.aws.client("secretsmanager"), f"/copies{secret}"
    text = secrets.get_secret_value(SecretId=secret)["SecretString"]
    secrets.create_secret(Name=copy, SecretString=text)
    return copy


def needed(found: Iterable[Decision]) -> set[Granted]:
    """The actions without which a decision would have been another one."""
    return {
        Granted(each.role, each.statement, each.action)
        for each in found
        if each.allowed and each.statement
    }
