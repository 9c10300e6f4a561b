"""Quotas against what exists (F1.35, F7.608)."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from scripts.preflight.account import Account, error_code
from scripts.preflight.findings import Check, Finding
from scripts.preflight.subject import Subject

CHECK = Check("quotas")
_CLUSTERS, _HSMS = "L-4B16B391", "L-95BA35D1"
# Service Quotas has no code for it that is documented; it is adjustable:
# https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html
_KEY_STORES = 10


def clusters(subject: Subject) -> Iterator[Finding]:
    """One more cluster."""
    yield _compare(subject, _CLUSTERS, "clusters", len(subject.clusters), 1, "")


def hsms(subject: Subject) -> Iterator[Finding]:
    """The HSMs of the new cluster, beside those of all others."""
    existing = sum(
        hsm["State"] != "DELETED" for cluster in subject.clusters for hsm in cluster["Hsms"]
    )
    wanted = subject.cluster_properties
    more = len(wanted.subnets) * wanted.hsms_per_subnet
    yield _compare(
        subject, _HSMS, "HSMs", existing, more, "Lower pHsmsPerSubnet, list fewer pSubnets, or "
    )


def key_stores(subject: Subject) -> Iterator[Finding]:
    """One more key store, external ones included."""
    existing = len(subject.key_stores)
    if existing < _KEY_STORES:
        yield CHECK.ok(f"key stores: {existing} + 1 of {_KEY_STORES}, AWS's default")
        return
    yield CHECK.warning(
        f"key stores: {existing} exist; AWS's default quota is {_KEY_STORES}.",
        "Delete one, or see whether the quota of KMS was raised.",
    )


def _compare(
    subject: Subject, code: str, what: str, existing: int, more: int, advice: str
) -> Finding:
    quota, source = _quota(subject.account, code)
    sum_ = f"{what}: {existing} + {more} of {quota} ({source})"
    if existing + more <= quota:
        return CHECK.ok(sum_)
    request = f"request an increase of quota {code} of CloudHSM."
    return CHECK.error(
        f"{sum_}: too many.", f"{advice}{request}" if advice else request.capitalize()
    )


def _quota(account: Account, code: str) -> tuple[int, str]:
    """The applied quota, or else AWS's default.

    https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html
    """
    request = {"ServiceCode": "cloudhsm", "QuotaCode": code}
    try:
        found = account.ask("service-quotas", "get_service_quota", **request)
        return int(found["Quota"]["Value"]), f"quota {code}"
    except ClientError as error:
        if error_code(error) != "NoSuchResourceException":
            raise
    found = account.ask("service-quotas", "get_aws_default_service_quota", **request)
    return int(found["Quota"]["Value"]), f"default of quota {code}"
