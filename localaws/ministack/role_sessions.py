"""Sessions of roles that a service assumes, and who the caller of the current request is."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from localaws.ministack import iam
from localaws.ministack.access import ministack
from localaws.ministack.partitions import partition

_evaluator = ministack("core.iam_evaluator")
_responses = ministack("core.responses")
_sts = ministack("services.sts")


@contextmanager
def acting_as(role: str, session: str, requested: str) -> Iterator[None]:
    """Make the calls inside the block as a session of a role (its ARN)."""
    account, name = _responses.get_account_id(), role.rpartition("/")[2]
    access_key = f"ASIA{secrets.token_hex(8).upper()}"
    _sts.register_session(
        access_key,
        {
            "Arn": f"arn:{partition()}:sts::{account}:assumed-role/{name}/{session}",
            "UserId": f"{name}:{session}",
            "SecretAccessKey": secrets.token_hex(20),
            "SessionToken": secrets.token_hex(20),
        },
    )
    caller, request = iam._caller.set(access_key), iam._requested.set(requested)
    try:
        yield
    finally:
        iam._requested.reset(request)
        iam._caller.reset(caller)


def called_by_role() -> bool:
    """Whether the current request is made with a role's session."""
    return ":assumed-role/" in _caller_arn()


def principal() -> str:
    """The ARN of the role, user or root user that makes the current request."""
    arn = _caller_arn()
    if ":assumed-role/" not in arn:
        return arn
    account, name = arn.split(":")[4], arn.split("/")[1]
    return f"arn:{partition()}:iam::{account}:role/{name}"


def _caller_arn() -> str:
    access_key = iam._caller.get()
    if not access_key:
        return ""
    found = _evaluator.resolve_credential(access_key, _responses.get_account_id())
    return str(getattr(found, "principal_arn", ""))
