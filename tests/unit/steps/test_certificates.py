from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from hsm_lifecycle import pem, pki, secret_store
from hsm_lifecycle.errors import (
    CertificateError,
    ClusterNotFoundError,
    NotOwnedError,
    RefusedError,
    SecretNotFoundError,
    TransientError,
)
from hsm_lifecycle.steps import certificates, secrets
from rehearsal import test_ca
from tests.support.account import (
    OTHER_STACK_ID,
    STACK_ID,
    SYSTEM,
    TIMINGS,
    ZONES,
    Account,
    Json,
)

CLUSTER_ID = "cluster-aaaaaaaaaaa"


def of(cluster_id: str) -> Json:
    return {"ClusterId": cluster_id, "StackId": STACK_ID, "System": SYSTEM}


def verified(account: Account, cluster_id: str) -> Json:
    """The event of IssueCertificate after VerifyHsmIdentity."""
    return {**of(cluster_id), "VerifiedCsr": pem.digest(account.csr(cluster_id))}


def names(cluster_id: str) -> secret_store.Names:
    return secret_store.names(SYSTEM, cluster_id)


def ready(account: Account) -> str:
    """The ID of a cluster with an ACTIVE first HSM and its secrets."""
    cluster_id = account.with_csr()
    account.run(secrets.create_secrets, **of(cluster_id))
    return cluster_id


def replace_hsm(account: Account, cluster_id: str) -> None:
    account.hsms.provider().replace_hsm(account.listed(cluster_id)[0]["HsmId"])


def supply(account: Account, cluster_id: str, certificate: str | None = None) -> str:
    """Store certificates like an external PKI does; the certificate."""
    certificate = certificate or test_ca.sign(
        account.ca, account.csr(cluster_id), account.clock.now()
    )
    account.put(names(cluster_id).certificate, certificate)
    account.put(names(cluster_id).ca_certificate, account.ca.pem)
    return certificate


STEPS = (
    certificates.store_csr,
    certificates.issue_certificate,
    certificates.check_certificates,
    certificates.initialize_cluster,
)


@pytest.mark.parametrize("step", STEPS)
def test_steps_refuse_another_stacks_cluster(account: Account, step: Callable[..., Json]) -> None:
    cluster_id = account.with_csr(stack_id=OTHER_STACK_ID)
    with pytest.raises(NotOwnedError, match=rf"\[{cluster_id}\]$"):
        account.run(step, **of(cluster_id))
    assert account.changes == []
    assert account.secret_names() == []


@pytest.mark.parametrize("step", STEPS)
def test_steps_refuse_a_missing_cluster(account: Account, step: Callable[..., Json]) -> None:
    with pytest.raises(ClusterNotFoundError):
        account.run(step, **of(CLUSTER_ID))


@pytest.mark.parametrize("step", STEPS)
def test_steps_do_nothing_once_the_cluster_is_initialized(
    account: Account, step: Callable[..., Json]
) -> None:
    cluster_id = account.initialized()
    for text in ("the operator's request", "the operator's certificate"):
        account.put(names(cluster_id).csr, text)
        account.put(names(cluster_id).certificate, text)
        assert account.run(step, **of(cluster_id)) == {}
        assert account.changes == []


# ---- store_csr


def test_store_csr_stores_the_request_once(account: Account) -> None:
    cluster_id = ready(account)
    assert account.run(certificates.store_csr, **of(cluster_id)) == {}
    assert account.text(names(cluster_id).csr) == account.csr(cluster_id)
    account.run(certificates.store_csr, **of(cluster_id))
    assert account.changes == []


def test_store_csr_stores_the_request_of_a_replaced_first_hsm(account: Account) -> None:
    cluster_id = ready(account)
    account.run(certificates.store_csr, **of(cluster_id))
    before = account.text(names(cluster_id).csr)
    replace_hsm(account, cluster_id)
    account.run(certificates.store_csr, **of(cluster_id))
    assert account.text(names(cluster_id).csr) == account.csr(cluster_id) != before


def test_store_csr_is_retried_until_the_request_appears(account: Account) -> None:
    cluster_id = account.uninitialized()
    account.run(secrets.create_secrets, **of(cluster_id))
    account.hsm.create_hsm(ClusterId=cluster_id, AvailabilityZone=ZONES[0])
    with pytest.raises(TransientError, match="no certificate signing request yet"):
        account.run(certificates.store_csr, **of(cluster_id))
    account.wait(TIMINGS.create_hsm)
    account.run(certificates.store_csr, **of(cluster_id))


