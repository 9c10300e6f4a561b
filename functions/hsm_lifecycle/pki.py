"""Sign a cluster's certificate, and check certificates before AWS does. Pure: no AWS calls.

The certificates in a secret are parsed before they are used; no other text leaves the secret.
"""

from __future__ import annotations

import datetime
import re
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from hsm_lifecycle.errors import CertificateError

_CERTIFICATE, _CA_CERTIFICATE = "cluster-cert", "customer-ca-cert"  # how the secrets' names end
_MAX_CERTIFICATES, _MAX_CHARACTERS = 4, 16384  # of the CA bundle
_RSA_SIZES = (2048, 3072, 4096)
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_HASHES = ("sha224", "sha256", "sha384", "sha512")
_DAYS = 3652  # https://docs.aws.amazon.com/cloudhsm/latest/userguide/initialize-cluster.html
_BACKDATED = datetime.timedelta(days=1)  # tolerates clock skew (F2.9)
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_MARKERS = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----")
UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
_CA_KEY_USAGE = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def sign(request_pem: str, cluster_id: str) -> tuple[str, str]:
    """The cluster's certificate and its CA's, as PEM. The CA key is discarded (F2.10)."""
    request = x509.load_pem_x509_csr(request_pem.encode())
    if not request.is_signature_valid:
        raise CertificateError(
            "The cluster's certificate signing request is not signed by its own key."
        )
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{cluster_id} CA")])
    ca = (
        _builder(subject, subject, key.public_key(), key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_CA_KEY_USAGE, critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate = _builder(request.subject, subject, request.public_key(), key.public_key()).sign(
        key, hashes.SHA256()
    )
    return _pem(certificate), _pem(ca)


def check(certificate_pem: str, ca_pem: str, request_pem: str) -> tuple[str, str]:
    """Raise CertificateError unless InitializeCluster can use the two; they are returned parsed.

    The CA's side is one self-signed root, or a bundle from the issuer to the root (F2.4, F2.5):
    https://docs.aws.amazon.com/cloudhsm/latest/userguide/initialize-cluster.html
    """
    certificates = _load(certificate_pem, _CERTIFICATE)
    if len(certificates) != 1:
        raise CertificateError(
            f"{_CERTIFICATE} contains {len(certificates)} certificates; expected one."
        )
    authorities = _load(ca_pem, _CA_CERTIFICATE)
    if len(authorities) > _MAX_CERTIFICATES or len(ca_pem) > _MAX_CHARACTERS:
        raise CertificateError(
            f"{_CA_CERTIFICATE} exceeds {_MAX_CERTIFICATES} certificates or {_MAX_CHARACTERS}"
            " characters."
        )
    certificate, request = certificates[0], x509.load_pem_x509_csr(request_pem.encode())
    if certificate.public_key() != request.public_key():
        raise CertificateError(
            f"{_CERTIFICATE} does not match the cluster's certificate signing request, which"
            " changes when the first HSM is replaced. Sign the request now in the secret"
            " cluster-csr."
        )
    _check_chain(certificate, authorities)
    for number, authority in enumerate(authorities):
        _check_authority(authority, number)
    for one, name in ((certificate, _CERTIFICATE), *((a, _CA_CERTIFICATE) for a in authorities)):
        _check_hash(one, name)
        _check_dates(one, name)
    return _pem(certificate), "".join(map(_pem, authorities))


def ca_certificates(pem: str, name: str) -> str:
    """The certificates in a secret's text, and nothing else. CertificateError: other text."""
    return "".join(map(_pem, _load(pem, name)))


def check_trust(ca_pem: str, cluster_certificate: str, name: str) -> None:
    """Raise CertificateError unless these CAs, in the secret `name`, issued the certificate.

    InitializeCluster has accepted the cluster's own CAs, so only whether these are the same is
    checked (F2.12).
    """
    certificate = x509.load_pem_x509_certificate(cluster_certificate.encode())
    authorities = _load(ca_pem, name)
    for subject, issuer in zip([certificate, *authorities], authorities, strict=False):
        if not _is_issued_by(subject, issuer):
            raise CertificateError(
                # Longer messages would be cut, see failure_reason.
                f"{name} does not contain the CA of the cluster's certificate. Store"
                " customerCA.crt of a client that connects."
            )
    if not _is_issued_by(authorities[-1], authorities[-1]):
        raise CertificateError(f"The last certificate of {name} is not self-signed.")


def _check_chain(certificate: x509.Certificate, authorities: list[x509.Certificate]) -> None:
    """Raise unless each certificate is signed by the next one, and only the last by itself."""
    for number, (subject, issuer) in enumerate(
        zip([certificate, *authorities], authorities, strict=False)
    ):
        if not _is_issued_by(subject, issuer):
            raise CertificateError(
                f"{_CERTIFICATE} was not signed by the first certificate of {_CA_CERTIFICATE}."
                if number == 0
                else f"Certificate {number} of {_CA_CERTIFICATE} was not signed by the next one."
                " Order the bundle from the issuer of the cluster's certificate to the root."
            )
    root = authorities[-1]
    if not _is_issued_by(root, root):
        raise CertificateError(f"The last certificate of {_CA_CERTIFICATE} is not self-signed.")
    for number, authority in enumerate(authorities[:-1], 1):
        if _is_issued_by(authority, authority):
            raise CertificateError(
                f"Certificate {number} of {_CA_CERTIFICATE} is self-signed; only the last one, the"
                " root, may be."
            )


def _check_authority(authority: x509.Certificate, below: int) -> None:
    """Raise unless the certificate may sign certificates with this many CAs below it."""
    name = f"{_CA_CERTIFICATE} ({authority.subject.rfc4514_string()})"
    try:
        basic = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        raise CertificateError(f"{name} has no basic constraints; CA:TRUE is required.") from None
    if not basic.ca:
        raise CertificateError(f"{name} is not a CA certificate: basic constraints say CA:FALSE.")
    if basic.path_length is not None and basic.path_length < below:
        raise CertificateError(f"{name} allows {basic.path_length} CAs below it but has {below}.")
    try:
        usage = authority.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        usage = None
    if usage and not usage.key_cert_sign:
        raise CertificateError(f"{name} may not sign certificates: key usage lacks keyCertSign.")
    try:
        authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        raise CertificateError(
            f"{name} has no subject key identifier, which RFC 5280 requires of a CA."
        ) from None
    key = authority.public_key()
    if not (isinstance(key, rsa.RSAPublicKey) and key.key_size in _RSA_SIZES) and not (
        isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES
    ):
        raise CertificateError(
            f"{name} has an unsupported key. Use RSA 2048, 3072, 4096 or P-256, P-384, P-521."
        )


def _check_hash(certificate: x509.Certificate, name: str) -> None:
    algorithm = certificate.signature_hash_algorithm
    if algorithm is None or algorithm.name not in _HASHES:
        raise CertificateError(
            f"{name} is signed with {algorithm.name if algorithm else 'no hash'}."
            " Use SHA-224, SHA-256, SHA-384 or SHA-512."
        )


def _check_dates(certificate: x509.Certificate, name: str) -> None:
    now = datetime.datetime.now(datetime.UTC)
    if certificate.not_valid_before_utc > now:
        raise CertificateError(
            f"{name} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC."
        )
    if certificate.not_valid_after_utc < now:
        raise CertificateError(
            f"{name} expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC."
        )


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer's key signed the certificate and its key identifier, if any, agrees."""
    try:
        certificate.verify_directly_issued_by(issuer)
        authority = certificate.extensions.get_extension_for_class(
            x509.AuthorityKeyIdentifier
        ).value
        subject = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    except x509.ExtensionNotFound:
        return True
    return authority.key_identifier in (None, subject.digest)


def _load(pem: str, name: str) -> list[x509.Certificate]:
    """The certificates of a text that contains nothing else."""
    blocks = list(_BLOCK.finditer(pem))
    for block in blocks:
        if block.group(1) != "CERTIFICATE":
            raise CertificateError(
                f"{name} contains a {block.group(1)}, which was not used. Remove it; keep only"
                " BEGIN CERTIFICATE to END CERTIFICATE."
            )
    certificates = [_parsed(block[0], name) for block in blocks]
    if not certificates:
        raise CertificateError(f"{name} is not a PEM certificate.")
    if _BLOCK.sub("", pem).strip():
        raise CertificateError(
            f"{name} has text outside the PEM block, which CloudHSM rejects. Keep only the lines"
            " from BEGIN CERTIFICATE to END CERTIFICATE."
        )
    # cryptography needs no lines, but the script that installs the certificates reads them.
    if any("-----" in line and line.removesuffix("\r") not in _MARKERS for line in pem.split("\n")):
        raise CertificateError(
            f"{name} lacks a line break before or after BEGIN or END CERTIFICATE, or has blanks"
            " there. Store the PEM files as they are."
        )
    return certificates


def _parsed(block: str, name: str) -> x509.Certificate:
    """The certificate in a PEM block, of which everything that is checked can be read."""
    try:
        certificate = x509.load_pem_x509_certificate(block.encode())
    except (ValueError, x509.InvalidVersion) as error:
        raise CertificateError(f"{name} is not a PEM certificate.") from error
    try:
        _ = certificate.subject, certificate.extensions, certificate.signature_hash_algorithm
        certificate.public_key()
    except UNREADABLE as error:
        raise CertificateError(f"{name} has a certificate that cannot be read: {error}.") from error
    return certificate


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Any, issuer_key: Any
) -> x509.CertificateBuilder:
    """With the key identifiers that RFC 5280 requires (4.2.1.1, 4.2.1.2)."""
    begin = datetime.datetime.now(datetime.UTC) - _BACKDATED
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=_DAYS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False
        )
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
