"""How a modelled service refuses a request."""

from __future__ import annotations


class ApiError(Exception):
    """A refusal as AWS answers it: an error code, a message, an HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