def test_store_csr_survives_a_lost_response(account: Account) -> None:
    cluster_id = ready(account)
    account.faults.inject(
        {"operation": "PutSecretValue", "code": "ConnectionLost", "when": "after"}
    )
    with pytest.raises(TransientError):
        account.run(certificates.store_csr, **of(cluster_id))
    account.run(certificates.store_csr, **of(cluster_id))
    assert account.changes == []
    assert account.text(names(cluster_id).csr) == account.csr(cluster_id)


# ---- issue_certificate


def issue(account: Account, cluster_id: str) -> tuple[str, str]:
    assert account.run(certificates.issue_certificate, **verified(account, cluster_id)) == {}
    certificate = account.text(names(cluster_id).certificate)
    ca = account.text(names(cluster_id).ca_certificate)
    assert certificate
    assert ca
    pki.check(certificate, ca, account.csr(cluster_id))
    return certificate, ca


def test_issue_certificate_issues_a_pair_that_initializes_the_cluster(account: Account) -> None:
    cluster_id = ready(account)
    certificate, ca = issue(account, cluster_id)
    account.hsm.initialize_cluster(ClusterId=cluster_id, SignedCert=certificate, TrustAnchor=ca)
    account.wait(TIMINGS.initialize)
    assert account.cluster(cluster_id)["State"] == "INITIALIZED"


def test_issue_certificate_reuses_a_matching_pair(account: Account) -> None:
    cluster_id = ready(account)
    pair = issue(account, cluster_id)
    assert issue(account, cluster_id) == pair
    certificate = supply(account, cluster_id)
    assert issue(account, cluster_id) == (certificate, account.ca.pem)
    assert account.changes == []


def test_issue_certificate_replaces_a_pair_of_an_earlier_request(account: Account) -> None:
    cluster_id = ready(account)
    before = issue(account, cluster_id)
    replace_hsm(account, cluster_id)
    after = issue(account, cluster_id)
    assert after[0] != before[0]
    assert after[1] != before[1]


@pytest.mark.parametrize("skip", [0, 1])
@pytest.mark.parametrize("when", ["before", "after"])
def test_issue_certificate_recovers_from_a_lost_response(
    account: Account, skip: int, when: str
) -> None:
    cluster_id = ready(account)
    account.faults.inject(
        {"operation": "PutSecretValue", "code": "ConnectionLost", "skip": skip, "when": when}
    )
    with pytest.raises(TransientError):
        account.run(certificates.issue_certificate, **verified(account, cluster_id))
    issue(account, cluster_id)


@pytest.mark.parametrize("half", ["certificate", "ca_certificate"])
@pytest.mark.parametrize("text", [None, "Paste it here."])
def test_issue_certificate_replaces_half_a_pair(
    account: Account, half: str, text: str | None
) -> None:
    cluster_id = ready(account)
    before = issue(account, cluster_id)
    name = getattr(names(cluster_id), half)
    account.secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    account.put(name, text)
    assert issue(account, cluster_id) != before


