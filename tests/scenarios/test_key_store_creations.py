"""A key store creation that fails, in any state, can be retried.

Executions are started directly, as handle-request would, without creating a stack for each: an
attempt takes a second instead of ten.
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
from rehearsal.drivers.operator import run_on_instance
from rehearsal.drivers.stack import StackDriver
from rehearsal.fixtures import ADMIN_PASSWORD, ExistingCluster, existing_cluster
from tests.support.state_machines import MACHINES

Json = dict[str, Any]

NAMES = "cloudhsm-ks-1"
# What crhelper or CloudFormation generates if a failed creation has returned no ID.
GENERATED_ID = "keys-rCloudHsmKeyStore-1ABCDEFGHIJKL"
REFUSED = {"code": "InvalidRequestException", "message": "injected"}
LOST = {**REFUSED, "when": "after"}

# State machine and state, by name.
State = tuple[str, str]


@dataclass(frozen=True)
class Failure:
    """The states in which a creation fails, outermost first, and the faults to inject."""

    states: tuple[State, ...]
    faults: tuple[Json, ...]
    # Faults for an earlier creation that fails and leaves its key store behind.
    earlier: tuple[Json, ...] = ()

    def __str__(self) -> str:
        return " ".join("/".join(state) for state in self.states)


def failure(machine: str, state: str, *faults: Json, within: tuple[State, ...] = ()) -> Failure:
    """A creation that fails in this state; `within` are the parents' states, outermost first."""
    return Failure((*within, (machine, state)), faults)


def dies(step: str) -> Json:
    """A fault: the worker dies at every attempt of this step."""
    return {"lambda": "key-store", "step": step, "die": "before", "times": 7}


PREPARING = (("create-key-store", "CreateKmsUser"),)
CONNECTING = (("create-key-store", "ConnectKeyStore"),)
REPAIRING = (*CONNECTING, ("connect-key-store", "CreateKmsUser"))
LACKS_KMSUSER = {"connect": "USER_NOT_FOUND"}
LEAVES_A_STORE = ({"operation": "DeleteSecret", **LOST},)

