"""Texts in PEM. Without cryptography, which pki needs: half of the functions need only this."""

from __future__ import annotations

import hashlib

# The members of a cluster's Certificates that prove the identity of its first HSM.
OF_FIRST_HSM = (
    "ClusterCsr",
    "HsmCertificate",
    "AwsHardwareCertificate",
    "ManufacturerHardwareCertificate",
)


def body(certificate: str) -> str:
    """A certificate without its first and last line, in one line; empty if there is none."""
    return "".join(certificate.split("-----")[2].split()) if certificate else ""


def digest(text: str) -> str:
    """The SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()
