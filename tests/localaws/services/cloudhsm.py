"""CloudHSM on a clock that the test advances, with the calls that tests make most."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from localaws.core.api_error import ApiError
from localaws.core.event_log import EventLog
from localaws.core.faults import Faults
from localaws.services.cloudhsmv2.interfaces import Subnet
from localaws.services.cloudhsmv2.provider import KEY_STORE_ACTIONS, CloudHsmProvider
from localaws.services.cloudhsmv2.settings import Timings
from rehearsal import test_ca
from tests.support.service_models import checked

ACCOUNT = "123456789012"
PASSWORD = "Initial123"
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
# 2026-01-01T00:00:00Z.
START = 1767225600.0


class StillClock:
    """Time that moves only by `advance`."""

    def __init__(self) -> None:
        self._now = START

    def now(self) -> float:
        """The virtual time."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the virtual time on."""
        self._now += seconds


class Network:
    """A VPC with a subnet in each of three zones; a test may break parts of it."""

    def __init__(self) -> None:
        self.subnets: dict[str, Subnet] = {
            subnet_id: {"SubnetId": subnet_id, "VpcId": vpc, "AvailabilityZone": zone}
            for subnet_id, vpc, zone in (
                ("subnet-0000000a", "vpc-0", ZONES[0]),
                ("subnet-0000000b", "vpc-0", ZONES[1]),
                ("subnet-0000000c", "vpc-0", ZONES[2]),
                ("subnet-000000a2", "vpc-0", ZONES[0]),
                ("subnet-0000001b", "vpc-1", ZONES[1]),
            )
        }
        self.groups: dict[str, str] = {}
        self.enis: dict[str, tuple[str, str, str]] = {}
        self.groups_in_use: set[str] = set()
        self.broken_groups: set[str] = set()
        self.full_subnets: set[str] = set()
        self.clients = {"i-00000001"}
        self._made = 0

    def subnet(self, subnet_id: str) -> Subnet | None:
        return self.subnets.get(subnet_id)

    def create_security_group(self, name: str, description: str, vpc_id: str) -> str:
        group_id = self._id("sg")
        self.groups[group_id] = name
        return group_id

    def delete_security_group(self, group_id: str) -> None:
        carried = any(group == group_id for _, group, _ in self.enis.values())
        if group_id in self.groups_in_use or carried:
            raise ApiError("DependencyViolation", f"{group_id} has a dependent object")
        del self.groups[group_id]

    def create_eni(
        self, subnet_id: str, group_id: str, description: str, ip: str | None = None
    ) -> tuple[str, str]:
        if subnet_id in self.full_subnets:
            raise ApiError("InsufficientFreeAddressesInSubnet", f"{subnet_id} is full")
        if ip in self.addresses():
            raise ApiError("InvalidIPAddress.InUse", f"{ip} is in use")
        eni_id = self._id("eni")
        self.enis[eni_id] = (subnet_id, group_id, ip or f"10.0.0.{self._made}")
        return eni_id, self.enis[eni_id][2]

    def delete_eni(self, eni_id: str) -> None:
        self.enis.pop(eni_id, None)

    def cluster_group_intact(self, group_id: str) -> bool:
        return group_id not in self.broken_groups

    def client_may_reach(self, instance_id: str, group_id: str, eni_id: str) -> bool:
        return instance_id in self.clients

    def addresses(self) -> list[str]:
        """The addresses of all network interfaces."""
        return [ip for _, _, ip in self.enis.values()]

    def _id(self, kind: str) -> str:
        self._made += 1
        return f"{kind}-{self._made:017x}"


class Caller:
    """A caller that is allowed every action except `denied`; `authorized` has all checks."""

    def __init__(self) -> None:
        self.denied: set[str] = set()
        self.authorized: list[tuple[str, str, Mapping[str, Any]]] = []
        self.roles: list[str] = []

    def authorize(self, action: str, resource: str, context: Mapping[str, Any]) -> None:
        self.authorized.append((action, resource, context))
        if action in self.denied:
            raise ApiError("AccessDenied", f"not authorized to perform: {action}")

    def ensure_service_linked_role(self, service: str) -> None:
        if service not in self.roles:
            self.authorize("iam:CreateServiceLinkedRole", "*", {"iam:AWSServiceName": service})
            self.roles.append(service)

    @contextlib.contextmanager
    def already_authorized(self) -> Iterator[None]:
        denied, self.denied = self.denied, set()
        yield
        self.denied = denied


class LogGroups(list[str]):
    """The existing log groups."""

    def ensure_log_group(self, name: str) -> None:
        if name not in self:
            self.append(name)


