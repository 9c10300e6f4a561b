"""The users of a cluster. Each HSM stores its own copies."""

from __future__ import annotations

import re

from localaws.services.cloudhsmv2.models import Cluster, User

# F3.15. Names are case-insensitive and shown in lower case.
NAME = re.compile(r"[a-zA-Z0-9_]{1,31}")
# F3.15, F3.16: a colon would end the user's name in CLOUDHSM_PIN.
PASSWORD = re.compile(r"[^:]{8,32}")


def copies(cluster: Cluster, name: str, role: str | None = None) -> list[User]:
    """The copies of a user on the ACTIVE HSMs."""
    return [
        user
        for hsm in cluster.active_hsms()
        if (user := hsm.users.get(name)) and role in (None, user.role)
    ]


def is_everywhere(cluster: Cluster, name: str, role: str) -> bool:
    """Whether every ACTIVE HSM has the user: cluster-coverage full (F3.18)."""
    return len(copies(cluster, name, role)) == len(cluster.active_hsms())


def is_locked(cluster: Cluster, name: str) -> bool:
    """Whether any HSM has locked the user."""
    return any(user.locked for user in copies(cluster, name))


def accepts(cluster: Cluster, name: str, password: str) -> bool:
    """Log the user in on every HSM that has it; an HSM that rejects it counts that (F3.16)."""
    found = copies(cluster, name)
    if not found or is_locked(cluster, name):
        return False
    rejecting = [user for user in found if user.password != password]
    for user in rejecting:
        user.failed_logins += 1
    if not rejecting:
        for user in found:
            user.failed_logins = 0
    return not rejecting


def set_password(cluster: Cluster, name: str, password: str) -> None:
    """Change the password of all copies, which also unlocks the user (F3.16)."""
    for user in copies(cluster, name):
        user.password, user.failed_logins = password, 0


def names(cluster: Cluster) -> list[str]:
    """The names of users that at least one HSM has."""
    return list(dict.fromkeys(name for hsm in cluster.active_hsms() for name in hsm.users))


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
