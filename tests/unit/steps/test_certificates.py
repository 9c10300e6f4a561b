from __future__ import annotations

import datetime
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from hsm_lifecycle import pki, secret_store
from hsm_lifecycle.errors import (
    CertificateError,
    ClusterNotFoundError,
    NotOwnedError,
    RefusedError,
    SecretNotFoundError,
    TransientError,
)
from hsm_lifecycle.steps import certificates, secrets
from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2.certificates import validate_certificates
from localaws.services.cloudhsmv2.models import Identity
from rehearsal import test_ca
from rehearsal.test_ca import AS_CA, Ca, Key, make_ca
from tests.support.account import (
    OTHER_STACK_ID,
    STACK_ID,
    SYSTEM,
    TIMINGS,
    ZONES,
    EmulatorState,
    Json,
)

UNKNOWN = "cluster-aaaaaaaaaaa"
NOW = time.time()
NO_CA = x509.BasicConstraints(ca=False, path_length=None)


def at_most(cas_below: int) -> x509.BasicConstraints:
    return x509.BasicConstraints(ca=True, path_length=cas_below)


def usage(*, may_sign_certificates: bool) -> x509.KeyUsage:
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
    """A certificate signing request as the first HSM of a cluster shows it, and its key."""

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


def taken_by_aws(request: Request, certificate: str, ca: str) -> bool:
    """Whether InitializeCluster takes the two, as the model has it."""
    try:
        validate_certificates(
            Identity(request.key, {"ClusterCsr": request.pem}), certificate, ca, NOW
        )
    except ApiError:
        return False
    return True


def bundle(*authorities: Ca) -> str:
    return "".join(authority.pem for authority in authorities)


# ---- check: what passes, and AWS takes


def passes(request: Request, certificate: str, ca: str) -> None:
    pki.check(certificate, ca, request.pem)
    assert taken_by_aws(request, certificate, ca)


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
@pytest.mark.parametrize("pss", [False, True])
def test_rsa_authorities_pass_with_both_paddings(
    request_: Request, rsa_keys: Callable[[int], rsa.RSAPrivateKey], bits: int, pss: bool
) -> None:
    ca = make_ca(NOW, key=rsa_keys(bits))
    passes(request_, request_.signed_by(ca, pss=pss), ca.pem)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_ecdsa_authorities_pass(request_: Request, curve: ec.EllipticCurve) -> None:
    ca = make_ca(NOW, key=ec.generate_private_key(curve))
    passes(request_, request_.signed_by(ca), ca.pem)


