from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from localaws.core.api_error import ApiError
from rehearsal import test_ca
from rehearsal.test_ca import AS_CA, Ca, make_ca, sign
from tests.localaws.services.cloudhsm import PASSWORD, START, CloudHsm


def key_usage(*, key_cert_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


@pytest.fixture(scope="module", name="bits")
def _bits() -> Callable[[int], rsa.RSAPrivateKey]:
    made: dict[int, rsa.RSAPrivateKey] = {}
    generate = rsa.generate_private_key

    def key(bits: int) -> rsa.RSAPrivateKey:
        if bits not in made:
            made[bits] = generate(65537, bits)
        return made[bits]

    return key


@pytest.fixture(name="cluster_id")
def _cluster_id(cloudhsm: CloudHsm) -> str:
    return cloudhsm.with_csr()


@pytest.fixture(name="csr")
def _csr(cloudhsm: CloudHsm, cluster_id: str) -> str:
    return str(cloudhsm.cluster(cluster_id)["Certificates"]["ClusterCsr"])


Initialize = Callable[[str, str], None]


@pytest.fixture(name="initialize")
def _initialize(cloudhsm: CloudHsm, cluster_id: str) -> Initialize:
    def initialize(signed: str, anchor: str) -> None:
        cloudhsm.call(
            "InitializeCluster", ClusterId=cluster_id, SignedCert=signed, TrustAnchor=anchor
        )

    return initialize


def refused(initialize: Initialize, signed: str, anchor: str, words: str) -> None:
    with pytest.raises(ApiError, match=words) as refusal:
        initialize(signed, anchor)
    assert refusal.value.code == "CloudHsmInvalidRequestException"


def test_the_csr_is_signed_with_its_own_key_and_named_after_the_hsm(
    cloudhsm: CloudHsm, cluster_id: str, csr: str
) -> None:
    request = x509.load_pem_x509_csr(csr.encode())
    assert request.is_signature_valid
    names = request.subject.rfc4514_string()
    assert f"HSM:{cloudhsm.hsms(cluster_id)[0]['HsmId']}:PARTN:1" in names
    assert "for FIPS mode" in names


def test_the_hsms_certificate_is_certified_by_aws_and_by_the_manufacturer(
    cloudhsm: CloudHsm, cluster_id: str, csr: str
) -> None:
    shown = cloudhsm.cluster(cluster_id)["Certificates"]
    hsm, by_aws, by_manufacturer = (
        x509.load_pem_x509_certificate(shown[name].encode())
        for name in ("HsmCertificate", "AwsHardwareCertificate", "ManufacturerHardwareCertificate")
    )
    hsm.verify_directly_issued_by(by_aws)
    hsm.verify_directly_issued_by(by_manufacturer)
    assert by_aws.issuer != by_manufacturer.issuer
    assert hsm.public_key() == x509.load_pem_x509_csr(csr.encode()).public_key()
    with pytest.raises((InvalidSignature, ValueError)):
        by_aws.verify_directly_issued_by(by_manufacturer)


def test_initialization_takes_its_time_and_then_the_csr_is_gone(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.with_csr()
    answer = cloudhsm.initialize(cluster_id)
    assert answer["State"] == "INITIALIZE_IN_PROGRESS"
    assert "INITIALIZED upon completion" in answer["StateMessage"]
    cloudhsm.wait(cloudhsm.timings.initialize - 1)
    assert cloudhsm.cluster(cluster_id)["State"] == "INITIALIZE_IN_PROGRESS"
    assert "ClusterCertificate" not in cloudhsm.cluster(cluster_id)["Certificates"]
    cloudhsm.wait(1)
    cluster = cloudhsm.cluster(cluster_id)
    assert cluster["State"] == "INITIALIZED"
    assert sorted(cluster["Certificates"]) == [
        "AwsHardwareCertificate",
        "ClusterCertificate",
        "HsmCertificate",
        "ManufacturerHardwareCertificate",
    ]


def test_a_cluster_is_initialized_once_and_not_before_it_has_a_csr(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.create()
    request = {"ClusterId": cluster_id, "SignedCert": "x", "TrustAnchor": "x"}
    with pytest.raises(ApiError, match="CREATE_IN_PROGRESS, not UNINITIALIZED"):
        cloudhsm.call("InitializeCluster", **request)
    cloudhsm.wait(cloudhsm.timings.create_cluster)
    with pytest.raises(ApiError, match="no CSR yet"):
        cloudhsm.call("InitializeCluster", **request)
    cloudhsm.add_hsm(cluster_id)
    cloudhsm.initialize(cluster_id)
    with pytest.raises(ApiError, match="INITIALIZE_IN_PROGRESS, not UNINITIALIZED"):
        cloudhsm.call("InitializeCluster", **request)
    cloudhsm.wait(cloudhsm.timings.initialize)
    with pytest.raises(ApiError, match="INITIALIZED, not UNINITIALIZED"):
        cloudhsm.call("InitializeCluster", **request)


def test_a_csr_that_is_gone_cannot_be_used(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.with_csr()
    old = cloudhsm.cluster(cluster_id)["Certificates"]["ClusterCsr"]
    cloudhsm.remove_hsm(cluster_id, cloudhsm.hsms(cluster_id)[0]["HsmId"])
    cloudhsm.add_hsm(cluster_id)
    signed = sign(cloudhsm.ca, old, cloudhsm.clock.now())
    with pytest.raises(ApiError, match="public key of the cluster's CSR"):
        cloudhsm.call(
            "InitializeCluster",
            ClusterId=cluster_id,
            SignedCert=signed,
            TrustAnchor=cloudhsm.ca.pem,
        )


@pytest.mark.parametrize("size", [2048, 3072, 4096])
@pytest.mark.parametrize("pss", [False, True])
def test_an_rsa_ca_may_sign(
    initialize: Initialize,
    csr: str,
    bits: Callable[[int], rsa.RSAPrivateKey],
    size: int,
    pss: bool,
) -> None:
    ca = make_ca(START, key=bits(size))
    initialize(sign(ca, csr, START, pss=pss), ca.pem)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_an_ecdsa_ca_may_sign(initialize: Initialize, csr: str, curve: ec.EllipticCurve) -> None:
    ca = make_ca(START, key=ec.generate_private_key(curve))
    initialize(sign(ca, csr, START), ca.pem)


@pytest.mark.parametrize("algorithm", [hashes.SHA224(), hashes.SHA384(), hashes.SHA512()])
def test_it_may_sign_with_sha_2(
    initialize: Initialize, csr: str, algorithm: hashes.HashAlgorithm
) -> None:
    ca = make_ca(START)
    initialize(sign(ca, csr, START, algorithm=algorithm), ca.pem)


def test_it_may_not_sign_with_anything_else(initialize: Initialize, csr: str) -> None:
    ca = make_ca(START)
    signed = sign(ca, csr, START, algorithm=hashes.SHA3_256())
    refused(initialize, signed, ca.pem, "not signed with SHA-224")


def test_a_key_of_1024_bits_is_too_weak(
    initialize: Initialize, csr: str, bits: Callable[[int], rsa.RSAPrivateKey]
) -> None:
    ca = make_ca(START, key=bits(1024))
    refused(initialize, sign(ca, csr, START), ca.pem, "neither RSA of 2048")


def test_other_curves_are_refused(initialize: Initialize, csr: str) -> None:
    ca = make_ca(START, key=ec.generate_private_key(ec.SECP256K1()))
    refused(initialize, sign(ca, csr, START), ca.pem, "nor on P-256")


def test_the_certificate_must_carry_the_key_of_the_csr(initialize: Initialize, csr: str) -> None:
    ca = make_ca(START)
    other = ec.generate_private_key(ec.SECP256R1())
    refused(initialize, sign(ca, csr, START, key=other), ca.pem, "public key of the cluster's CSR")


def test_the_anchor_must_have_signed_the_certificate(initialize: Initialize, csr: str) -> None:
    ca, namesake = make_ca(START), make_ca(START)
    words = "SignedCert is not issued by certificate 1 of TrustAnchor"
    refused(initialize, sign(ca, csr, START), namesake.pem, words)
    refused(initialize, sign(ca, csr, START), make_ca(START, name="other").pem, words)


@pytest.mark.parametrize(
    ("starts", "lasts"), [pytest.param(1, 3652, id="not yet"), pytest.param(-9, -1, id="no more")]
)
def test_certificates_must_be_in_date(
    initialize: Initialize, csr: str, starts: float, lasts: float
) -> None:
    good, bad = make_ca(START), make_ca(START, starts=starts, lasts=lasts)
    words = "validity of SignedCert"
    refused(initialize, sign(good, csr, START, starts=starts, lasts=lasts), good.pem, words)
    refused(initialize, sign(bad, csr, START), bad.pem, "validity of certificate 1 of TrustAnchor")


def test_dates_are_read_by_virtual_time(
    cloudhsm: CloudHsm, initialize: Initialize, csr: str
) -> None:
    ca = make_ca(START, lasts=2)
    signed = sign(ca, csr, START)
    cloudhsm.wait(3 * 24 * 3600)
    refused(initialize, signed, ca.pem, "validity of certificate 1")


@pytest.mark.parametrize(
    ("extensions", "words"),
    [
        ((key_usage(key_cert_sign=True),), "extensions but no basicConstraints"),
        ((x509.BasicConstraints(ca=False, path_length=None),), "CA:FALSE"),
        ((AS_CA, key_usage(key_cert_sign=False)), "keyUsage without keyCertSign"),
    ],
)
def test_a_ca_with_extensions_must_be_one_by_them(
    initialize: Initialize, csr: str, extensions: tuple[x509.ExtensionType, ...], words: str
) -> None:
    ca = make_ca(START, extensions=extensions)
    refused(initialize, sign(ca, csr, START), ca.pem, words)


def test_a_ca_without_extensions_will_do(initialize: Initialize, csr: str) -> None:
    ca = make_ca(START, extensions=())
    initialize(sign(ca, csr, START), ca.pem)


def chain(length: int) -> list[Ca]:
    """CAs, the issuing one first and the root last."""
    cas = [make_ca(START, name="root")]
    for place in range(1, length):
        cas.insert(0, make_ca(START, name=f"CA {place}", issuer=cas[0]))
    return cas


def test_the_anchor_may_be_a_chain_of_four_from_the_issuing_ca_to_the_root(
    initialize: Initialize, csr: str
) -> None:
    cas = chain(4)
    initialize(sign(cas[0], csr, START), "".join(ca.pem for ca in cas))


def test_a_chain_of_five_is_too_long(initialize: Initialize, csr: str) -> None:
    cas = chain(5)
    signed = sign(cas[0], csr, START)
    refused(initialize, signed, "".join(ca.pem for ca in cas), "4 certificates at most")


def test_a_chain_in_the_wrong_order_is_refused(initialize: Initialize, csr: str) -> None:
    issuing, root = chain(2)
    refused(initialize, sign(issuing, csr, START), root.pem + issuing.pem, "root last")


def test_a_chain_with_a_gap_is_refused(initialize: Initialize, csr: str) -> None:
    issuing, _, root = chain(3)
    words = "certificate 1 of TrustAnchor is not issued by certificate 2"
    refused(initialize, sign(issuing, csr, START), issuing.pem + root.pem, words)


def test_a_chain_without_its_root_is_refused(initialize: Initialize, csr: str) -> None:
    issuing, _ = chain(2)
    refused(initialize, sign(issuing, csr, START), issuing.pem, "end with a self-signed root")


def test_the_root_alone_does_not_vouch_for_its_subordinate(
    initialize: Initialize, csr: str
) -> None:
    issuing, root = chain(2)
    refused(initialize, sign(issuing, csr, START), root.pem, "not issued by certificate 1")


def test_a_path_length_holds_for_the_cas_below(initialize: Initialize, csr: str) -> None:
    root = make_ca(START, name="root", extensions=(x509.BasicConstraints(ca=True, path_length=0),))
    issuing = make_ca(START, name="issuing", issuer=root)
    signed = sign(issuing, csr, START)
    refused(initialize, signed, issuing.pem + root.pem, "allows 0 CAs below it")
    initialize(sign(root, csr, START), root.pem)


def test_key_identifiers_must_agree(initialize: Initialize, csr: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    root = make_ca(
        START, name="root", extensions=(AS_CA, x509.SubjectKeyIdentifier(b"one key")), key=key
    )
    of_another_key = x509.AuthorityKeyIdentifier(b"another key", None, None)
    issuing = make_ca(START, name="issuing", issuer=root, extensions=(AS_CA, of_another_key))
    signed = sign(issuing, csr, START)
    refused(initialize, signed, issuing.pem + root.pem, "not issued by certificate 2")


@pytest.mark.parametrize("what", ["SignedCert", "TrustAnchor"])
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "1 to 20000 characters"),
        ("-----BEGIN CERTIFICATE-----\\nMII", "1 to 20000 characters"),
        ("A" * 20001, "1 to 20000 characters"),
        ("not a certificate", "cannot be read"),
        ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "cannot be read"),
    ],
)
def test_what_is_no_certificate_is_refused(
    cloudhsm: CloudHsm, cluster_id: str, csr: str, what: str, value: str, words: str
) -> None:
    request = {
        "SignedCert": sign(cloudhsm.ca, csr, START),
        "TrustAnchor": cloudhsm.ca.pem,
        what: value,
    }
    with pytest.raises(ApiError, match=words) as refusal:
        cloudhsm.call("InitializeCluster", ClusterId=cluster_id, **request)
    assert refusal.value.code == "CloudHsmInvalidRequestException"


def test_the_cluster_certificate_is_one_certificate(initialize: Initialize, csr: str) -> None:
    ca = make_ca(START)
    refused(initialize, sign(ca, csr, START) + ca.pem, ca.pem, "one certificate, not 2")


def test_a_client_needs_the_trust_anchor_of_the_cluster(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.initialized()
    for wrong in (test_ca.make_ca(START).pem, "", "nonsense"):
        with pytest.raises(ApiError, match="certificate verify failed"):
            cloudhsm.client(cluster_id, "activate", password=PASSWORD, ca=wrong)
    cloudhsm.client(cluster_id, "activate", password=PASSWORD)


def test_a_client_may_trust_a_chain(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.with_csr()
    cas = chain(2)
    bundle = "".join(ca.pem for ca in cas)
    csr = cloudhsm.cluster(cluster_id)["Certificates"]["ClusterCsr"]
    signed = sign(cas[0], csr, cloudhsm.clock.now())
    cloudhsm.call("InitializeCluster", ClusterId=cluster_id, SignedCert=signed, TrustAnchor=bundle)
    cloudhsm.wait(cloudhsm.timings.initialize)
    with pytest.raises(ApiError, match="certificate verify failed"):
        cloudhsm.client(cluster_id, "activate", password=PASSWORD, ca=cas[1].pem)
    cloudhsm.client(cluster_id, "activate", password=PASSWORD, ca=bundle)


def test_no_client_connects_after_the_cluster_certificate_has_expired(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active()
    cloudhsm.wait(3653 * 24 * 3600)
    with pytest.raises(ApiError, match="certificate verify failed"):
        cloudhsm.client(cluster_id, "user-list")


def test_a_chain_has_16_kilobytes_at_most(initialize: Initialize, csr: str) -> None:
    cas = chain(2)
    signed = sign(cas[0], csr, START)
    bundle = (" " * 16384).join(ca.pem for ca in cas)
    refused(initialize, signed, bundle, "16384 bytes at most")


def test_a_root_must_have_signed_itself(initialize: Initialize, csr: str) -> None:
    impostor = make_ca(START, name="root", issuer=make_ca(START, name="root"))
    signed = sign(impostor, csr, START)
    refused(initialize, signed, impostor.pem, "signature of the root")
