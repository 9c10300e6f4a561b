"""A account for the steps to work in, and what is slow to make is made once."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from moto import mock_aws
from moto.backends import get_backend

from tests.support.account import ZONES, Account, Clock, intercepted
from tests.support.key_store_setup import store_secrets
from tests.support.moto_extension import extended_moto


@pytest.fixture(scope="session", name="rsa_keys")
def _rsa_keys() -> Callable[[int], rsa.RSAPrivateKey]:
    """The next key of so many bits out of a few: who asks twice in a row gets two."""
    generate = rsa.generate_private_key

    @functools.cache
    def few(bits: int) -> Iterator[rsa.RSAPrivateKey]:
        return itertools.cycle([generate(65537, bits) for _ in range(6 if bits == 2048 else 1)])

    return lambda bits: next(few(bits))


@pytest.fixture(name="quick_keys")
def _quick_keys(
    rsa_keys: Callable[[int], rsa.RSAPrivateKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever makes an RSA key is given one: to make them is slow."""
    monkeypatch.setattr(
        rsa, "generate_private_key", lambda public_exponent, key_size: rsa_keys(key_size)
    )


@pytest.fixture(scope="session", name="boto3_client")
def _boto3_client() -> Callable[..., Any]:
    """boto3.client, which takes a while for each client and is asked for the same ones."""
    make = boto3.client
    clients: dict[tuple[Any, ...], Any] = {}

    def client(service: str, **options: Any) -> Any:
        key = (service, *sorted(options.items(), key=str))
        if key not in clients:
            clients[key] = make(service, **options)
        return clients[key]

    return client


@pytest.fixture(scope="module", name="moto")
def _moto() -> Iterator[None]:
    """moto for all tests of a module: to start it takes longer than most of them."""
    with pytest.MonkeyPatch.context() as patch:
        # No test looks for an image, and moto would make hundreds of them.
        patch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
        with mock_aws():
            yield


@pytest.fixture(name="make_account")
def _make_world(
    moto: None, quick_keys: None, boto3_client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Account]]:
    """Make a account; the arguments say how to read what AWS leaves open (`localaws.services.CloudHsmProvider`)."""
    monkeypatch.setattr(boto3, "client", boto3_client)
    with contextlib.ExitStack() as stack:

        def make(**arguments: Any) -> Account:
            # The rest cannot be mixed up: each account has a VPC and a model of its own.
            for service in ("iam", "secretsmanager", "ssm"):
                get_backend(service).clear()
            clock = Clock()
            account = Account(clock, stack.enter_context(extended_moto(clock, **arguments)))
            stack.enter_context(intercepted(account))
            return account

        yield make


@pytest.fixture(name="account")
def _account(make_account: Callable[..., Account]) -> Account:
    return make_account()


@pytest.fixture(name="cluster")
def _cluster(account: Account) -> str:
    """A cluster on which KMS can create a key store, and the secrets for it."""
    cluster_id = account.restored(ZONES[0], ZONES[1])
    store_secrets(account, cluster_id)
    return cluster_id
