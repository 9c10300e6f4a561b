"""The HSMs' end of cloudhsm-cli: what a client in the VPC does on TCP 2223-2225.

Every operation takes `ip` (an HSM's address), `ca` (the text of the client's customerCA.crt) and
`instance_id` (the client), and returns the JSON that cloudhsm-cli prints, `{"error_code": 0,
"data": ...}`; an ApiError's message is the `data` of `{"error_code": 1, ...}`.

    activate              password
    user-list             no login needed (F3.12), but see F3.23
    hsm-info              no login needed, but see F3.23
    user-create           login, new_username, new_password, role
    user-change-password  login, new_username, new_password, role
    user-delete           login, new_username, role
    quorum-token-list     login (F3.30)
    login                 login, of interactive mode; each of its commands logs in again

where login is `login_role` ("admin" or "crypto-user": CLOUDHSM_ROLE), `username` and `password`
(the two halves of CLOUDHSM_PIN).
"""

from __future__ import annotations

import re
import zlib

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2 import certificates, users
from localaws.services.cloudhsmv2.backups import Backups
from localaws.services.cloudhsmv2.models import Cluster, Hsm, User
from localaws.services.cloudhsmv2.parameters import Params, Response
from localaws.services.cloudhsmv2.store import Store

ROLES = ("admin", "crypto-user")
NEED_NO_LOGIN = ("activate", "user-list", "hsm-info")


class DataPlane:
    """The operations of cloudhsm-cli."""

    def __init__(self, store: Store, backups: Backups) -> None:
        self._store = store
        self._backups = backups
        self._operations = {
            "activate": self._activate,
            "user-list": self._user_list,
            "hsm-info": self._hsm_info,
            "user-create": self._user_create,
            "user-change-password": self._user_change_password,
            "user-delete": self._user_delete,
            "quorum-token-list": self._quorum_token_list,
            "login": self._login,
        }

    def run(self, operation: str, params: Params) -> Response:
        """Connect to the cluster and run one command of cloudhsm-cli."""
        if operation not in self._operations:
            raise _rejected(f"Unknown command {operation}")
        cluster = self._connect(params)
        if (
            operation in NEED_NO_LOGIN
            and "login_role" in params
            and self._store.assumptions.every_command_logs_in
        ):
            self._log_in(cluster, params, ROLES)
        return {"error_code": 0, "data": self._operations[operation](cluster, params)}

    def _connect(self, params: Params) -> Cluster:
        """Reach an ACTIVE HSM (F3.21) and trust the cluster's certificate (F2.8, F2.12)."""
        store, address = self._store, params.get("ip")
        client = str(params.get("instance_id"))
        cluster = next(
            (
                cluster
                for cluster in store.clusters.values()
                for hsm in cluster.active_hsms()
                if hsm.ip == address
                and store.ec2.client_may_reach(client, cluster.security_group, hsm.eni_id)
            ),
            None,
        )
        if cluster is None:
            raise ApiError("Unreachable", f"Connection to {address}:2223 timed out.")
        certificate = cluster.identity and cluster.identity.certificates.get("ClusterCertificate")
        if not certificate:
            raise ApiError("TlsError", "The cluster is not initialized.")
        if not certificates.trusts(str(params.get("ca")), certificate, store.scheduler.now()):
            raise ApiError(
                "TlsError", "certificate verify failed: the CA certificate is not the cluster's."
            )
        return cluster

    def _activate(self, cluster: Cluster, params: Params) -> object:
        """`cluster activate`: makes the unactivated admin the admin, once (F3.11).

        The cluster has exactly one HSM then: before activation, CreateHsm allows no second one.
        """
        password = _password(params, "password")
        if cluster.state != "INITIALIZED" or users.copies(cluster, "admin", "admin"):
            raise _rejected("The cluster is already activated.")
        for admin in users.copies(cluster, "admin"):
            admin.role, admin.password = "admin", password
        self._store.record(cluster.id, "activate")
        self._store.scheduler.schedule(
            self._store.timings.activate, lambda: self._activated(cluster)
        )
        return "Cluster activation successful"

    def _activated(self, cluster: Cluster) -> None:
        """The control plane notices the activation later, and takes a backup (F1.21, F1.39).

        If the activated HSM was deleted in the meantime, the activation is lost (F1.30).
        """
        if cluster.state != "INITIALIZED" or not users.copies(cluster, "admin", "admin"):
            return
        self._store.move_cluster(cluster, "ACTIVE")
        self._backups.take(cluster, cluster.active_hsms()[0].users)
        self._backups.take_daily(cluster)

    def _user_list(self, cluster: Cluster, params: Params) -> object:
        return {"users": users.listing(cluster)}

    def _hsm_info(self, cluster: Cluster, params: Params) -> object:
        return {"hsms": [_hsm_info(cluster, hsm) for hsm in cluster.active_hsms()]}

    def _user_create(self, cluster: Cluster, params: Params) -> object:
        """`user create`; repeated, it completes a user that some HSMs lack (F3.18)."""
        self._log_in(cluster, params, ("admin",))
        name, password = _name(params), _password(params, "new_password")
        role = str(params.get("role"))
        if role not in ROLES:
            raise _rejected(f"Role {role} must be one of {', '.join(ROLES)}.")
        if name not in users.names(cluster):
            if len(users.names(cluster)) >= self._store.quotas.users_per_cluster:
                raise _rejected("The cluster has reached the maximum number of users.")
        elif not users.copies(cluster, name, role) or users.is_everywhere(cluster, name, role):
            raise _rejected(f"User {name} already exists.")
        self._check_not_modifying(cluster)
        for hsm in cluster.active_hsms():
            hsm.users.setdefault(name, User(name, role, password))
        self._store.record(cluster.id, "user-create", user=name, role=role)
        return {"username": name, "role": role}

    def _user_change_password(self, cluster: Cluster, params: Params) -> object:
        """`user change-password`: an admin any user's, a crypto-user its own (F3.12)."""
        caller = self._log_in(cluster, params, ROLES)
        name, role = self._target(cluster, params)
        password = _password(params, "new_password")
        if params.get("login_role") != "admin" and name != caller:
            raise _rejected("Only an admin can change the password of another user.")
        self._check_not_modifying(cluster)
        users.set_password(cluster, name, password)
        self._store.record(cluster.id, "user-change-password", user=name, role=role)
        return {"username": name, "role": role}

    def _user_delete(self, cluster: Cluster, params: Params) -> object:
        caller = self._log_in(cluster, params, ("admin",))
        name, role = self._target(cluster, params)
        if name == caller:
            raise _rejected(f"User {name} is logged in.")
        self._check_not_modifying(cluster)
        for hsm in cluster.active_hsms():
            hsm.users.pop(name, None)
        self._store.record(cluster.id, "user-delete", user=name, role=role)
        return {"username": name, "role": role}

    def _quorum_token_list(self, cluster: Cluster, params: Params) -> object:
        """`quorum token-sign list`: no quorum is modelled, so there are no tokens (F3.30)."""
        self._log_in(cluster, params, ROLES)
        return {"tokens": []}

    def _login(self, cluster: Cluster, params: Params) -> object:
        name = self._log_in(cluster, params, ROLES)
        return {"username": name, "role": params.get("login_role")}

    def _log_in(self, cluster: Cluster, params: Params, roles: tuple[str, ...]) -> str:
        """Log in with CLOUDHSM_ROLE and CLOUDHSM_PIN; the event log has every attempt."""
        role, name = params.get("login_role"), str(params.get("username")).lower()
        if role not in roles:
            raise _rejected(f"This requires a login with role {' or '.join(roles)}.")
        if not users.copies(cluster, name, str(role)) or not users.accepts(
            cluster, name, str(params.get("password"))
        ):
            self._store.record(cluster.id, "LoginRefused", user=name)
            raise ApiError(
                "LoginFailed", "Login failed: invalid username or password, or the user is locked."
            )
        self._store.record(cluster.id, "Login", user=name)
        return name

    def _target(self, cluster: Cluster, params: Params) -> tuple[str, str]:
        """The user that a command changes: must exist and not be logged in elsewhere (F3.12)."""
        name, role = _name(params), str(params.get("role"))
        if role not in ROLES or not users.copies(cluster, name, role):
            raise _rejected(f"User {name} with role {role} does not exist.")
        if name in cluster.sessions:
            raise _rejected(f"User {name} is logged in.")
        return name, role

    def _check_not_modifying(self, cluster: Cluster) -> None:
        """Users cannot be changed during a change of the HSM type (F1.43)."""
        if cluster.in_progress:
            raise _rejected("Users cannot be changed while the cluster is being modified.")


