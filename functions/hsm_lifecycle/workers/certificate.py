"""The secrets of a cluster and its certificates."""

from __future__ import annotations

from hsm_lifecycle.dispatch import worker
from hsm_lifecycle.steps import certificates, hsm_identity, secrets

handle = worker(
    secrets.create_secrets,
    secrets.check_backup_secrets,
    secrets.adopt_secrets,
    secrets.check_secrets,
    secrets.delete_secrets,
    certificates.store_csr,
    hsm_identity.verify_hsm_identity,
    certificates.issue_certificate,
    certificates.check_certificates,
    certificates.initialize_cluster,
)
