from __future__ import annotations

import pytest

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2.settings import Quotas
from localaws.services.service_quotas import ServiceQuotas

HSMS = {"ServiceCode": "cloudhsm", "QuotaCode": "L-95BA35D1"}


def _value(quotas: Quotas, action: str) -> float:
    found = ServiceQuotas("arn", quotas).call(action, HSMS)
    return float(found["Quota"]["Value"])


def test_a_raised_quota_has_an_applied_value_and_a_default() -> None:
    raised = Quotas(hsms=20)
    assert _value(raised, "GetServiceQuota") == 20
    assert _value(raised, "GetAWSDefaultServiceQuota") == 6


@pytest.mark.parametrize(
    ("action", "more", "code"),
    [
        ("GetServiceQuota", {}, "NoSuchResourceException"),
        ("GetAWSDefaultServiceQuota", {"QuotaCode": "L-00000000"}, "NoSuchResourceException"),
        ("GetAWSDefaultServiceQuota", {"ServiceCode": "kms"}, "NoSuchResourceException"),
        ("ListServiceQuotas", {}, "NotImplemented"),
    ],
)
def test_what_is_not_there_is_refused(action: str, more: dict[str, str], code: str) -> None:
    with pytest.raises(ApiError) as error:
        ServiceQuotas("arn", Quotas()).call(action, {**HSMS, **more})
    assert error.value.code == code
