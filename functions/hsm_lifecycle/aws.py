"""The one place where clients of AWS services are made, and where their errors become ours."""

from __future__ import annotations

import functools
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from hsm_lifecycle.errors import RefusedError, TransientError

# What AWS services call "not now". Access denied is among them because IAM is eventually
# consistent: a role is not known everywhere in the first minute after it was made.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html
_TRANSIENT_CODES = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "CloudHsmAccessDeniedException",
        "CloudHsmInternalFailureException",
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
        "UnauthorizedOperation",
    }
)


@functools.cache
def client(service: str, attempts: int = 1) -> Any:
    """A client of `service` that sends each request at most `attempts` times.

    Once by default: Step Functions repeats a step that may be repeated, and a repetition by the
    SDK could make a second cluster or HSM (the CloudHSM API has no idempotency token, F1.6).
    """
    config = Config(
        connect_timeout=5,
        read_timeout=15,
        retries={"mode": "standard", "total_max_attempts": attempts},
    )
    return boto3.client(service, config=config)


def translated(problem: Exception) -> Exception:
    """What an error of boto3 means to the workflow; any other error is returned as it is."""
    if isinstance(problem, ClientError):
        code, status = code_of(problem), problem.response["ResponseMetadata"]["HTTPStatusCode"]
        text = f"{problem.operation_name}: {code}: {problem.response['Error'].get('Message', '')}"
        return TransientError(text) if is_transient(code, status) else RefusedError(text)
    if isinstance(problem, ParamValidationError):
        return RefusedError(
            f"The boto3 of this Lambda runtime is too old for this request: {problem}"
        )
    if isinstance(problem, BotoCoreError):
        return TransientError(f"{type(problem).__name__}: {problem}")
    return problem


def is_transient(code: str, status: int) -> bool:
    """Whether the same request may succeed a little later."""
    return code in _TRANSIENT_CODES or status >= 500 or status == 429


def code_of(problem: ClientError) -> str:
    """The service's name for the error, such as CloudHsmInvalidRequestException."""
    return str(problem.response["Error"].get("Code", ""))
