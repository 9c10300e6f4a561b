"""The environment of the request function, with fakes in place of AWS and of CloudFormation."""

from __future__ import annotations

import socket
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from hsm_lifecycle import aws
from hsm_lifecycle.custom_resource import request, response, response_url, supersede, unhandled
from tests.support.custom_resource import (
    ALIGN,
    CREATE,
    DELETE,
    HANDLE_REQUEST,
    MACHINE,
    RUN,
    STACK_ID,
    UPDATE,
)
from tests.support.executions import Commands, Executions, Functions, Instances, Secrets, Stacks
from tests.support.response_endpoint import Endpoint, leading_to, serve


@pytest.fixture
def responses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    with serve(tmp_path) as (endpoint, certificate):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        # Python 3.12 and later keep the certificates that the first request was made with.
        monkeypatch.setattr("urllib.request._opener", None)
        monkeypatch.setattr(socket, "getaddrinfo", leading_to(endpoint.port))
        yield endpoint


@pytest.fixture
def states() -> Executions:
    return Executions()


@pytest.fixture
def commands() -> Commands:
    return Commands()


@pytest.fixture
def instances() -> Instances:
    return Instances()


@pytest.fixture
def stacks() -> Stacks:
    return Stacks()


@pytest.fixture
def secrets() -> Secrets:
    return Secrets()


@pytest.fixture
def functions() -> Functions:
    return Functions()


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture(autouse=True)
def _lambda_environment(
    monkeypatch: pytest.MonkeyPatch,
    states: Executions,
    commands: Commands,
    instances: Instances,
    stacks: Stacks,
    secrets: Secrets,
    functions: Functions,
    slept: list[float],
) -> None:
    """The environment variables of the template, fakes in place of AWS, and no waiting."""
    variables = {
        "AWS_REGION": "us-east-1",
        "STACK_ID": STACK_ID,
        "URL_SUFFIX": "amazonaws.com",
        "RESPONSE_SECRET": "the key",
        "HANDLE_REQUEST": HANDLE_REQUEST,
        "CREATE": CREATE.removeprefix(MACHINE),
        "UPDATE": UPDATE.removeprefix(MACHINE),
        "DELETE": DELETE.removeprefix(MACHINE),
        "MACHINES": " ".join(
            arn.removeprefix(MACHINE) for arn in (CREATE, UPDATE, DELETE, ALIGN, RUN)
        ),
        "REQUEST_FUNCTION": "hsm-1-request",
        "ATTRIBUTES": "ClusterId State Warnings",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    services = {
        "stepfunctions": states,
        "ssm": commands,
        "ec2": instances,
        "cloudformation": stacks,
        "secretsmanager": secrets,
        "lambda": functions,
    }
    monkeypatch.setattr(aws, "client", lambda service, attempts=1: services[service])
    response.helper.cache_clear()

    def sleep(seconds: float) -> None:
        if seconds:
            slept.append(seconds)
        states.time_passes()

    for module in (request, response_url, supersede, unhandled):
        monkeypatch.setattr(module, "time", types.SimpleNamespace(sleep=sleep))
