"""Clients of the operator's account, and the stacks in it, also deleted ones."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

Json = dict[str, Any]

_RETRIES = Config(retries={"mode": "standard", "total_max_attempts": 5})


def stack_of(function: Json) -> str:
    """The stack whose function has this configuration; empty if it is none of our templates."""
    owner = str(function.get("Environment", {}).get("Variables", {}).get("STACK_ID", ""))
    return owner.split("/")[1] if "/" in owner else ""


class OperatorError(Exception):
    """What the operator asked for cannot be done; the message says why and what to do."""


class Account:
    """The account and Region of the operator's credentials."""

    def __init__(self, session: boto3.Session | None = None) -> None:
        self._session = session or boto3.Session()
        # AWS's time: that of this machine may differ.
        self.now = datetime.fromtimestamp(0, UTC)
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """The client of this service, which also tells AWS's time."""
        if service not in self._clients:
            client = self._clients[service] = self._session.client(service, config=_RETRIES)
            client.meta.events.register("after-call", self._note_time)
        return self._clients[service]

    def _note_time(self, http_response: Any, **_: Any) -> None:
        if date := http_response.headers.get("Date"):
            self.saw(parsedate_to_datetime(date))

    def saw(self, at: datetime) -> None:
        """AWS named this time, so it is not earlier now."""
        self.now = max(self.now, at)

    @property
    def region(self) -> str:
        """The Region of all requests."""
        return str(self.client("cloudformation").meta.region_name)

    def pages(self, service: str, operation: str, key: str, **request: Any) -> Iterator[Json]:
        """All items of a paginated operation."""
        for page in self.client(service).get_paginator(operation).paginate(**request):
            yield from page[key]

    def find_stack(self, name: str) -> Json | None:
        """The stack of this name or ID, or else the latest deleted one of this name (F7.302)."""
        return self._describe(name) or self._latest_deleted(name)

    def stack(self, name: str) -> Json:
        """The stack of this name or ID. OperatorError: there is none."""
        found = self.find_stack(name)
        if found is None:
            raise OperatorError(
                f"There is no stack {name} in Region {self.region} of this account, and none was"
                " deleted in the last 90 days. Check STACK=, AWS_PROFILE and AWS_REGION."
            )
        return found

    def _describe(self, name: str) -> Json | None:
        try:
            stacks = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if "does not exist" not in str(error):
                raise
            return None
        return dict(stacks[0])

    def _latest_deleted(self, name: str) -> Json | None:
        deleted = [
            stack
            for stack in self.pages(
                "cloudformation",
                "list_stacks",
                "StackSummaries",
                StackStatusFilter=["DELETE_COMPLETE"],
            )
            if stack["StackName"] == name
        ]
        if not deleted:
            return None
        latest = max(deleted, key=_deleted_at)
        return self._describe(latest["StackId"])


def _deleted_at(stack: Json) -> datetime:
    at: datetime = stack.get("DeletionTime") or stack["CreationTime"]
    return at
