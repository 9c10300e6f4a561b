"""Secrets Manager in virtual time, with versions as AWS lists them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from localaws.core.clock import Clock
from localaws.ministack.access import ministack

_secrets = ministack("services.secretsmanager")


class _VirtualTime:
    """Stands for the module `time`, of which ministack uses one function here."""

    def __init__(self, clock: Clock) -> None:
        self.time = clock.now


def install(clock: Clock) -> None:
    """Date secrets in virtual time, and list versions without a label only on request.

    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecretVersionIds.html
    """
    _secrets.time = _VirtualTime(clock)
    list_all = _secrets._list_secret_version_ids

    def list_secret_version_ids(data: Mapping[str, Any]) -> Any:
        status, headers, body = list_all(data)
        if status != 200 or data.get("IncludeDeprecated"):
            return status, headers, body
        response = json.loads(body)
        response["Versions"] = [one for one in response["Versions"] if one["VersionStages"]]
        return status, headers, json.dumps(response).encode()

    _secrets._list_secret_version_ids = list_secret_version_ids