@pytest.mark.parametrize(
    "algorithm", [hashes.SHA224(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()]
)
def test_every_hash_of_the_second_family_passes(
    request_: Request, algorithm: hashes.HashAlgorithm
) -> None:
    ca = make_ca(NOW, algorithm=algorithm)
    passes(request_, request_.signed_by(ca, algorithm=algorithm), ca.pem)


def test_an_authority_that_signs_itself_with_pss_passes(
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
        .sign(key, hashes.SHA256(), rsa_padding=pss)
    )
    ca = Ca(key, certificate)
    passes(request_, request_.signed_by(ca, pss=True), ca.pem)


def chain(length: int, *, path_lengths: bool = True) -> list[Ca]:
    """So many authorities, the issuer of the cluster's certificate first, the root last."""
    authorities: list[Ca] = []
    for below in reversed(range(length)):
        constraints = at_most(below) if path_lengths else AS_CA
        issuer = authorities[0] if authorities else None
        ca = make_ca(NOW, name=f"CA {below}", issuer=issuer, extensions=[constraints])
        authorities.insert(0, ca)
    return authorities


@pytest.mark.parametrize("length", [1, 2, 3, 4])
@pytest.mark.parametrize("path_lengths", [True, False])
def test_a_chain_from_the_issuer_to_the_root_passes(
    request_: Request, length: int, path_lengths: bool
) -> None:
    authorities = chain(length, path_lengths=path_lengths)
    passes(request_, request_.signed_by(authorities[0]), bundle(*authorities))


def test_an_authority_that_may_sign_certificates_passes(request_: Request) -> None:
    ca = make_ca(NOW, extensions=[AS_CA, usage(may_sign_certificates=True)])
    passes(request_, request_.signed_by(ca), ca.pem)


def test_line_ends_and_blank_lines_do_not_matter(request_: Request) -> None:
    ca = make_ca(NOW)
    certificate = "\r\n" + request_.signed_by(ca).replace("\n", "\r\n") + "\r\n"
    passes(request_, certificate, "\n\n" + ca.pem.replace("\n", "\r\n") + "\n")


# ---- check: what does not pass, and AWS would not take


def fails(request: Request, certificate: str, ca: str, words: str) -> None:
    with pytest.raises(CertificateError, match=words):
        pki.check(certificate, ca, request.pem)
    assert not taken_by_aws(request, certificate, ca)


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
def test_what_is_no_certificate_is_told_by_the_secrets_name(request_: Request, text: str) -> None:
    ca = make_ca(NOW)
    fails(request_, text, ca.pem, "^cluster-cert is not a certificate in PEM")
    fails(request_, request_.signed_by(ca), text, "^customer-ca-cert is not a certificate in PEM")


def test_neither_a_request_nor_a_key_is_taken_for_a_certificate(request_: Request) -> None:
    ca = make_ca(NOW)
    fails(request_, request_.pem, ca.pem, "^cluster-cert is not a certificate in PEM")
    fails(
        request_,
        request_.signed_by(ca),
        ca.key_pem,
        "^customer-ca-cert is not a certificate in PEM",
    )


def test_a_certificate_with_its_chain_is_one_too_many(request_: Request) -> None:
    ca = make_ca(NOW)
    certificate = request_.signed_by(ca) + ca.pem
    fails(request_, certificate, ca.pem, "^cluster-cert holds 2 certificates; it takes one")


def test_the_certificate_of_another_request_is_recognized(
    request_: Request, make_request: Callable[[], Request]
) -> None:
    ca = make_ca(NOW)
    certificate = make_request().signed_by(ca)
    fails(request_, certificate, ca.pem, r"^cluster-cert is of another key .* cluster-csr now\.$")


def test_secrets_that_were_mixed_up_are_recognized(request_: Request) -> None:
    ca = make_ca(NOW)
    fails(request_, ca.pem, request_.signed_by(ca), "^cluster-cert is of another key")


def test_another_authoritys_certificate_is_recognized(request_: Request) -> None:
    certificate = request_.signed_by(make_ca(NOW))
    words = "^cluster-cert was not signed by the first certificate of customer-ca-cert"
    fails(request_, certificate, make_ca(NOW, name="another").pem, words)
    # Of the same name, but with another key: an authority that was renewed.
    fails(request_, certificate, make_ca(NOW).pem, words)


def test_a_chain_in_the_wrong_order_is_recognized(request_: Request) -> None:
    issuer, middle, root = chain(3)
    certificate = request_.signed_by(issuer)
    fails(request_, certificate, bundle(root, middle, issuer), "customer-ca-cert")
    fails(
        request_,
        certificate,
        bundle(issuer, root, middle),
        "^Certificate 1 of customer-ca-cert was not signed by the next one; the order is",
    )


def test_a_chain_without_its_root_is_recognized(request_: Request) -> None:
    issuer, middle, _ = chain(3)
    certificate = request_.signed_by(issuer)
    words = "^The last certificate of customer-ca-cert is not self-signed"
    fails(request_, certificate, bundle(issuer, middle), words)
    fails(request_, certificate, bundle(issuer), words)


def test_a_chain_with_a_gap_is_recognized(request_: Request) -> None:
    issuer, _, root = chain(3)
    fails(request_, request_.signed_by(issuer), bundle(issuer, root), "^Certificate 1 of")


def test_a_root_that_stands_there_twice_is_recognized(request_: Request) -> None:
    ca = make_ca(NOW)
    fails(request_, request_.signed_by(ca), bundle(ca, ca), "customer-ca-cert")


def test_five_authorities_are_one_too_many(request_: Request) -> None:
    authorities = chain(5)
    certificate = request_.signed_by(authorities[0])
    words = "^customer-ca-cert is longer than 4 certificates or 16384 characters"
    fails(request_, certificate, bundle(*authorities), words)


def test_a_chain_can_be_too_long_in_characters_alone(request_: Request) -> None:
    issuer, root = chain(2)
    certificate, blanks = request_.signed_by(issuer), "\n" * 16384
    fails(request_, certificate, bundle(issuer, root) + blanks, "^customer-ca-cert is longer")


@pytest.mark.parametrize(
    ("dates", "words"),
    [
        ({"starts": -10, "lasts": -1}, "expired on"),
        ({"starts": 1, "lasts": 10}, "is not valid before"),
    ],
)
def test_what_is_out_of_date_is_told_with_the_date(
    request_: Request, dates: dict[str, Any], words: str
) -> None:
    good, bad = make_ca(NOW), make_ca(NOW, **dates)
    on = rf"{words} \d{{4}}-\d\d-\d\d \d\d:\d\d UTC\.$"
    fails(request_, request_.signed_by(good, **dates), good.pem, f"^cluster-cert {on}")
    fails(request_, request_.signed_by(bad), bad.pem, f"^customer-ca-cert {on}")


def test_every_certificate_of_a_chain_has_to_be_in_date(request_: Request) -> None:
    root = make_ca(NOW, name="root")
    issuer = make_ca(NOW, name="issuer", issuer=root, starts=-10, lasts=-1)
    certificate = request_.signed_by(issuer)
    fails(request_, certificate, bundle(issuer, root), "^customer-ca-cert expired on")


@pytest.mark.parametrize(
    ("extensions", "words"),
    [
        ([NO_CA], "is not a CA certificate: basic constraints say CA:FALSE"),
        ([usage(may_sign_certificates=True)], "has no basic constraints, which must say CA:TRUE"),
        ([AS_CA, usage(may_sign_certificates=False)], "key usage lacks keyCertSign"),
    ],
)
def test_an_authority_has_to_be_one_by_its_extensions(
    request_: Request, extensions: list[x509.ExtensionType], words: str
) -> None:
    ca = make_ca(NOW, extensions=extensions)
    words = rf"^customer-ca-cert \(CN=customer CA\) .*{words}"
    fails(request_, request_.signed_by(ca), ca.pem, words)


def test_an_authority_without_any_extensions_is_refused_though_aws_might_take_it(
    request_: Request,
) -> None:
    ca = make_ca(NOW, extensions=[])
    with pytest.raises(CertificateError, match="has no basic constraints"):
        pki.check(request_.signed_by(ca), ca.pem, request_.pem)


def test_an_authority_may_have_no_more_others_below_it_than_it_allows(request_: Request) -> None:
    root = make_ca(NOW, name="root", extensions=[at_most(0)])
    issuer = make_ca(NOW, name="issuer", issuer=root)
    fails(
        request_,
        request_.signed_by(issuer),
        bundle(issuer, root),
        r"^customer-ca-cert \(CN=root\) allows 0 CAs below it and has 1",
    )


def test_a_key_that_cloudhsm_does_not_take_is_recognized(
    request_: Request, rsa_keys: Callable[[int], rsa.RSAPrivateKey]
) -> None:
    keys: list[Key] = [
        rsa_keys(1024),
        ec.generate_private_key(ec.SECP224R1()),
        ec.generate_private_key(ec.SECP256K1()),
    ]
    for key in keys:
        ca = make_ca(NOW, key=key)
        fails(request_, request_.signed_by(ca), ca.pem, "has a key that CloudHSM does not take")


def test_a_key_of_another_kind_is_recognized(request_: Request) -> None:
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
        ).add_extension(AS_CA, critical=True)
        made.append(test_ca.pem(builder.sign(key, None)))
    fails(request_, made[1], made[0], "has a key that CloudHSM does not take")


