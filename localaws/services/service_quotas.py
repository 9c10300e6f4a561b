"""Service Quotas of CloudHSM: default values, and applied ones that the account has changed.

"If the applied quota value is not available for a quota, the quota is not retrieved"; for which
quotas it is available is not documented, so here only for those with another value than AWS's:
https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2.settings import Quotas

ACTIONS = ("GetAWSDefaultServiceQuota", "GetServiceQuota")
# The field of Quotas and the name, by code (F1.35).
_CLOUDHSM = {
    "L-4B16B391": ("clusters", "Clusters per AWS Region and AWS account"),
    "L-95BA35D1": ("hsms", "HSMs per AWS Region and AWS account"),
}


class ServiceQuotas:
    """Service Quotas of one account and Region."""

    def __init__(self, arn: str, quotas: Quotas) -> None:
        self._arn, self._quotas = arn, quotas

    def call(self, action: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Perform an action. Raises ApiError."""
        if action not in ACTIONS:
            raise ApiError(
                "NotImplemented", f"The local AWS does not offer servicequotas:{action}.", 501
            )
        service, code = params["ServiceCode"], params["QuotaCode"]
        if service != "cloudhsm" or code not in _CLOUDHSM:
            raise _unknown("The request failed because the specified quota does not exist.")
        field, name = _CLOUDHSM[code]
        default, applied = getattr(Quotas(), field), getattr(self._quotas, field)
        if action == "GetServiceQuota" and applied == default:
            raise _unknown("The applied value of this quota is not available.")
        return {
            "Quota": {
                "ServiceCode": service,
                "ServiceName": "AWS CloudHSM",
                "QuotaArn": f"{self._arn}:{service}/{code}",
                "QuotaCode": code,
                "QuotaName": name,
                "Value": float(default if action == "GetAWSDefaultServiceQuota" else applied),
                "Unit": "None",
                "Adjustable": True,
                "GlobalQuota": False,
            }
        }


def _unknown(message: str) -> ApiError:
    return ApiError("NoSuchResourceException", message)
