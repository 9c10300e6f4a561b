"""The refusals of the CloudHSM API (F1.5) and of the KMS operations on key stores (F4.1)."""

from __future__ import annotations

from localaws.core.api_error import ApiError


def invalid(message: str) -> ApiError:
    """CloudHSM: the request cannot be carried out as it is."""
    return ApiError("CloudHsmInvalidRequestException", message)


def not_found(message: str) -> ApiError:
    """CloudHSM: no such resource."""
    return ApiError("CloudHsmResourceNotFoundException", message)


def bad_tags(message: str) -> ApiError:
    """CloudHSM: the tags cannot be applied."""
    return ApiError("CloudHsmTagException", message)


def validation(message: str) -> ApiError:
    """KMS: a parameter is not what the API allows."""
    return ApiError("ValidationException", message)
