"""The errors of AWS APIs."""

from __future__ import annotations


class ApiError(Exception):
    """An error response of an AWS API: error code, message, HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
