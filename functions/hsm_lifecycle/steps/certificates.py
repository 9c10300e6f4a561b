"""The certificates of a cluster: the request, the CA made for it, the proof, the initialization."""

from __future__ import annotations

import datetime
import re
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from hsm_lifecycle import aws
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import CertificateError, SecretNotFoundError, TransientError
from hsm_lifecycle.steps import cluster as clusters
from hsm_lifecycle.steps import secrets as secret_store

_CERTIFICATE, _CA_CERTIFICATE = "cluster-cert", "customer-ca-cert"  # the ends of the secrets' names
_LONGEST_CHAIN, _LARGEST_CHAIN = 4, 16384
_RSA_SIZES = (2048, 3072, 4096)
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_HASHES = ("sha224", "sha256", "sha384", "sha512")
_API_PATTERN = re.compile(r"[a-zA-Z0-9+-/=\s]*")  # of InitializeCluster's two strings (F1.16)
_DAYS = 3652  # https://docs.aws.amazon.com/cloudhsm/latest/userguide/initialize-cluster.html
_BACKDATED = datetime.timedelta(days=1)  # clocks differ (F2.9)


def store_csr(event: Event) -> dict[str, Any]:
    """Store the cluster's certificate signing request, where an operator finds it too."""
    cluster = clusters.own(event)
    if cluster["State"] == "UNINITIALIZED":
        secret_store.write(
            secret_store.names(event["System"], event["ClusterId"]).csr, _csr_of(cluster)
        )
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
    """Raise CertificateError, saying exactly what is wrong, unless AWS could take the two.

    One self-signed root, or a bundle that begins with the issuer and ends with the root (F2.4,
    F2.5): https://docs.aws.amazon.com/cloudhsm/latest/userguide/initialize-cluster.html
    """
    chain = _loaded(certificate_pem, _CERTIFICATE)
    if len(chain) != 1:
        raise CertificateError(f"{_CERTIFICATE} holds {len(chain)} certificates; it takes one.")
    authorities = _loaded(ca_pem, _CA_CERTIFICATE)
    if len(authorities) > _LONGEST_CHAIN or len(ca_pem) > _LARGEST_CHAIN:
        raise CertificateError(
            f"{_CA_CERTIFICATE} is longer than {_LONGEST_CHAIN} certificates or {_LARGEST_CHAIN}"
            " characters."
        )
    certificate, request = chain[0], x509.load_pem_x509_csr(request_pem.encode())
    if certificate.public_key() != request.public_key():
        raise CertificateError(
            f"{_CERTIFICATE} is of another key than the cluster's signing request, which changes"
            " when the first HSM is replaced. Sign the one that is in the secret cluster-csr now."
        )
    for number, (subject, issuer) in enumerate(
        zip([certificate, *authorities], authorities, strict=False)
    ):
        if not _is_issued_by(subject, issuer):
            raise CertificateError(
                f"{_CERTIFICATE} was not signed by the first certificate of {_CA_CERTIFICATE}."
                if number == 0
                else f"Certificate {number} of {_CA_CERTIFICATE} was not signed by the next one;"
                " the order is: issuer of the cluster's certificate first, root last."
            )
    if not _is_issued_by(authorities[-1], authorities[-1]):
        raise CertificateError(f"The last certificate of {_CA_CERTIFICATE} is not self-signed.")
    for number, authority in enumerate(authorities):
        if authority is not authorities[-1] and _is_issued_by(authority, authority):
            raise CertificateError(
                f"Certificate {number + 1} of {_CA_CERTIFICATE} is self-signed like the last;"
                " only the root may be, which is the last."
            )
        _check_authority(authority, number)
    for one, what in ((certificate, _CERTIFICATE), *((a, _CA_CERTIFICATE) for a in authorities)):
        _check_hash(one, what)
        _check_dates(one, what)


def _check_authority(authority: x509.Certificate, below: int) -> None:
    """Raise unless the certificate may sign certificates, with so many authorities below it."""
    who = f"{_CA_CERTIFICATE} ({authority.subject.rfc4514_string()})"
    try:
        basic = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        raise CertificateError(f"{who} has no basic constraints, which must say CA:TRUE.") from None
    if not basic.ca:
        raise CertificateError(f"{who} is not a CA certificate: basic constraints say CA:FALSE.")
    if basic.path_length is not None and basic.path_length < below:
        raise CertificateError(f"{who} allows {basic.path_length} CAs below it and has {below}.")
    try:
        usage = authority.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        usage = None
    if usage and not usage.key_cert_sign:
        raise CertificateError(f"{who} may not sign certificates: key usage lacks keyCertSign.")
    key = authority.public_key()
    if not (isinstance(key, rsa.RSAPublicKey) and key.key_size in _RSA_SIZES) and not (
        isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES
    ):
        raise CertificateError(
            f"{who} has a key that CloudHSM does not take: RSA 2048, 3072, 4096 or P-256, 384, 521."
        )


def _check_hash(certificate: x509.Certificate, what: str) -> None:
    algorithm = certificate.signature_hash_algorithm
    if algorithm is None or algorithm.name not in _HASHES:
        raise CertificateError(
            f"{what} is signed with {algorithm.name if algorithm else 'no hash'}; CloudHSM takes"
            " SHA-224, SHA-256, SHA-384 or SHA-512."
        )


def _check_dates(certificate: x509.Certificate, what: str) -> None:
    now = datetime.datetime.now(datetime.UTC)
    if certificate.not_valid_before_utc > now:
        raise CertificateError(
            f"{what} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC."
        )
    if certificate.not_valid_after_utc < now:
        raise CertificateError(
            f"{what} expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC."
        )


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _csr_of(cluster: dict[str, Any]) -> str:
    """The cluster's request; it shows a little later than its HSM, so its absence is transient."""
    request = (cluster.get("Certificates") or {}).get("ClusterCsr")
    if not request:
        raise TransientError("The cluster shows no certificate signing request yet.")
    return str(request)


def _loaded(pem: str, what: str) -> list[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(pem.encode())
    except ValueError as problem:
        raise CertificateError(f"{what} is not a certificate in PEM.") from problem
    if not _API_PATTERN.fullmatch(pem):
        raise CertificateError(
            f"{what} has text around the certificate, which CloudHSM does not take; leave only what"
            " is between the lines BEGIN CERTIFICATE and END CERTIFICATE, these included."
        )
    return found


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
