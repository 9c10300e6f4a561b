"""Secrets Manager in virtual time, with versions as AWS lists them, and eventually consistent.

Reads show a secret's creation and new versions after a while only (F6.72), if the timing
`secret_readable` is set; writes always find them.
"""

from __future__ import annotations

import contextvars
import copy
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from localaws.core.clock import Clock
from localaws.ministack.access import ministack

if TYPE_CHECKING:
    from localaws.state import EmulatorState

_secrets = ministack("services.secretsmanager")

WRITES = ("_create_secret", "_put_secret_value", "_update_secret", "_update_secret_version_stage")
READS = ("_get_secret_value", "_describe_secret", "_list_secret_version_ids")

_reading: contextvars.ContextVar[bool] = contextvars.ContextVar("reading", default=False)


class _VirtualTime:
    """Stands for the module `time`, of which ministack uses one function here."""

    def __init__(self, clock: Clock) -> None:
        self.time = clock.now


class _Delays:
    """What reads still show of secrets that have just been written."""

    def __init__(self, emulator: EmulatorState) -> None:
        self._emulator = emulator
        # By secret: when a write becomes readable, and the secret before it; None if it was new.
        self._before: dict[str, list[tuple[float, Any]]] = {}

    def written(self, key: str, before: Any) -> None:
        """A write has changed the secret."""
        readable_at = self._emulator.clock.now() + self._emulator.timings.secret_readable
        self._before.setdefault(key, []).append((readable_at, before))

    def seen(self, key: str, secret: Any) -> Any:
        """The secret as reads show it; None if they do not yet."""
        now = self._emulator.clock.now()
        pending = [each for each in self._before.get(key, ()) if each[0] > now]
        self._before[key] = pending
        return pending[0][1] if pending else secret


def install(emulator: EmulatorState) -> None:
    """Date secrets in virtual time, list unlabelled versions only on request, and delay reads.

    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecretVersionIds.html
    """
    _secrets.time = _VirtualTime(emulator.clock)
    _secrets._list_secret_version_ids = _without_unlabelled(_secrets._list_secret_version_ids)
    delays = _Delays(emulator)
    resolve = _secrets._resolve
    _secrets._resolve = _delayed(delays, resolve)
    for name in WRITES:
        setattr(_secrets, name, _remembering(delays, resolve, getattr(_secrets, name)))
    for name in READS:
        setattr(_secrets, name, _as_read(getattr(_secrets, name)))
    _secrets._list_secrets = _listing(delays, _secrets._list_secrets)


def _without_unlabelled(list_all: Callable[..., Any]) -> Callable[..., Any]:
    def list_secret_version_ids(data: Mapping[str, Any]) -> Any:
        status, headers, body = list_all(data)
        if status != 200 or data.get("IncludeDeprecated"):
            return status, headers, body
        response = json.loads(body)
        response["Versions"] = [one for one in response["Versions"] if one["VersionStages"]]
        return status, headers, json.dumps(response).encode()

    return list_secret_version_ids


def _delayed(delays: _Delays, resolve: Callable[..., Any]) -> Callable[..., Any]:
    def resolve_as_read(secret_id: Any, **options: Any) -> Any:
        key, secret = resolve(secret_id, **options)
        if secret is None or not _reading.get():
            return key, secret
        seen = delays.seen(key, secret)
        return (key, seen) if seen else (None, None)

    return resolve_as_read


def _remembering(
    delays: _Delays, resolve: Callable[..., Any], write: Callable[..., Any]
) -> Callable[..., Any]:
    def write_and_remember(data: Mapping[str, Any]) -> Any:
        key, secret = resolve(data.get("SecretId") or data.get("Name"))
        before = copy.deepcopy(secret)
        response = write(data)
        if response[0] == 200:
            delays.written(key or data["Name"], before)
        return response

    return write_and_remember


def _as_read(read: Callable[..., Any]) -> Callable[..., Any]:
    def read_as_shown(data: Mapping[str, Any]) -> Any:
        token = _reading.set(True)
        try:
            return read(data)
        finally:
            _reading.reset(token)

    return read_as_shown


def _listing(delays: _Delays, list_all: Callable[..., Any]) -> Callable[..., Any]:
    def list_secrets(data: Mapping[str, Any]) -> Any:
        status, headers, body = list_all(data)
        if status != 200:
            return status, headers, body
        response = json.loads(body)
        response["SecretList"] = [
            each for each in response["SecretList"] if delays.seen(each["Name"], each)
        ]
        return status, headers, json.dumps(response).encode()

    return list_secrets
