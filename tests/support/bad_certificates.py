"""A PKI for tests of bad certificates, and what pki makes of them."""

from __future__ import annotations

import base64
import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hsm_lifecycle import pki
from hsm_lifecycle.errors import CertificateError
from rehearsal.test_ca import Ca, make_ca, sign

NOW = time.time()
BEGIN, END = "-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n"


@dataclass(frozen=True)
class Pki:
    """A cluster's request, a chain of CAs from issuer to root, and what the issuer signed."""

    request: str
    cas: list[Ca]
    certificate: str

    @property
    def bundle(self) -> list[str]:
        """The CAs' certificates."""
        return [ca.pem for ca in self.cas]

    def secrets(self) -> list[str]:
        """The private keys, in each format."""
        formats = (
            serialization.PrivateFormat.PKCS8,
            serialization.PrivateFormat.TraditionalOpenSSL,
        )
        return [
            self.cas[0]
            .key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
            .decode()
            for form in formats
        ]


@functools.cache
def made(length: int = 3) -> Pki:
    """A PKI with so many CAs."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "HSM:1:PARTN:1")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    text = request.public_bytes(serialization.Encoding.PEM).decode()
    cas: list[Ca] = []
    for number in range(length):
        cas.insert(0, make_ca(NOW, name=f"CA {number}", issuer=cas[0] if cas else None))
    return Pki(text, cas, sign(cas[0], text, NOW))


def pem(der: bytes) -> str:
    """A certificate's bytes as PEM."""
    return f"{BEGIN}{base64.encodebytes(der).decode()}{END}"


def results(certificate: str, bundle: str) -> Iterator[str]:
    """What each function of pki makes of two secrets: texts that are passed on; none if refused."""
    of, refusals = made(), []
    calls: tuple[Callable[[], Any], ...] = (
        lambda: pki.check(certificate, bundle, of.request),
        lambda: pki.ca_certificates(bundle, "the secret ca"),
        lambda: pki.check_trust(bundle, of.certificate, "the secret ca"),
    )
    for call in calls:
        try:
            passed_on = call() or ()
        except CertificateError as error:
            refusals.append(str(error))
        else:
            yield from (passed_on,) if isinstance(passed_on, str) else passed_on
    # They go into the stack event.
    assert not any(key[40:90] in text for key in of.secrets() for text in refusals)


def expect_only_certificates(text: str) -> None:
    """Whatever is passed on consists of certificates alone."""
    assert "PRIVATE" not in text
    for block in filter(None, text.split(END)):
        assert block.startswith(BEGIN)
        x509.load_pem_x509_certificate((block + END).encode())
    body = base64.b64decode("".join(line for line in text.splitlines() if "-----" not in line))
    for ca in made().cas:
        assert isinstance(ca.key, ec.EllipticCurvePrivateKey)
        assert ca.key.private_numbers().private_value.to_bytes(32, "big") not in body
