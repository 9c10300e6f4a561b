"""The cluster and its HSMs."""

from __future__ import annotations

from hsm_lifecycle.dispatch import worker
from hsm_lifecycle.steps import (
    cluster,
    cluster_update,
    duplicates,
    first_hsm,
    hsms,
    network,
    preflight,
)

handle = worker(
    preflight.check_creation,
    cluster.find_cluster,
    cluster.create_cluster,
    cluster.describe_cluster,
    cluster_update.check_update,
    cluster_update.tag_cluster,
    cluster_update.modify_cluster,
    cluster.check_deletion,
    cluster.delete_cluster,
    cluster.report_cluster,
    duplicates.find_duplicates,
    duplicates.delete_duplicates,
    first_hsm.create_first_hsm,
    first_hsm.describe_first_hsm,
    first_hsm.delete_first_hsm,
    hsms.describe_hsms,
    hsms.create_hsm,
    hsms.delete_hsm,
    network.admit_client,
    network.revoke_client,
)
