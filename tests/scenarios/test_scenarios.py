from __future__ import annotations

import resource

import pytest

from rehearsal.runner import rehearse
from rehearsal.scenarios import SCENARIOS, STANDARD
from tests.support.timings import QUICK

# Seconds of one processor, because the other tests take their share of real time: three times
# what the slowest takes (external-pki-rejected: 7; most: 5 or less), because processors differ, and one
# that is shared does less in a second. The functions' share is not among it.
PATIENCE = 20
# Their description is what takes too long, and so AWS takes as long as it does.
ABOUT_TIME = (
    "create-times-out",
    "no-time-for-another-zone",
    "update-times-out",
    "cloudformation-times-out",
)
# Or as long as that alone.
ABOUT_ONE = {"hsm-type-times-out": "change_hsm_type"}


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


# The standard driver is lived twice in test_determinism.py.
@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != STANDARD])
def test_everything_in_the_scenario_is_as_expected_and_soon_over(name: str) -> None:
    before = processor_seconds()
    slow = QUICK if name in ABOUT_TIME else {ABOUT_ONE.get(name)}
    timings = {change: seconds for change, seconds in QUICK.items() if change not in slow}
    result = rehearse(name, timings=timings)
    assert result.passed, "\n".join(result.failures)
    assert processor_seconds() - before < PATIENCE
