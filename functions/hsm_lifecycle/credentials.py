"""The admin's user name and password in a secret. Pure: no AWS calls."""

from __future__ import annotations

import json

# https://docs.aws.amazon.com/cloudhsm/latest/userguide/limits.html, and F3.15: CLOUDHSM_PIN is
# split at the first colon.
_PASSWORD_LENGTHS = range(8, 33)
EXPECTED = '{"username": "admin", "password": "..."}'


def problem(text: str) -> str | None:
    """What is wrong with a secret's text; None if an admin could log in with it.

    The message contains nothing of the text.
    """
    try:
        login = json.loads(text)
    except ValueError:
        return "is not JSON"
    if not isinstance(login, dict):
        return "is not a JSON object"
    for key in ("username", "password"):
        if not isinstance(login.get(key), str) or not login[key]:
            return f"has no {key}"
        if ":" in login[key]:
            return f"has a {key} with a colon, which cannot be used to log in"
    if len(login["password"]) not in _PASSWORD_LENGTHS:
        return "has a password that is not of 8 to 32 characters"
    return None