def test_issue_certificate_discards_the_ca_key(
    account: Account, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    make = rsa.generate_private_key

    def note(public_exponent: int, key_size: int) -> rsa.RSAPrivateKey:
        made.append(make(public_exponent, key_size))
        return made[-1]

    cluster_id = ready(account)
    monkeypatch.setattr(rsa, "generate_private_key", note)
    issue(account, cluster_id)
    assert len(made) == 1
    secret = str(made[0].private_numbers().d)
    found = " ".join(account.text(name) or "" for name in account.secret_names()) + caplog.text
    assert "PRIVATE KEY" not in found
    assert secret not in found


def test_issue_certificate_needs_the_request(account: Account) -> None:
    cluster_id = account.uninitialized()
    account.run(secrets.create_secrets, **of(cluster_id))
    with pytest.raises(TransientError, match="no certificate signing request yet"):
        account.run(certificates.issue_certificate, **of(cluster_id), VerifiedCsr="")


# ---- check_certificates


def test_check_certificates_accepts_valid_ones_and_changes_nothing(account: Account) -> None:
    cluster_id = ready(account)
    supply(account, cluster_id)
    assert account.run(certificates.check_certificates, **of(cluster_id)) == {}
    assert account.changes == []


def test_check_certificates_names_the_secret_and_the_cluster(account: Account) -> None:
    cluster_id = ready(account)
    supply(account, cluster_id, certificate="Paste it here.")
    with pytest.raises(CertificateError) as failure:
        account.run(certificates.check_certificates, **of(cluster_id))
    assert str(failure.value).startswith("CheckCertificates: cluster-cert ")
    assert str(failure.value).endswith(f"[{cluster_id}]")
    assert account.changes == []
    supply(account, cluster_id)
    assert account.run(certificates.check_certificates, **of(cluster_id)) == {}


def test_check_certificates_refuses_a_certificate_of_a_replaced_hsm(account: Account) -> None:
    cluster_id = ready(account)
    supply(account, cluster_id)
    replace_hsm(account, cluster_id)
    with pytest.raises(CertificateError, match="changes when the first HSM is replaced"):
        account.run(certificates.check_certificates, **of(cluster_id))


@pytest.mark.parametrize("half", ["certificate", "ca_certificate"])
def test_check_certificates_names_a_missing_secret(account: Account, half: str) -> None:
    cluster_id = ready(account)
    supply(account, cluster_id)
    name = getattr(names(cluster_id), half)
    account.secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    with pytest.raises(SecretNotFoundError, match=re.escape(name)):
        account.run(certificates.check_certificates, **of(cluster_id))
    account.put(name, None)
    with pytest.raises(SecretNotFoundError, match=re.escape(name)):
        account.run(certificates.check_certificates, **of(cluster_id))


# ---- initialize_cluster


def test_initialize_cluster_uses_the_secrets(account: Account) -> None:
    cluster_id = ready(account)
    certificate = supply(account, cluster_id)
    assert account.run(certificates.initialize_cluster, **of(cluster_id)) == {}
    assert account.cluster(cluster_id)["State"] == "INITIALIZE_IN_PROGRESS"
    account.wait(TIMINGS.initialize)
    cluster = account.cluster(cluster_id)
    assert cluster["State"] == "INITIALIZED"
    assert cluster["Certificates"]["ClusterCertificate"] == certificate


def test_initialize_cluster_is_requested_once(account: Account) -> None:
    cluster_id = ready(account)
    supply(account, cluster_id)
    account.faults.inject(
        {"operation": "InitializeCluster", "code": "ConnectionLost", "when": "after"}
    )
    with pytest.raises(TransientError, match=rf"\[{cluster_id}\]$"):
        account.run(certificates.initialize_cluster, **of(cluster_id))
    for seconds in (0, TIMINGS.initialize):
        account.wait(seconds)
        assert account.run(certificates.initialize_cluster, **of(cluster_id)) == {}
        assert account.changes == []


def test_initialize_cluster_quotes_the_refusal_of_aws(account: Account) -> None:
    cluster_id = ready(account)
    supply(account, cluster_id)
    account.faults.inject(
        {
            "operation": "InitializeCluster",
            "code": "CloudHsmInvalidRequestException",
            "message": "?",
        }
    )
    with pytest.raises(RefusedError) as error:
        account.run(certificates.initialize_cluster, **of(cluster_id))
    assert str(error.value) == (
        f"InitializeCluster: CloudHsmInvalidRequestException: ? [{cluster_id}]"
    )


def test_initialize_cluster_sends_no_private_key(account: Account) -> None:
    cluster_id = ready(account)
    supply(account, cluster_id)
    account.put(names(cluster_id).ca_certificate, account.ca.pem + account.ca.key_pem)
    with pytest.raises(CertificateError, match="customer-ca-cert contains a PRIVATE KEY"):
        account.run(certificates.initialize_cluster, **of(cluster_id))
    assert account.changes == []
    account.put(names(cluster_id).ca_certificate, f"\n{account.ca.pem}\n")
    account.run(certificates.initialize_cluster, **of(cluster_id))
    account.wait(TIMINGS.initialize)
    assert account.cluster(cluster_id)["State"] == "INITIALIZED"


def test_initialize_cluster_is_retried_when_throttled(account: Account) -> None:
    cluster_id = ready(account)
    supply(account, cluster_id)
    account.faults.inject({"operation": "InitializeCluster", "code": "ThrottlingException"})
    with pytest.raises(TransientError):
        account.run(certificates.initialize_cluster, **of(cluster_id))
    account.run(certificates.initialize_cluster, **of(cluster_id))
    assert account.cluster(cluster_id)["State"] == "INITIALIZE_IN_PROGRESS"
