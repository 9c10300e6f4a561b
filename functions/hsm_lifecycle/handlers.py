"""Every worker function and the steps it may run: one function, one role."""

from __future__ import annotations

from hsm_lifecycle.dispatch import worker
from hsm_lifecycle.steps import certificates, hsms, network
from hsm_lifecycle.steps import client as client_instance
from hsm_lifecycle.steps import cluster as clusters
from hsm_lifecycle.steps import key_store as key_stores
from hsm_lifecycle.steps import secrets as secret_store

cluster = worker(
    clusters.check_creation,
    clusters.find_cluster,
    clusters.create_cluster,
    clusters.describe_cluster,
    clusters.check_update,
    clusters.tag_cluster,
    clusters.modify_cluster,
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
    secret_store.check_backup_secrets,
    secret_store.adopt_secrets,
    secret_store.check_secrets,
    secret_store.delete_secrets,
    certificates.store_csr,
    certificates.issue_certificate,
    certificates.check_certificates,
    certificates.initialize_cluster,
)

client = worker(
    client_instance.describe_client,
    client_instance.start_client,
    client_instance.stop_client,
    client_instance.describe_agent,
    client_instance.send_command,
    client_instance.describe_command,
)

key_store = worker(
    key_stores.find_key_store,
    key_stores.describe_key_store,
    key_stores.check_cluster,
    key_stores.create_password,
    key_stores.drop_password,
    key_stores.claim_key_store,
    key_stores.create_key_store,
    key_stores.complete_claim,
    key_stores.connect_key_store,
    key_stores.disconnect_key_store,
    key_stores.diagnose_connection,
    key_stores.update_password,
    key_stores.check_key_store_update,
    key_stores.rename_key_store,
    key_stores.move_key_store,
    key_stores.report_key_store,
    key_stores.delete_key_store,
    key_stores.retain_key_store,
    key_stores.drop_claim,
)
