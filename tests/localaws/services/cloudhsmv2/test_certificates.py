from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2.settings import Assumptions
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
    keys: dict[int, rsa.RSAPrivateKey] = {}
    generate = rsa.generate_private_key

    def key(bits: int) -> rsa.RSAPrivateKey:
        if bits not in keys:
            keys[bits] = generate(65537, bits)
        return keys[bits]

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


def rejected(initialize: Initialize, signed: str, anchor: str, words: str) -> None:
    with pytest.raises(ApiError, match=words) as error:
        initialize(signed, anchor)
    assert error.value.code == "CloudHsmInvalidRequestException"


def accepted(cloudhsm: CloudHsm, ca: Ca, **options: Any) -> None:
    """Initialize a new cluster with what the CA signs, and delete it."""
    cluster_id = cloudhsm.with_csr()
    (hsm,) = cloudhsm.hsms(cluster_id)
    csr = cloudhsm.cluster(cluster_id)["Certificates"]["ClusterCsr"]
    cloudhsm.call(
        "InitializeCluster",
        ClusterId=cluster_id,
        SignedCert=sign(ca, csr, START, **options),
        TrustAnchor=ca.pem,
    )
    cloudhsm.wait(cloudhsm.timings.initialize)
    assert cloudhsm.cluster(cluster_id)["State"] == "INITIALIZED"
    cloudhsm.remove_hsm(cluster_id, hsm["HsmId"])
    cloudhsm.call("DeleteCluster", ClusterId=cluster_id)
    cloudhsm.wait(cloudhsm.timings.delete_cluster)


def test_initialization_takes_time_and_replaces_the_csr(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.with_csr()
    response = cloudhsm.initialize(cluster_id)
    assert response["State"] == "INITIALIZE_IN_PROGRESS"
    assert "INITIALIZED upon completion" in response["StateMessage"]
    cloudhsm.wait(cloudhsm.timings.initialize - 1)
    assert cloudhsm.cluster(cluster_id)["State"] == "INITIALIZE_IN_PROGRESS"
    assert cloudhsm.cluster(cluster_id)["Certificates"] == {}
    cloudhsm.wait(1)
    cluster = cloudhsm.cluster(cluster_id)
    assert cluster["State"] == "INITIALIZED"
    assert list(cluster["Certificates"]) == ["ClusterCertificate"]


def test_a_cluster_is_initialized_once_and_only_with_a_csr(cloudhsm: CloudHsm) -> None:
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


def test_a_certificate_for_an_earlier_csr_is_rejected(cloudhsm: CloudHsm) -> None:
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


def test_a_ca_may_have_an_rsa_key_of_2048_to_4096_bits(
    cloudhsm: CloudHsm, bits: Callable[[int], rsa.RSAPrivateKey]
) -> None:
    for size in (2048, 3072, 4096):
        for pss in (False, True):
            accepted(cloudhsm, make_ca(START, key=bits(size)), pss=pss)


def test_a_ca_may_have_a_key_on_a_nist_curve(cloudhsm: CloudHsm) -> None:
    for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()):
        accepted(cloudhsm, make_ca(START, key=ec.generate_private_key(curve)))


def test_a_certificate_may_be_signed_with_sha_2(cloudhsm: CloudHsm) -> None:
    for algorithm in (hashes.SHA224(), hashes.SHA384(), hashes.SHA512()):
        accepted(cloudhsm, make_ca(START), algorithm=algorithm)


def test_a_signature_with_sha_3_is_rejected(initialize: Initialize, csr: str) -> None:
    ca = make_ca(START)
    signed = sign(ca, csr, START, algorithm=hashes.SHA3_256())
    rejected(initialize, signed, ca.pem, "must be signed with SHA-224")


def test_an_rsa_key_of_1024_bits_is_rejected(
    initialize: Initialize, csr: str, bits: Callable[[int], rsa.RSAPrivateKey]
) -> None:
    ca = make_ca(START, key=bits(1024))
    rejected(initialize, sign(ca, csr, START), ca.pem, "RSA with 2048, 3072 or 4096 bits")


