"""AWS clients, and what their errors mean to a workflow."""

from __future__ import annotations

import functools
import os
import re
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.session import Session

from hsm_lifecycle.errors import RefusedError, TransientError

ATTEMPTS = 5  # of requests that are safe to repeat
# Access denied is transient because IAM is eventually consistent: a new role does not work
# everywhere in its first minute. https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html
_DENIED_CODES = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "CloudHsmAccessDeniedException",
        "UnauthorizedOperation",
    }
)
_TRANSIENT_CODES = _DENIED_CODES | frozenset(
    {
        "CloudHsmInternalFailureException",
        "CloudHsmServiceException",  # "an error occurred": a 400 without details (F1.5)
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServiceError",
        "KMSInternalException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
# The operations that pCloudHsmIamScope=TAG allows by tag, which AWS may not support (F5.3).
SCOPED_OPERATIONS = frozenset(
    {
        "CreateCluster",
        "CreateHsm",
        "InitializeCluster",
        "ModifyCluster",
        "TagResource",
        "UntagResource",
    }
)


def this_stack() -> str:
    """The ID of the stack that this function belongs to, whatever an event says."""
    return os.environ["STACK_ID"]


@functools.cache
def client(service: str, attempts: int = 1) -> Any:
    """A client of `service` that sends each request at most `attempts` times.

    The default is one: Step Functions retries the steps, and a retry by the SDK could create a
    second cluster or HSM (the CloudHSM API has no idempotency token, F1.6).
    """
    config = Config(
        connect_timeout=5,
        read_timeout=15,
        retries={"mode": "standard", "total_max_attempts": attempts},
    )
    return _session().create_client(service, config=config)


@functools.cache
def _session() -> Session:
    """What boto3 is made of; boto3 itself would add its resources and S3 transfers to imports."""
    return Session()


def to_workflow_error(error: Exception) -> Exception:
    """The TransientError or RefusedError for an error of boto3; other errors unchanged."""
    if isinstance(error, ClientError):
        code, status = error_code(error), error.response["ResponseMetadata"]["HTTPStatusCode"]
        message = f"{error.operation_name}: {code}: {error.response['Error'].get('Message', '')}"
        if _is_denied_by_scope(error):
            message += ". If no SCP denies it, set pCloudHsmIamScope=ANY (docs/operations.md)."
        return TransientError(message) if is_transient(code, status) else RefusedError(message)
    if isinstance(error, ParamValidationError):
        return RefusedError(f"boto3 of this Lambda runtime is too old for this request: {error}")
    if isinstance(error, BotoCoreError):
        return TransientError(f"{type(error).__name__}: {error}")
    return error


def _is_denied_by_scope(error: ClientError) -> bool:
    """Whether a wider pCloudHsmIamScope may help: the denial is not of a dependent action."""
    denied = re.search(r"not authorized to perform: ([a-z0-9-]+):", error_message(error))
    return (
        os.environ.get("CLOUDHSM_IAM_SCOPE") == "TAG"
        and error.operation_name in SCOPED_OPERATIONS
        and error_code(error) in _DENIED_CODES
        and (denied is None or denied[1] == "cloudhsm")
    )


def parameter_error(parameter: str, error: ClientError) -> Exception:
    """The workflow error for an error of boto3, naming the stack parameter that caused it."""
    workflow_error = to_workflow_error(error)
    return type(workflow_error)(f"{parameter}: {workflow_error}")


def is_transient(code: str, status: int) -> bool:
    """Whether a retry of the same request may succeed."""
    return code in _TRANSIENT_CODES or status >= 500 or status == 429


def error_code(error: ClientError) -> str:
    """The service's error code, such as CloudHsmInvalidRequestException."""
    return str(error.response["Error"].get("Code", ""))


def error_message(error: ClientError) -> str:
    """The service's error message."""
    return str(error.response["Error"].get("Message", ""))