@pytest.mark.parametrize("which", ["certificate", "authority"])
def test_a_hash_that_cloudhsm_does_not_take_is_recognized(request_: Request, which: str) -> None:
    algorithms = {which: hashes.SHA3_256()}
    ca = make_ca(NOW, algorithm=algorithms.get("authority"))
    certificate = request_.signed_by(ca, algorithm=algorithms.get("certificate"))
    fails(request_, certificate, ca.pem, "SHA")


@pytest.mark.parametrize("which", ["certificate", "authority"])
def test_text_around_the_pem_which_the_api_does_not_take_is_recognized(
    request_: Request, which: str
) -> None:
    ca = make_ca(NOW)
    texts = {"certificate": request_.signed_by(ca), "authority": ca.pem}
    texts[which] = "Certificate:\n    Data:\n        Version: 3 (0x2)\n" + texts[which]
    name = {"certificate": "cluster-cert", "authority": "customer-ca-cert"}[which]
    fails(request_, texts["certificate"], texts["authority"], name)


# ---- sign


def test_what_is_issued_passes_and_aws_takes_it(request_: Request, quick_keys: None) -> None:
    certificate, ca = pki.sign(request_.pem, UNKNOWN)
    passes(request_, certificate, ca)


def test_what_is_issued_is_as_the_design_says(request_: Request, quick_keys: None) -> None:
    before = datetime.datetime.now(datetime.UTC)
    certificate_pem, ca_pem = pki.sign(request_.pem, UNKNOWN)
    assert len(certificate_pem) < 5000
    assert len(ca_pem) < 5000
    certificate, ca = (
        x509.load_pem_x509_certificate(pem.encode()) for pem in (certificate_pem, ca_pem)
    )
    csr = x509.load_pem_x509_csr(request_.pem.encode())
    assert certificate.public_key() == csr.public_key()
    assert certificate.subject == csr.subject
    assert certificate.issuer == ca.subject == ca.issuer
    assert ca.subject.rfc4514_string() == f"CN={UNKNOWN} CA"
    assert certificate.serial_number != ca.serial_number
    assert isinstance(ca_key := ca.public_key(), rsa.RSAPublicKey)
    assert ca_key.key_size == 2048
    for one in (certificate, ca):
        assert one.version is x509.Version.v3
        assert isinstance(one.signature_hash_algorithm, hashes.SHA256)
        assert one.not_valid_after_utc - one.not_valid_before_utc == datetime.timedelta(days=3652)
        backdated = before - one.not_valid_before_utc
        assert abs(backdated - datetime.timedelta(days=1)) < datetime.timedelta(minutes=1)


