"""Clusters, HSMs, users, backups and key stores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives.asymmetric import rsa

from localaws.services.cloudhsmv2.scheduler import Task

# F3.16: consecutive failed logins that lock a user out.
MAX_FAILED_LOGINS = 5
TRANSIENT = "_IN_PROGRESS"


@dataclass
class User:
    """A user as one HSM knows it: HSMs do not share users (F3.18)."""

    name: str
    role: str
    password: str | None = None
    failed_logins: int = 0

    @property
    def locked(self) -> bool:
        """Whether the HSM rejects the user even with the right password (F3.16)."""
        return self.failed_logins >= MAX_FAILED_LOGINS


Users = dict[str, User]


def factory_users() -> Users:
    """The users of an HSM before its cluster is activated (F3.13)."""
    return {
        "admin": User("admin", "unactivated-admin"),
        "app_user": User("app_user", "internal(APPLIANCE_USER)"),
    }


def copy_users(users: Mapping[str, User]) -> Users:
    """A copy of the users, for another HSM or a backup."""
    return {name: replace(user) for name, user in users.items()}


@dataclass
class Hsm:
    """An HSM. AWS may replace it: the new one has another id, the same address (F1.27)."""

    id: str
    zone: str
    subnet_id: str
    eni_id: str
    ip: str
    type: str
    state: str = "CREATE_IN_PROGRESS"
    message: str = "HSM creation in progress."
    users: Users = field(default_factory=dict)

    @property
    def in_progress(self) -> bool:
        """Whether it is being created or deleted."""
        return self.state.endswith(TRANSIENT)


@dataclass(frozen=True)
class Identity:
    """A cluster's key and certificates; shared by related clusters (F1.24, F4.10)."""

    key: rsa.RSAPrivateKey
    certificates: Mapping[str, str]
    trust_anchor: str = ""


@dataclass
class Cluster:
    """A cluster."""

    id: str
    hsm_type: str
    mode: str
    network_type: str
    vpc_id: str
    security_group: str
    subnets: dict[str, str]
    created: float
    retention_days: int
    tags: dict[str, str]
    source_backup: Backup | None = None
    state: str = "CREATE_IN_PROGRESS"
    message: str = "Cluster creation in progress."
    identity: Identity | None = None
    hsms: dict[str, Hsm] = field(default_factory=dict)
    # Users logged in from other clients, such as KMS as kmsuser (F4.18).
    sessions: set[str] = field(default_factory=set)
    # Until then, HSMs that are no longer listed block DeleteCluster (F1.29).
    deleted_hsms_count_until: float = 0
    rollback_until: float | None = None
    before_type_change: Backup | None = None

    @property
    def in_progress(self) -> bool:
        """Whether AWS is changing the cluster."""
        return self.state.endswith(TRANSIENT)

    @property
    def activated(self) -> bool:
        """Whether it has ever been ACTIVE."""
        return self.state in ("ACTIVE", "DEGRADED", "MODIFY_IN_PROGRESS", "ROLLBACK_IN_PROGRESS")

    def existing_hsms(self) -> list[Hsm]:
        """The HSMs that are not DELETED."""
        return [hsm for hsm in self.hsms.values() if hsm.state != "DELETED"]

    def active_hsms(self) -> list[Hsm]:
        """The HSMs that are ACTIVE, oldest first."""
        return [hsm for hsm in self.hsms.values() if hsm.state == "ACTIVE"]


@dataclass
class Backup:
    """A backup of an HSM."""

    id: str
    arn: str
    cluster_id: str
    created: float
    retention_days: int
    hsm_type: str
    mode: str
    identity: Identity
    users: Users
    state: str = "CREATE_IN_PROGRESS"
    expiry: Task | None = None
    deletion: Task | None = None
    tags: dict[str, str] = field(default_factory=dict)
    shared: bool = False


@dataclass
class KeyStore:
    """A KMS CloudHSM key store."""

    id: str
    name: str
    cluster_id: str
    trust_anchor: str
    # Of the cluster at creation: related clusters have the same (F4.7).
    cluster_certificate: str
    created: float
    password: str
    state: str = "DISCONNECTED"
    error_code: str | None = None
    security_group: str | None = None
    enis: list[str] = field(default_factory=list)
    connecting: Task | None = None
    # The state of each key by id: "Enabled", "Disabled" or "PendingDeletion".
    keys: dict[str, str] = field(default_factory=dict)
