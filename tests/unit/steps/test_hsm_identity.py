from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from hsm_lifecycle import hsm_identity, identity_evidence, pem
from hsm_lifecycle.errors import HsmIdentityError, NotOwnedError, TransientError
from hsm_lifecycle.steps import certificates, secrets
from hsm_lifecycle.steps.hsm_identity import verify_hsm_identity
from localaws.services.cloudhsmv2 import hardware_roots
from tests.support.account import OTHER_STACK_ID, STACK_ID, SYSTEM, ZONES, Account, Json
from tests.support.step_events import UNKNOWN

MORNING = "2026-11-28T08:00:00.000Z"


@pytest.fixture(autouse=True)
def _local_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pin the roots of the model, as a rehearsal's zip does."""
    hardware_roots.main([str(tmp_path)])
    roots = hsm_identity.pinned_roots("", tmp_path)
    monkeypatch.setattr(hsm_identity, "pinned_roots", lambda keys: roots)
    yield
    ssm = boto3.client("ssm")
    for each in ssm.describe_parameters()["Parameters"]:
        ssm.delete_parameter(Name=each["Name"])


def verify(account: Account, cluster_id: str, **overrides: str) -> Json:
    return account.run(
        verify_hsm_identity,
        ClusterId=cluster_id,
        StackId=STACK_ID,
        ResourceProperties=account.properties(**overrides),
        EnteredTime=MORNING,
    )


def evidence(cluster_id: str) -> dict[str, str]:
    path = f"/{SYSTEM}/{cluster_id}/hsm-identity"
    found = boto3.client("ssm").get_parameters_by_path(Path=path)["Parameters"]
    return {each["Name"].removeprefix(f"{path}/"): each["Value"] for each in found}


def replace_hsm(account: Account, cluster_id: str, fault: str) -> None:
    account.faults.inject({"hsm_identity": fault})
    account.hsms.provider().replace_hsm(account.listed(cluster_id)[0]["HsmId"])


def test_the_certificates_and_the_verdict_on_them_are_kept(account: Account) -> None:
    cluster_id = account.with_csr()
    csr = account.csr(cluster_id)
    assert verify(account, cluster_id) == {"VerifiedCsr": pem.digest(csr)}
    kept = evidence(cluster_id)
    record = json.loads(kept.pop("Verdict"))
    assert kept == account.cluster(cluster_id)["Certificates"]
    assert record["Certificates"] == {name: pem.digest(text) for name, text in kept.items()}
    assert (record["Verdict"], record["Time"]) == ("AWS_CHAIN_ONLY", MORNING)
    assert set(kept) < set(record["Keys"])
    tags = boto3.client("ssm").list_tags_for_resource(
        ResourceType="Parameter", ResourceId=f"/{SYSTEM}/{cluster_id}/hsm-identity/Verdict"
    )["TagList"]
    assert tags == [{"Key": "hsm-lifecycle:stack-id", "Value": STACK_ID}]


def test_the_same_verdict_is_not_written_again(account: Account) -> None:
    cluster_id = account.with_csr()
    verify(account, cluster_id)
    verify(account, cluster_id)
    assert account.changes == []
    replace_hsm(account, cluster_id, "expired-root")
    verify(account, cluster_id)
    kept = evidence(cluster_id)
    assert json.loads(kept["Verdict"])["Verdict"] == "VERIFIED_ROOT_EXPIRED"
    assert kept["ClusterCsr"] == account.csr(cluster_id)


def test_a_lost_response_is_repeated(account: Account) -> None:
    cluster_id = account.with_csr()
    account.faults.inject(
        {"operation": "PutParameter", "code": "ConnectionLost", "when": "after", "skip": 1}
    )
    with pytest.raises(TransientError):
        verify(account, cluster_id)
    assert "Verdict" not in evidence(cluster_id)
    verify(account, cluster_id)
    assert len(evidence(cluster_id)) == 5


