"""The formats of identifiers (F1.11)."""

from __future__ import annotations

import random
import re
import string

_TAIL = string.ascii_lowercase + "234567"

CLUSTER = re.compile(r"cluster-[2-7a-zA-Z]{11,16}")
BACKUP = re.compile(r"backup-[2-7a-zA-Z]{11,16}")
RESOURCE = re.compile(r"(?:cluster|backup)-[2-7a-zA-Z]{11,16}")
ZONE = re.compile(r"[a-z]{2}(-(gov))?-(east|west|north|south|central){1,2}-\d[a-z]")
IP_ADDRESS = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}")


def new_id(kind: str) -> str:
    """A new id of a "cluster", an "hsm" or a "backup"."""
    return f"{kind}-" + "".join(random.choices(_TAIL, k=11))  # nosec B311 # an identifier


def new_key_store_id() -> str:
    """A new id of a custom key store."""
    return "cks-" + "".join(random.choices("0123456789abcdef", k=17))  # nosec B311 # an identifier