def _rejected(message: str) -> ApiError:
    return ApiError("Refused", message)


def _name(params: Params) -> str:
    name = str(params.get("new_username"))
    if not users.NAME.fullmatch(name):
        raise _rejected(f"Username {name} does not match {users.NAME.pattern}")
    return name.lower()


def _password(params: Params, key: str) -> str:
    password = params.get(key)
    if not isinstance(password, str) or not users.PASSWORD.fullmatch(password):
        raise _rejected("A password must have 8 to 32 characters and no colon.")
    return password


def _hsm_info(cluster: Cluster, hsm: Hsm) -> dict[str, str]:
    """An HSM as `cluster hsm-info` prints it (F3.13)."""
    digits = re.sub(r"\D", "", str(zlib.crc32(hsm.id.encode())))
    return {
        "vendor": "Marvell Semiconductors, Inc.",
        "model": "NITROX-III CNN35XX-NFBE" if hsm.type == "hsm1.medium" else "LS2-G-AWS-0",
        "serial-number": f"5.3G{digits:0>10}-ICM{hsm.ip.replace('.', '')}",
        "hardware-version-major": "5",
        "hardware-version-minor": "3",
        "firmware-version-major": "10",
        "firmware-version-minor": "02",
        "firmware-build-number": "0505",
        "firmware-id": "10.02-0505",
        "fips-state": (
            "2 [FIPS mode with single factor authentication]"
            if cluster.mode == "FIPS"
            else "0 [Non-FIPS mode with single factor authentication]"
        ),
    }
