"""A CloudHSM per test, and shared RSA keys, since generating them is slow."""

from __future__ import annotations

import itertools

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.localaws.services.cloudhsm import CloudHsm


@pytest.fixture(scope="session", name="rsa_keys")
def _rsa_keys() -> list[rsa.RSAPrivateKey]:
    return [rsa.generate_private_key(65537, 2048) for _ in range(4)]


@pytest.fixture(autouse=True)
def _reuse_rsa_keys(rsa_keys: list[rsa.RSAPrivateKey], monkeypatch: pytest.MonkeyPatch) -> None:
    keys = itertools.cycle(rsa_keys)
    monkeypatch.setattr(rsa, "generate_private_key", lambda exponent, bits: next(keys))


@pytest.fixture(name="cloudhsm")
def _cloudhsm() -> CloudHsm:
    return CloudHsm()
