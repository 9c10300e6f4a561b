"""The certificates with which a first HSM proves its identity, and how faults spoil them."""

from __future__ import annotations

import datetime as dt
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from localaws.services.cloudhsmv2 import hardware_roots
from localaws.services.cloudhsmv2.settings import Assumptions
from tests.localaws.services.cloudhsm import CloudHsm

AWS, MANUFACTURER = "AwsHardwareCertificate", "ManufacturerHardwareCertificate"


def load(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def is_signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError):
        return False
    return True


class Presented:
    """What the first HSM of a new cluster presents."""

    def __init__(self, cloudhsm: CloudHsm, **arguments: str) -> None:
        shown = dict(cloudhsm.cluster(cloudhsm.with_csr(**arguments))["Certificates"])
        self.csr = x509.load_pem_x509_csr(shown.pop("ClusterCsr").encode())
        self.certificates = {name: load(pem) for name, pem in shown.items()}

    @property
    def valid_links(self) -> set[str]:
        """The links of both chains whose names and signatures agree."""
        hsm, by_aws, by_manufacturer = (
            self.certificates[name] for name in ("HsmCertificate", AWS, MANUFACTURER)
        )
        roots = {name: load(pem) for name, pem in hardware_roots.all_roots().items()}
        links = {
            "hsm-aws": is_signed(hsm, by_aws),
            "hsm-manufacturer": is_signed(hsm, by_manufacturer),
            "csr": hsm.public_key() == self.csr.public_key(),
            "aws-root": is_signed(by_aws, roots["aws"]),
            "hsm1-root": is_signed(by_manufacturer, roots["hsm1"]),
            "hsm2m-root": is_signed(by_manufacturer, roots["hsm2m"]),
        }
        return {link for link, is_valid in links.items() if is_valid}


def test_the_csr_is_self_signed_and_named_after_the_hsm(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.with_csr()
    request = x509.load_pem_x509_csr(
        cloudhsm.cluster(cluster_id)["Certificates"]["ClusterCsr"].encode()
    )
    assert request.is_signature_valid
    names = request.subject.rfc4514_string()
    assert f"HSM:{cloudhsm.hsms(cluster_id)[0]['HsmId']}:PARTN:1" in names
    assert "for FIPS mode" in names
    assert ["LS2" in rdn.rfc4514_string() for rdn in request.subject.rdns].count(True) == 1
    assert {len(rdn) for rdn in request.subject.rdns} == {1, 2}


def test_aws_and_the_manufacturer_certify_the_hsm(cloudhsm: CloudHsm) -> None:
    genuine = {"hsm-aws", "hsm-manufacturer", "csr", "aws-root"}
    assert Presented(cloudhsm).valid_links == genuine | {"hsm2m-root"}
    past = CloudHsm(assumptions=Assumptions(year=2024))
    assert Presented(past, HsmType="hsm1.medium").valid_links == genuine | {"hsm1-root"}


@pytest.mark.parametrize(
    ("fault", "links"),
    [
        ("forged", {"hsm-aws", "hsm-manufacturer", "csr", "hsm2m-root"}),
        ("wrong-root", {"hsm-aws", "hsm-manufacturer", "csr", "hsm2m-root"}),
        ("expired-root", {"hsm-aws", "hsm-manufacturer", "csr", "aws-root", "hsm1-root"}),
        ("other-hardware", {"hsm-aws", "csr", "aws-root", "hsm2m-root"}),
        ("other-csr", {"hsm-aws", "hsm-manufacturer", "aws-root", "hsm2m-root"}),
    ],
)
def test_a_fault_breaks_a_link(cloudhsm: CloudHsm, fault: str, links: set[str]) -> None:
    cloudhsm.faults.inject({"hsm_identity": fault})
    presented = Presented(cloudhsm)
    assert presented.valid_links == links
    assert presented.csr.is_signature_valid
    names_aws = presented.certificates[AWS].issuer == load(hardware_roots.aws().pem).subject
    assert names_aws == (fault != "wrong-root")


def test_an_hsm_may_come_without_certificates(cloudhsm: CloudHsm) -> None:
    cloudhsm.faults.inject({"hsm_identity": "missing"})
    assert Presented(cloudhsm).certificates == {}
    assert sorted(Presented(cloudhsm).certificates) == [AWS, "HsmCertificate", MANUFACTURER]


def test_a_replaced_first_hsm_presents_other_certificates(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.with_csr()
    before = cloudhsm.cluster(cluster_id)["Certificates"]
    cloudhsm.faults.inject({"hsm_identity": "missing"})
    cloudhsm.provider.replace_hsm(cloudhsm.hsms(cluster_id)[0]["HsmId"])
    after = cloudhsm.cluster(cluster_id)["Certificates"]
    assert list(after) == ["ClusterCsr"]
    assert after["ClusterCsr"] != before["ClusterCsr"]


def test_openssl_trusts_the_roots_one_of_which_is_v1_and_expired(tmp_path: Path) -> None:
    hardware_roots.main([str(tmp_path)])
    for name in ("aws.pem", "manufacturer.pem"):
        verify = ["openssl", "verify", "-no_check_time", "-check_ss_sig", "-CAfile"]
        subprocess.run([*verify, tmp_path / name, tmp_path / name], check=True)
    hsm1 = load((tmp_path / "manufacturer.pem").read_text())
    assert hsm1.version is x509.Version.v1
    assert hsm1.not_valid_after_utc < dt.datetime.now(dt.UTC)
    assert load((tmp_path / "aws.pem").read_text()).not_valid_after_utc > dt.datetime.now(dt.UTC)


def test_every_local_aws_has_the_same_roots() -> None:
    first = hardware_roots.all_roots()
    for root in (
        hardware_roots.aws,
        hardware_roots.manufacturer_of_hsm1,
        hardware_roots.manufacturer_of_hsm2m,
    ):
        root.cache_clear()
    assert hardware_roots.all_roots() == first
