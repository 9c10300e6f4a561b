"""What one account has in one Region, and the surroundings in which the model finds it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from localaws.core.event_log import EventLog
from localaws.core.faults import Faults
from localaws.services.cloudhsmv2 import exceptions
from localaws.services.cloudhsmv2.interfaces import Ec2, Iam, Logs
from localaws.services.cloudhsmv2.models import Backup, Cluster, Hsm, KeyStore
from localaws.services.cloudhsmv2.scheduler import Agenda
from localaws.services.cloudhsmv2.settings import Assumptions, Quotas, Timings


@dataclass
class Estate:
    """Everything the parts of the model share."""

    agenda: Agenda
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

    def cluster(self, cluster_id: object) -> Cluster:
        """The cluster; DELETED is as good as gone (F1.28)."""
        cluster = self.clusters.get(str(cluster_id))
        if cluster is None or cluster.state == "DELETED":
            raise exceptions.not_found(f"Cluster '{cluster_id}' does not exist.")
        return cluster

    def arn(self, service: str, resource: str, account: str | None = None) -> str:
        """An ARN in this Region; of this account unless another is given."""
        partition = "aws-us-gov" if self.region.startswith("us-gov-") else "aws"
        return f"arn:{partition}:{service}:{self.region}:{account or self.account}:{resource}"

    def note(self, subject: str, event: str, **details: Any) -> None:
        """Put a CloudHSM event into the event_log."""
        self.event_log.record_at(self.agenda.now(), "cloudhsm", subject, event, **details)

    def note_kms(self, subject: str, event: str, **details: Any) -> None:
        """Put a KMS event into the event_log."""
        self.event_log.record_at(self.agenda.now(), "kms", subject, event, **details)

    def move_cluster(self, cluster: Cluster, state: str, message: str = "") -> None:
        """Take a cluster to another state."""
        cluster.state, cluster.message = state, message
        self.note(cluster.id, state, **({"message": message} if message else {}))

    def move_hsm(self, cluster: Cluster, hsm: Hsm, state: str, message: str = "") -> None:
        """Take an HSM to another state."""
        hsm.state, hsm.message = state, message
        self.note(hsm.id, state, cluster=cluster.id, zone=hsm.zone)
