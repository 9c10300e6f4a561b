"""A customer's PKI: issues valid and invalid certificates for scenarios and tests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
AS_CA = x509.BasicConstraints(ca=True, path_length=None)
MAY_SIGN = x509.KeyUsage(
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
KEY_IDENTIFIERS = (x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier)


@dataclass
class Ca:
    """A certificate authority."""

    key: Key
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        return pem(self.certificate)

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()


def make_ca(
    now: float,
    *,
    name: str = "customer CA",
    key: Key | None = None,
    issuer: Ca | None = None,
    extensions: Sequence[x509.ExtensionType] = (AS_CA, MAY_SIGN),
    key_identifiers: bool = True,
    starts: float = -1,
    lasts: float = 3652,
    algorithm: hashes.HashAlgorithm | None = None,
) -> Ca:
    """Create a CA, self-signed without an issuer; `starts` and `lasts` are days from `now`.

    By default it conforms to RFC 5280; `key_identifiers` adds those that `extensions` lacks.
    """
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    certificate = _certify(
        now,
        subject,
        key.public_key(),
        issuer.certificate.subject if issuer else subject,
        issuer.key if issuer else key,
        [
            *extensions,
            *(_key_identifiers(extensions, key.public_key(), issuer) if key_identifiers else ()),
        ],
        starts,
        lasts,
        algorithm or hashes.SHA256(),
        pss=False,
    )
    return Ca(key, certificate)


def sign(
    ca: Ca,
    csr: str,
    now: float,
    *,
    key: Key | None = None,
    starts: float = -1,
    lasts: float = 3652,
    algorithm: hashes.HashAlgorithm | None = None,
    pss: bool = False,
    key_identifiers: bool = True,
) -> str:
    """Issue the certificate for a CSR; with `key`, for that key instead of the CSR's."""
    request = x509.load_pem_x509_csr(csr.encode())
    public_key = key.public_key() if key else request.public_key()
    known = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
    assert isinstance(public_key, known)  # nosec B101 # for mypy
    return pem(
        _certify(
            now,
            request.subject,
            public_key,
            ca.certificate.subject,
            ca.key,
            _key_identifiers((), public_key, ca) if key_identifiers else (),
            starts,
            lasts,
            algorithm or hashes.SHA256(),
            pss,
        )
    )


def pem(certificate: x509.Certificate) -> str:
    """The certificate in PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_identifiers(
    extensions: Sequence[x509.ExtensionType],
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    issuer: Ca | None,
) -> list[x509.ExtensionType]:
    """The key identifiers of RFC 5280 (4.2.1.1, 4.2.1.2) that are not among the extensions."""
    missing: list[x509.ExtensionType] = [x509.SubjectKeyIdentifier.from_public_key(key)]
    if issuer:
        try:
            of_issuer = issuer.certificate.extensions.get_extension_for_class(
                x509.SubjectKeyIdentifier
            ).value
        except x509.ExtensionNotFound:
            pass
        else:
            missing.append(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(of_issuer)
            )
    given = {type(extension) for extension in extensions}
    return [extension for extension in missing if type(extension) not in given]


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _certify(
    now: float,
    subject: x509.Name,
    public_key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    issuer_key: Key,
    extensions: Sequence[x509.ExtensionType],
    starts: float,
    lasts: float,
    algorithm: hashes.HashAlgorithm,
    pss: bool,
) -> x509.Certificate:
    moment = dt.datetime.fromtimestamp(now, dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment + dt.timedelta(days=starts))
        .not_valid_after(moment + dt.timedelta(days=lasts))
    )
    for extension in extensions:
        critical = not isinstance(extension, KEY_IDENTIFIERS)
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(
        issuer_key,
        algorithm,  # type: ignore[arg-type]  # the stub lists fewer algorithms
        rsa_padding=padding.PSS(padding.MGF1(algorithm), algorithm.digest_size) if pss else None,
    )
