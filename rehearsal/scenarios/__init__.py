"""Every scenario: a function whose docstring is its description, listed below."""

from __future__ import annotations

from collections.abc import Callable

from rehearsal.drivers.stack import StackDriver
from rehearsal.scenarios import (
    admin_login,
    assumptions,
    backups,
    clients,
    create_failures,
    degraded,
    drift,
    external_pki,
    in_place_updates,
    key_stores,
    late_effects,
    packages,
    rejections,
    standard,
    superseded,
    upgrades,
)

Scenario = Callable[[StackDriver], None]

_ALL: tuple[Scenario, ...] = (
    standard.standard,
    standard.govcloud,
    create_failures.quota_exhausted,
    create_failures.quota_nearly_exhausted,
    create_failures.activation_fails,
    create_failures.activation_retried,
    create_failures.activation_lost,
    create_failures.create_times_out,
    create_failures.create_delivered_twice,
    late_effects.cluster_created_late,
    late_effects.creation_lost,
    superseded.update_cancelled,
    external_pki.external_pki,
    external_pki.external_pki_chain,
    external_pki.external_pki_rejected,
    external_pki.external_pki_abandoned,
    clients.client_rejected,
    clients.client_replaced,
    clients.client_stopped,
    clients.client_stops_again,
    clients.cloud_init_failed,
    clients.client_terminated,
    clients.client_not_needed,
    clients.client_never_online,
    packages.package_swapped,
    packages.custom_package,
    in_place_updates.retention_and_tags,
    in_place_updates.hsm_type_changed,
    in_place_updates.hsm_type_times_out,
    backups.restored_from_backup,
    backups.restored_from_shared_backup,
    backups.restored_with_wrong_secrets,
    drift.hsm_drift,
    drift.secrets_deleted,
    drift.cluster_deleted,
    drift.security_group_in_use,
    degraded.first_hsm_degraded,
    degraded.no_first_hsm,
    degraded.no_time_for_another_zone,
    degraded.hsms_degraded,
    degraded.cluster_degraded,
    assumptions.one_hsm_at_a_time,
    assumptions.iam_without_resources,
    assumptions.iam_without_tags,
    rejections.create_rejected,
    rejections.update_rejected,
    superseded.update_times_out,
    superseded.no_response_to_create,
    superseded.no_response_to_update,
    superseded.cloudformation_times_out,
    superseded.update_cancelled_at_each_stage,
    superseded.delete_during_create,
    key_stores.key_store,
    key_stores.key_store_reconnected,
    key_stores.key_store_renamed,
    key_stores.key_store_moved,
    key_stores.key_store_retained,
    key_stores.key_store_not_owned,
    admin_login.stale_admin_password,
    admin_login.stale_admin_password_on_new_clients,
    admin_login.admin_login_fails_for_unknown_reasons,
    admin_login.hsms_busy,
    key_stores.kmsuser_on_some_hsms,
    key_stores.client_without_cli,
    key_stores.cluster_in_use,
    upgrades.upgrade_from_1_0_0,
    upgrades.upgrade_rolled_back,
    upgrades.upgrade_rolled_back_by_new_version,
    upgrades.upgrade_with_key_store,
)

SCENARIOS: dict[str, Scenario] = {each.__name__.replace("_", "-"): each for each in _ALL}
# Arguments of `python -m localaws` for scenarios that need other quotas, timings or another year.
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "govcloud": ("--region", "us-gov-west-1"),
    "quota-exhausted": create_failures.NO_HSM,
    "quota-nearly-exhausted": create_failures.ONE_HSM,
    "create-times-out": create_failures.SLOW_INITIALIZATION,
    "iam-without-resources": assumptions.NO_RESOURCES,
    "iam-without-tags": assumptions.NO_RESOURCE_TAGS,
    "one-hsm-at-a-time": assumptions.ONE_AT_A_TIME,
    "package-swapped": ("--year", "2024"),
    "hsm-type-changed": ("--year", "2024"),
    "hsm-type-times-out": ("--year", "2024"),
    "key-store-renamed": key_stores.RENAMED_WHILE_CONNECTED,
    "no-time-for-another-zone": superseded.SLOW_HSMS,
    "standard": key_stores.RENAMED_WHILE_CONNECTED,
    "update-times-out": superseded.SLOW_HSMS,
    "upgrade-from-1-0-0": upgrades.WHERE_1_0_0_WORKS,
    "upgrade-rolled-back": upgrades.WHERE_1_0_0_WORKS,
    "upgrade-rolled-back-by-new-version": upgrades.NEW_VERSION_ROLLS_BACK,
    "upgrade-with-key-store": upgrades.WHERE_1_0_0_WORKS,
}
STANDARD = "standard"


def description(name: str) -> str:
    """The scenario's one-line description."""
    return (SCENARIOS[name].__doc__ or "").strip()