# A call fails before its effect, or its response is lost after it.
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
        {"operation": "CreateSecret", "code": "LimitExceededException", "when": "after"},
        within=PREPARING,
    ),
    failure(
        "create-kms-user",
        "CreatePassword",
        {"operation": "PutResourcePolicy", **LOST},
        within=PREPARING,
    ),
    failure("create-kms-user", "ConfigureClient", {"script": "ConfigureClient"}, within=PREPARING),
    failure("create-kms-user", "KmsUserFailed", {"script": "CreateKmsUser"}, within=PREPARING),
    # The fourth poll would see that the command has created kmsuser.
    failure(
        "create-kms-user",
        "KmsUserFailed",
        {"operation": "GetCommandInvocation", "skip": 3, **REFUSED},
        within=PREPARING,
    ),
    failure("create-kms-user", "CheckLogin", dies("CheckLogin"), within=PREPARING),
    failure("create-key-store", "CreateKeyStore", {"operation": "CreateCustomKeyStore", **LOST}),
    failure(
        "create-key-store", "CreateKeyStore", {"operation": "PutParameter", "skip": 2, **REFUSED}
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
        "KmsUserFailed",
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
        "create-key-store", "CompleteClaim", {"operation": "PutParameter", "skip": 3, **REFUSED}
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
# States that fail in tests of their own.
TESTED_SEPARATELY = {
    ("create-key-store", "KeyStoreHasKeys"),
    # The scenario key-store-adopted and the fault matrix.
    ("create-key-store", "AdoptKeyStore"),
    ("create-key-store", "MoveKeyStore"),
    ("connect-key-store", "KeyStoreNotConnected"),
    # test_key_store_limits.py: needs a connection that never ends.
    ("connect-key-store", "KeyStoreStuck"),
}


def test_every_state_that_can_fail_is_tested() -> None:
    machines = ("create-key-store", "create-kms-user", "connect-key-store")
    can_fail = {
        (machine, state)
        for machine in machines
        for kind in ("Task", "Fail")
        for state, definition in MACHINES[machine].of_type(kind).items()
        if not catches_all(definition)
    }
    tested = {state for each in FAILURES for state in each.states}
    assert tested | TESTED_SEPARATELY == can_fail
    assert not tested & TESTED_SEPARATELY


def catches_all(state: Json) -> bool:
    """Whether the execution goes on after every error of this state."""
    return any(each["ErrorEquals"] == ["States.ALL"] for each in state.get("Catch", []))


@dataclass(frozen=True)
class Attempts:
    """A stack whose key store is repeatedly created and deleted."""

    store: KeyStoreDriver
    cluster: ExistingCluster
    request: Json

    def create(self) -> Json:
        """Run create-key-store to its end."""
        return self.wait(self.start("create"))

    def delete(self, **properties: str) -> Json:
        """Run delete-key-store to its end, as in the rollback of a failed creation."""
        changed = {**self.request["ResourceProperties"], **properties}
        return self.wait(
            self.start("delete", PhysicalResourceId=GENERATED_ID, ResourceProperties=changed)
        )

    def start(self, verb: str, **changes: Any) -> str:
        """Start a request workflow; returns the execution's ARN."""
        execution = self.store.aws.client("stepfunctions").start_execution(
            stateMachineArn=arn_of(self.store, f"{verb}-key-store"),
            input=json.dumps({**self.request, **changes}),
        )
        return str(execution["executionArn"])

    def wait(self, execution: str) -> Json:
        """Wait for the end of an execution, and describe it."""
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


@pytest.fixture(scope="module", name="attempts")
def _attempts() -> Iterator[Attempts]:
    with LocalAws(timings={"connect": 31, "disconnect": 7}) as aws:
        cluster = existing_cluster(aws)
        store = KeyStoreDriver(StackDriver(aws), cluster.parameters)
        store.request()
        states = aws.client("stepfunctions")
        created = states.list_executions(stateMachineArn=arn_of(store, "create-key-store"))
        execution = states.describe_execution(executionArn=created["executions"][0]["executionArn"])
        # The workflow that started it, and its request, are over: it would refuse to work for them.
        over = ("AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID", "CurrentSince")
        given = json.loads(execution["input"])
        request = {name: value for name, value in given.items() if name not in over}
        attempts = Attempts(store, cluster, request)
        attempts.delete(DeleteKeyStoreUponStackDeletion="true")
        attempts = Attempts(
            KeyStoreDriver(store, store.stack.parameters), cluster, attempts.request
        )
        yield attempts
        store.delete()
        store.expect_retained(RETAINED_BY_KMS)


def expect_creation_succeeds(attempts: Attempts) -> None:
    """A creation with the same parameters succeeds; the key store is deleted again."""
    assert attempts.create()["status"] == "SUCCEEDED"
    attempts.store.expect_store("CONNECTED")
    assert attempts.cluster.user("kmsuser")["cluster-coverage"] == "full"
    assert attempts.delete(DeleteKeyStoreUponStackDeletion="true")["status"] == "SUCCEEDED"
    attempts.store.expect_retained()


@pytest.mark.parametrize("failure", FAILURES, ids=str)
def test_a_failed_creation_can_be_retried(attempts: Attempts, failure: Failure) -> None:
    for faults in filter(None, (failure.earlier, failure.faults)):
        for fault in faults:
            attempts.store.fault(fault)
        assert attempts.create()["status"] == "FAILED"
    for machine, state in failure.states:
        assert last_state(attempts.store, machine) == state
    assert attempts.delete()["status"] == "SUCCEEDED"
    attempts.store.expect_retained()
    expect_creation_succeeds(attempts)


def test_a_creation_disconnected_by_an_operator_can_be_retried(attempts: Attempts) -> None:
    attempts.store.fault(operation="ConnectCustomKeyStore", pause=True)
    execution = attempts.start("create")
    with attempts.store.while_paused():
        kms = attempts.store.aws.client("kms")
        kms.disconnect_custom_key_store(CustomKeyStoreId=attempts.store.store()["CustomKeyStoreId"])
    assert attempts.wait(execution)["status"] == "FAILED"
    assert last_state(attempts.store, "connect-key-store") == "KeyStoreNotConnected"
    assert attempts.delete()["status"] == "SUCCEEDED"
    attempts.store.expect_retained()
    expect_creation_succeeds(attempts)


def test_an_incomplete_creation_with_a_key_is_retained_until_the_key_is_deleted(
    attempts: Attempts,
) -> None:
    for fault in LEAVES_A_STORE:
        attempts.store.fault(fault)
    assert attempts.create()["status"] == "FAILED"
    key = attempts.store.create_key()
    ended = attempts.create()
    assert ended["status"] == "FAILED"
    store_id = attempts.store.store()["CustomKeyStoreId"]
    assert f"connect-custom-key-store --custom-key-store-id {store_id}" in ended["cause"]
    assert last_state(attempts.store, "create-key-store") == "KeyStoreHasKeys"
    attempts.store.connect_manually()
    attempts.store.use_key(key)
    attempts.store.delete_key(key)
    expect_creation_succeeds(attempts)


def last_state(store: KeyStoreDriver, machine: str) -> str:
    """The last state that an execution of this machine entered."""
    entered = [
        str(event["state"])
        for event in store.admin.event_log()
        if event["event"] == "StateEntered" and event["subject"] == f"{NAMES}-{machine}"
    ]
    return entered[-1]


def test_a_creation_survives_a_worker_that_dies_after_its_step(attempts: Attempts) -> None:
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
        attempts.store.fault({"lambda": "key-store", "step": step, "die": "after"})
    expect_creation_succeeds(attempts)


def test_a_creation_whose_worker_keeps_dying_can_be_retried(
    attempts: Attempts,
) -> None:
    attempts.store.fault({"lambda": "key-store", "step": "CreateKeyStore", "die": "after"}, times=4)
    assert attempts.create()["status"] == "FAILED"
    assert attempts.delete()["status"] == "SUCCEEDED"
    attempts.store.expect_retained()
    expect_creation_succeeds(attempts)


def test_a_failed_creation_can_be_retried_without_a_deletion(attempts: Attempts) -> None:
    attempts.store.fault(operation="CreateCustomKeyStore", **LOST)
    assert attempts.create()["status"] == "FAILED"
    expect_creation_succeeds(attempts)


@contextmanager
def during_creation(attempts: Attempts) -> Iterator[None]:
    """Run the block when the password's secret exists; the creation must then fail."""
    attempts.store.fault(operation="PutResourcePolicy", pause=True)
    execution = attempts.start("create")
    with attempts.store.while_paused():
        yield
    assert attempts.wait(execution)["status"] == "FAILED"


def test_a_key_store_created_concurrently_by_another_party_is_not_adopted(
    attempts: Attempts,
) -> None:
    kms = attempts.store.aws.client("kms")
    with during_creation(attempts):
        other = kms.create_custom_key_store(
            CustomKeyStoreName="keys",
            CloudHsmClusterId=attempts.cluster.cluster_id,
            TrustAnchorCertificate=attempts.cluster.ca_certificate,
            KeyStorePassword="Kmsuser0Password0Of0Others",
        )["CustomKeyStoreId"]
    assert last_state(attempts.store, "create-key-store") == "CreateKeyStore"
    assert attempts.delete(DeleteKeyStoreUponStackDeletion="true")["status"] == "SUCCEEDED"
    attempts.store.expect_retained("key store keys")
    kms.delete_custom_key_store(CustomKeyStoreId=other)


def test_the_client_needs_the_secrets_policy_to_read_the_password(
    attempts: Attempts,
) -> None:
    logins = attempts.store.logins("admin")
    with during_creation(attempts):
        attempts.store.aws.client("secretsmanager").delete_resource_policy(
            SecretId=attempts.request["ResourceProperties"]["PasswordSecretName"]
        )
    assert attempts.store.logins("admin") == logins
    assert last_state(attempts.store, "create-kms-user") == "KmsUserFailed"
    denied = [
        decision["action"]
        for decision in attempts.store.admin.decisions()
        if not decision["allowed"]
    ]
    assert denied == ["secretsmanager:GetSecretValue"]
    # No login, so none is remembered.
    secret = attempts.store.aws.client("secretsmanager").describe_secret(
        SecretId=attempts.cluster.admin_secret
    )
    assert secret.get("Tags", []) == []
    assert attempts.delete()["status"] == "SUCCEEDED"
    attempts.store.expect_retained()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("junk", "it is not JSON with username and password"),
        ('{"username": "admin"}', "it is not JSON with username and password"),
        ('{"username": "nobody", "password": "longEnough"}', "the cluster has no admin nobody"),
    ],
)
def test_a_secret_that_is_no_admins_login_is_refused_by_name_without_a_login(
    attempts: Attempts, text: str, sentence: str
) -> None:
    cluster, logins = attempts.cluster, attempts.store.logins("admin")
    attempts.store.aws.client("secretsmanager").put_secret_value(
        SecretId=cluster.admin_secret, SecretString=text
    )
    cause = attempts.create()["cause"]
    assert f"pCloudHsmAdminPasswordSecretName: secret {cluster.admin_secret}: {sentence}" in cause
    assert attempts.store.logins("admin") == logins
    assert attempts.delete()["status"] == "SUCCEEDED"
    cluster.store_admin_password(ADMIN_PASSWORD)


