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

from rehearsal import ground
from rehearsal.ground import ADMIN_PASSWORD, Ground
from rehearsal.key_store_life import LEFT_BY_KMS, KeyStoreLife
from rehearsal.life import Life
from rehearsal.local_aws import LocalAws, until

Json = dict[str, Any]

NAMES = "cloudhsm-ks-1"
# What crhelper or CloudFormation makes up where a failed creation gave no id.
INVENTED = "keys-rCloudHsmKeyStore-1ABCDEFGHIJKL"
REFUSED = {"code": "InvalidRequestException", "message": "it was planted"}
LOST = {**REFUSED, "when": "after"}

# Where the creation fails, and why: refused before the effect of a call, or its answer lost after.
FAILURES: list[tuple[str, str, Json]] = [
    ("create-key-store", "FindKeyStore", {"operation": "DescribeStacks", **REFUSED}),
    ("create-key-store", "CheckCluster", {"operation": "DescribeClusters", **REFUSED}),
    ("create-key-store", "ClaimKeyStore", {"operation": "PutParameter", **LOST}),
    ("create-kms-user", "CheckCluster", {"operation": "DescribeClusters", "skip": 1, **REFUSED}),
    ("create-kms-user", "CreatePassword", {"operation": "CreateSecret", **LOST}),
    ("create-kms-user", "CreatePassword", {"operation": "PutResourcePolicy", **LOST}),
    ("create-kms-user", "CreateKmsUser", {"script": "CreateKmsUser"}),
    # The fourth look at a command finds that this one is done: kmsuser exists.
    (
        "create-kms-user",
        "CreateKmsUser",
        {"operation": "GetCommandInvocation", "skip": 3, **REFUSED},
    ),
    ("create-key-store", "CreateKeyStore", {"operation": "CreateCustomKeyStore", **LOST}),
    ("create-key-store", "CreateKeyStore", {"operation": "PutParameter", "skip": 1, **REFUSED}),
    ("connect-key-store", "ConnectKeyStore", {"operation": "ConnectCustomKeyStore", **LOST}),
    (
        "connect-key-store",
        "DescribeKeyStore",
        {"operation": "DescribeCustomKeyStores", "skip": 5, **REFUSED},
    ),
    ("connect-key-store", "ConnectionFailed", {"connect": "INTERNAL_ERROR"}),
    ("create-key-store", "DropPassword", {"operation": "DeleteSecret", **LOST}),
    ("create-key-store", "CompleteClaim", {"operation": "PutParameter", "skip": 2, **REFUSED}),
]


@dataclass(frozen=True)
class Tries:
    """A stack whose key store is created and deleted again and again."""

    store: KeyStoreLife
    laid: Ground
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


def arn_of(store: KeyStoreLife, machine: str) -> str:
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
        laid = ground.lay(aws)
        store = KeyStoreLife(Life(aws), laid.parameters)
        store.request()
        states = aws.client("stepfunctions")
        created = states.list_executions(stateMachineArn=arn_of(store, "create-key-store"))
        execution = states.describe_execution(executionArn=created["executions"][0]["executionArn"])
        tries = Tries(store, laid, json.loads(execution["input"]))
        tries.delete(DeleteKeyStoreUponStackDeletion="true")
        tries = Tries(KeyStoreLife(store, store.stack.parameters), laid, tries.request)
        yield tries
        store.delete()
        store.expect_remaining(LEFT_BY_KMS)


def is_created(tries: Tries) -> None:
    """A creation with the same parameters succeeds, and is taken back."""
    assert tries.create()["status"] == "SUCCEEDED"
    tries.store.expect_store("CONNECTED")
    assert tries.laid.user("kmsuser")["cluster-coverage"] == "full"
    assert tries.delete(DeleteKeyStoreUponStackDeletion="true")["status"] == "SUCCEEDED"
    tries.store.expect_remaining()


@pytest.mark.parametrize(("machine", "state", "fault"), FAILURES)
def test_a_creation_that_failed_can_be_tried_again(
    tries: Tries, machine: str, state: str, fault: Json
) -> None:
    tries.store.fault(fault)
    assert tries.create()["status"] == "FAILED"
    assert last_state(tries.store, machine) == state
    assert tries.delete()["status"] == "SUCCEEDED"
    tries.store.expect_remaining()
    is_created(tries)


def last_state(store: KeyStoreLife, machine: str) -> str:
    """The state that was entered last by an execution of a machine."""
    entered = [
        str(event["state"])
        for event in store.control.timeline()
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
    tries.store.expect_remaining()
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
    with tries.store.standing_still():
        yield
    assert tries.end(execution)["status"] == "FAILED"


def test_the_store_of_somebody_who_was_quicker_is_not_taken_for_the_lost_one(tries: Tries) -> None:
    kms = tries.store.aws.client("kms")
    with while_the_password_is_made(tries):
        foreign = kms.create_custom_key_store(
            CustomKeyStoreName="keys",
            CloudHsmClusterId=tries.laid.cluster_id,
            TrustAnchorCertificate=tries.laid.ca_certificate,
            KeyStorePassword="Kmsuser0Of0Somebody0Else",
        )["CustomKeyStoreId"]
    assert last_state(tries.store, "create-key-store") == "CreateKeyStore"
    assert tries.delete(DeleteKeyStoreUponStackDeletion="true")["status"] == "SUCCEEDED"
    tries.store.expect_remaining("key store keys")
    kms.delete_custom_key_store(CustomKeyStoreId=foreign)


def test_without_the_policy_of_its_secret_the_client_cannot_read_the_password(
    tries: Tries,
) -> None:
    with while_the_password_is_made(tries):
        tries.store.aws.client("secretsmanager").delete_resource_policy(
            SecretId=tries.request["ResourceProperties"]["PasswordSecretName"]
        )
    assert last_state(tries.store, "create-kms-user") == "CreateKmsUser"
    denied = [
        decision["action"]
        for decision in tries.store.control.decisions()
        if not decision["allowed"]
    ]
    assert denied == ["secretsmanager:GetSecretValue"]
    assert tries.delete()["status"] == "SUCCEEDED"
    tries.store.expect_remaining()


def test_a_login_that_fails_in_words_unknown_to_us_is_not_tried_for_ever(tries: Tries) -> None:
    laid, control = tries.laid, tries.store.control
    control.act("log_in", cluster_id=laid.cluster_id, username="kmsuser")
    for words in 3 * ["User kmsuser is logged in"] + 2 * ["store a new version of the secret"]:
        ended = tries.create()
        assert ended["status"] == "FAILED"
        assert words in ended["cause"]
    control.act("log_out", cluster_id=laid.cluster_id, username="kmsuser")
    laid.say_admin_password(ADMIN_PASSWORD)
    is_created(tries)
