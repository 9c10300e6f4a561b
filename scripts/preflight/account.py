"""Reads the account, and says which permission is missing if it may not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

Json = dict[str, Any]
_RETRIES = Config(retries={"mode": "standard", "total_max_attempts": 5})
# Prefixes of IAM actions that differ from boto3's names.
_PREFIXES = {
    "cloudhsmv2": "cloudhsm",
    "service-quotas": "servicequotas",
    "stepfunctions": "states",
}
_DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "CloudHsmAccessDeniedException",
        "UnauthorizedOperation",
    }
)


class UnreadableError(Exception):
    """The caller may not read something; the message is the permission that is missing."""


class Account:
    """The account and Region of the caller's credentials; every request only reads."""

    def __init__(self, session: boto3.Session | None = None) -> None:
        self._session = session or boto3.Session()
        self._clients: dict[str, Any] = {}
        # The IAM actions of all requests so far.
        self.permissions: set[str] = set()

    @property
    def region(self) -> str:
        """The Region of all requests."""
        return str(self._client("ec2").meta.region_name)

    @property
    def partition(self) -> str:
        """The partition of the Region, such as aws."""
        return str(self._session.get_partition_for_region(self.region))

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._session.client(service, config=_RETRIES)
        return self._clients[service]

    def ask(self, service: str, operation: str, **request: Any) -> Json:
        """The response to a request. UnreadableError: access is denied."""
        client = self._client(service)
        with self._naming(client, service, operation):
            response: Json = getattr(client, operation)(**request)
            return response

    def pages(self, service: str, operation: str, key: str, **request: Any) -> Iterator[Json]:
        """All items of a paginated operation. UnreadableError: access is denied."""
        client = self._client(service)
        with self._naming(client, service, operation):
            for page in client.get_paginator(operation).paginate(**request):
                yield from page[key]

    def _naming(self, client: Any, service: str, operation: str) -> _Naming:
        action = client.meta.method_to_api_mapping[operation]
        permission = f"{_PREFIXES.get(service, service)}:{action}"
        self.permissions.add(permission)
        return _Naming(permission)


class _Naming:
    """Turns a denial into the permission that is missing."""

    def __init__(self, permission: str) -> None:
        self._permission = permission

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ClientError) and error_code(error) in _DENIED:
            raise UnreadableError(self._permission) from error


def error_code(error: ClientError) -> str:
    """The service's error code."""
    return str(error.response["Error"].get("Code", ""))