def test_a_client_that_may_not_read_the_admins_secret_is_named(attempts: Attempts) -> None:
    secrets, secret = attempts.store.aws.client("secretsmanager"), attempts.cluster.admin_secret
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "secretsmanager:GetSecretValue",
        "Resource": "*",
    }
    policy = {"Version": "2012-10-17", "Statement": [deny]}
    secrets.put_resource_policy(SecretId=secret, ResourcePolicy=json.dumps(policy))
    cause = attempts.create()["cause"]
    assert f"secret {secret}: pClientInstanceId may not read it. Name the cluster's client" in cause
    assert attempts.delete()["status"] == "SUCCEEDED"
    secrets.delete_resource_policy(SecretId=secret)


def test_logins_that_fail_with_an_unknown_message_are_limited(attempts: Attempts) -> None:
    cluster, admin = attempts.cluster, attempts.store.admin
    admin.aws_event("log_in", cluster_id=cluster.cluster_id, username="kmsuser")
    for message in [*["User kmsuser is logged in"] * 2, "4 logins failed"]:
        ended = attempts.create()
        assert ended["status"] == "FAILED"
        assert message in ended["cause"]
    admin.aws_event("log_out", cluster_id=cluster.cluster_id, username="kmsuser")
    attempts.store.aws.client("secretsmanager").untag_resource(
        SecretId=cluster.admin_secret, TagKeys=[f"hsm-lifecycle:admin-logins:{cluster.cluster_id}"]
    )
    expect_creation_succeeds(attempts)


