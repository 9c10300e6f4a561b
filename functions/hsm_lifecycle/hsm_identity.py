"""Verify that a certificate signing request comes from a genuine HSM of AWS. Pure: no AWS calls.

Each signature is checked with the issuer's key, up to a pinned root key. Path building would refuse
genuine HSMs: roots are re-issued with the same key, one is X.509 v1, and AWS's expires in 2027
(F2.14, F2.15). https://docs.aws.amazon.com/cloudhsm/latest/userguide/verify-hsm-identity.html
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hsm_lifecycle.errors import HsmIdentityError, ParameterError
from hsm_lifecycle.pem import OF_FIRST_HSM
from hsm_lifecycle.pki import UNREADABLE

CSR, HSM, AWS, MANUFACTURER = OF_FIRST_HSM
VERIFIED, ROOT_EXPIRED = "VERIFIED", "VERIFIED_ROOT_EXPIRED"
AWS_CHAIN_ONLY, NOT_VERIFIED = "AWS_CHAIN_ONLY", "NOT_VERIFIED"
ROOTS = Path(__file__).parent / "roots"
_PublicKey = Any  # cryptography's type of a certificate's key has members that cannot verify


@dataclass(frozen=True)
class Root:
    """A pinned root: its key counts, whichever certificate carries it."""

    key: _PublicKey
    # Those of the shipped certificate; a key from pManufacturerRootSpki has none.
    subject: x509.Name | None = None
    expires: datetime | None = None

    def __str__(self) -> str:
        return _common_name(self.subject) if self.subject else f"key {fingerprint(self.key)[:16]}"


@dataclass(frozen=True)
class Roots:
    """The pinned roots of both chains."""

    aws: tuple[Root, ...]
    manufacturer: tuple[Root, ...]


@dataclass(frozen=True)
class Finding:
    """A verdict, what led to it, and the SHA-256 of each public key (SubjectPublicKeyInfo)."""

    verdict: str
    detail: str
    keys: Mapping[str, str]


def pinned_roots(manufacturer_keys: str, directory: Path = ROOTS) -> Roots:
    """The shipped roots, and public keys of the manufacturer (base64, separated by commas).

    ParameterError: one of these is not a public key.
    """
    given = []
    for text in filter(None, manufacturer_keys.split(",")):
        try:
            given.append(Root(serialization.load_der_public_key(base64.b64decode(text))))
        except UNREADABLE as error:
            raise ParameterError(
                f"pManufacturerRootSpki: {text[:20]}... is not a public key. See"
                " docs/hsm-identity.md for the command that prints it."
            ) from error
    return Roots(
        tuple(_shipped(directory / "aws.pem")),
        (*_shipped(directory / "manufacturer.pem"), *given),
    )


def verify(certificates: Mapping[str, str], roots: Roots, now: datetime) -> Finding:
    """Check the links from the CSR to the roots. HsmIdentityError: one of them is wrong."""
    csr, found = _parse(certificates)
    keys = {name: certificate.public_key() for name, certificate in found.items()}
    _check_keys(csr, keys)
    for name in (AWS, MANUFACTURER):
        if {HSM, name} <= found.keys() and not _is_signed(found[HSM], keys[name]):
            raise HsmIdentityError(f"FORGED: {HSM} is not signed by the key of {name}.")
    issuers = {
        name: root
        for name, pinned in ((AWS, roots.aws), (MANUFACTURER, roots.manufacturer))
        if name in found and (root := _issuer_of(name, found[name], pinned))
    }
    if AWS in found and AWS not in issuers:
        raise HsmIdentityError(
            f"FORGED: {AWS} was issued by {_common_name(found[AWS].issuer)}, no root of AWS that"
            " this version knows."
        )
    verdict, detail = _judge(found, issuers, now)
    used = {**keys, CSR: csr.public_key(), **{f"Root of {n}": r.key for n, r in issuers.items()}}
    return Finding(verdict, detail, {name: fingerprint(key) for name, key in used.items()})


def fingerprint(key: _PublicKey) -> str:
    """The SHA-256 of a public key's SubjectPublicKeyInfo, in hex."""
    spki = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(spki).hexdigest()


def _shipped(path: Path) -> Iterator[Root]:
    # A serial number of 0, which the manufacturer's root has, will not be accepted for ever.
    for certificate in x509.load_pem_x509_certificates(path.read_bytes()):
        expires = certificate.not_valid_after_utc
        yield Root(certificate.public_key(), certificate.subject, expires)


