"""The resources of one account and Region, and the interfaces and settings of the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from localaws.core.event_log import EventLog
from localaws.core.faults import Faults
from localaws.core.partitions import partition_of
from localaws.services.cloudhsmv2 import exceptions
from localaws.services.cloudhsmv2.interfaces import Ec2, Iam, Logs
from localaws.services.cloudhsmv2.models import Backup, Cluster, Hsm, KeyStore
from localaws.services.cloudhsmv2.scheduler import Scheduler
from localaws.services.cloudhsmv2.settings import Assumptions, Quotas, Timings


@dataclass
class Store:
    """The state that the parts of the model share."""

    scheduler: Scheduler
    ec2: Ec2
    iam: Iam
    logs: Logs
    region: str
    account: str
    timings: Timings
    quotas: Quotas
    faults: Faults
    event_log: EventLog
    assumptions: Assumptions
    clusters: dict[str, Cluster] = field(default_factory=dict)
    backups: dict[str, Backup] = field(default_factory=dict)
    key_stores: dict[str, KeyStore] = field(default_factory=dict)
    # Whether a request is only checked: what it would do is left for later.
    dry_run: bool = False

    def cluster(self, cluster_id: object) -> Cluster:
        """The cluster; a DELETED one is not found (F1.28)."""
        cluster = self.find_cluster(str(cluster_id))
        if cluster is None:
            raise exceptions.not_found(f"Cluster '{cluster_id}' does not exist.")
        return cluster

    def find_cluster(self, cluster_id: str) -> Cluster | None:
        """The cluster, unless it is DELETED."""
        cluster = self.clusters.get(cluster_id)
        return None if cluster is None or cluster.state == "DELETED" else cluster

    def arn(self, service: str, resource: str, account: str | None = None) -> str:
        """An ARN in this Region, by default of this account."""
        partition, owner = partition_of(self.region), account or self.account
        return f"arn:{partition}:{service}:{self.region}:{owner}:{resource}"

    def record(self, subject: str, event: str, **details: Any) -> None:
        """Record a CloudHSM event."""
        self.event_log.record_at(self.scheduler.now(), "cloudhsm", subject, event, **details)

    def record_kms(self, subject: str, event: str, **details: Any) -> None:
        """Record a KMS event."""
        self.event_log.record_at(self.scheduler.now(), "kms", subject, event, **details)

    def move_cluster(self, cluster: Cluster, state: str, message: str = "") -> None:
        """Change the state of a cluster."""
        cluster.state, cluster.message = state, message
        self.record(cluster.id, state, **({"message": message} if message else {}))

    def move_hsm(self, cluster: Cluster, hsm: Hsm, state: str, message: str = "") -> None:
        """Change the state of an HSM."""
        hsm.state, hsm.message = state, message
        self.record(hsm.id, state, cluster=cluster.id, zone=hsm.zone)