# Always reports kmsuser on some HSMs only.
INEFFECTIVE_CLI = """#!/bin/bash
[ "$1 $2" = "user create" ] && echo "${*:1:4}" >> /root/created  # without the password
admin='{"username": "admin", "role": "admin", "locked": "false"}'
user='{"username": "kmsuser", "cluster-coverage": "inconsistent"}'
echo '{"error_code": 0, "data": {"users": ['"$admin, $user"']}}'
"""


def run_on_client(attempts: Attempts, script: str) -> str:
    return run_on_instance(attempts.store.aws, attempts.cluster.client, script)


def test_a_kmsuser_missing_on_some_hsms_is_reported(attempts: Attempts) -> None:
    cli = "/opt/cloudhsm/bin/cloudhsm-cli"
    run_on_client(
        attempts, f"mv {cli} {cli}.real\ncat > {cli} <<'END'\n{INEFFECTIVE_CLI}END\nchmod +x {cli}"
    )
    ended = attempts.create()
    assert ended["status"] == "FAILED"
    assert "kmsuser is not on every HSM. Check cluster-coverage" in ended["cause"]
    assert run_on_client(attempts, "cat /root/created").startswith("user create --username kmsuser")
    run_on_client(attempts, f"mv {cli}.real {cli}")
    expect_creation_succeeds(attempts)
