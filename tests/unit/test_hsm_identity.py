"""Which certificates prove that an HSM is genuine, link by link."""

from __future__ import annotations

import base64
import datetime as dt
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from hsm_lifecycle import hsm_identity
from hsm_lifecycle.errors import HsmIdentityError, ParameterError
from hsm_lifecycle.hsm_identity import AWS, CSR, HSM, MANUFACTURER, Roots
from localaws.services.cloudhsmv2 import hardware_roots, identities

NOW = dt.datetime(2026, 11, 28, tzinfo=dt.UTC)
Chain = dict[str, str]


@pytest.fixture(scope="module", name="pins")
def _pins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the local AWS's roots."""
    directory = tmp_path_factory.mktemp("roots")
    hardware_roots.main([str(directory)])
    return directory


def spki(pem: str) -> str:
    key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return base64.b64encode(key.public_bytes(serialization.Encoding.DER, form)).decode()


@functools.cache
def presented(fault: str = "", hsm_type: str = "hsm2m.medium") -> Chain:
    identity = identities.new("hsm-a", hsm_type, "FIPS", NOW.timestamp(), fault)
    return dict(identity.certificates)


@functools.cache
def roots_in(pins: Path, *, with_hsm2m: bool = True) -> Roots:
    given_keys = spki(hardware_roots.manufacturer_of_hsm2m().pem) if with_hsm2m else ""
    return hsm_identity.pinned_roots(given_keys, pins)


def refuse(chain: Chain, roots: Roots, message: str) -> None:
    with pytest.raises(HsmIdentityError, match=message):
        hsm_identity.verify(chain, roots, NOW)


# ---- the real roots


def test_the_real_roots_have_the_published_keys() -> None:
    roots = hsm_identity.pinned_roots("")
    assert [hsm_identity.fingerprint(root.key) for root in (*roots.aws, *roots.manufacturer)] == [
        "fd3bd37c565b11e435f965b9112a73bdbf4f19c82eb16864f2a0a6710b30aaed",  # F2.14
        "78adcba1f38bee304bc44d6a086503f2940037d4b3d58a1bf66a3282ef58cd41",  # F2.15
    ]
    assert [str(root) for root in (*roots.aws, *roots.manufacturer)] == [
        "CN=AWS CloudHSM Root G1",
        "CN=localca.liquidsecurity.cavium.com",
    ]
    ends = [
        root.expires.date().isoformat()
        for root in (*roots.aws, *roots.manufacturer)
        if root.expires
    ]
    assert ends == ["2027-04-26", "2034-07-23"]


def test_the_real_roots_signed_themselves_with_rsa() -> None:
    for path in sorted(hsm_identity.ROOTS.glob("*.pem")):
        root = x509.load_pem_x509_certificate(path.read_bytes())
        root.verify_directly_issued_by(root)
        assert isinstance(root.public_key(), rsa.RSAPublicKey)


# ---- verdicts


def test_both_chains_verify_an_hsm(pins: Path) -> None:
    finding = hsm_identity.verify(presented(), roots_in(pins), NOW)
    assert (finding.verdict, finding.detail[:37]) == (
        "VERIFIED",
        "certified by CN=Local Root G1 and key",
    )
    assert finding.keys.keys() == {
        CSR,
        HSM,
        AWS,
        MANUFACTURER,
        f"Root of {AWS}",
        f"Root of {MANUFACTURER}",
    }
    assert finding.keys[CSR] == finding.keys[HSM]
    assert finding.keys[AWS] == finding.keys[MANUFACTURER]


def without(*names: str) -> Chain:
    return {name: pem for name, pem in presented().items() if name not in names}


