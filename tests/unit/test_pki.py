"""Certificates that pki.check accepts are those that CloudHSM accepts, and pki.sign makes one."""

from __future__ import annotations

import datetime
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from hsm_lifecycle import pki
from hsm_lifecycle.errors import (
    CertificateError,
)
from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2.certificates import validate_certificates
from localaws.services.cloudhsmv2.models import Identity
from rehearsal import test_ca
from rehearsal.test_ca import AS_CA, Ca, Key, make_ca

CLUSTER_ID = "cluster-aaaaaaaaaaa"

NOW = time.time()

NO_CA = x509.BasicConstraints(ca=False, path_length=None)


def at_most(cas_below: int) -> x509.BasicConstraints:
    return x509.BasicConstraints(ca=True, path_length=cas_below)


def key_usage_of(*, may_sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=may_sign_certificates,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


@dataclass(frozen=True)
class Request:
    """The certificate signing request of a cluster, and its key."""

    key: rsa.RSAPrivateKey
    pem: str

    def signed_by(self, ca: Ca, **options: Any) -> str:
        return test_ca.sign(ca, self.pem, NOW, **options)


@pytest.fixture(name="make_request")
def _make_request(rsa_keys: Callable[[int], rsa.RSAPrivateKey]) -> Callable[[], Request]:
    def make() -> Request:
        key = rsa_keys(2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "HSM:1:PARTN:1")])
        request = x509.CertificateSigningRequestBuilder().subject_name(name)
        signed = request.sign(key, hashes.SHA256())
        return Request(key, signed.public_bytes(serialization.Encoding.PEM).decode())

    return make


@pytest.fixture(name="request_")
def _request(make_request: Callable[[], Request]) -> Request:
    return make_request()


def accepted_by_aws(request: Request, certificate: str, ca: str) -> bool:
    """Whether the model's InitializeCluster accepts the certificates."""
    try:
        validate_certificates(
            Identity(request.key, {"ClusterCsr": request.pem}), certificate, ca, NOW
        )
    except ApiError:
        return False
    return True


def bundle(*authorities: Ca) -> str:
    return "".join(authority.pem for authority in authorities)


# ---- check accepts what CloudHSM accepts


def accept(request: Request, certificate: str, ca: str) -> None:
    pki.check(certificate, ca, request.pem)
    assert accepted_by_aws(request, certificate, ca)


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
@pytest.mark.parametrize("pss", [False, True])
def test_check_accepts_rsa_cas_with_both_paddings(
    request_: Request, rsa_keys: Callable[[int], rsa.RSAPrivateKey], bits: int, pss: bool
) -> None:
    ca = make_ca(NOW, key=rsa_keys(bits))
    accept(request_, request_.signed_by(ca, pss=pss), ca.pem)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_check_accepts_ecdsa_cas(request_: Request, curve: ec.EllipticCurve) -> None:
    ca = make_ca(NOW, key=ec.generate_private_key(curve))
    accept(request_, request_.signed_by(ca), ca.pem)


@pytest.mark.parametrize(
    "algorithm", [hashes.SHA224(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()]
)
def test_check_accepts_every_sha2_hash(request_: Request, algorithm: hashes.HashAlgorithm) -> None:
    ca = make_ca(NOW, algorithm=algorithm)
    accept(request_, request_.signed_by(ca, algorithm=algorithm), ca.pem)


def test_check_accepts_a_ca_self_signed_with_pss(
    request_: Request, rsa_keys: Callable[[int], rsa.RSAPrivateKey]
) -> None:
    key = rsa_keys(2048)
    template = make_ca(NOW, key=key).certificate
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256().digest_size)
    certificate = (
        x509.CertificateBuilder(
            issuer_name=template.issuer,
            subject_name=template.subject,
            public_key=key.public_key(),
            serial_number=template.serial_number,
            not_valid_before=template.not_valid_before_utc,
            not_valid_after=template.not_valid_after_utc,
        )
        .add_extension(AS_CA, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256(), rsa_padding=pss)
    )
    ca = Ca(key, certificate)
    accept(request_, request_.signed_by(ca, pss=True), ca.pem)


def chain(length: int, *, path_lengths: bool = True) -> list[Ca]:
    """A chain of CAs from the issuer of the cluster's certificate to the root."""
    authorities: list[Ca] = []
    for below in reversed(range(length)):
        constraints = at_most(below) if path_lengths else AS_CA
        issuer = authorities[0] if authorities else None
        ca = make_ca(NOW, name=f"CA {below}", issuer=issuer, extensions=[constraints])
        authorities.insert(0, ca)
    return authorities


