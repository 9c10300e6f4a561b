"""Every scenario that can be rehearsed: a function whose docstring is its story, and a row here."""

from __future__ import annotations

from collections.abc import Callable

from rehearsal.drivers.stack import StackDriver
from rehearsal.scenarios import (
    assumptions,
    backups,
    behind_our_back,
    clients,
    degraded,
    failing_creations,
    in_place,
    key_stores,
    own_pki,
    packages,
    refusals,
    standard,
    superseded,
)

Scenario = Callable[[StackDriver], None]

_ALL: tuple[Scenario, ...] = (
    standard.standard,
    failing_creations.quota_is_used_up,
    failing_creations.quota_is_nearly_used_up,
    failing_creations.activation_fails,
    failing_creations.creation_takes_too_long,
    failing_creations.creation_is_asked_for_twice,
    superseded.update_is_cancelled,
    own_pki.own_pki,
    own_pki.own_pki_with_a_chain,
    own_pki.own_pki_refused,
    own_pki.own_pki_given_up,
    clients.client_is_replaced,
    clients.client_was_stopped,
    clients.client_was_terminated,
    clients.client_never_comes_online,
    packages.package_is_swapped,
    packages.package_of_ones_own,
    in_place.retention_and_tags,
    in_place.hsm_type_changes,
    in_place.hsm_type_takes_too_long,
    backups.restored_from_a_backup,
    backups.restored_from_another_account,
    behind_our_back.hsms_come_and_go,
    behind_our_back.secrets_are_deleted,
    behind_our_back.cluster_is_deleted,
    behind_our_back.security_group_is_in_use,
    degraded.first_hsm_degraded,
    degraded.no_first_hsm,
    degraded.no_time_for_another_zone,
    degraded.hsms_degrade,
    assumptions.one_hsm_at_a_time,
    refusals.creation_is_refused,
    refusals.update_is_refused,
    superseded.time_runs_out,
    superseded.nobody_answers_a_creation,
    superseded.nobody_answers_an_update,
    superseded.cloudformation_gives_up,
    superseded.update_is_cancelled_anywhere,
    superseded.deletion_overtakes_creation,
    key_stores.key_store,
    key_stores.key_store_reconnected,
    key_stores.key_store_renamed,
    key_stores.key_store_moved,
    key_stores.key_store_kept,
    key_stores.foreign_key_store,
    key_stores.stale_admin_password,
    key_stores.kmsuser_on_some_hsms,
    key_stores.client_without_cli,
    key_stores.cluster_in_use,
)

SCENARIOS: dict[str, Scenario] = {told.__name__.replace("_", "-"): told for told in _ALL}
# What `python -m localaws` is to be told for a scenario that needs another AWS than today's.
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "quota-is-used-up": failing_creations.NO_HSM,
    "quota-is-nearly-used-up": failing_creations.ONE_HSM,
    "creation-takes-too-long": failing_creations.SLOW_INITIALIZATION,
    "one-hsm-at-a-time": assumptions.ONE_AT_A_TIME,
    "package-is-swapped": ("--year", "2024"),
    "hsm-type-changes": ("--year", "2024"),
    "hsm-type-takes-too-long": ("--year", "2024"),
    "no-time-for-another-zone": superseded.SLOW_HSMS,
    "time-runs-out": superseded.SLOW_HSMS,
}
STANDARD = "standard"


def story(name: str) -> str:
    """The one line that says what happens in this scenario."""
    return (SCENARIOS[name].__doc__ or "").strip()