@pytest.mark.parametrize(
    ("chain", "with_hsm2m", "verdict"),
    [
        (presented(), False, ("AWS_CHAIN_ONLY", "CN=local-ls2-root-AR-v1 is not pinned (pManu")),
        (without(MANUFACTURER), True, ("AWS_CHAIN_ONLY", f"AWS returned no {MANUFACTURER}")),
        (without(HSM, AWS, MANUFACTURER), True, ("NOT_VERIFIED", f"AWS returned no {HSM} and no")),
        (without(AWS), True, ("NOT_VERIFIED", f"AWS returned no {AWS}")),
        (
            presented(hsm_type="hsm1.medium"),
            False,
            ("VERIFIED_ROOT_EXPIRED", "CN=localca expired on 2025-11-16"),
        ),
    ],
)
def test_less_than_full_proof_has_a_verdict_of_its_own(
    pins: Path, chain: Chain, with_hsm2m: bool, verdict: tuple[str, str]
) -> None:
    finding = hsm_identity.verify(chain, roots_in(pins, with_hsm2m=with_hsm2m), NOW)
    assert (finding.verdict, finding.detail[: len(verdict[1])]) == verdict


def test_the_root_of_aws_may_expire_too(pins: Path) -> None:
    later = dt.datetime(2050, 1, 1, tzinfo=dt.UTC)
    finding = hsm_identity.verify(presented(), roots_in(pins), later)
    assert finding.verdict == "VERIFIED_ROOT_EXPIRED"
    assert "CN=Local Root G1 expired on 2047-11-16" in finding.detail


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("forged", f"^FORGED: {AWS} names CN=Local Root G1, but is not signed by its key"),
        ("wrong-root", f"^FORGED: {AWS} was issued by CN=Another root, no root of AWS"),
        ("other-hardware", f"^MISMATCH: {AWS} and {MANUFACTURER} certify different keys"),
        ("other-csr", f"^MISMATCH: {CSR} does not have the key of {HSM}"),
    ],
)
def test_a_wrong_link_is_named(pins: Path, fault: str, message: str) -> None:
    refuse(presented(fault), roots_in(pins), message)
    refuse(presented(fault), roots_in(pins, with_hsm2m=False), message)


def test_an_hsm_certificate_of_other_hardware_is_refused(pins: Path) -> None:
    other = {name: presented("expired-root")[name] for name in (AWS, MANUFACTURER)}
    refuse({**presented(), **other}, roots_in(pins), f"^FORGED: {HSM} is not signed by the key of")


def test_a_manufacturers_name_with_another_key_is_refused(
    pins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impostor = hardware_roots.manufacturer_of_hsm1().impostor()
    monkeypatch.setattr(hardware_roots, "manufacturer_of_hsm1", lambda: impostor)
    identity = identities.new("hsm-a", "hsm1.medium", "FIPS", NOW.timestamp())
    message = f"^FORGED: {MANUFACTURER} names CN=localca, but is not signed by its key"
    refuse(dict(identity.certificates), roots_in(pins), message)


def test_a_given_key_that_signed_nothing_is_refused(pins: Path) -> None:
    roots = hsm_identity.pinned_roots(spki(hardware_roots.unknown().pem), pins)
    message = "CN=local-ls2-root-AR-v1, is not signed by a key in pManufacturerRootSpki"
    refuse(presented(), roots, message)


def test_one_of_several_given_keys_suffices(pins: Path) -> None:
    keys = [spki(hardware_roots.unknown().pem), spki(hardware_roots.manufacturer_of_hsm2m().pem)]
    roots = hsm_identity.pinned_roots(",".join(keys), pins)
    assert hsm_identity.verify(presented(), roots, NOW).verdict == "VERIFIED"


@pytest.mark.parametrize("text", ["M" * 80, "MAAA" * 30, spki(hardware_roots.aws().pem)[:-8]])
def test_a_given_text_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match=r"^pManufacturerRootSpki: .* is not a public key"):
        hsm_identity.pinned_roots(text)


def test_an_unreadable_certificate_is_refused(pins: Path) -> None:
    for name in presented():
        refuse({**presented(), name: "junk"}, roots_in(pins), f"^FORGED: {name} cannot be read")


# ---- RSA, as real HSMs have it


