"""Every Lambda entry point. A worker runs the steps listed here and no others."""

from __future__ import annotations

from hsm_lifecycle.custom_resource.request import take as request
from hsm_lifecycle.custom_resource.response import respond as response
from hsm_lifecycle.dispatch import worker
from hsm_lifecycle.steps import (
    admin_login,
    certificates,
    cluster_update,
    duplicates,
    first_hsm,
    hsms,
    key_store_ownership,
    key_store_update,
    kms_user,
    network,
    preflight,
    secrets,
)
from hsm_lifecycle.steps import client as client_steps
from hsm_lifecycle.steps import cluster as cluster_steps
from hsm_lifecycle.steps import key_store as key_store_steps

__all__ = ["certificate", "client", "cluster", "key_store", "request", "response"]

cluster = worker(
    preflight.check_creation,
    cluster_steps.find_cluster,
    cluster_steps.create_cluster,
    cluster_steps.describe_cluster,
    cluster_update.check_update,
    cluster_update.tag_cluster,
    cluster_update.modify_cluster,
    cluster_steps.check_deletion,
    cluster_steps.delete_cluster,
    cluster_steps.report_cluster,
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

certificate = worker(
    secrets.create_secrets,
    secrets.check_backup_secrets,
    secrets.adopt_secrets,
    secrets.check_secrets,
    secrets.delete_secrets,
    certificates.store_csr,
    certificates.issue_certificate,
    certificates.check_certificates,
    certificates.initialize_cluster,
)

client = worker(
    client_steps.describe_client,
    client_steps.start_client,
    client_steps.stop_client,
    client_steps.describe_agent,
    client_steps.send_command,
    client_steps.describe_command,
)

key_store = worker(
    key_store_ownership.find_key_store,
    key_store_steps.describe_key_store,
    key_store_steps.check_cluster,
    kms_user.create_password,
    kms_user.drop_password,
    admin_login.check_login,
    admin_login.record_login,
    key_store_ownership.claim_key_store,
    key_store_steps.create_key_store,
    key_store_ownership.complete_claim,
    key_store_steps.connect_key_store,
    key_store_steps.disconnect_key_store,
    key_store_steps.diagnose_connection,
    kms_user.update_password,
    key_store_update.check_key_store_update,
    key_store_update.rename_key_store,
    key_store_update.move_key_store,
    key_store_steps.report_key_store,
    key_store_steps.delete_key_store,
    key_store_steps.retain_key_store,
    key_store_ownership.drop_claim,
)
