"""Imports ministack, which reads its settings from the environment as it is imported."""

from __future__ import annotations

import functools
import importlib
import os

from localaws.ministack import offered, partitions
from localaws.ministack.access import ministack

ACCOUNT = "123456789012"
HOST = "127.0.0.1"
SETTINGS = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "BIND_HOST": HOST,
    "IOT_MTLS_ENABLED": "0",
    "LAMBDA_EXECUTOR": "local",
    "MINISTACK_ACCOUNT_ID": ACCOUNT,
    "MINISTACK_HOST": "localhost",
    "NO_PROXY": "localhost,127.0.0.1",
    "SFN_WAIT_SCALE": "1",
    "SFTP_ENABLED": "0",
    # No state survives the process.
    "STATE_DIR": os.devnull,
}
# What requests would import; moto and cfn-lint take a second.
MODULES = (
    "cfnlint.jsonschema",
    "cfnlint.rules.resources.events.RuleScheduleExpression",
    "cfnlint.schema.manager",
    "hypercorn.asyncio",
    "ministack.app",
    "ministack.services.cloudformation",
    "moto.core.model",
    "moto.core.parse",
)

_actions = ministack("core.iam_actions")
_responses = ministack("core.responses")


def load(region: str) -> None:
    """Import ministack for a Region, with all that it loads at the first requests."""
    os.environ.update(SETTINGS, MINISTACK_REGION=region)
    os.environ.setdefault("LOG_LEVEL", "CRITICAL")
    _import(region)


@functools.cache
def _import(region: str) -> None:
    partitions.install(region)
    for module in MODULES:
        importlib.import_module(module)
    # Those of the added services are known once services.py has added them.
    for service in sorted(offered.SERVICES - {"cloudhsm", "servicequotas"}):
        _responses._service_model(service)
        _actions._tag_operations(service)