@pytest.mark.parametrize("length", [1, 2, 3, 4])
@pytest.mark.parametrize("path_lengths", [True, False])
def test_check_accepts_a_chain_from_issuer_to_root(
    request_: Request, length: int, path_lengths: bool
) -> None:
    authorities = chain(length, path_lengths=path_lengths)
    accept(request_, request_.signed_by(authorities[0]), bundle(*authorities))


def test_check_accepts_a_ca_with_key_usage_cert_sign(request_: Request) -> None:
    ca = make_ca(NOW, extensions=[AS_CA, key_usage_of(may_sign_certificates=True)])
    accept(request_, request_.signed_by(ca), ca.pem)


def test_check_ignores_line_endings_and_blank_lines(request_: Request) -> None:
    ca = make_ca(NOW)
    certificate = "\r\n" + request_.signed_by(ca).replace("\n", "\r\n") + "\r\n"
    accept(request_, certificate, "\n\n" + ca.pem.replace("\n", "\r\n") + "\n")


# ---- check refuses what CloudHSM refuses


def refuse(request: Request, certificate: str, ca: str, message: str) -> None:
    with pytest.raises(CertificateError, match=message):
        pki.check(certificate, ca, request.pem)
    assert not accepted_by_aws(request, certificate, ca)


@pytest.mark.parametrize(
    "text",
    [
        "Paste the certificate here.",
        '{"certificate": "..."}',
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----",
        "ü",
    ],
)
def test_check_names_the_secret_without_a_certificate(request_: Request, text: str) -> None:
    ca = make_ca(NOW)
    refuse(request_, text, ca.pem, "^cluster-cert is not a PEM certificate")
    refuse(request_, request_.signed_by(ca), text, "^customer-ca-cert is not a PEM certificate")


def test_check_refuses_a_request_or_key_as_certificate(request_: Request) -> None:
    ca = make_ca(NOW)
    refuse(request_, request_.pem, ca.pem, "^cluster-cert contains a CERTIFICATE REQUEST")
    refuse(
        request_,
        request_.signed_by(ca),
        ca.key_pem,
        "^customer-ca-cert contains a PRIVATE KEY",
    )


def test_check_refuses_a_certificate_with_its_chain(request_: Request) -> None:
    ca = make_ca(NOW)
    certificate = request_.signed_by(ca) + ca.pem
    refuse(request_, certificate, ca.pem, "^cluster-cert contains 2 certificates; expected one")


def test_check_refuses_the_certificate_of_another_request(
    request_: Request, make_request: Callable[[], Request]
) -> None:
    ca = make_ca(NOW)
    certificate = make_request().signed_by(ca)
    refuse(
        request_,
        certificate,
        ca.pem,
        r"^cluster-cert does not match .* now in the secret cluster-csr\.$",
    )


def test_check_refuses_swapped_secrets(request_: Request) -> None:
    ca = make_ca(NOW)
    refuse(request_, ca.pem, request_.signed_by(ca), "^cluster-cert does not match")


def test_check_refuses_the_certificate_of_another_ca(request_: Request) -> None:
    certificate = request_.signed_by(make_ca(NOW))
    message = "^cluster-cert was not signed by the first certificate of customer-ca-cert"
    refuse(request_, certificate, make_ca(NOW, name="another").pem, message)
    # The same name with another key: a renewed CA.
    refuse(request_, certificate, make_ca(NOW).pem, message)


def test_check_refuses_a_chain_in_the_wrong_order(request_: Request) -> None:
    issuer, middle, root = chain(3)
    certificate = request_.signed_by(issuer)
    refuse(request_, certificate, bundle(root, middle, issuer), "customer-ca-cert")
    refuse(
        request_,
        certificate,
        bundle(issuer, root, middle),
        r"^Certificate 1 of customer-ca-cert was not signed by the next one\. Order the bundle",
    )


def test_check_refuses_a_chain_without_root(request_: Request) -> None:
    issuer, middle, _ = chain(3)
    certificate = request_.signed_by(issuer)
    message = "^The last certificate of customer-ca-cert is not self-signed"
    refuse(request_, certificate, bundle(issuer, middle), message)
    refuse(request_, certificate, bundle(issuer), message)