def test_the_authority_may_sign_this_certificate_and_have_no_others_below_it(
    request_: Request, quick_keys: None
) -> None:
    _, ca_pem = pki.sign(request_.pem, UNKNOWN)
    extensions = x509.load_pem_x509_certificate(ca_pem.encode()).extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value) == (True, at_most(0))
    key_usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert key_usage.critical
    assert key_usage.value.key_cert_sign
    assert not key_usage.value.digital_signature


def test_a_key_that_is_really_made_is_of_2048_bits(request_: Request) -> None:
    certificate, ca = pki.sign(request_.pem, UNKNOWN)
    passes(request_, certificate, ca)


def test_each_cluster_has_an_authority_of_its_own(request_: Request, quick_keys: None) -> None:
    (first, first_ca), (second, second_ca) = (pki.sign(request_.pem, UNKNOWN) for _ in range(2))
    words = "^cluster-cert was not signed"
    with pytest.raises(CertificateError, match=words):
        pki.check(first, second_ca, request_.pem)
    with pytest.raises(CertificateError, match=words):
        pki.check(second, first_ca, request_.pem)


def test_a_request_that_its_own_key_did_not_sign_is_not_signed(
    request_: Request, rsa_keys: Callable[[int], rsa.RSAPrivateKey]
) -> None:
    request = x509.load_pem_x509_csr(request_.pem.encode())
    forged = request.public_bytes(serialization.Encoding.DER)[:-1] + bytes(
        [request.public_bytes(serialization.Encoding.DER)[-1] ^ 1]
    )
    pem = x509.load_der_x509_csr(forged).public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(CertificateError, match="is not signed by its key"):
        pki.sign(pem, UNKNOWN)


