"""The credentials of one start of the local AWS: random, so that they are known to no one else."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field

ACCESS_KEY_PREFIX = "AKIA"


@dataclass(frozen=True)
class Credentials:
    """The access key of the account's root user, and the token of the admin API."""

    access_key_id: str = field(
        # 16 characters, as those of AWS.
        default_factory=lambda: (
            ACCESS_KEY_PREFIX + base64.b32encode(secrets.token_bytes(10)).decode()
        )
    )
    secret_access_key: str = field(default_factory=lambda: secrets.token_urlsafe(30), repr=False)
    admin_token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    # From which the credentials of roles are derived.
    seed: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
