"""The users of a cluster: each HSM has its own, and the cluster's are seen from all of them."""

from __future__ import annotations

import re

from localaws.services.cloudhsmv2.models import Cluster, User

# F3.15. Names are shown in lower case and compared without regard to it.
NAME = re.compile(r"[a-zA-Z0-9_]{1,31}")
# F3.15, F3.16: a colon would end the user's name in CLOUDHSM_PIN.
PASSWORD = re.compile(r"[^:]{8,32}")


def copies(cluster: Cluster, name: str, role: str | None = None) -> list[User]:
    """The user as the ACTIVE HSMs know it: those that do."""
    return [
        user
        for hsm in cluster.working()
        if (user := hsm.users.get(name)) and role in (None, user.role)
    ]


def is_everywhere(cluster: Cluster, name: str, role: str) -> bool:
    """Whether every ACTIVE HSM knows the user: cluster-coverage full (F3.18)."""
    return len(copies(cluster, name, role)) == len(cluster.working())


def is_locked(cluster: Cluster, name: str) -> bool:
    """Whether an HSM has locked the user out."""
    return any(user.locked for user in copies(cluster, name))


def accepts(cluster: Cluster, name: str, password: str) -> bool:
    """Try to log the user in on every HSM that knows it; those that refuse count it (F3.16)."""
    found = copies(cluster, name)
    if not found or is_locked(cluster, name):
        return False
    refusing = [user for user in found if user.password != password]
    for user in refusing:
        user.refusals += 1
    if not refusing:
        for user in found:
            user.refusals = 0
    return not refusing


def set_password(cluster: Cluster, name: str, password: str) -> None:
    """Give the user another password wherever it is known; that unlocks it, too (F3.16)."""
    for user in copies(cluster, name):
        user.password, user.refusals = password, 0


def names(cluster: Cluster) -> list[str]:
    """Everyone whom at least one HSM knows."""
    return list(dict.fromkeys(name for hsm in cluster.working() for name in hsm.users))


def listing(cluster: Cluster) -> list[dict[str, object]]:
    """The users as `cloudhsm-cli user list` prints them (F3.13)."""
    return [
        {
            "username": name,
            "role": (role := copies(cluster, name)[0].role),
            "locked": "true" if is_locked(cluster, name) else "false",
            "mfa": [],
            "quorum": [],
            "cluster-coverage": "full" if is_everywhere(cluster, name, role) else "inconsistent",
        }
        for name in names(cluster)
    ]
