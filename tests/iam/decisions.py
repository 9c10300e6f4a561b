"""Run both templates so that their roles use every permission, and collect IAM's decisions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from localaws.client import LocalAws, until
from rehearsal.checks import invariants
from rehearsal.drivers.deployment import Stack
from rehearsal.drivers.stack import StackDriver
from rehearsal.fixtures import ExistingCluster, existing_cluster
from rehearsal.report import permissions
from rehearsal.scenarios.packages import mirrored
from rehearsal.timings import QUICK
from tests.templates.template import Template, as_list

KEY_STORE_TEMPLATE = "build/rehearsal/templates/cloudhsm-key-store.yml"
# Makes the workflow reset the password of kmsuser with a command.
WRONG_PASSWORD = {"connect": "INVALID_CREDENTIALS"}
# Virtual seconds; an instance stops faster.
INSTANCE_SECONDS = 60


@dataclass(frozen=True)
class Decision:
    """A row of GET /decisions, with the role's logical ID instead of its name."""

    role: str
    action: str
    resource: str
    allowed: bool
    statement: str | None
    behind: str | None


@dataclass(frozen=True)
class Grant:
    """An action that a statement of a role allows."""

    role: str
    statement: str
    action: str


def grants(template: Template) -> list[Grant]:
    """Every action that the roles of a template allow."""
    return [
        Grant(role, statement["Sid"], action)
        for role, statement in template.role_statements()
        for action in as_list(statement["Action"])
    ]


def decisions(aws: LocalAws) -> list[Decision]:
    """IAM's decisions about the stacks' roles, which are named <stack>-<logical ID>-..."""
    found = []
    for row in aws.admin.decisions():
        role = re.search(r"-(r[A-Za-z]+Role)-[0-9A-Z]+$", row.pop("principal"))
        if role:
            found.append(Decision(role[1], **row))
    return found


def _fail_to_delete(driver: StackDriver, task: str) -> None:
    """Step Functions cannot invoke a function, so the response function looks for the step."""
    driver.fault(task=task, machine="-delete-", code="AccessDeniedException", times=7)
    driver.delete()
    driver.expect_stack("DELETE_FAILED")


def _kill_the_request_function(driver: StackDriver) -> None:
    """Lambda invokes the response function with the record of the request, both times."""
    driver.fault({"lambda": "-request", "die": "before"}, times=2)
    driver.request(pReconcile="the function is killed")
    driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")


def cluster_decisions() -> list[Decision]:
    """Create, update, cancel and delete a cluster; restore its backup with and without names."""
    with LocalAws(timings=QUICK) as aws:
        driver = StackDriver(aws)
        driver.stack.parameters["pSubnets"] = aws.subnets[0]
        driver.stack.tags = {"team": "crypto"}
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        client = driver.stack.outputs()["oClientInstanceId"]
        aws.client("ec2").stop_instances(InstanceIds=[client])
        driver.admin.advance(INSTANCE_SECONDS)
        driver.stack.tags = {"stage": "trial"}
        mirror = mirrored(driver, "5.20.0")
        driver.request(pBackupRetentionDays=30, pReconcile="a stopped client", **mirror)
        driver.expect_stack("UPDATE_COMPLETE")
        _kill_the_request_function(driver)
        driver.admin.pause_after("SendCommand")
        driver.start(pReconcile="to be cancelled")
        _cancel_during_command(driver, client)
        backup = _newest_backup(driver)
        restored = driver.second_stack("restored", pBackupId=backup)
        restored.request()
        restored.expect_stack("CREATE_COMPLETE")
        refused = driver.second_stack("refused", pBackupId=backup, **_unusable_secrets(driver))
        refused.request()
        refused.expect_stack("ROLLBACK_COMPLETE")
        _replace_first_hsm(driver)
        _fail_to_delete(driver, "FindCluster")
        for each in (refused, restored, driver):
            each.delete()
            each.expect_stack("DELETE_COMPLETE")
        permissions.record("least-privilege-cluster", aws)
        assert invariants.violations(aws.admin.event_log()) == []
        return decisions(aws)


