"""The service-linked roles that AWS assumes (F4.26, F4.27)."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from scripts.preflight.account import error_code
from scripts.preflight.findings import Check, Finding
from scripts.preflight.subject import Subject

CHECK = Check("service roles")
_CLOUDHSM = "AWSServiceRoleForCloudHSM"
_KMS = "AWSServiceRoleForKeyManagementServiceCustomKeyStores"


def service_linked_role(subject: Subject) -> Iterator[Finding]:
    """Whether the role exists; a worker of the stack may create it (F7.603)."""
    name = _CLOUDHSM if subject.creates_cluster else _KMS
    try:
        subject.account.ask("iam", "get_role", RoleName=name)
    except ClientError as error:
        if error_code(error) != "NoSuchEntity":
            raise
        yield CHECK.warning(
            f"{name} does not exist; the stack creates it.",
            "If an SCP denies iam:CreateServiceLinkedRole, ask an admin to create it first.",
        )
        return
    yield CHECK.ok(f"{name} exists")
