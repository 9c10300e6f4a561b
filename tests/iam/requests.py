"""Lives in which the roles of both templates do all that they are ever asked to do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from localaws.client import LocalAws, until
from rehearsal.checks import invariants
from rehearsal.drivers.deployment import Stack
from rehearsal.drivers.stack import StackDriver
from rehearsal.fixtures import existing_cluster
from tests.support.timings import QUICK
from tests.templates.template import Template, as_list

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
        for role, statement in template.role_statements()
        for action in as_list(statement["Action"])
    ]


def decisions(aws: LocalAws) -> list[Decision]:
    """What IAM decided about the roles of our stacks, which are named <stack>-<logical id>-..."""
    found = []
    for row in aws.admin.decisions():
        role = re.search(r"-(r[A-Za-z]+Role)-[0-9A-Z]+$", row.pop("principal"))
        if role:
            found.append(Decision(role[1], **row))
    return found


def cluster_decisions() -> list[Decision]:
    """Created, changed in every way, cancelled, restored from its backup under other names."""
    with LocalAws(timings=QUICK) as aws:
        driver = StackDriver(aws)
        driver.stack.parameters["pSubnets"] = aws.subnets[0]
        driver.stack.tags = {"team": "crypto"}
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        client = driver.stack.outputs()["oClientInstanceId"]
        aws.client("ec2").stop_instances(InstanceIds=[client])
        driver.admin.advance(A_MINUTE)
        driver.stack.tags = {"stage": "trial"}
        driver.request(pBackupRetentionDays=30, pReconcile="a stopped client")
        driver.expect_stack("UPDATE_COMPLETE")
        driver.admin.pause_after("SendCommand")
        driver.start(pReconcile="to be cancelled")
        _cancel_while_a_command_runs(driver, client)
        restored = driver.second_stack("restored", **_backup_with_its_secrets(driver))
        restored.request()
        restored.expect_stack("CREATE_COMPLETE")
        for each in (restored, driver):
            each.delete()
            each.expect_stack("DELETE_COMPLETE")
        assert invariants.violations(aws.admin.event_log()) == []
        return decisions(aws)


def key_store_decisions() -> list[Decision]:
    """Created with a stopped client, renamed, reconnected, cancelled, deleted."""
    with LocalAws(timings=QUICK) as aws:
        cluster = existing_cluster(aws)
        driver = StackDriver(aws)
        driver.stack = Stack(
            aws,
            "store",
            KEY_STORE_TEMPLATE,
            pKeyStoreName="first",
            pDeleteKeyStoreUponStackDeletion="true",
            **cluster.parameters,
        )
        aws.client("ec2").stop_instances(InstanceIds=[cluster.client])
        driver.admin.advance(A_MINUTE)
        driver.fault(WRONG_PASSWORD)
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        store = driver.stack.outputs()["oCloudHsmKeyStoreId"]
        aws.client("kms").disconnect_custom_key_store(CustomKeyStoreId=store)
        driver.admin.advance(2 * A_MINUTE)
        driver.fault(WRONG_PASSWORD)
        driver.admin.pause_after("SendCommand")
        driver.start(pKeyStoreName="second", pReconcile="renamed and disconnected")
        _cancel_while_a_command_runs(driver, cluster.client)
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        assert invariants.violations(aws.admin.event_log()) == []
        return decisions(aws)


def _cancel_while_a_command_runs(driver: StackDriver, client: str) -> None:
    """Cancel the update while a command waits for the client, so that it is cancelled as well."""
    with driver.while_paused():
        driver.fault(agent="offline", instance=client)
        driver.cancel()
        # At once, and so while time stands still.
        until(lambda: _is_cancelled(driver), "the command was not cancelled")
        driver.fault(agent="online", instance=client)
    driver.wait()
    driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")


def _is_cancelled(driver: StackDriver) -> bool:
    events = driver.admin.event_log()
    return any((each["service"], each["event"]) == ("ssm", "Cancelled") for each in events)


def _backup_with_its_secrets(driver: StackDriver) -> dict[str, str]:
    """The parameters that restore the cluster's newest backup, with copies of its secrets."""
    cluster_id = driver.cluster()["ClusterId"]
    backups = driver.aws.client("cloudhsmv2").describe_backups(
        Filters={"clusterIds": [cluster_id], "states": ["READY"]}, SortAscending=False
    )["Backups"]
    copies = {
        "pBackupCaCertSecretName": _copy(driver, f"/cloudhsm/{cluster_id}/customer-ca-cert"),
        "pBackupAdminPasswordSecretName": _copy(
            driver, f"/cloudhsm/{cluster_id}/initial-crypto-officer-password"
        ),
    }
    return {"pBackupId": backups[0]["BackupId"], **copies}


def _copy(driver: StackDriver, secret: str) -> str:
    secrets, copy = driver.aws.client("secretsmanager"), f"/copies{secret}"
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
