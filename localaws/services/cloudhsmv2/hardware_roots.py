"""The root CAs of AWS and of the HSMs' manufacturer, as this local AWS has them.

Their keys follow from their names, so that every local AWS has the same roots: the functions that
are deployed into it pin them instead of the real ones (docs/decisions/0023). Generating keys would
also take longer than the rest of a start. Run as a program, it writes the roots to pin.
"""

from __future__ import annotations

import argparse
import datetime as dt
import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_OIDS = {
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "CN": NameOID.COMMON_NAME,
}


@dataclass(frozen=True)
class Root:
    """A root CA."""

    subject: x509.Name
    key: ec.EllipticCurvePrivateKey
    pem: str

    def impostor(self) -> Root:
        """A CA of the same name with another key."""
        return Root(self.subject, ec.generate_private_key(ec.SECP256R1()), "")


@functools.cache
def aws() -> Root:
    """The root of AWS, named like the real one (F2.14)."""
    name = "C=US,ST=Virginia,L=Herndon,O=Amazon Web Services INC.,OU=CloudHSM,CN=Local Root G1"
    return _root(name, 2017, 2047)


@functools.cache
def manufacturer_of_hsm1() -> Root:
    """The manufacturer's root for hsm1.medium: X.509 v1, and expired (F2.15)."""
    name = "C=US,ST=California,L=San Jose,O=Cavium\\, Inc.,OU=LiquidSecurity,CN=localca"
    return _root(name, 2015, 2025, is_v1=True)


@functools.cache
def manufacturer_of_hsm2m() -> Root:
    """The manufacturer's root for hsm2m.medium, which no product pins (F2.16)."""
    return _root("C=US,O=Marvell,CN=local-ls2-root-AR-v1", 2023, 2043)


@functools.cache
def unknown() -> Root:
    """The root of another vendor."""
    return _root("C=US,O=Another vendor,CN=Another root", 2020, 2040)


def all_roots() -> dict[str, str]:
    """The roots as PEM, as AWS and the manufacturer offer them for download."""
    return {
        "aws": aws().pem,
        "hsm1": manufacturer_of_hsm1().pem,
        "hsm2m": manufacturer_of_hsm2m().pem,
    }


def name_of(text: str) -> x509.Name:
    """A name in the order of its text, such as C=US,CN=Root; a comma in a value is escaped."""
    parts = text.replace("\\,", "\0").split(",")
    pairs = [part.replace("\0", ",").partition("=") for part in parts]
    return x509.Name([x509.NameAttribute(_OIDS[key], value) for key, _, value in pairs])


def _root(subject: str, first_year: int, last_year: int, *, is_v1: bool = False) -> Root:
    name, seed = name_of(subject), hashlib.sha256(subject.encode()).digest()
    key = ec.derive_private_key(int.from_bytes(seed, "big"), ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(seed[:8], "big") >> 1)
        .not_valid_before(dt.datetime(first_year, 11, 16, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(last_year, 11, 16, tzinfo=dt.UTC))
    )
    if not is_v1:
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        builder = builder.add_extension(constraints, critical=True)
    certificate = builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    if is_v1:
        certificate = _as_v1(certificate, key)
    return Root(name, key, certificate.public_bytes(serialization.Encoding.PEM).decode())


def _as_v1(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """The certificate without its version, which cryptography cannot leave out: it is v1."""
    version = bytes.fromhex("a003020102")
    to_sign = _sequence(_content(certificate.tbs_certificate_bytes).removeprefix(version))
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")  # ecdsa-with-SHA256
    signature = key.sign(to_sign, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    bits = b"\x03" + bytes([len(signature) + 1]) + b"\0" + signature
    return x509.load_der_x509_certificate(_sequence(to_sign + algorithm + bits))


def _content(sequence: bytes) -> bytes:
    """The content of a DER sequence."""
    length = sequence[1]
    return sequence[2 + (length & 0x7F if length & 0x80 else 0) :]


def _sequence(content: bytes) -> bytes:
    """A DER sequence of more than 255 bytes."""
    return b"\x30\x82" + len(content).to_bytes(2, "big") + content


def main(arguments: list[str] | None = None) -> None:
    """Write the roots that the functions of a rehearsal pin."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("directory", type=Path)
    directory: Path = parser.parse_args(arguments).directory
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "aws.pem").write_text(aws().pem)
    (directory / "manufacturer.pem").write_text(manufacturer_of_hsm1().pem)


if __name__ == "__main__":
    main()