# ---- The steps


def of(cluster_id: str) -> Json:
    return {"ClusterId": cluster_id, "StackId": STACK_ID, "System": SYSTEM}


def names(cluster_id: str) -> secret_store.Names:
    return secret_store.names(SYSTEM, cluster_id)


def ready(world: EmulatorState) -> str:
    """A cluster whose first HSM is ACTIVE, with its secrets; its id."""
    cluster_id = world.with_csr()
    world.run(secrets.create_secrets, **of(cluster_id))
    return cluster_id


def replace_hsm(world: EmulatorState, cluster_id: str) -> None:
    world.hsms.provider().replace_hsm(world.listed(cluster_id)[0]["HsmId"])


def supply(world: EmulatorState, cluster_id: str, certificate: str | None = None) -> str:
    """Do what the operator's PKI does; the certificate."""
    certificate = certificate or test_ca.sign(world.ca, world.csr(cluster_id), world.clock.now())
    world.put(names(cluster_id).certificate, certificate)
    world.put(names(cluster_id).ca_certificate, world.ca.pem)
    return certificate


STEPS = (
    certificates.store_csr,
    certificates.issue_certificate,
    certificates.check_certificates,
    certificates.initialize_cluster,
)


@pytest.mark.parametrize("step", STEPS)
def test_a_foreign_cluster_is_left_alone(world: EmulatorState, step: Callable[..., Json]) -> None:
    cluster_id = world.with_csr(stack_id=OTHER_STACK_ID)
    with pytest.raises(NotOwnedError, match=rf"\[{cluster_id}\]$"):
        world.run(step, **of(cluster_id))
    assert world.changes == []
    assert world.secret_names() == []


@pytest.mark.parametrize("step", STEPS)
def test_a_cluster_that_is_gone_is_told(world: EmulatorState, step: Callable[..., Json]) -> None:
    with pytest.raises(ClusterNotFoundError):
        world.run(step, **of(UNKNOWN))


@pytest.mark.parametrize("step", STEPS)
def test_a_cluster_that_is_past_its_initialization_is_left_alone(
    world: EmulatorState, step: Callable[..., Json]
) -> None:
    cluster_id = world.initialized()
    for text in ("the operator's request", "the operator's certificate"):
        world.put(names(cluster_id).csr, text)
        world.put(names(cluster_id).certificate, text)
        assert world.run(step, **of(cluster_id)) == {}
        assert world.changes == []


# ---- store_csr


def test_the_request_of_the_cluster_is_stored(world: EmulatorState) -> None:
    cluster_id = ready(world)
    assert world.run(certificates.store_csr, **of(cluster_id)) == {}
    assert world.text(names(cluster_id).csr) == world.csr(cluster_id)
    world.run(certificates.store_csr, **of(cluster_id))
    assert world.changes == []


def test_when_the_first_hsm_is_replaced_its_new_request_is_stored(world: EmulatorState) -> None:
    cluster_id = ready(world)
    world.run(certificates.store_csr, **of(cluster_id))
    before = world.text(names(cluster_id).csr)
    replace_hsm(world, cluster_id)
    world.run(certificates.store_csr, **of(cluster_id))
    assert world.text(names(cluster_id).csr) == world.csr(cluster_id) != before


def test_a_request_that_does_not_show_yet_is_waited_for(world: EmulatorState) -> None:
    cluster_id = world.uninitialized()
    world.run(secrets.create_secrets, **of(cluster_id))
    world.hsm.create_hsm(ClusterId=cluster_id, AvailabilityZone=ZONES[0])
    with pytest.raises(TransientError, match="no certificate signing request yet"):
        world.run(certificates.store_csr, **of(cluster_id))
    world.wait(TIMINGS.create_hsm)
    world.run(certificates.store_csr, **of(cluster_id))


