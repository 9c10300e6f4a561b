from __future__ import annotations

import pytest

from rehearsal.runner import rehearse
from rehearsal.scenarios import SCENARIOS, STANDARD
from rehearsal.timings import QUICK

# Scenarios about timeouts run with AWS's own timings, or with one of them.
REAL_TIMINGS = {
    "create-times-out": QUICK.keys(),
    "slow-account": QUICK.keys(),
    "no-time-for-another-zone": QUICK.keys(),
    "update-times-out": QUICK.keys(),
    "cloudformation-times-out": QUICK.keys(),
    "hsms-outlast-create": QUICK.keys(),
    "hsms-outlast-update": {"create_hsm"},
    "detached-superseded": QUICK.keys(),
    "detached-hsm-degraded": QUICK.keys(),
    "key-store-while-detached": QUICK.keys(),
    "hsm-type-outlasts-update": {"change_hsm_type"},
    "hsm-type-rolled-back-later": {"change_hsm_type"},
}
# What compute for more than ten seconds; `make test` leaves them to `make check`.
LONG = {
    "activation-fails",
    "activation-lost",
    "activation-retried",
    "admin-login-fails-for-unknown-reasons",
    "client-not-needed",
    "client-rejected",
    "client-replaced",
    "client-stopped",
    "client-stops-again",
    "client-terminated",
    "cloudformation-times-out",
    "cluster-created-late",
    "cluster-degraded",
    "cluster-in-use",
    "create-delivered-twice",
    "create-rejected",
    "create-times-out",
    "custom-package",
    "delete-during-create",
    "detached-hsm-degraded",
    "detached-superseded",
    "events-late",
    "external-pki",
    "external-pki-abandoned",
    "external-pki-chain",
    "external-pki-rejected",
    "govcloud",
    "hsm-drift",
    "hsm-type-changed",
    "hsm-type-outlasts-update",
    "hsm-type-rolled-back-later",
    "hsms-busy",
    "hsms-degraded",
    "hsms-outlast-create",
    "hsms-outlast-update",
    "iam-without-resources",
    "iam-without-tags",
    "identity-required",
    "identity-verified",
    "key-store-adopted",
    "key-store-moved",
    "key-store-reconnected",
    "key-store-while-detached",
    "no-internet",
    "no-response-to-update",
    "no-time-for-another-zone",
    "one-hsm-at-a-time",
    "package-swapped",
    "reads-late",
    "request-handler-killed",
    "restored-from-backup",
    "restored-from-shared-backup",
    "restored-with-wrong-secrets",
    "retention-and-tags",
    "secrets-deleted",
    "slow-account",
    "stale-admin-password",
    "stale-admin-password-on-new-clients",
    "update-cancelled",
    "update-cancelled-at-each-stage",
    "update-rejected",
    "update-times-out",
    "upgrade-from-1-0-0",
    "upgrade-rolled-back",
    "upgrade-rolled-back-by-new-version",
    "upgrade-with-key-store",
}


# test_determinism.py runs the standard scenario, twice.
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.long] if name in LONG else [])
        for name in SCENARIOS
        if name != STANDARD
    ],
)
def test_the_scenario_passes(name: str) -> None:
    real = REAL_TIMINGS.get(name, set())
    timings = {operation: seconds for operation, seconds in QUICK.items() if operation not in real}
    result = rehearse(name, timings=timings)
    assert result.passed, "\n".join(result.failures)


def test_scenarios_with_special_timings_or_marks_exist() -> None:
    assert [*REAL_TIMINGS.keys() - SCENARIOS, *LONG - SCENARIOS.keys()] == []
