"""A creation that failed, at whatever state, leaves nothing that stands in the way of the next.

The workflows are started here as handle-request starts them, in a stack that stays: so a try takes
a second and not ten.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from localaws.client import LocalAws, until
from rehearsal.drivers.key_store import RETAINED_BY_KMS, KeyStoreDriver
from rehearsal.drivers.stack import StackDriver
from rehearsal.fixtures import ADMIN_PASSWORD, ExistingCluster, existing_cluster
from tests.support.state_machines import MACHINES

Json = dict[str, Any]

NAMES = "cloudhsm-ks-1"
# What crhelper or CloudFormation makes up where a failed creation gave no id.
INVENTED = "keys-rCloudHsmKeyStore-1ABCDEFGHIJKL"
REFUSED = {"code": "InvalidRequestException", "message": "it was planted"}
LOST = {**REFUSED, "when": "after"}

# A state of a machine, by their names.
State = tuple[str, str]


@dataclass(frozen=True)
class Failure:
    """Where a creation fails, outermost state first, and what is planted for it."""

    states: tuple[State, ...]
    faults: tuple[Json, ...]
    # What makes an earlier creation fail that leaves its key store behind.
    former: tuple[Json, ...] = ()

    def __str__(self) -> str:
        return " ".join("/".join(state) for state in self.states)


def failure(machine: str, state: str, *faults: Json, within: tuple[State, ...] = ()) -> Failure:
    """A creation that fails in a state of this machine, which others run `within` theirs."""
    return Failure((*within, (machine, state)), faults)


def dies(step: str) -> Json:
    """The worker dies as often as a step is tried."""
    return {"lambda": "key-store", "step": step, "die": "before", "times": 7}


PREPARING = (("create-key-store", "CreateKmsUser"),)
CONNECTING = (("create-key-store", "ConnectKeyStore"),)
REPAIRING = (*CONNECTING, ("connect-key-store", "CreateKmsUser"))
LACKS_KMSUSER = {"connect": "USER_NOT_FOUND"}
LEAVES_A_STORE = ({"operation": "DeleteSecret", **LOST},)

# Refused before the effect of a call, or its answer lost after.
FAILURES = [
    failure("create-key-store", "FindKeyStore", {"operation": "DescribeStacks", **REFUSED}),
    failure("create-key-store", "CheckCluster", {"operation": "DescribeClusters", **REFUSED}),
    failure("create-key-store", "ClaimKeyStore", {"operation": "PutParameter", **LOST}),
    failure(
        "create-kms-user",
        "CheckCluster",
        {"operation": "DescribeClusters", "skip": 1, **REFUSED},
        within=PREPARING,
    ),
    failure(
        "create-kms-user",
        "CreatePassword",
        {"operation": "CreateSecret", **LOST},
        within=PREPARING,
    ),
    failure(
        "create-kms-user",
        "CreatePassword",
        {"operation": "PutResourcePolicy", **LOST},
        within=PREPARING,
    ),
    failure("create-kms-user", "ConfigureClient", {"script": "ConfigureClient"}, within=PREPARING),
    failure("create-kms-user", "CreateKmsUser", {"script": "CreateKmsUser"}, within=PREPARING),
    # The fourth look at a command finds that this one is done: kmsuser exists.
    failure(
        "create-kms-user",
        "CreateKmsUser",
        {"operation": "GetCommandInvocation", "skip": 3, **REFUSED},
        within=PREPARING,
    ),
    failure("create-key-store", "CreateKeyStore", {"operation": "CreateCustomKeyStore", **LOST}),
    failure(
        "create-key-store", "CreateKeyStore", {"operation": "PutParameter", "skip": 1, **REFUSED}
    ),
    failure(
        "connect-key-store",
        "ConnectKeyStore",
        {"operation": "ConnectCustomKeyStore", **LOST},
        within=CONNECTING,
    ),
    failure(
        "connect-key-store",
        "DescribeKeyStore",
        {"operation": "DescribeCustomKeyStores", "skip": 5, **REFUSED},
        within=CONNECTING,
    ),
    failure(
        "connect-key-store", "ConnectionFailed", {"connect": "INTERNAL_ERROR"}, within=CONNECTING
    ),
    failure(
        "connect-key-store",
        "DiagnoseConnection",
        LACKS_KMSUSER,
        dies("DiagnoseConnection"),
        within=CONNECTING,
    ),
    failure(
        "connect-key-store",
        "DisconnectKeyStore",
        LACKS_KMSUSER,
        {"operation": "DisconnectCustomKeyStore", **REFUSED},
        within=CONNECTING,
    ),
    failure(
        "create-kms-user",
        "CreateKmsUser",
        LACKS_KMSUSER,
        {"script": "CreateKmsUser", "skip": 1},
        within=REPAIRING,
    ),
    failure(
        "connect-key-store",
        "UpdatePassword",
        LACKS_KMSUSER,
        {"operation": "UpdateCustomKeyStore", **LOST},
        within=CONNECTING,
    ),
    failure("create-key-store", "DropPassword", {"operation": "DeleteSecret", **LOST}),
    failure(
        "create-key-store", "CompleteClaim", {"operation": "PutParameter", "skip": 2, **REFUSED}
    ),
    Failure(
        (("create-key-store", "DisconnectKeyStore"),),
        ({"operation": "DisconnectCustomKeyStore", **REFUSED},),
        LEAVES_A_STORE,
    ),
    Failure(
        (("create-key-store", "DeleteKeyStore"),),
        ({"operation": "DeleteCustomKeyStore", **LOST},),
        LEAVES_A_STORE,
    ),
]
# Where a creation fails in tests of their own, because somebody has to act.
LIVED_APART = {
    ("create-key-store", "KeyStoreHasKeys"),
    ("connect-key-store", "KeyStoreNotConnected"),
    # Takes a connection that never ends: test_key_stores.py.
    ("connect-key-store", "KeyStoreStuck"),
}


def test_a_creation_fails_in_every_state_in_which_it_can() -> None:
    machines = ("create-key-store", "create-kms-user", "connect-key-store")
    can_fail = {
        (machine, state)
        for machine in machines
        for kind in ("Task", "Fail")
        for state in MACHINES[machine].of_type(kind)
    }
    lived = {state for each in FAILURES for state in each.states}
    assert lived | LIVED_APART == can_fail
    assert not lived & LIVED_APART


@dataclass(frozen=True)
class Tries:
    """A stack whose key store is created and deleted again and again."""

    store: KeyStoreDriver
    cluster: ExistingCluster
    request: Json

    def create(self) -> Json:
        """Run create-key-store to its end."""
        return self.end(self.begin("create"))

    def delete(self, **properties: str) -> Json:
        """Run delete-key-store to its end, as in the rollback of a failed creation."""
        changed = {**self.request["ResourceProperties"], **properties}
        return self.end(
            self.begin("delete", PhysicalResourceId=INVENTED, ResourceProperties=changed)
        )

    def begin(self, verb: str, **changes: Any) -> str:
        """Start a lifecycle; the ARN of its execution."""
        execution = self.store.aws.client("stepfunctions").start_execution(
            stateMachineArn=arn_of(self.store, f"{verb}-key-store"),
            input=json.dumps({**self.request, **changes}),
        )
        return str(execution["executionArn"])

    def end(self, execution: str) -> Json:
        """How an execution ended, once it has."""
        states = self.store.aws.client("stepfunctions")

        def ended() -> Json | None:
            found: Json = states.describe_execution(executionArn=execution)
            return None if found["status"] == "RUNNING" else found

        found: Json = until(ended, f"{execution} did not end")
        return found


def arn_of(store: KeyStoreDriver, machine: str) -> str:
    machines = store.aws.client("stepfunctions").get_paginator("list_state_machines").paginate()
    return str(
        next(
            each["stateMachineArn"]
            for page in machines
            for each in page["stateMachines"]
            if each["name"] == f"{NAMES}-{machine}"
        )
    )


@pytest.fixture(scope="module", name="tries")
def _tries() -> Iterator[Tries]:
    with LocalAws(timings={"connect": 31, "disconnect": 7}) as aws:
        cluster = existing_cluster(aws)
        store = KeyStoreDriver(StackDriver(aws), cluster.parameters)
        store.request()
        states = aws.client("stepfunctions")
        created = states.list_executions(stateMachineArn=arn_of(store, "create-key-store"))
        execution = states.describe_execution(executionArn=created["executions"][0]["executionArn"])
        tries = Tries(store, cluster, json.loads(execution["input"]))
        tries.delete(DeleteKeyStoreUponStackDeletion="true")
        tries = Tries(KeyStoreDriver(store, store.stack.parameters), cluster, tries.request)
        yield tries
        store.delete()
        store.expect_retained(RETAINED_BY_KMS)


def is_created(tries: Tries) -> None:
    """A creation with the same parameters succeeds, and is taken back."""
    assert tries.create()["status"] == "SUCCEEDED"
    tries.store.expect_store("CONNECTED")
    assert tries.cluster.user("kmsuser")["cluster-coverage"] == "full"
    assert tries.delete(DeleteKeyStoreUponStackDeletion="true")["status"] == "SUCCEEDED"
    tries.store.expect_retained()


@pytest.mark.parametrize("failure", FAILURES, ids=str)
def test_a_creation_that_failed_can_be_tried_again(tries: Tries, failure: Failure) -> None:
    for faults in filter(None, (failure.former, failure.faults)):
        for fault in faults:
            tries.store.fault(fault)
        assert tries.create()["status"] == "FAILED"
    for machine, state in failure.states:
        assert last_state(tries.store, machine) == state
    assert tries.delete()["status"] == "SUCCEEDED"
    tries.store.expect_retained()
    is_created(tries)


def test_a_creation_during_which_somebody_disconnects_can_be_tried_again(tries: Tries) -> None:
    tries.store.fault(operation="ConnectCustomKeyStore", pause=True)
    execution = tries.begin("create")
    with tries.store.while_paused():
        kms = tries.store.aws.client("kms")
        kms.disconnect_custom_key_store(CustomKeyStoreId=tries.store.store()["CustomKeyStoreId"])
    assert tries.end(execution)["status"] == "FAILED"
    assert last_state(tries.store, "connect-key-store") == "KeyStoreNotConnected"
    assert tries.delete()["status"] == "SUCCEEDED"
    tries.store.expect_retained()
    is_created(tries)


def test_a_failed_try_in_which_somebody_made_a_key_stays_until_that_is_gone(tries: Tries) -> None:
    for fault in LEAVES_A_STORE:
        tries.store.fault(fault)
    assert tries.create()["status"] == "FAILED"
    key = tries.store.create_key()
    ended = tries.create()
    assert ended["status"] == "FAILED"
    assert (
        f"connect-custom-key-store --custom-key-store-id {tries.store.store()['CustomKeyStoreId']}"
        in ended["cause"]
    )
    assert last_state(tries.store, "create-key-store") == "KeyStoreHasKeys"
    tries.store.connect_manually()
    tries.store.use_key(key)
    tries.store.delete_key(key)
    is_created(tries)


def last_state(store: KeyStoreDriver, machine: str) -> str:
    """The state that was entered last by an execution of a machine."""
    entered = [
        str(event["state"])
        for event in store.admin.event_log()
        if event["event"] == "StateEntered" and event["subject"] == f"{NAMES}-{machine}"
    ]
    return entered[-1]


def test_a_creation_goes_on_whichever_worker_dies_after_its_work(tries: Tries) -> None:
    steps = (
        "FindKeyStore",
        "CheckCluster",
        "ClaimKeyStore",
        "CreatePassword",
        "CreateKeyStore",
        "ConnectKeyStore",
        "DropPassword",
        "CompleteClaim",
    )
    for step in steps:
        tries.store.fault({"lambda": "key-store", "step": step, "die": "after"})
    is_created(tries)


def test_a_creation_that_fails_for_good_because_its_worker_dies_can_be_tried_again(
    tries: Tries,
) -> None:
    tries.store.fault({"lambda": "key-store", "step": "CreateKeyStore", "die": "after"}, times=4)
    assert tries.create()["status"] == "FAILED"
    assert tries.delete()["status"] == "SUCCEEDED"
    tries.store.expect_retained()
    is_created(tries)


def test_a_creation_is_tried_again_without_a_deletion_in_between(tries: Tries) -> None:
    tries.store.fault(operation="CreateCustomKeyStore", **LOST)
    assert tries.create()["status"] == "FAILED"
    is_created(tries)


@contextmanager
def while_the_password_is_made(tries: Tries) -> Iterator[None]:
    """Act in the middle of a creation, which fails because of it."""
    tries.store.fault(operation="PutResourcePolicy", pause=True)
    execution = tries.begin("create")
    with tries.store.while_paused():
        yield
    assert tries.end(execution)["status"] == "FAILED"


def test_the_store_of_somebody_who_was_quicker_is_not_taken_for_the_lost_one(tries: Tries) -> None:
    kms = tries.store.aws.client("kms")
    with while_the_password_is_made(tries):
        foreign = kms.create_custom_key_store(
            CustomKeyStoreName="keys",
            CloudHsmClusterId=tries.cluster.cluster_id,
            TrustAnchorCertificate=tries.cluster.ca_certificate,
            KeyStorePassword="Kmsuser0Of0Somebody0Else",
        )["CustomKeyStoreId"]
    assert last_state(tries.store, "create-key-store") == "CreateKeyStore"
    assert tries.delete(DeleteKeyStoreUponStackDeletion="true")["status"] == "SUCCEEDED"
    tries.store.expect_retained("key store keys")
    kms.delete_custom_key_store(CustomKeyStoreId=foreign)


def test_without_the_policy_of_its_secret_the_client_cannot_read_the_password(
    tries: Tries,
) -> None:
    logins = tries.store.logins("admin")
    with while_the_password_is_made(tries):
        tries.store.aws.client("secretsmanager").delete_resource_policy(
            SecretId=tries.request["ResourceProperties"]["PasswordSecretName"]
        )
    assert tries.store.logins("admin") == logins
    assert last_state(tries.store, "create-kms-user") == "CreateKmsUser"
    denied = [
        decision["action"] for decision in tries.store.admin.decisions() if not decision["allowed"]
    ]
    assert denied == ["secretsmanager:GetSecretValue"]
    assert tries.delete()["status"] == "SUCCEEDED"
    tries.store.expect_retained()


def test_a_login_that_fails_in_words_unknown_to_us_is_not_tried_for_ever(tries: Tries) -> None:
    cluster, admin = tries.cluster, tries.store.admin
    admin.act("log_in", cluster_id=cluster.cluster_id, username="kmsuser")
    for words in [*["User kmsuser is logged in"] * 3, "store a new version of secret"]:
        ended = tries.create()
        assert ended["status"] == "FAILED"
        assert words in ended["cause"]
    admin.act("log_out", cluster_id=cluster.cluster_id, username="kmsuser")
    cluster.store_admin_password(ADMIN_PASSWORD)
    is_created(tries)


# Finds kmsuser on some HSMs only, whatever is done about it.
POWERLESS_CLI = """#!/bin/bash
[ "$1 $2" = "user create" ] && echo "$*" >> /root/created
user='{"username": "kmsuser", "cluster-coverage": "inconsistent"}'
echo '{"error_code": 0, "data": {"users": ['"$user"']}}'
"""


def test_a_kmsuser_that_does_not_come_to_be_on_every_hsm_is_told(tries: Tries) -> None:
    cli = "/opt/cloudhsm/bin/cloudhsm-cli"
    on_client(
        tries, f"mv {cli} {cli}.real\ncat > {cli} <<'END'\n{POWERLESS_CLI}END\nchmod +x {cli}"
    )
    ended = tries.create()
    assert ended["status"] == "FAILED"
    assert "kmsuser is not on every HSM. Check cluster-coverage" in ended["cause"]
    assert on_client(tries, "cat /root/created").startswith("user create --username kmsuser")
    on_client(tries, f"mv {cli}.real {cli}")
    is_created(tries)


def on_client(tries: Tries, script: str) -> str:
    """What a script prints that is run on the client by hand."""
    ssm, instance = tries.store.aws.client("ssm"), tries.cluster.client
    inputs = {"runCommand": ["set -eu", script]}
    step = {"action": "aws:runShellScript", "name": "Run", "inputs": inputs}
    document = json.dumps({"schemaVersion": "2.2", "mainSteps": [step]})
    ssm.create_document(Name="by-hand", DocumentType="Command", Content=document)
    command = ssm.send_command(DocumentName="by-hand", InstanceIds=[instance])["Command"]
    # Nothing jumps while the script runs, so it is over then.
    tries.store.admin.advance(30)
    done = ssm.get_command_invocation(CommandId=command["CommandId"], InstanceId=instance)
    ssm.delete_document(Name="by-hand")
    assert done["Status"] == "Success", done["StandardErrorContent"]
    return str(done["StandardOutputContent"])