@functools.cache
def rsa_chain(pss: bool = False) -> tuple[Chain, Roots]:
    """A chain of RSA keys below one root, and that root as both roots."""
    root, hardware, hsm = (rsa.generate_private_key(65537, 2048) for _ in range(3))
    name = hardware_roots.name_of("CN=RSA root")
    builder = x509.CertificateBuilder().serial_number(7).not_valid_before(NOW)
    builder = builder.not_valid_after(NOW + dt.timedelta(days=9)).subject_name(name)

    def signed(key: rsa.RSAPrivateKey, issuer: rsa.RSAPrivateKey) -> str:
        by = builder.issuer_name(name).public_key(key.public_key())
        scheme: Any = padding.PSS(padding.MGF1(hashes.SHA256()), 32) if pss else None
        certificate = by.sign(issuer, hashes.SHA256(), rsa_padding=scheme)
        return certificate.public_bytes(serialization.Encoding.PEM).decode()

    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(hsm, hashes.SHA256())
    chain = {
        CSR: csr.public_bytes(serialization.Encoding.PEM).decode(),
        HSM: signed(hsm, hardware),
        AWS: signed(hardware, root),
        MANUFACTURER: signed(hardware, root),
    }
    pinned = hsm_identity.Root(root.public_key(), name)
    return chain, Roots((pinned,), (pinned,))


def test_rsa_signatures_are_verified() -> None:
    for pss in (False, True):
        chain, roots = rsa_chain(pss)
        assert hsm_identity.verify(chain, roots, NOW).verdict == "VERIFIED"
        other = hsm_identity.Root(
            rsa.generate_private_key(65537, 2048).public_key(), roots.aws[0].subject
        )
        refuse(chain, Roots((other,), roots.manufacturer), "^FORGED: AwsHardwareCertificate names")


def test_a_root_of_another_kind_of_key_signed_nothing(pins: Path) -> None:
    chain, roots = rsa_chain()
    refuse(chain, Roots(roots_in(pins).aws, roots.manufacturer), "^FORGED: .* CN=RSA root, no root")


# ---- changed certificates


def changed(pem: str, position: int, bits: int) -> str:
    """The PEM of other bytes: these bits of one byte are flipped."""
    first, *body, last = pem.strip().splitlines()
    der = bytearray(base64.b64decode("".join(body)))
    der[position % len(der)] ^= bits
    return "\n".join([first, base64.b64encode(bytes(der)).decode(), last]) + "\n"


def verdict_of(chain: Chain, roots: Roots) -> str:
    try:
        return hsm_identity.verify(chain, roots, NOW).verdict
    except HsmIdentityError as error:
        return str(error).partition(":")[0]


def chains(pins: Path) -> Iterator[tuple[Chain, Roots]]:
    yield presented(), roots_in(pins)
    yield rsa_chain()


@given(
    name=st.sampled_from([CSR, HSM, AWS, MANUFACTURER]),
    position=st.integers(0, 2000),
    bits=st.integers(1, 255),
    of_rsa=st.booleans(),
)
def test_no_changed_byte_is_verified(
    pins: Path, name: str, position: int, bits: int, of_rsa: bool
) -> None:
    chain, roots = list(chains(pins))[of_rsa]
    verdict = verdict_of({**chain, name: changed(chain[name], position, bits)}, roots)
    assert verdict in ("FORGED", "MISMATCH", "AWS_CHAIN_ONLY")


def test_unused_bits_of_a_signature_are_refused(pins: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    csrs = (builder.sign(key, hashes.SHA256()) for _ in range(100))
    csr = next(csr for csr in csrs if csr.signature[-1] % 2 == 0)
    pem = csr.public_bytes(serialization.Encoding.PEM).decode()
    assert verdict_of({CSR: pem}, roots_in(pins)) == "NOT_VERIFIED"
    unused = changed(pem, -len(csr.signature) - 1, 1)
    assert x509.load_pem_x509_csr(unused.encode()).is_signature_valid
    assert verdict_of({CSR: unused}, roots_in(pins)) == "FORGED"


@given(order=st.permutations([CSR, HSM, AWS, MANUFACTURER]))
def test_no_other_order_is_verified(pins: Path, order: list[str]) -> None:
    chain = presented()
    swapped = {name: chain[other] for name, other in zip(chain, order, strict=True)}
    verdict = verdict_of(swapped, roots_in(pins))
    assert (verdict == "VERIFIED") == (list(chain) == order)
