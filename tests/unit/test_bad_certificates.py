"""Certificates that are mutated, in the wrong order, or among keys and other texts are refused."""

from __future__ import annotations

import base64
import textwrap
import time

import pytest
from cryptography.hazmat.primitives import serialization

from hsm_lifecycle import pki
from hsm_lifecycle.errors import CertificateError
from tests.support.bad_certificates import (
    BEGIN,
    END,
    expect_only_certificates,
    made,
    pem,
    results,
)
from tests.support.bad_input import TEXTS

MAX_SECRET = 65536  # bytes: https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html


def test_every_byte_of_a_certificate_can_be_wrong() -> None:
    of = made(1)
    der = of.cas[0].certificate.public_bytes(serialization.Encoding.DER)
    for where in range(len(der)):
        changed = pem(der[:where] + bytes([der[where] ^ 1]) + der[where + 1 :])
        for text in results(of.certificate, changed):
            expect_only_certificates(text)


@pytest.mark.parametrize("length", [1, 2, 3, 4])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("between", ["", "\n", " \r\n\t\n"])
def test_valid_chains_are_accepted(length: int, line_end: str, between: str) -> None:
    of = made(length)
    certificate = of.certificate.replace("\n", line_end) + between
    bundle = between + between.join(of.bundle).replace("\n", line_end).rstrip()
    assert pki.check(certificate, bundle, of.request) == (of.certificate, "".join(of.bundle))
    assert pki.ca_certificates(bundle, "ca") == "".join(of.bundle)
    pki.check_trust(bundle, of.certificate, "ca")


def _bad_bundles() -> dict[str, str]:
    of = made()
    first, second, root = of.bundle
    key, traditional = of.secrets()
    der = of.cas[0].certificate.public_bytes(serialization.Encoding.DER)
    long_ = made(12)
    return {
        "nothing": "",
        "blanks": " \n\t\r\n",
        "a placeholder": "REPLACE ME",
        "a key alone": key,
        "a key before": key + "".join(of.bundle),
        "a key between": first + key + second + root,
        "a key after": "".join(of.bundle) + key,
        "a key of OpenSSL": "".join(of.bundle) + traditional,
        "a key as a certificate": key.replace("PRIVATE KEY", "CERTIFICATE"),
        "a key inside a certificate": first.replace(END, key + END) + second + root,
        "a key without its end": "".join(of.bundle) + key.partition("-----END")[0],
        "a key without its begin": key.partition("KEY-----")[2] + "".join(of.bundle),
        "a key in lower case": "".join(of.bundle) + key.lower(),
        "a key in one line": "".join(of.bundle) + key.replace("\n", " "),
        "a key in DER": "".join(of.bundle) + base64.b64encode(der[:200]).decode(),
        "an encrypted key": "".join(of.bundle) + key.replace("PRIVATE", "ENCRYPTED PRIVATE"),
        "a request": of.request,
        "a public key": first.replace("CERTIFICATE", "PUBLIC KEY"),
        "a trusted certificate": first.replace("CERTIFICATE", "TRUSTED CERTIFICATE"),
        "PKCS 7": first.replace("CERTIFICATE", "PKCS7"),
        "the reverse order": root + second + first,
        "another order": second + first + root,
        "duplicates": first + first + second + root,
        "two roots": first + second + root + root,
        "a gap": first + root,
        "no root": first + second,
        "the root alone": root,
        "the cluster's certificate too": of.certificate + "".join(of.bundle),
        "12 certificates": "".join(long_.bundle),
        "a comment before": "issuer\n" + "".join(of.bundle),
        "a comment between": first + "# intermediate\n" + second + root,
        "a comment after": "".join(of.bundle) + "root",
        "a byte order mark": "\ufeff" + "".join(of.bundle),
        "NUL": "".join(of.bundle) + "\x00",
        "half of a pair": "".join(of.bundle) + "\ud83d",
        "DER": der.decode("latin-1"),
        "base64 alone": base64.b64encode(der).decode(),
        "JSON": '{"certificate": "' + first.replace("\n", "\\n") + '"}',
        "escaped line ends": "".join(of.bundle).replace("\n", "\\n"),
        "one line": "".join(of.bundle).replace("\n", " "),
        "concatenated": "".join(part.rstrip() for part in of.bundle),
        "indented": "".join(of.bundle).replace("-----BEGIN", " -----BEGIN"),
        "blanks at line ends": "".join(of.bundle).replace("-----\n", "----- \n"),
        "no line ends": "".join(of.bundle).replace("\n", ""),
        "missing dashes": "".join(of.bundle).replace("-----", "----"),
        "only begins": BEGIN * (MAX_SECRET // len(BEGIN)),
        "only ends": END * (MAX_SECRET // len(END)),
        "dashes": "-" * MAX_SECRET,
        "64 KB": "A" * MAX_SECRET,
        "64 KB in a block": BEGIN + "\n".join(textwrap.wrap("A" * 60000, 64)) + "\n" + END,
        "many certificates": root * (MAX_SECRET // len(root)),
        "more bytes": pem(der + b"\x00"),
        "fewer bytes": pem(der[:-1]),
        "an empty block": BEGIN + END,
        **{f"text: {name}": text for name, text in TEXTS.items()},
        **{f"text between: {name}": first + text + "\n" + second for name, text in TEXTS.items()},
    }


def test_every_bad_bundle_is_refused_by_its_secret_without_showing_it() -> None:
    of = made()
    accepted, wrong, start = [], [], time.process_time()
    for what, text in _bad_bundles().items():
        for secret, certificate, bundle in (
            ("customer-ca-cert", of.certificate, text),
            ("cluster-cert", text, "".join(of.bundle)),
        ):
            try:
                pki.check(certificate, bundle, of.request)
            except CertificateError as error:
                message = str(error)
                if secret not in message or any(key[40:90] in message for key in of.secrets()):
                    wrong.append((what, message))
            else:
                accepted.append((what, secret))
    assert (accepted, wrong) == ([], [])
    assert time.process_time() - start < 20
