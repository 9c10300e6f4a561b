"""The certificates of a cluster: the request, the CA made for it, the proof, the initialization."""

from __future__ import annotations

import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from hsm_lifecycle import aws, clusters, secret_store
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import CertificateError, SecretNotFoundError, TransientError

_DAYS = 3652  # https://docs.aws.amazon.com/cloudhsm/latest/userguide/initialize-cluster.html
_BACKDATED = datetime.timedelta(days=1)  # clocks differ (F2.9)


def store_csr(event: Event) -> dict[str, Any]:
    """Store the cluster's certificate signing request, where an operator finds it too."""
    of = secret_store.names(event["System"], event["ClusterId"])
    secret_store.write(of.csr, _csr_of(clusters.own(event)))
    return {}


def issue_certificate(event: Event) -> dict[str, Any]:
    """Sign the cluster's request with a CA key that exists for this one signature only.

    A pair that was issued before and still fits the request is kept; half a pair is not.
    """
    cluster = clusters.own(event)
    if cluster["State"] != "UNINITIALIZED":
        return {}
    of, request = secret_store.names(event["System"], event["ClusterId"]), _csr_of(cluster)
    try:
        check(secret_store.read(of.certificate), secret_store.read(of.ca_certificate), request)
    except (CertificateError, SecretNotFoundError):
        certificate, ca_certificate = sign(request, event["ClusterId"])
        secret_store.write(of.ca_certificate, ca_certificate)
        secret_store.write(of.certificate, certificate)
    return {}


def check_certificates(event: Event) -> dict[str, Any]:
    """Prove, before the one call that cannot be taken back, that the certificates will do."""
    cluster = clusters.own(event)
    if cluster["State"] != "UNINITIALIZED":
        return {}
    of = secret_store.names(event["System"], event["ClusterId"])
    check(secret_store.read(of.certificate), secret_store.read(of.ca_certificate), _csr_of(cluster))
    return {}


def initialize_cluster(event: Event) -> dict[str, Any]:
    """Give the cluster its certificate; one that is past that is left alone."""
    cluster = clusters.own(event)
    if cluster["State"] != "UNINITIALIZED":
        return {}
    of = secret_store.names(event["System"], event["ClusterId"])
    aws.client("cloudhsmv2").initialize_cluster(
        ClusterId=event["ClusterId"],
        SignedCert=secret_store.read(of.certificate),
        TrustAnchor=secret_store.read(of.ca_certificate),
    )
    return {}


def sign(request_pem: str, cluster_id: str) -> tuple[str, str]:
    """The cluster's certificate and the CA's, as PEM. The CA's key is let go (F2.10)."""
    request = x509.load_pem_x509_csr(request_pem.encode())
    if not request.is_signature_valid:
        raise CertificateError(
            "The certificate signing request of the cluster is not signed by its key."
        )
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{cluster_id} CA")])
    ca = (
        _draft(subject, subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate = _draft(request.subject, subject, request.public_key()).sign(key, hashes.SHA256())
    return _pem(certificate), _pem(ca)


def check(certificate_pem: str, ca_pem: str, request_pem: str) -> None:
    """Raise CertificateError unless the certificate is of the request's key and by that CA."""
    certificate, ca = _loaded(certificate_pem, "cluster-cert"), _loaded(ca_pem, "customer-ca-cert")
    request = x509.load_pem_x509_csr(request_pem.encode())
    if certificate.public_key() != request.public_key():
        raise CertificateError("cluster-cert was not issued for the cluster's signing request.")
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature) as problem:
        raise CertificateError("cluster-cert was not signed by customer-ca-cert.") from problem


def _csr_of(cluster: dict[str, Any]) -> str:
    """The cluster's request; it shows a little later than its HSM, so its absence is transient."""
    request = (cluster.get("Certificates") or {}).get("ClusterCsr")
    if not request:
        raise TransientError("The cluster shows no certificate signing request yet.")
    return str(request)


def _loaded(pem: str, what: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError as problem:
        raise CertificateError(f"{what} is not a certificate in PEM.") from problem


def _draft(subject: x509.Name, issuer: x509.Name, key: Any) -> x509.CertificateBuilder:
    begin = datetime.datetime.now(datetime.UTC) - _BACKDATED
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=_DAYS))
    )


def _key_usage(*, key_cert_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