def test_a_refused_hsm_leaves_the_evidence_of_the_one_before(account: Account) -> None:
    cluster_id = account.with_csr()
    verify(account, cluster_id)
    before = evidence(cluster_id)
    replace_hsm(account, cluster_id, "forged")
    message = rf"^VerifyHsmIdentity: FORGED: .* not signed by its key\. \[{cluster_id}\]$"
    with pytest.raises(HsmIdentityError, match=message):
        verify(account, cluster_id)
    assert evidence(cluster_id) == before


def test_require_demands_both_chains(account: Account) -> None:
    cluster_id = account.with_csr()
    with pytest.raises(HsmIdentityError, match="pHsmIdentity=REQUIRE: the HSM is AWS_CHAIN_ONLY"):
        verify(account, cluster_id, HsmIdentity="REQUIRE")
    assert evidence(cluster_id) == {}


def test_another_stacks_cluster_is_refused(account: Account) -> None:
    cluster_id = account.with_csr(stack_id=OTHER_STACK_ID)
    with pytest.raises(NotOwnedError):
        verify(account, cluster_id)
    assert account.changes == []


def test_a_cluster_is_verified_once_it_has_a_csr_and_until_it_is_initialized(
    account: Account,
) -> None:
    with pytest.raises(TransientError, match="no certificate signing request yet"):
        verify(account, account.uninitialized())
    cluster_id = account.initialized()
    assert verify(account, cluster_id) == {"VerifiedCsr": ""}
    assert evidence(cluster_id) == {}


def test_only_the_verified_request_is_signed(account: Account) -> None:
    cluster_id = account.with_csr()
    event = {"ClusterId": cluster_id, "StackId": STACK_ID, "System": SYSTEM}
    verified = verify(account, cluster_id)
    account.run(secrets.create_secrets, **event)
    replace_hsm(account, cluster_id, "forged")
    with pytest.raises(HsmIdentityError, match="AWS replaced the first HSM after its identity"):
        account.run(certificates.issue_certificate, **event, **verified)


# ---- the output


def test_the_output_tells_verdict_and_evidence(account: Account) -> None:
    cluster_id = account.with_csr()
    verify(account, cluster_id)
    output = identity_evidence.describe(SYSTEM, account.cluster(cluster_id))
    assert output == (
        "AWS_CHAIN_ONLY: CN=local-ls2-root-AR-v1 is not pinned (pManufacturerRootSpki). Evidence:"
        f" /cloudhsm/{cluster_id}/hsm-identity"
    )


def test_the_output_tells_why_there_is_no_evidence(account: Account) -> None:
    for cluster_id, output in (
        (account.with_csr(), "will be verified before initialization"),
        (account.initialized(), "already initialized"),
        (account.restored(ZONES[0]), "restored from a backup by an earlier version"),
    ):
        cluster = account.cluster(cluster_id)
        assert identity_evidence.describe(SYSTEM, cluster) == f"NOT_VERIFIED: {output}"


def test_a_restored_cluster_names_its_sources_evidence(account: Account) -> None:
    source, cluster_id = account.with_csr(), account.restored(ZONES[0])
    event = {"System": SYSTEM, "ClusterId": cluster_id, "StackId": STACK_ID}
    identity_evidence.adopt(event, source)
    output = identity_evidence.describe(SYSTEM, account.cluster(cluster_id))
    assert output.startswith(f"RESTORED: restored from a backup of {source}, evidence")
    assert "none was found" in output
    verify(account, source)
    identity_evidence.adopt(event, source)
    output = identity_evidence.describe(SYSTEM, account.cluster(cluster_id))
    assert f"/cloudhsm/{source}/hsm-identity (AWS_CHAIN_ONLY)" in output


# ---- deletion


@pytest.mark.parametrize("has_backups", [True, False])
def test_the_evidence_is_retained_with_the_backups(account: Account, has_backups: bool) -> None:
    cluster_id = account.with_csr()
    verify(account, cluster_id)
    for _ in range(2):
        account.run(
            secrets.delete_secrets, ClusterId=cluster_id, System=SYSTEM, HasBackups=has_backups
        )
    assert len(evidence(cluster_id)) == (5 if has_backups else 0)
    account.run(secrets.delete_secrets, ClusterId=UNKNOWN, System=SYSTEM, HasBackups=False)