def key_store_decisions() -> list[Decision]:
    """Create a key store with a stopped client, rename, reconnect, cancel and delete it."""
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
        driver.admin.advance(INSTANCE_SECONDS)
        driver.fault(WRONG_PASSWORD)
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        _kill_the_request_function(driver)
        store = driver.stack.outputs()["oCloudHsmKeyStoreId"]
        aws.client("kms").disconnect_custom_key_store(CustomKeyStoreId=store)
        driver.admin.advance(2 * INSTANCE_SECONDS)
        driver.fault(WRONG_PASSWORD)
        driver.admin.pause_after("SendCommand")
        driver.start(pKeyStoreName="second", pReconcile="renamed and disconnected")
        _cancel_during_command(driver, cluster.client)
        _fail_to_delete(driver, "FindKeyStore")
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        _take_a_key_store(driver, cluster)
        permissions.record("least-privilege-key-store", aws)
        assert invariants.violations(aws.admin.event_log()) == []
        return decisions(aws)


def _take_a_key_store(driver: StackDriver, cluster: ExistingCluster) -> None:
    """One that no stack claims, with an admin's secret that does not exist."""
    store = driver.aws.client("kms").create_custom_key_store(
        CustomKeyStoreName="theirs",
        CloudHsmClusterId=cluster.cluster_id,
        TrustAnchorCertificate=cluster.ca_certificate,
        KeyStorePassword="Kmsuser0Password0Of0Others",  # nosec B106 # of the local AWS
    )["CustomKeyStoreId"]
    driver.request(
        pExistingKeyStoreId=store,
        pKeyStoreName="theirs",
        pCloudHsmAdminPasswordSecretName="/no/such",  # nosec B106 # of the local AWS
    )
    driver.expect_stack("ROLLBACK_COMPLETE")
    driver.delete()
    driver.expect_stack("DELETE_COMPLETE")


def _replace_first_hsm(driver: StackDriver) -> None:
    """AWS replaces an HSM that awaits its certificate: its evidence changes, and goes."""
    waiting = driver.second_stack("waiting", pUseExternalPkiProcess="true")
    waiting.request()
    waiting.expect_stack("CREATE_COMPLETE")
    waiting.admin.aws_event("replace_hsm", hsm_id=waiting.cluster()["Hsms"][0]["HsmId"])
    waiting.request(pReconcile="a replaced HSM")
    waiting.expect_stack("UPDATE_COMPLETE")
    waiting.delete()
    waiting.expect_stack("DELETE_COMPLETE")


def _cancel_during_command(driver: StackDriver, client: str) -> None:
    """Cancel the update while a command is pending, so that the command is cancelled too."""
    with driver.while_paused():
        driver.fault(agent="offline", instance=client)
        driver.cancel()
        # The command is cancelled immediately, while time is paused.
        until(lambda: _is_cancelled(driver), "the command was not cancelled")
        driver.fault(agent="online", instance=client)
    driver.wait()
    driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")


def _is_cancelled(driver: StackDriver) -> bool:
    events = driver.admin.event_log()
    return any((each["service"], each["event"]) == ("ssm", "Cancelled") for each in events)


def _newest_backup(driver: StackDriver) -> str:
    backups = driver.aws.client("cloudhsmv2").describe_backups(
        Filters={"clusterIds": [driver.cluster()["ClusterId"]], "states": ["READY"]},
        SortAscending=False,
    )["Backups"]
    return str(backups[0]["BackupId"])


def _unusable_secrets(driver: StackDriver) -> dict[str, str]:
    """Parameters that name the secrets of a backup: read first, and refused for the password."""
    secrets = driver.aws.client("secretsmanager")
    name = f"/cloudhsm/{driver.cluster()['ClusterId']}/customer-ca-cert"
    text = secrets.get_secret_value(SecretId=name)["SecretString"]
    secrets.create_secret(Name="/copies/ca", SecretString=text)
    secrets.create_secret(Name="/copies/password", SecretString="no login")
    return {
        "pBackupCaCertSecretName": "/copies/ca",
        "pBackupAdminPasswordSecretName": "/copies/password",
    }


def used_grants(found: Iterable[Decision]) -> set[Grant]:
    """The grants that a decision depended on."""
    return {
        Grant(each.role, each.statement, each.action)
        for each in found
        if each.allowed and each.statement
    }
