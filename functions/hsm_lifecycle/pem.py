"""Texts in PEM. Without cryptography, which pki needs: half of the functions need only this."""

from __future__ import annotations


def body(certificate: str) -> str:
    """A certificate without its first and last line, in one line; empty if there is none."""
    return "".join(certificate.split("-----")[2].split()) if certificate else ""
