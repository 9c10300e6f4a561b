"""What an HSM brings with it: a key, its CSR, and the certificates of its hardware."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from localaws.core.faults import Faults
from localaws.services.cloudhsmv2 import hardware_roots
from localaws.services.cloudhsmv2.hardware_roots import Root
from localaws.services.cloudhsmv2.models import Identity

_MARVELL = {
    NameOID.COUNTRY_NAME: "US",
    NameOID.STATE_OR_PROVINCE_NAME: "CA",
    NameOID.LOCALITY_NAME: "SanJose",
    NameOID.ORGANIZATION_NAME: "Marvell",
}


@dataclass(frozen=True)
class _Hardware:
    """The hardware of an HSM, whose key AWS and the manufacturer certify (F2.2, F2.17)."""

    subject: x509.Name
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def new(cls, hsm_id: str) -> _Hardware:
        return cls(_name(f"HSM hardware {hsm_id}"), ec.generate_private_key(ec.SECP256R1()))

    def certified_by(self, root: Root, now: float) -> str:
        key = self.key.public_key()
        return _pem(certify(self.subject, key, root.subject, root.key, now, is_ca=True))


def new(hsm_id: str, hsm_type: str, mode: str, now: float, fault: str = "") -> Identity:
    """A new cluster's key, with the CSR and certificates of its first HSM (F2.1, F2.7).

    With a fault of `Faults.hsm_identity`, they do not prove what they should.
    """
    key = rsa.generate_private_key(65537, 2048)
    hardware = _Hardware.new(hsm_id)
    subject = _name(
        f"HSM:{hsm_id}:PARTN:1, for {'FIPS' if mode == 'FIPS' else 'NON-FIPS'} mode", unit="LS2"
    )
    aws, manufacturer = hardware_roots.aws(), hardware_roots.manufacturer_of_hsm2m()
    if hsm_type == "hsm1.medium" or fault == "expired-root":
        manufacturer = hardware_roots.manufacturer_of_hsm1()
    if fault in ("forged", "wrong-root"):
        aws = aws.impostor() if fault == "forged" else hardware_roots.unknown()
    certified_twice = _Hardware.new(hsm_id) if fault == "other-hardware" else hardware
    csr_key = rsa.generate_private_key(65537, 2048) if fault == "other-csr" else key
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject)
    certificates = {
        "ClusterCsr": _pem(csr.sign(csr_key, hashes.SHA256())),
        "HsmCertificate": _pem(
            certify(subject, key.public_key(), hardware.subject, hardware.key, now)
        ),
        "AwsHardwareCertificate": hardware.certified_by(aws, now),
        "ManufacturerHardwareCertificate": certified_twice.certified_by(manufacturer, now),
    }
    if fault == "missing":
        certificates = {"ClusterCsr": certificates["ClusterCsr"]}
    return Identity(csr_key, certificates)


def new_of(hsm_id: str, hsm_type: str, mode: str, now: float, faults: Faults) -> Identity:
    """The identity of the first HSM of a cluster, as the injected faults make it."""
    return new(hsm_id, hsm_type, mode, now, faults.hsm_identity())


def initialized_elsewhere(hsm_id: str, hsm_type: str, mode: str, now: float) -> Identity:
    """The identity of another account's cluster, initialized with that account's CA."""
    identity = new(hsm_id, hsm_type, mode, now)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    name = _name("customer CA")
    ca = certify(name, ca_key.public_key(), name, ca_key, now, is_ca=True)
    csr = x509.load_pem_x509_csr(identity.certificates["ClusterCsr"].encode())
    leaf = certify(csr.subject, identity.key.public_key(), ca.subject, ca_key, now)
    return initialized(identity, _pem(leaf), _pem(ca))


def initialized(identity: Identity, signed_cert: str, trust_anchor: str) -> Identity:
    """The identity after InitializeCluster: the cluster certificate replaces all others (F2.1)."""
    return Identity(identity.key, {"ClusterCertificate": signed_cert}, trust_anchor)


def certify(
    subject: x509.Name,
    public_key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: float,
    *,
    is_ca: bool = False,
) -> x509.Certificate:
    """A certificate of ten years."""
    moment = dt.datetime.fromtimestamp(now, dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - dt.timedelta(days=1))
        .not_valid_after(moment + dt.timedelta(days=3652))
    )
    if is_ca:  # as F2.13 requires
        identifier = x509.SubjectKeyIdentifier.from_public_key(public_key)
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        builder = builder.add_extension(identifier, critical=False)
        builder = builder.add_extension(constraints, critical=True)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(common_name: str, unit: str | None = None) -> x509.Name:
    """A name; with a unit, that and the common name are one RDN (F2.7)."""
    last = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if unit:
        last.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit))
    rdns = [[x509.NameAttribute(oid, value)] for oid, value in _MARVELL.items()]
    return x509.Name([x509.RelativeDistinguishedName(each) for each in (*rdns, last)])


def _pem(signed: x509.Certificate | x509.CertificateSigningRequest) -> str:
    return signed.public_bytes(serialization.Encoding.PEM).decode()