def test_a_request_whose_storing_was_not_answered_is_stored(world: EmulatorState) -> None:
    cluster_id = ready(world)
    world.faults.inject({"operation": "PutSecretValue", "code": "ConnectionLost", "when": "after"})
    with pytest.raises(TransientError):
        world.run(certificates.store_csr, **of(cluster_id))
    world.run(certificates.store_csr, **of(cluster_id))
    assert world.changes == []
    assert world.text(names(cluster_id).csr) == world.csr(cluster_id)


# ---- issue_certificate


def issued(world: EmulatorState, cluster_id: str) -> tuple[str, str]:
    assert world.run(certificates.issue_certificate, **of(cluster_id)) == {}
    certificate = world.text(names(cluster_id).certificate)
    ca = world.text(names(cluster_id).ca_certificate)
    assert certificate
    assert ca
    pki.check(certificate, ca, world.csr(cluster_id))
    return certificate, ca


def test_a_pair_is_issued_that_initializes_the_cluster(world: EmulatorState) -> None:
    cluster_id = ready(world)
    certificate, ca = issued(world, cluster_id)
    world.hsm.initialize_cluster(ClusterId=cluster_id, SignedCert=certificate, TrustAnchor=ca)
    world.wait(TIMINGS.initialize)
    assert world.cluster(cluster_id)["State"] == "INITIALIZED"


def test_a_pair_that_fits_is_kept(world: EmulatorState) -> None:
    cluster_id = ready(world)
    pair = issued(world, cluster_id)
    assert issued(world, cluster_id) == pair
    certificate = supply(world, cluster_id)
    assert issued(world, cluster_id) == (certificate, world.ca.pem)
    assert world.changes == []


def test_a_pair_that_does_not_fit_the_request_any_more_is_issued_anew(world: EmulatorState) -> None:
    cluster_id = ready(world)
    before = issued(world, cluster_id)
    replace_hsm(world, cluster_id)
    after = issued(world, cluster_id)
    assert after[0] != before[0]
    assert after[1] != before[1]


@pytest.mark.parametrize("skip", [0, 1])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_issue_that_dies_in_the_middle_ends_with_a_pair_that_fits(
    world: EmulatorState, skip: int, when: str
) -> None:
    cluster_id = ready(world)
    world.faults.inject(
        {"operation": "PutSecretValue", "code": "ConnectionLost", "skip": skip, "when": when}
    )
    with pytest.raises(TransientError):
        world.run(certificates.issue_certificate, **of(cluster_id))
    issued(world, cluster_id)


@pytest.mark.parametrize("half", ["certificate", "ca_certificate"])
@pytest.mark.parametrize("text", [None, "Paste it here."])
def test_half_a_pair_is_none(world: EmulatorState, half: str, text: str | None) -> None:
    cluster_id = ready(world)
    before = issued(world, cluster_id)
    name = getattr(names(cluster_id), half)
    world.secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    world.put(name, text)
    assert issued(world, cluster_id) != before


