"""An AWS account in moto for the steps; slow objects are shared between tests."""

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

from tests.support.account import STACK_ID, ZONES, Account, Clock, intercepted
from tests.support.key_store_setup import CLAIM, store_secrets
from tests.support.moto_extension import extended_moto


@pytest.fixture(scope="session", name="rsa_keys")
def _rsa_keys() -> Callable[[int], rsa.RSAPrivateKey]:
    """Returns one of a few RSA keys of a size; two calls in a row return different ones."""
    generate = rsa.generate_private_key

    @functools.cache
    def few(bits: int) -> Iterator[rsa.RSAPrivateKey]:
        return itertools.cycle([generate(65537, bits) for _ in range(6 if bits == 2048 else 1)])

    return lambda bits: next(few(bits))


@pytest.fixture(name="quick_keys")
def _quick_keys(
    rsa_keys: Callable[[int], rsa.RSAPrivateKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replace the slow generation of RSA keys."""
    monkeypatch.setattr(
        rsa, "generate_private_key", lambda public_exponent, key_size: rsa_keys(key_size)
    )


@pytest.fixture(scope="session", name="boto3_client")
def _boto3_client() -> Callable[..., Any]:
    """boto3.client with a cache."""
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
    """moto, started once per module because that takes longer than most tests."""
    with pytest.MonkeyPatch.context() as patch:
        # No test needs images, and moto would create hundreds.
        patch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
        with mock_aws():
            yield


@pytest.fixture(name="make_account")
def _make_account(
    moto: None, quick_keys: None, boto3_client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Account]]:
    """Make an account; the arguments are those of the emulator's CloudHsmProvider."""
    monkeypatch.setattr(boto3, "client", boto3_client)
    monkeypatch.setenv("STACK_ID", STACK_ID)
    monkeypatch.setenv("CLAIM", CLAIM)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "cloudhsm-1-client")
    with contextlib.ExitStack() as stack:

        def make(**arguments: Any) -> Account:
            # The rest is separate anyway: each account has its own VPC and CloudHSM model.
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