def test_check_refuses_a_chain_with_a_gap(request_: Request) -> None:
    issuer, _, root = chain(3)
    refuse(request_, request_.signed_by(issuer), bundle(issuer, root), "^Certificate 1 of")


def test_check_refuses_a_duplicate_root(request_: Request) -> None:
    ca = make_ca(NOW)
    refuse(request_, request_.signed_by(ca), bundle(ca, ca), "customer-ca-cert")


def test_check_refuses_five_cas(request_: Request) -> None:
    authorities = chain(5)
    certificate = request_.signed_by(authorities[0])
    message = "^customer-ca-cert exceeds 4 certificates or 16384 characters"
    refuse(request_, certificate, bundle(*authorities), message)


def test_check_refuses_a_bundle_with_too_many_characters(request_: Request) -> None:
    issuer, root = chain(2)
    certificate, blanks = request_.signed_by(issuer), "\n" * 16384
    refuse(request_, certificate, bundle(issuer, root) + blanks, "^customer-ca-cert exceeds")


@pytest.mark.parametrize(
    ("dates", "message"),
    [
        ({"starts": -10, "lasts": -1}, "expired on"),
        ({"starts": 1, "lasts": 10}, "is not valid before"),
    ],
)
def test_check_refuses_certificates_outside_their_validity(
    request_: Request, dates: dict[str, Any], message: str
) -> None:
    good, bad = make_ca(NOW), make_ca(NOW, **dates)
    on = rf"{message} \d{{4}}-\d\d-\d\d \d\d:\d\d UTC\.$"
    refuse(request_, request_.signed_by(good, **dates), good.pem, f"^cluster-cert {on}")
    refuse(request_, request_.signed_by(bad), bad.pem, f"^customer-ca-cert {on}")


def test_check_refuses_an_expired_ca_in_a_chain(request_: Request) -> None:
    root = make_ca(NOW, name="root")
    issuer = make_ca(NOW, name="issuer", issuer=root, starts=-10, lasts=-1)
    certificate = request_.signed_by(issuer)
    refuse(request_, certificate, bundle(issuer, root), "^customer-ca-cert expired on")


@pytest.mark.parametrize(
    ("extensions", "message"),
    [
        ([NO_CA], "is not a CA certificate: basic constraints say CA:FALSE"),
        (
            [key_usage_of(may_sign_certificates=True)],
            "has no basic constraints; CA:TRUE is required",
        ),
        ([AS_CA, key_usage_of(may_sign_certificates=False)], "key usage lacks keyCertSign"),
    ],
)
def test_check_refuses_a_ca_without_ca_extensions(
    request_: Request, extensions: list[x509.ExtensionType], message: str
) -> None:
    ca = make_ca(NOW, extensions=extensions)
    message = rf"^customer-ca-cert \(CN=customer CA\) .*{message}"
    refuse(request_, request_.signed_by(ca), ca.pem, message)


def test_check_refuses_a_ca_without_extensions(
    request_: Request,
) -> None:
    ca = make_ca(NOW, extensions=[], key_identifiers=False)
    refuse(request_, request_.signed_by(ca), ca.pem, "has no basic constraints")


def test_check_refuses_a_ca_without_subject_key_identifier(request_: Request) -> None:
    ca = make_ca(NOW, key_identifiers=False)
    refuse(
        request_,
        request_.signed_by(ca),
        ca.pem,
        r"^customer-ca-cert \(CN=customer CA\) has no subject key identifier",
    )


def test_check_refuses_a_certificate_with_another_cas_key_identifier(request_: Request) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    ca = make_ca(NOW, key=key)
    renamed = make_ca(NOW, key=key, extensions=[AS_CA, x509.SubjectKeyIdentifier(b"another")])
    refuse(request_, request_.signed_by(ca), renamed.pem, "^cluster-cert was not signed by")


@pytest.mark.parametrize("label", ["PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY"])
def test_check_names_a_private_key_next_to_the_certificate(request_: Request, label: str) -> None:
    ca = make_ca(NOW)
    key = ca.key_pem.replace("PRIVATE KEY", label)
    for text in (ca.pem + key, key + ca.pem):
        with pytest.raises(CertificateError, match=f"^customer-ca-cert contains a {label},") as e:
            pki.check(request_.signed_by(ca), text, request_.pem)
        assert "MI" not in str(e.value)


