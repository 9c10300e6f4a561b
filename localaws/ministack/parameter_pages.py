"""GetParametersByPath, whose pages may be empty although more follow (F6.96): the first one is.

https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParametersByPath.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from localaws.ministack.access import ministack

_ssm = ministack("services.ssm")


def install() -> None:
    """Begin each list with an empty page."""
    list_page = _ssm._get_parameters_by_path

    def get_parameters_by_path(data: Mapping[str, Any]) -> Any:
        status, headers, body = list_page(data)
        if status != 200 or data.get("NextToken") or not json.loads(body)["Parameters"]:
            return status, headers, body
        page = {"Parameters": [], "NextToken": _ssm._encode_next_token(0)}
        return status, headers, json.dumps(page).encode()

    _ssm._get_parameters_by_path = get_parameters_by_path
