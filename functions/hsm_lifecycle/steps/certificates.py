"""Steps: the cluster's signing request, its certificates, and its initialization."""

from __future__ import annotations

from typing import Any

from hsm_lifecycle import aws, ownership, pem, pki, secret_store
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import (
    CertificateError,
    HsmIdentityError,
    SecretNotFoundError,
    TransientError,
)


def store_csr(event: Event) -> dict[str, Any]:
    """Store the cluster's certificate signing request in a secret, for an external PKI too."""
    cluster = ownership.require_owned(event)
    if cluster["State"] == "UNINITIALIZED":
        names = secret_store.names(event["System"], event["ClusterId"])
        secret_store.write(names.csr, csr_of(cluster))
    return {}


def issue_certificate(event: Event) -> dict[str, Any]:
    """Sign the cluster's request with a CA key that is used for this signature only.

    A pair of certificates that fits the request is reused; half a pair is replaced.
    HsmIdentityError: it is not the request of the HSM that was verified (VerifiedCsr).
    """
    cluster = ownership.require_owned(event)
    if cluster["State"] != "UNINITIALIZED":
        return {}
    names, csr = secret_store.names(event["System"], event["ClusterId"]), csr_of(cluster)
    if pem.digest(csr) != event["VerifiedCsr"]:
        raise HsmIdentityError(
            "AWS replaced the first HSM after its identity was verified. Retry the stack operation."
        )
    try:
        _check(names, csr)
    except (CertificateError, SecretNotFoundError):
        certificate, ca_certificate = pki.sign(csr, event["ClusterId"])
        secret_store.write(names.ca_certificate, ca_certificate)
        secret_store.write(names.certificate, certificate)
    return {}


def check_certificates(event: Event) -> dict[str, Any]:
    """Validate the certificates before InitializeCluster, which cannot be undone."""
    cluster = ownership.require_owned(event)
    if cluster["State"] == "UNINITIALIZED":
        _check(secret_store.names(event["System"], event["ClusterId"]), csr_of(cluster))
    return {}


def initialize_cluster(event: Event) -> dict[str, Any]:
    """Initialize the cluster with its certificates, unless it is already initialized."""
    cluster = ownership.require_owned(event)
    if cluster["State"] != "UNINITIALIZED":
        return {}
    names = secret_store.names(event["System"], event["ClusterId"])
    # Checked again, because the secrets may have changed since CheckCertificates.
    certificate, ca_certificates = _check(names, csr_of(cluster))
    aws.client("cloudhsmv2").initialize_cluster(
        ClusterId=event["ClusterId"], SignedCert=certificate, TrustAnchor=ca_certificates
    )
    return {}


def _check(names: secret_store.Names, csr: str) -> tuple[str, str]:
    """The two certificates, parsed. CertificateError: InitializeCluster cannot use them."""
    return pki.check(
        secret_store.read(names.certificate), secret_store.read(names.ca_certificate), csr
    )


def csr_of(cluster: dict[str, Any]) -> str:
    """The cluster's CSR. TransientError: it appears a little later than the first HSM."""
    csr = (cluster.get("Certificates") or {}).get("ClusterCsr")
    if not csr:
        raise TransientError("The cluster has no certificate signing request yet.")
    return str(csr)