def test_the_authoritys_key_is_nowhere(
    world: EmulatorState, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    make = rsa.generate_private_key

    def note(public_exponent: int, key_size: int) -> rsa.RSAPrivateKey:
        made.append(make(public_exponent, key_size))
        return made[-1]

    cluster_id = ready(world)
    monkeypatch.setattr(rsa, "generate_private_key", note)
    issued(world, cluster_id)
    assert len(made) == 1
    secret = str(made[0].private_numbers().d)
    found = " ".join(world.text(name) or "" for name in world.secret_names()) + caplog.text
    assert "PRIVATE KEY" not in found
    assert secret not in found


def test_without_a_request_nothing_is_issued(world: EmulatorState) -> None:
    cluster_id = world.uninitialized()
    world.run(secrets.create_secrets, **of(cluster_id))
    with pytest.raises(TransientError, match="no certificate signing request yet"):
        world.run(certificates.issue_certificate, **of(cluster_id))


# ---- check_certificates


def test_certificates_that_will_do_pass_and_the_cluster_is_untouched(world: EmulatorState) -> None:
    cluster_id = ready(world)
    supply(world, cluster_id)
    assert world.run(certificates.check_certificates, **of(cluster_id)) == {}
    assert world.changes == []


def test_certificates_that_will_not_do_are_told_with_the_clusters_id(world: EmulatorState) -> None:
    cluster_id = ready(world)
    supply(world, cluster_id, certificate="Paste it here.")
    with pytest.raises(CertificateError) as failure:
        world.run(certificates.check_certificates, **of(cluster_id))
    assert str(failure.value).startswith("CheckCertificates: cluster-cert ")
    assert str(failure.value).endswith(f"[{cluster_id}]")
    assert world.changes == []
    supply(world, cluster_id)
    assert world.run(certificates.check_certificates, **of(cluster_id)) == {}


def test_a_certificate_of_the_hsm_that_was_replaced_is_told(world: EmulatorState) -> None:
    cluster_id = ready(world)
    supply(world, cluster_id)
    replace_hsm(world, cluster_id)
    with pytest.raises(CertificateError, match="changes when the first HSM is replaced"):
        world.run(certificates.check_certificates, **of(cluster_id))


@pytest.mark.parametrize("half", ["certificate", "ca_certificate"])
def test_a_certificate_that_was_not_supplied_is_told_by_the_secrets_name(
    world: EmulatorState, half: str
) -> None:
    cluster_id = ready(world)
    supply(world, cluster_id)
    name = getattr(names(cluster_id), half)
    world.secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    with pytest.raises(SecretNotFoundError, match=re.escape(name)):
        world.run(certificates.check_certificates, **of(cluster_id))
    world.put(name, None)
    with pytest.raises(SecretNotFoundError, match=re.escape(name)):
        world.run(certificates.check_certificates, **of(cluster_id))


# ---- initialize_cluster


def test_the_cluster_is_initialized_with_what_is_in_the_secrets(world: EmulatorState) -> None:
    cluster_id = ready(world)
    certificate = supply(world, cluster_id)
    assert world.run(certificates.initialize_cluster, **of(cluster_id)) == {}
    assert world.cluster(cluster_id)["State"] == "INITIALIZE_IN_PROGRESS"
    world.wait(TIMINGS.initialize)
    cluster = world.cluster(cluster_id)
    assert cluster["State"] == "INITIALIZED"
    assert cluster["Certificates"]["ClusterCertificate"] == certificate


def test_an_initialization_is_begun_once(world: EmulatorState) -> None:
    cluster_id = ready(world)
    supply(world, cluster_id)
    world.faults.inject(
        {"operation": "InitializeCluster", "code": "ConnectionLost", "when": "after"}
    )
    with pytest.raises(TransientError, match=rf"\[{cluster_id}\]$"):
        world.run(certificates.initialize_cluster, **of(cluster_id))
    for seconds in (0, TIMINGS.initialize):
        world.wait(seconds)
        assert world.run(certificates.initialize_cluster, **of(cluster_id)) == {}
        assert world.changes == []


def test_what_aws_has_against_the_certificates_is_told_in_its_words(world: EmulatorState) -> None:
    cluster_id = ready(world)
    supply(world, cluster_id, certificate=world.ca.pem)
    with pytest.raises(RefusedError) as refusal:
        world.run(certificates.initialize_cluster, **of(cluster_id))
    assert str(refusal.value) == (
        "InitializeCluster: CloudHsmInvalidRequestException: SignedCert does"
        f" not have the public key of the cluster's CSR. [{cluster_id}]"
    )


def test_an_initialization_that_may_succeed_later_is_transient(world: EmulatorState) -> None:
    cluster_id = ready(world)
    supply(world, cluster_id)
    world.faults.inject({"operation": "InitializeCluster", "code": "ThrottlingException"})
    with pytest.raises(TransientError):
        world.run(certificates.initialize_cluster, **of(cluster_id))
    world.run(certificates.initialize_cluster, **of(cluster_id))
    assert world.cluster(cluster_id)["State"] == "INITIALIZE_IN_PROGRESS"