def test_check_returns_the_certificates_alone(request_: Request) -> None:
    issuer, root = chain(2)
    certificate = request_.signed_by(issuer)
    checked = pki.check(
        f"\n\n{certificate}\n", bundle(issuer, root).replace("\n", "\r\n"), request_.pem
    )
    assert checked == (certificate, bundle(issuer, root))


def test_check_refuses_more_cas_than_the_path_length_allows(request_: Request) -> None:
    root = make_ca(NOW, name="root", extensions=[at_most(0)])
    issuer = make_ca(NOW, name="issuer", issuer=root)
    refuse(
        request_,
        request_.signed_by(issuer),
        bundle(issuer, root),
        r"^customer-ca-cert \(CN=root\) allows 0 CAs below it but has 1",
    )


def test_check_refuses_unsupported_rsa_and_ec_keys(
    request_: Request, rsa_keys: Callable[[int], rsa.RSAPrivateKey]
) -> None:
    keys: list[Key] = [
        rsa_keys(1024),
        ec.generate_private_key(ec.SECP224R1()),
        ec.generate_private_key(ec.SECP256K1()),
    ]
    for key in keys:
        ca = make_ca(NOW, key=key)
        refuse(request_, request_.signed_by(ca), ca.pem, "has an unsupported key")


def test_check_refuses_other_key_types(request_: Request) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    template = make_ca(NOW).certificate
    csr = x509.load_pem_x509_csr(request_.pem.encode())
    made = []
    for public_key in (key.public_key(), csr.public_key()):
        builder = x509.CertificateBuilder(
            issuer_name=template.issuer,
            subject_name=template.subject,
            public_key=public_key,
            serial_number=1,
            not_valid_before=template.not_valid_before_utc,
            not_valid_after=template.not_valid_after_utc,
        )
        for extension in (AS_CA, x509.SubjectKeyIdentifier.from_public_key(public_key)):
            builder = builder.add_extension(extension, critical=False)
        made.append(test_ca.pem(builder.sign(key, None)))
    refuse(request_, made[1], made[0], "has an unsupported key")


@pytest.mark.parametrize("which", ["certificate", "authority"])
def test_check_refuses_unsupported_hashes(request_: Request, which: str) -> None:
    algorithms = {which: hashes.SHA3_256()}
    ca = make_ca(NOW, algorithm=algorithms.get("authority"))
    certificate = request_.signed_by(ca, algorithm=algorithms.get("certificate"))
    refuse(request_, certificate, ca.pem, "SHA")


@pytest.mark.parametrize("which", ["certificate", "authority"])
def test_check_refuses_text_outside_the_pem_block(request_: Request, which: str) -> None:
    ca = make_ca(NOW)
    texts = {"certificate": request_.signed_by(ca), "authority": ca.pem}
    texts[which] = "Certificate:\n    Data:\n        Version: 3 (0x2)\n" + texts[which]
    name = {"certificate": "cluster-cert", "authority": "customer-ca-cert"}[which]
    refuse(request_, texts["certificate"], texts["authority"], name)


# ---- sign


def test_sign_issues_certificates_that_pass_check(request_: Request, quick_keys: None) -> None:
    certificate, ca = pki.sign(request_.pem, CLUSTER_ID)
    accept(request_, certificate, ca)


def test_sign_sets_subject_issuer_serial_and_validity(request_: Request, quick_keys: None) -> None:
    before = datetime.datetime.now(datetime.UTC)
    certificate_pem, ca_pem = pki.sign(request_.pem, CLUSTER_ID)
    assert len(certificate_pem) < 5000
    assert len(ca_pem) < 5000
    certificate, ca = (
        x509.load_pem_x509_certificate(pem.encode()) for pem in (certificate_pem, ca_pem)
    )
    csr = x509.load_pem_x509_csr(request_.pem.encode())
    assert certificate.public_key() == csr.public_key()
    assert certificate.subject == csr.subject
    assert certificate.issuer == ca.subject == ca.issuer
    assert ca.subject.rfc4514_string() == f"CN={CLUSTER_ID} CA"
    assert certificate.serial_number != ca.serial_number
    assert isinstance(ca_key := ca.public_key(), rsa.RSAPublicKey)
    assert ca_key.key_size == 2048
    for one in (certificate, ca):
        assert one.version is x509.Version.v3
        assert isinstance(one.signature_hash_algorithm, hashes.SHA256)
        assert one.not_valid_after_utc - one.not_valid_before_utc == datetime.timedelta(days=3652)
        backdated = before - one.not_valid_before_utc
        assert abs(backdated - datetime.timedelta(days=1)) < datetime.timedelta(minutes=1)