def _parse(
    certificates: Mapping[str, str],
) -> tuple[x509.CertificateSigningRequest, dict[str, x509.Certificate]]:
    """The CSR and the certificates that AWS returned. HsmIdentityError: one is unreadable."""
    found = {}
    for name in OF_FIRST_HSM:
        try:
            if name == CSR:
                csr = x509.load_pem_x509_csr(certificates[CSR].encode())
                _require_whole_bytes(csr)
                csr.public_key()
            elif certificates.get(name):
                found[name] = x509.load_pem_x509_certificate(certificates[name].encode())
                _require_whole_bytes(found[name])
                # Parsed when they are read only.
                _ = found[name].public_key(), found[name].issuer, found[name].not_valid_after_utc
        except (*UNREADABLE, x509.InvalidVersion) as error:
            raise HsmIdentityError(f"FORGED: {name} cannot be read: {error}") from error
    return csr, found


def _require_whole_bytes(signed: x509.Certificate | x509.CertificateSigningRequest) -> None:
    """ValueError: the signature is not of whole bytes, of which no signature would tell."""
    if not signed.public_bytes(serialization.Encoding.DER).endswith(b"\0" + signed.signature):
        raise ValueError("the signature has unused bits")


def _check_keys(csr: x509.CertificateSigningRequest, keys: Mapping[str, _PublicKey]) -> None:
    """HsmIdentityError: keys differ that must be the same (F2.2, F2.17)."""
    if not _is_self_signed(csr):
        raise HsmIdentityError(f"MISMATCH: {CSR} is not signed by its own key.")
    if HSM in keys and keys[HSM] != csr.public_key():
        raise HsmIdentityError(f"MISMATCH: {CSR} does not have the key of {HSM}.")
    if {AWS, MANUFACTURER} <= keys.keys() and keys[AWS] != keys[MANUFACTURER]:
        raise HsmIdentityError(f"MISMATCH: {AWS} and {MANUFACTURER} certify different keys.")


def _issuer_of(name: str, certificate: x509.Certificate, pinned: tuple[Root, ...]) -> Root | None:
    """The pinned root whose key signed the certificate; None if another issuer is named.

    HsmIdentityError: it names a pinned root, or keys are pinned without names, of which none fits.
    """
    for root in pinned:
        if _is_signed(certificate, root.key):
            return root
    for root in pinned:
        if root.subject == certificate.issuer:
            raise HsmIdentityError(f"FORGED: {name} names {root}, but is not signed by its key.")
    if any(root.subject is None for root in pinned):
        raise HsmIdentityError(
            f"FORGED: {name}, issued by {_common_name(certificate.issuer)}, is not signed by a key"
            " in pManufacturerRootSpki."
        )
    return None


def _judge(
    found: Mapping[str, x509.Certificate], issuers: Mapping[str, Root], now: datetime
) -> tuple[str, str]:
    """The verdict on valid links, and its reason."""
    missing = [name for name in (HSM, AWS) if name not in found]
    if missing:
        return NOT_VERIFIED, f"AWS returned no {' and no '.join(missing)}"
    ends = [(name, found[name].not_valid_after_utc) for name in found]
    ends += [(str(root), root.expires) for root in issuers.values() if root.expires]
    expired = [f"{name} expired on {end:%Y-%m-%d}" for name, end in ends if end < now]
    if MANUFACTURER not in issuers:
        reason = (
            f"{_common_name(found[MANUFACTURER].issuer)} is not pinned (pManufacturerRootSpki)"
            if MANUFACTURER in found
            else f"AWS returned no {MANUFACTURER}"
        )
        return AWS_CHAIN_ONLY, ", ".join([reason, *expired])
    if expired:
        return ROOT_EXPIRED, ", ".join(expired)
    return VERIFIED, f"certified by {issuers[AWS]} and {issuers[MANUFACTURER]}"


def _is_signed(certificate: x509.Certificate, key: _PublicKey) -> bool:
    """Whether the certificate's signature is this key's."""
    try:
        scheme: Any = certificate.signature_algorithm_parameters
        signed = (certificate.signature, certificate.tbs_certificate_bytes, scheme)
        if isinstance(key, rsa.RSAPublicKey):
            algorithm: Any = certificate.signature_hash_algorithm
            key.verify(*signed, algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(*signed)
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, TypeError, ValueError):
        return False
    return True


def _is_self_signed(csr: x509.CertificateSigningRequest) -> bool:
    try:
        return csr.is_signature_valid
    except UNREADABLE:
        return False


def _common_name(name: x509.Name) -> str:
    """A name for a message, which is short: its CN, or all of it."""
    names = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return f"CN={names[0].value!s}" if names else name.rfc4514_string()[:60]
