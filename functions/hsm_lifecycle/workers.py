"""Every worker function and the steps it may run: one function, one role."""

from __future__ import annotations

from hsm_lifecycle import certificates, clusters, hsms, network, secret_store
from hsm_lifecycle import client as client_instance
from hsm_lifecycle.dispatch import worker

cluster = worker(
    clusters.check_creation,
    clusters.find_cluster,
    clusters.create_cluster,
    clusters.describe_cluster,
    clusters.check_update,
    clusters.check_deletion,
    clusters.delete_cluster,
    clusters.report_cluster,
    hsms.create_first_hsm,
    hsms.describe_first_hsm,
    hsms.delete_first_hsm,
    hsms.describe_hsms,
    hsms.create_hsm,
    hsms.delete_hsm,
    network.admit_client,
    network.revoke_client,
)

certificate = worker(
    secret_store.create_secrets,
    secret_store.delete_secrets,
    certificates.store_csr,
    certificates.issue_certificate,
    certificates.check_certificates,
    certificates.initialize_cluster,
)

client = worker(
    client_instance.describe_client,
    client_instance.start_client,
    client_instance.describe_agent,
    client_instance.send_command,
    client_instance.describe_command,
)
