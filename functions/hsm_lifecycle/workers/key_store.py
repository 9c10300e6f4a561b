"""The KMS key store."""

from __future__ import annotations

from hsm_lifecycle.dispatch import worker
from hsm_lifecycle.steps import (
    admin_login,
    key_store,
    key_store_adoption,
    key_store_ownership,
    key_store_update,
    kms_user,
)

handle = worker(
    key_store_ownership.find_key_store,
    key_store.describe_key_store,
    key_store.check_cluster,
    kms_user.create_password,
    kms_user.drop_password,
    admin_login.check_login,
    admin_login.record_login,
    key_store_adoption.adopt_key_store,
    key_store_ownership.claim_key_store,
    key_store.create_key_store,
    key_store_ownership.complete_claim,
    key_store.connect_key_store,
    key_store.disconnect_key_store,
    key_store.diagnose_connection,
    kms_user.update_password,
    key_store_update.check_key_store_update,
    key_store_update.rename_key_store,
    key_store_update.move_key_store,
    key_store.report_key_store,
    key_store.delete_key_store,
    key_store.retain_key_store,
    key_store_adoption.release_key_store,
    key_store_ownership.drop_claim,
)