def test_a_key_on_another_curve_is_rejected(initialize: Initialize, csr: str) -> None:
    ca = make_ca(START, key=ec.generate_private_key(ec.SECP256K1()))
    rejected(initialize, sign(ca, csr, START), ca.pem, "on P-256")


def test_the_certificate_must_have_the_key_of_the_csr(initialize: Initialize, csr: str) -> None:
    ca = make_ca(START)
    other = ec.generate_private_key(ec.SECP256R1())
    rejected(initialize, sign(ca, csr, START, key=other), ca.pem, "public key of the cluster's CSR")


def test_the_anchor_must_have_signed_the_certificate(initialize: Initialize, csr: str) -> None:
    ca, namesake = make_ca(START), make_ca(START)
    words = "SignedCert is not issued by certificate 1 of TrustAnchor"
    rejected(initialize, sign(ca, csr, START), namesake.pem, words)
    rejected(initialize, sign(ca, csr, START), make_ca(START, name="other").pem, words)


def test_certificates_must_be_valid_now(initialize: Initialize, csr: str) -> None:
    good = make_ca(START)
    for starts, lasts in ((1, 3652), (-9, -1)):
        signed = sign(good, csr, START, starts=starts, lasts=lasts)
        rejected(initialize, signed, good.pem, "SignedCert is expired or not yet valid")
        bad = make_ca(START, starts=starts, lasts=lasts)
        words = "certificate 1 of TrustAnchor is expired or not yet valid"
        rejected(initialize, sign(bad, csr, START), bad.pem, words)


def test_validity_is_checked_at_the_virtual_time(
    cloudhsm: CloudHsm, initialize: Initialize, csr: str
) -> None:
    ca = make_ca(START, lasts=2)
    signed = sign(ca, csr, START)
    cloudhsm.wait(3 * 24 * 3600)
    rejected(initialize, signed, ca.pem, "certificate 1 of TrustAnchor is expired")


NOT_A_CA: dict[str, tuple[x509.ExtensionType, ...]] = {
    "extensions but no basicConstraints": (key_usage(key_cert_sign=True),),
    "CA:FALSE": (x509.BasicConstraints(ca=False, path_length=None),),
    "keyUsage without keyCertSign": (AS_CA, key_usage(key_cert_sign=False)),
}


def test_the_extensions_of_a_ca_must_allow_it_to_sign(initialize: Initialize, csr: str) -> None:
    for words, extensions in NOT_A_CA.items():
        ca = make_ca(START, extensions=extensions)
        rejected(initialize, sign(ca, csr, START), ca.pem, words)


# F2.13.
NOT_RFC5280: dict[str, tuple[x509.ExtensionType, ...]] = {
    "no basicConstraints": (),
    "no subjectKeyIdentifier": (AS_CA, key_usage(key_cert_sign=True)),
}


def test_a_ca_must_conform_to_rfc_5280(initialize: Initialize, csr: str) -> None:
    for words, extensions in NOT_RFC5280.items():
        ca = make_ca(START, extensions=extensions, key_identifiers=False)
        rejected(initialize, sign(ca, csr, START), ca.pem, words)


def test_under_the_kinder_reading_a_ca_needs_no_extensions() -> None:
    cloudhsm = CloudHsm(assumptions=Assumptions(trust_anchor_rfc5280=False))
    for extensions in NOT_RFC5280.values():
        accepted(cloudhsm, make_ca(START, extensions=extensions, key_identifiers=False))


def chain(length: int) -> list[Ca]:
    """A chain of CAs, the issuing CA first and the root last."""
    cas = [make_ca(START, name="root")]
    for place in range(1, length):
        cas.insert(0, make_ca(START, name=f"CA {place}", issuer=cas[0]))
    return cas


def test_the_anchor_may_be_a_chain_of_4_with_the_root_last(
    initialize: Initialize, csr: str
) -> None:
    cas = chain(4)
    initialize(sign(cas[0], csr, START), "".join(ca.pem for ca in cas))


def test_a_chain_of_5_is_rejected(initialize: Initialize, csr: str) -> None:
    cas = chain(5)
    signed = sign(cas[0], csr, START)
    rejected(initialize, signed, "".join(ca.pem for ca in cas), "at most 4 certificates")