class CloudHsm:
    """A provider with its surroundings; keyword arguments are `CloudHsmProvider`'s."""

    def __init__(self, **arguments: Any) -> None:
        self.clock = StillClock()
        self.network = Network()
        self.caller = Caller()
        self.log_groups = LogGroups()
        self.faults = Faults()
        self.event_log = EventLog(self.clock)
        self.timings = Timings()
        self.ca = test_ca.make_ca(START)
        self.provider = CloudHsmProvider(
            self.clock,
            self.network,
            self.caller,
            self.log_groups,
            **{
                "region": "us-east-1",
                "account": ACCOUNT,
                "timings": self.timings,
                "faults": self.faults,
                "event_log": self.event_log,
                **arguments,
            },
        )

    # --- Calls

    def call(self, action: str, **params: Any) -> dict[str, Any]:
        """One API request, whose response must fit the service model."""
        service = "kms" if action in KEY_STORE_ACTIONS else "cloudhsmv2"
        return checked(service, action, self.provider.call(action, params))

    def wait(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.clock.advance(seconds)
        self.provider.run_due()

    def cluster(self, cluster_id: str) -> dict[str, Any]:
        """The cluster as DescribeClusters returns it."""
        response = self.call("DescribeClusters", Filters={"clusterIds": [cluster_id]})
        (cluster,) = response["Clusters"]
        assert isinstance(cluster, dict)
        return cluster

    def hsms(self, cluster_id: str) -> list[dict[str, Any]]:
        """The cluster's HSMs as DescribeClusters returns them."""
        return list(self.cluster(cluster_id)["Hsms"])

    def states(self, cluster_id: str) -> list[str]:
        """The states of the cluster's HSMs."""
        return [hsm["State"] for hsm in self.hsms(cluster_id)]

    def backups(self, **filters: list[str]) -> list[dict[str, Any]]:
        """The backups as DescribeBackups returns them, oldest first."""
        response = self.call("DescribeBackups", Filters=filters, SortAscending=True)
        return list(response["Backups"])

    def key_store(self, key_store_id: str) -> dict[str, Any]:
        """The key store as DescribeCustomKeyStores returns it."""
        response = self.call("DescribeCustomKeyStores", CustomKeyStoreId=key_store_id)
        (key_store,) = response["CustomKeyStores"]
        assert isinstance(key_store, dict)
        return key_store

    def events(self, subject: str) -> list[str]:
        """The recorded events of a subject."""
        return [entry["event"] for entry in self.event_log.events() if entry["subject"] == subject]

    # --- Clusters by state

    def create(self, **overrides: Any) -> str:
        """Create a cluster, without waiting; its id."""
        response = self.call(
            "CreateCluster",
            **{
                "HsmType": "hsm2m.medium",
                "Mode": "FIPS",
                "SubnetIds": ["subnet-0000000a", "subnet-0000000b", "subnet-0000000c"],
                **overrides,
            },
        )
        return str(response["Cluster"]["ClusterId"])

    def uninitialized(self, **overrides: Any) -> str:
        """An empty UNINITIALIZED cluster."""
        cluster_id = self.create(**overrides)
        self.wait(self.timings.create_cluster)
        return cluster_id

    def add_hsm(self, cluster_id: str, zone: str = ZONES[0], **params: Any) -> dict[str, Any]:
        """Create an HSM and wait for its outcome."""
        response = self.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=zone, **params)
        self.wait(self.timings.create_hsm)
        (hsm,) = [one for one in self.hsms(cluster_id) if one["HsmId"] == response["Hsm"]["HsmId"]]
        return hsm

    def remove_hsm(self, cluster_id: str, hsm_id: str) -> None:
        """Delete an HSM and wait until it no longer counts."""
        self.call("DeleteHsm", ClusterId=cluster_id, HsmId=hsm_id)
        self.wait(
            self.timings.delete_hsm
            + self.timings.deleted_hsm_visible
            + self.timings.deleted_hsm_lingers
        )

    def with_csr(self, **overrides: Any) -> str:
        """A cluster whose first HSM is ACTIVE."""
        cluster_id = self.uninitialized(**overrides)
        self.add_hsm(cluster_id)
        return cluster_id

    def initialized(self, **overrides: Any) -> str:
        """An INITIALIZED cluster, signed by `self.ca`."""
        cluster_id = self.with_csr(**overrides)
        self.initialize(cluster_id)
        self.wait(self.timings.initialize)
        return cluster_id

    def initialize(self, cluster_id: str) -> dict[str, Any]:
        """Initialize the cluster with a certificate signed by `self.ca`."""
        csr = self.cluster(cluster_id)["Certificates"]["ClusterCsr"]
        signed = test_ca.sign(self.ca, csr, self.clock.now())
        return self.call(
            "InitializeCluster", ClusterId=cluster_id, SignedCert=signed, TrustAnchor=self.ca.pem
        )

    def active(self, *zones: str, **overrides: Any) -> str:
        """An ACTIVE cluster with its first HSM and another in each of these zones."""
        cluster_id = self.initialized(**overrides)
        self.client(cluster_id, "activate", password=PASSWORD)
        self.wait(self.timings.activate)
        for zone in zones:
            self.add_hsm(cluster_id, zone)
        self.wait(self.timings.create_backup)
        return cluster_id

    # --- The client

    def client(self, cluster_id: str, operation: str, **params: Any) -> Any:
        """Run cloudhsm-cli on a correctly configured client; the `data` of its output."""
        active = [hsm["EniIp"] for hsm in self.hsms(cluster_id) if hsm["State"] == "ACTIVE"]
        response = self.provider.data_plane(
            operation,
            {"ip": active[0], "ca": self.ca.pem, "instance_id": "i-00000001", **params},
        )
        assert response["error_code"] == 0
        return response["data"]

    def as_admin(self, cluster_id: str, operation: str, **params: Any) -> Any:
        """The same, logged in as the admin."""
        login = {"login_role": "admin", "username": "admin", "password": PASSWORD}
        return self.client(cluster_id, operation, **{**login, **params})

    def add_user(self, cluster_id: str, name: str, password: str) -> Any:
        """Create a crypto-user."""
        return self.as_admin(
            cluster_id,
            "user-create",
            new_username=name,
            new_password=password,
            role="crypto-user",
        )

    def users(self, cluster_id: str) -> dict[str, dict[str, Any]]:
        """`user list`, by name."""
        listed = self.client(cluster_id, "user-list")["users"]
        return {user["username"]: user for user in listed}
