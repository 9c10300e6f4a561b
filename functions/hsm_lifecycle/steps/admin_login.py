"""Steps: remember failed logins of the cluster's admin, in a tag of its secret.

Five failed logins lock the admin (F3.16). The tag has the version of the secret, how many logins
failed with earlier versions, and the executions that used this one without success. It outlives
clients and stacks, and every stack that uses the secret sees it. It never has any part of the
password.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import aws, secret_store
from hsm_lifecycle.custom_resource import failure_reason
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import ParameterError

_PARAMETER = "pCloudHsmAdminPasswordSecretName"
_REFUSED = "refused"
_MAX_FAILURES = 4  # of all versions
# In an execution: CreateKmsUser repeats once what may be a refused login.
_LOGINS = 2
# run-on-client's errors after which the HSMs have refused no login.
_WITHOUT_LOGIN = ("AgentNotOnline", "ClientStopped", "ClientTerminated", "CommandFailed")


@dataclass(frozen=True)
class _Record:
    """The failed logins since the last successful one."""

    version: str
    earlier: int  # with other versions
    logins: tuple[str, ...]  # of executions with this version, or that it was refused

    @classmethod
    def parse(cls, text: str) -> _Record:
        """The record in a tag's value: version, number of earlier logins, logins."""
        version, earlier, *logins = text.split() or ["", "0"]
        return cls(version, int(earlier), tuple(logins))

    def __str__(self) -> str:
        return " ".join([self.version, str(self.earlier), *self.logins])

    def of(self, version: str) -> _Record:
        """The record as it is for this version."""
        if version == self.version:
            return self
        return _Record(version, self.earlier + len(self.logins), ())


def check_login(event: Event) -> dict[str, Any]:
    """Record the logins of an execution before they happen: they count if the outcome is lost.

    ParameterError: the secret's current version must not be used again, or no version.
    """
    version, recorded = _describe(event)
    record, login = recorded.of(version), _login(event)
    if record.logins == (_REFUSED,):
        raise ParameterError(
            f"{_PARAMETER}: the HSMs refused this version before. Store the correct password as a"
            f" new version of {_name(event)}."
        )
    if login not in record.logins:
        failed = record.earlier + len(record.logins)
        if failed + _LOGINS > _MAX_FAILURES:
            raise ParameterError(
                f"{_PARAMETER}: {failed} logins failed or are unrecorded; five lock the admin."
                f" Log in by hand, then remove the secret's tag {_tag(event)}."
            )
        _write(event, replace(record, logins=(*record.logins, *[login] * _LOGINS)))
    return {"VersionId": version}


def record_login(event: Event) -> dict[str, Any]:
    """Record the outcome: forget a login that did not take place, and all after a successful one.

    A successful login resets the HSMs' counters (F3.31).
    """
    version, outcome = event["VersionId"], event["Outcome"]
    if "Error" not in outcome:
        _untag(event)
        return {}
    error, login = failure_reason.error_of(outcome), _login(event)
    record = _describe(event)[1].of(version)
    others = tuple(each for each in record.logins if each != login)
    if error == "LoginRefused" and _REFUSED not in record.logins:
        _write(event, _Record(version, record.earlier + len(others), (_REFUSED,)))
    elif error in _WITHOUT_LOGIN and login in record.logins:
        _write(event, replace(record, logins=others))
    return {}


def require_secret(event: Event) -> None:
    """ParameterError: the secret does not exist or has no current value."""
    _describe(event)


def _name(event: Event) -> str:
    return str(event["CloudHsmAdminPasswordSecretName"])


def _tag(event: Event) -> str:
    """Clusters have different admins, even if one secret is used for several."""
    return f"hsm-lifecycle:admin-logins:{event['ClusterId']}"


def _login(event: Event) -> str:
    """Identifies this execution's login, so that a repeated step counts it once."""
    return hashlib.sha256(event["ExecutionId"].encode()).hexdigest()[:12]


def _describe(event: Event) -> tuple[str, _Record]:
    """The secret's current version, and the record in its tag."""
    try:
        secret = aws.client("secretsmanager").describe_secret(SecretId=_name(event))
    except ClientError as error:
        if aws.error_code(error) != "ResourceNotFoundException":
            raise
        secret = {}
    stages = secret.get("VersionIdsToStages") or {}
    current = next((id_ for id_, labels in stages.items() if "AWSCURRENT" in labels), None)
    if "DeletedDate" in secret:
        raise ParameterError(f"{_PARAMETER}: the secret {_name(event)} {secret_store.SCHEDULED}.")
    if current is None:
        raise ParameterError(
            f"{_PARAMETER}: the secret {_name(event)} does not exist. Name the one with the admin's"
            " user name and password."
        )
    tags = {tag["Key"]: tag["Value"] for tag in secret.get("Tags") or []}
    return current, _Record.parse(tags.get(_tag(event), ""))


def _write(event: Event, record: _Record) -> None:
    if not record.earlier and not record.logins:
        _untag(event)
        return
    aws.client("secretsmanager").tag_resource(
        SecretId=_name(event), Tags=[{"Key": _tag(event), "Value": str(record)}]
    )


def _untag(event: Event) -> None:
    aws.client("secretsmanager").untag_resource(SecretId=_name(event), TagKeys=[_tag(event)])
