"""The errors of the CloudHSM API (F1.5) and of the KMS operations on key stores (F4.1)."""

from __future__ import annotations

from localaws.core.api_error import ApiError


def invalid(message: str) -> ApiError:
    """CloudHSM: the request is invalid."""
    return ApiError("CloudHsmInvalidRequestException", message)


def not_found(message: str) -> ApiError:
    """CloudHSM: the resource does not exist."""
    return ApiError("CloudHsmResourceNotFoundException", message)


def bad_tags(message: str) -> ApiError:
    """CloudHSM: the tags are invalid."""
    return ApiError("CloudHsmTagException", message)


def validation(message: str) -> ApiError:
    """KMS: a parameter is invalid."""
    return ApiError("ValidationException", message)
