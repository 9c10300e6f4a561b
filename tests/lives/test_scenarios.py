from __future__ import annotations

import pytest

from rehearsal.runner import rehearse
from rehearsal.scenarios import SCENARIOS


@pytest.mark.parametrize("name", SCENARIOS)
def test_everything_in_the_scenario_is_as_expected(name: str) -> None:
    result = rehearse(name)
    assert result.passed, "\n".join(result.explanation)
    assert result.wall < 90