def test_sign_limits_the_ca_to_end_entity_certificates(request_: Request, quick_keys: None) -> None:
    _, ca_pem = pki.sign(request_.pem, CLUSTER_ID)
    extensions = x509.load_pem_x509_certificate(ca_pem.encode()).extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value) == (True, at_most(0))
    key_usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert key_usage.critical
    assert key_usage.value.key_cert_sign
    assert not key_usage.value.digital_signature


def test_sign_generates_a_key_that_cloudhsm_accepts(request_: Request) -> None:
    certificate, ca = pki.sign(request_.pem, CLUSTER_ID)
    accept(request_, certificate, ca)


def test_openssl_accepts_the_certificates_strictly(
    request_: Request, quick_keys: None, tmp_path: Path
) -> None:
    for name, pem in zip(("certificate", "ca"), pki.sign(request_.pem, CLUSTER_ID), strict=True):
        (tmp_path / name).write_text(pem)
    verify = ["openssl", "verify", "-x509_strict", "-CAfile", "ca", "certificate"]
    done = subprocess.run(verify, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("certificate: OK\n", "")


def test_sign_keeps_a_subject_with_several_values_in_one_rdn(
    rsa_keys: Callable[[int], rsa.RSAPrivateKey], quick_keys: None
) -> None:
    """As hsm2m.medium's: the unit LS2 and the HSM's name are one RDN (F2.7)."""
    parts = [
        x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, "LS2"),
        x509.NameAttribute(x509.NameOID.COMMON_NAME, "HSM:1:PARTN:1, for FIPS mode"),
    ]
    key, name = rsa_keys(2048), x509.Name([x509.RelativeDistinguishedName(parts)])
    signed = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    request = Request(key, signed.public_bytes(serialization.Encoding.PEM).decode())
    certificate, ca = pki.sign(request.pem, CLUSTER_ID)
    accept(request, certificate, ca)
    subject = x509.load_pem_x509_certificate(certificate.encode()).subject
    assert (subject, len(subject.rdns)) == (signed.subject, 1)


# ---- check_trust


def test_check_trust_accepts_the_cas_of_the_certificate(request_: Request) -> None:
    issuer, root = chain(2)
    pki.check_trust(bundle(issuer, root), request_.signed_by(issuer), "a secret")


def test_check_trust_refuses_other_cas(request_: Request) -> None:
    issuer, root = chain(2)
    certificate = request_.signed_by(issuer)
    not_its_ca = "^a secret does not contain the CA of the cluster's certificate"
    for text, message in (
        (make_ca(NOW).pem, not_its_ca),
        (make_ca(NOW, name="CA 0").pem, not_its_ca),
        (bundle(root, issuer), not_its_ca),
        (issuer.pem, "^The last certificate of a secret is not self-signed"),
        (bundle(issuer, root) + issuer.key_pem, "^a secret contains a PRIVATE KEY"),
        ("junk", "^a secret is not a PEM certificate"),
    ):
        with pytest.raises(CertificateError, match=message):
            pki.check_trust(text, certificate, "a secret")


def test_sign_uses_a_new_ca_each_time(request_: Request, quick_keys: None) -> None:
    (first, first_ca), (second, second_ca) = (pki.sign(request_.pem, CLUSTER_ID) for _ in range(2))
    message = "^cluster-cert was not signed"
    with pytest.raises(CertificateError, match=message):
        pki.check(first, second_ca, request_.pem)
    with pytest.raises(CertificateError, match=message):
        pki.check(second, first_ca, request_.pem)


def test_sign_refuses_a_request_with_an_invalid_signature(
    request_: Request, rsa_keys: Callable[[int], rsa.RSAPrivateKey]
) -> None:
    request = x509.load_pem_x509_csr(request_.pem.encode())
    forged = request.public_bytes(serialization.Encoding.DER)[:-1] + bytes(
        [request.public_bytes(serialization.Encoding.DER)[-1] ^ 1]
    )
    pem = x509.load_der_x509_csr(forged).public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(CertificateError, match="is not signed by its own key"):
        pki.sign(pem, CLUSTER_ID)