def test_a_chain_with_the_root_first_is_rejected(initialize: Initialize, csr: str) -> None:
    issuing, root = chain(2)
    rejected(initialize, sign(issuing, csr, START), root.pem + issuing.pem, "root last")


def test_a_chain_with_a_gap_is_rejected(initialize: Initialize, csr: str) -> None:
    issuing, _, root = chain(3)
    words = "certificate 1 of TrustAnchor is not issued by certificate 2"
    rejected(initialize, sign(issuing, csr, START), issuing.pem + root.pem, words)


def test_a_chain_without_its_root_is_rejected(initialize: Initialize, csr: str) -> None:
    issuing, _ = chain(2)
    rejected(initialize, sign(issuing, csr, START), issuing.pem, "end with a self-signed root")


def test_a_chain_without_the_issuing_ca_is_rejected(initialize: Initialize, csr: str) -> None:
    issuing, root = chain(2)
    rejected(initialize, sign(issuing, csr, START), root.pem, "not issued by certificate 1")


def test_a_path_length_limits_the_cas_below(initialize: Initialize, csr: str) -> None:
    root = make_ca(START, name="root", extensions=(x509.BasicConstraints(ca=True, path_length=0),))
    issuing = make_ca(START, name="issuing", issuer=root)
    signed = sign(issuing, csr, START)
    rejected(initialize, signed, issuing.pem + root.pem, "allows 0 CAs below it")
    initialize(sign(root, csr, START), root.pem)


def test_key_identifiers_must_agree(initialize: Initialize, csr: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    root = make_ca(
        START, name="root", extensions=(AS_CA, x509.SubjectKeyIdentifier(b"one key")), key=key
    )
    of_another_key = x509.AuthorityKeyIdentifier(b"another key", None, None)
    issuing = make_ca(START, name="issuing", issuer=root, extensions=(AS_CA, of_another_key))
    signed = sign(issuing, csr, START)
    rejected(initialize, signed, issuing.pem + root.pem, "not issued by certificate 2")


NOT_PEM = {
    "1 to 20000 characters": ("", "-----BEGIN CERTIFICATE-----\\nMII", "A" * 20001),
    "is not a PEM certificate": (
        "not a certificate",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    ),
}


def test_both_certificates_must_be_pem(
    cloudhsm: CloudHsm, initialize: Initialize, csr: str
) -> None:
    signed = sign(cloudhsm.ca, csr, START)
    for words, texts in NOT_PEM.items():
        for text in texts:
            rejected(initialize, text, cloudhsm.ca.pem, words)
            rejected(initialize, signed, text, words)


def test_signed_cert_must_be_one_certificate(initialize: Initialize, csr: str) -> None:
    ca = make_ca(START)
    rejected(initialize, sign(ca, csr, START) + ca.pem, ca.pem, "one certificate, not 2")


def test_a_client_needs_the_trust_anchor_of_the_cluster(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.initialized()
    for wrong in (test_ca.make_ca(START).pem, "", "nonsense"):
        with pytest.raises(ApiError, match="certificate verify failed"):
            cloudhsm.client(cluster_id, "activate", password=PASSWORD, ca=wrong)
    cloudhsm.client(cluster_id, "activate", password=PASSWORD)


def test_a_client_can_trust_a_chain(cloudhsm: CloudHsm) -> None:
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


def test_a_client_does_not_trust_an_expired_certificate(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active()
    cloudhsm.wait(3653 * 24 * 3600)
    with pytest.raises(ApiError, match="certificate verify failed"):
        cloudhsm.client(cluster_id, "user-list")


def test_a_chain_of_more_than_16_kib_is_rejected(initialize: Initialize, csr: str) -> None:
    cas = chain(2)
    signed = sign(cas[0], csr, START)
    bundle = (" " * 16384).join(ca.pem for ca in cas)
    rejected(initialize, signed, bundle, "at most 16384 bytes")


def test_a_root_must_be_self_signed(initialize: Initialize, csr: str) -> None:
    impostor = make_ca(START, name="root", issuer=make_ca(START, name="root"))
    signed = sign(impostor, csr, START)
    rejected(initialize, signed, impostor.pem, "signature of the root")
