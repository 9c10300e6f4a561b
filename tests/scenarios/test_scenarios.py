from __future__ import annotations

import resource

import pytest

from rehearsal.runner import rehearse
from rehearsal.scenarios import SCENARIOS, STANDARD
from tests.support.timings import QUICK

# Processor seconds of the server, its functions and scripts, which depend less on other tests than
# real seconds. Three times the slowest scenario's (15), since processors differ.
MAX_PROCESSOR_SECONDS = 45
# Scenarios about timeouts run with AWS's own timings, or with one of them.
REAL_TIMINGS = {
    "create-times-out": QUICK.keys(),
    "slow-account": QUICK.keys(),
    "no-time-for-another-zone": QUICK.keys(),
    "update-times-out": QUICK.keys(),
    "cloudformation-times-out": QUICK.keys(),
    "hsm-type-times-out": {"change_hsm_type"},
}


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


# test_determinism.py runs the standard scenario, twice.
@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != STANDARD])
def test_the_scenario_passes_within_its_processor_time(name: str) -> None:
    before = processor_seconds()
    real = REAL_TIMINGS.get(name, set())
    timings = {operation: seconds for operation, seconds in QUICK.items() if operation not in real}
    result = rehearse(name, timings=timings)
    assert result.passed, "\n".join(result.failures)
    assert processor_seconds() - before < MAX_PROCESSOR_SECONDS
