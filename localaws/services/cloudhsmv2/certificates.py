"""The rules of InitializeCluster for its two certificates, and what clients trust."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from localaws.services.cloudhsmv2 import exceptions
from localaws.services.cloudhsmv2.models import Identity

MAX_LENGTH = 20000
MAX_CHAIN_LENGTH = 16 * 1024
MAX_ANCHORS = 4
# The API's own pattern, where +-/ is a range (F1.16).
TEXT = re.compile(r"[a-zA-Z0-9+-/=\s]*")
RSA_BITS = (2048, 3072, 4096)
CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
REQUIRED_OF_CAS = {
    "basicConstraints": x509.BasicConstraints,
    "subjectKeyIdentifier": x509.SubjectKeyIdentifier,
}
HASHES = (hashes.SHA224, hashes.SHA256, hashes.SHA384, hashes.SHA512)

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def validate_certificates(
    identity: Identity,
    signed_cert: object,
    trust_anchor: object,
    now: float,
    *,
    rfc5280: bool = True,
) -> None:
    """Apply the rules of InitializeCluster to its two certificates (F1.16, F2.4, F2.5).

    With `rfc5280`, a CA must have the extensions that RFC 5280 requires (F2.13).
    """
    leaves = _parse("SignedCert", signed_cert)
    if len(leaves) != 1:
        raise exceptions.invalid(f"SignedCert must be one certificate, not {len(leaves)}.")
    leaf = leaves[0]
    anchors = _parse("TrustAnchor", trust_anchor)
    if len(anchors) > MAX_ANCHORS:
        raise exceptions.invalid(f"TrustAnchor may have at most {MAX_ANCHORS} certificates.")
    if len(anchors) > 1 and len(str(trust_anchor)) > MAX_CHAIN_LENGTH:
        raise exceptions.invalid(f"TrustAnchor may have at most {MAX_CHAIN_LENGTH} bytes.")
    if leaf.public_key() != identity.key.public_key():
        raise exceptions.invalid("SignedCert does not have the public key of the cluster's CSR.")
    for position, certificate in enumerate([leaf, *anchors]):
        what = f"certificate {position} of TrustAnchor" if position else "SignedCert"
        _check_strength(what, certificate)
        if not is_valid(certificate, now):
            raise exceptions.invalid(f"{what} is expired or not yet valid.")
    for position, (issued, issuer) in enumerate(pairwise([leaf, *anchors])):
        if not _issued(issued, issuer):
            what = f"certificate {position} of TrustAnchor" if position else "SignedCert"
            raise exceptions.invalid(
                f"{what} is not issued by certificate {position + 1} of TrustAnchor: "
                "the issuing CA comes first, the root last."
            )
        what = f"certificate {position + 1} of TrustAnchor"
        _check_ca(what, issuer, below=position)
        if rfc5280:
            _check_rfc5280(what, issuer)
    for position, anchor in enumerate(anchors, 1):
        if (anchor.subject == anchor.issuer) != (position == len(anchors)):
            raise exceptions.invalid(
                "TrustAnchor must end with a self-signed root, and only there."
            )
    if not _issued(anchors[-1], anchors[-1]):
        raise exceptions.invalid("The signature of the root in TrustAnchor is wrong.")


def same(one: str, other: str) -> bool:
    """Whether two texts have the same certificates in the same order; False if none (F4.16)."""
    try:
        return load(one) == load(other)
    except ValueError:
        return False


def trusts(anchor: str, cluster_certificate: str, now: float) -> bool:
    """Whether a client with this customerCA.crt trusts the cluster (F2.8, F2.12)."""
    try:
        trusted = load(anchor)
    except ValueError:
        return False
    current = load(cluster_certificate)[0]
    for _ in range(MAX_ANCHORS):
        issuer = next((one for one in trusted if _issued(current, one)), None)
        if issuer is None or not is_valid(current, now) or not is_valid(issuer, now):
            return False
        if issuer.subject == issuer.issuer:
            return True
        current = issuer
    return False


def load(text: str) -> list[x509.Certificate]:
    """The certificates in a PEM text; ValueError if there are none, or there is other text."""
    blocks = _BLOCK.findall(text)
    if not blocks or _BLOCK.sub("", text).strip():
        raise ValueError("not a PEM certificate")
    return [x509.load_pem_x509_certificate(block.encode()) for block in blocks]


def is_valid(certificate: x509.Certificate, now: float) -> bool:
    """Whether the certificate is in date (F2.9)."""
    moment = dt.datetime.fromtimestamp(now, dt.UTC)
    return certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc


def _parse(name: str, value: object) -> Sequence[x509.Certificate]:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_LENGTH or not TEXT.fullmatch(value):
        raise exceptions.invalid(
            f"{name} must be PEM of 1 to {MAX_LENGTH} characters that match {TEXT.pattern}"
        )
    try:
        return load(value)
    except ValueError as error:
        raise exceptions.invalid(f"{name} is not a PEM certificate.") from error


def _check_strength(what: str, certificate: x509.Certificate) -> None:
    key = certificate.public_key()
    good = (isinstance(key, rsa.RSAPublicKey) and key.key_size in RSA_BITS) or (
        isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, CURVES)
    )
    if not good:
        raise exceptions.invalid(
            f"The key of {what} must be RSA with 2048, 3072 or 4096 bits, or on P-256, P-384 or"
            " P-521."
        )
    if not isinstance(certificate.signature_hash_algorithm, HASHES):
        raise exceptions.invalid(
            f"{what} must be signed with SHA-224, SHA-256, SHA-384 or SHA-512."
        )


def _check_rfc5280(what: str, certificate: x509.Certificate) -> None:
    """Check for the extensions that RFC 5280 requires of a CA (4.2.1.2, 4.2.1.9)."""
    present = {type(extension.value) for extension in certificate.extensions}
    for name, required in REQUIRED_OF_CAS.items():
        if required not in present:
            raise exceptions.invalid(f"{what} has no {name}, which RFC 5280 requires of a CA.")


def _check_ca(what: str, certificate: x509.Certificate, below: int) -> None:
    """Check that the extensions, if there are any, allow a CA (F2.5)."""
    extensions = certificate.extensions
    if not len(extensions):
        return
    try:
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        raise exceptions.invalid(f"{what} has extensions but no basicConstraints.") from None
    if not constraints.ca:
        raise exceptions.invalid(f"{what} has basicConstraints CA:FALSE.")
    if constraints.path_length is not None and constraints.path_length < below:
        raise exceptions.invalid(f"{what} allows {constraints.path_length} CAs below it.")
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.key_cert_sign:
        raise exceptions.invalid(f"{what} has a keyUsage without keyCertSign.")


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return _key_ids_agree(certificate, issuer)


def _key_ids_agree(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the authority key id is the issuer's subject key id, if both exist."""
    try:
        authority = certificate.extensions.get_extension_for_class(
            x509.AuthorityKeyIdentifier
        ).value
        subject = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return True
    return authority.key_identifier in (None, subject.digest)
