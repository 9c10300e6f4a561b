"""The module cfnresponse that CloudFormation adds to inline code which imports it.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cfn-lambda-function-code-cfnresponsemodule.html
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

SUCCESS = "SUCCESS"
FAILED = "FAILED"


def send(
    event: dict[str, Any],
    context: Any,
    responseStatus: str,  # AWS's names
    responseData: dict[str, Any],
    physicalResourceId: str | None = None,
    noEcho: bool = False,
    reason: str | None = None,
) -> None:
    """Send a response; an error is only logged."""
    log = f"See the details in CloudWatch Log Stream: {context.log_stream_name}"
    body = {
        "Status": responseStatus,
        "Reason": reason or log,
        "PhysicalResourceId": physicalResourceId or context.log_stream_name,
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
        "NoEcho": noEcho,
        "Data": responseData,
    }
    request = urllib.request.Request(
        event["ResponseURL"], json.dumps(body).encode(), {"content-type": ""}, method="PUT"
    )
    try:
        with urllib.request.urlopen(request) as response:  # nosec B310 # as AWS's module
            print("Status code:", response.status)
    except OSError as error:
        print("send(..) failed executing http.request(..):", error)
        if isinstance(error, urllib.error.HTTPError):
            error.close()
