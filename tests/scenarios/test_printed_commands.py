"""The AWS CLI commands that refusals print work when they are pasted into a shell."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from hsm_lifecycle import creation_rules, secret_store
from hsm_lifecycle.steps import key_store
from localaws.client import ROOT, LocalAws
from rehearsal.fixtures import OPERATION_SECONDS, ExistingCluster, existing_cluster
from scripts.stack import protection
from tests.support.state_machines import MACHINES

COMMAND = re.compile(r"(?<!`)aws [a-z0-9]+ [a-z-]+(?: --[a-z-]+(?: (?!--)[^\s\[\]']+)?)*")
# Where a sentence is put together in the source, the beginning of a command.
BEGINNING = re.compile(r"(?<!`)aws ([a-z0-9]+) ([a-z-]+)")
SOURCES = ("functions/hsm_lifecycle", "scripts/stack", "scripts/preflight")
# Commands of sentences that need more than this test sets up, and the test that runs them.
ELSEWHERE = {
    ("cloudformation", "cancel-update-stack"): "needs a stack that is being updated",
    ("cloudhsmv2", "delete-cluster"): "its duplicate may not have HSMs: test_late_effects.py",
    ("cloudformation", "update-termination-protection"): "test_operator_commands.py",
}


@pytest.fixture(scope="module", name="cluster")
def _cluster() -> Iterator[ExistingCluster]:
    with LocalAws(timings={"connect": 31, "disconnect": 7}) as aws:
        yield existing_cluster(aws)


def commands_in(text: str) -> list[str]:
    """The commands in a sentence, without its full stop."""
    return [each.rstrip(".") for each in COMMAND.findall(text)]


def of_key_store(key_store_id: str) -> dict[str, str]:
    """By verb, the commands about a key store in the sentences of the functions."""
    store = {
        "CustomKeyStoreId": key_store_id,
        "CustomKeyStoreName": "keys",
        "ConnectionState": "CONNECTED",
        "CloudHsmClusterId": "cluster-aaaaaaaaaaa",
    }
    machine = MACHINES["create-key-store"].states["KeyStoreHasKeys"]["CausePath"]
    sentences = [
        str(key_store.retain_key_store({"KeyStoreId": key_store_id})["Retained"]),
        machine.replace("{}", key_store_id),
        *map(str, creation_rules.existing_key_store(key_store_id, "keys", store)),
        *map(str, creation_rules.existing_key_store(key_store_id, "keys", None)),
    ]
    found = [command for sentence in sentences for command in commands_in(sentence)]
    assert len(found) == len(sentences)
    return {command.split()[2].partition("-")[0]: command for command in found}


def run(aws: LocalAws, command: str) -> None:
    """Run a command as it was printed."""
    done = aws.run("bash", "-c", command)
    assert done.returncode == 0, f"{command}: {done.stderr}"


def test_every_printed_command_about_a_key_store_works(cluster: ExistingCluster) -> None:
    aws = cluster.aws
    kms = aws.client("kms")
    store = kms.create_custom_key_store(
        CustomKeyStoreName="keys",
        CloudHsmClusterId=cluster.cluster_id,
        TrustAnchorCertificate=cluster.ca_certificate,
        KeyStorePassword="Kmsuser0Password0Of0Others",  # nosec B106 # of the local AWS
    )["CustomKeyStoreId"]
    printed = of_key_store(store)
    # check_deletion puts its command together from the same words.
    printed["delete"] = printed["disconnect"].replace("disconnect-", "delete-")
    states = {}
    for verb in ("describe", "connect", "disconnect", "delete"):
        run(aws, printed.pop(verb))
        aws.admin.advance(OPERATION_SECONDS)
        found = kms.describe_custom_key_stores()["CustomKeyStores"]
        states[verb] = [each["ConnectionState"] for each in found]
    # kmsuser does not exist, so the connection fails.
    assert states == {
        "describe": ["DISCONNECTED"],
        "connect": ["FAILED"],
        "disconnect": ["DISCONNECTED"],
        "delete": [],
    }
    assert printed == {}


def test_the_printed_commands_about_a_deleted_secret_work(cluster: ExistingCluster) -> None:
    aws, name = cluster.aws, "/cloudhsm-ks/1/kmsuser-password"
    secrets = aws.client("secretsmanager")
    secrets.create_secret(Name=name, SecretString="x")  # nosec B106 # no secret
    secrets.delete_secret(SecretId=name)
    run(aws, f"aws secretsmanager restore-secret --secret-id {name}")
    assert "DeletedDate" not in secrets.describe_secret(SecretId=name)
    secrets.delete_secret(SecretId=name)
    [command] = commands_in(str(secret_store.still_being_deleted(name)))
    run(aws, command)
    secrets.create_secret(Name=name, SecretString="x")  # nosec B106 # no secret


def test_the_printed_command_about_a_package_works(cluster: ExistingCluster) -> None:
    s3 = cluster.aws.client("s3")
    s3.create_bucket(Bucket="packages")
    s3.put_object(Bucket="packages", Key="cli/cli.rpm", Body=b"rpm")
    run(cluster.aws, "aws s3 ls s3://packages/cli/cli.rpm")


def test_no_other_command_is_printed() -> None:
    ran = {
        *(("kms", each.split()[2]) for each in of_key_store("cks-0123456789abcdef0").values()),
        ("kms", "delete-custom-key-store"),
        ("secretsmanager", "delete-secret"),
        ("secretsmanager", "restore-secret"),
        ("s3", "ls"),
        *ELSEWHERE,
    }
    found = {
        (service, verb)
        for source in SOURCES
        for path in sorted((ROOT / source).rglob("*.py"))
        for service, verb in BEGINNING.findall(re.sub(r'"\s*\n\s*f?"', "", path.read_text()))
        if "cloudformation wait" not in f"{service} {verb}"
    }
    # Of check_deletion, whose command ends in the next literal.
    beginnings = {("kms", "disconnect"), ("kms", "delete")}
    assert found - ran == beginnings
    assert commands_in(protection.command("hsm")) == [protection.command("hsm")]
