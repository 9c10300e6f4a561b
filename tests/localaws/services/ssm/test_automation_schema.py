"""Documents of type Automation are stored if Automation would accept them."""

from __future__ import annotations

from typing import Any

import pytest

from localaws.core.api_error import ApiError
from localaws.services.ssm import automation_schema

STEP = {
    "name": "reconcile",
    "action": "aws:executeScript",
    "inputs": {
        "Runtime": "python3.11",
        "Handler": "run",
        "Script": "def run(events, context): ...",
    },
}
VALID = {"schemaVersion": "0.3", "parameters": {"Id": {"type": "String"}}, "mainSteps": [STEP]}


def with_inputs(**changes: Any) -> Any:
    return {**VALID, "mainSteps": [{**STEP, "inputs": {**STEP["inputs"], **changes}}]}  # type: ignore[dict-item]


def test_a_script_with_declared_parameters_is_accepted() -> None:
    automation_schema.check(with_inputs(InputPayload={"Id": "{{ Id }}"}))
    automation_schema.check(with_inputs(InputPayload={"Now": "{{ global:DATE_TIME }}"}))


@pytest.mark.parametrize(
    "document",
    [
        {**VALID, "schemaVersion": "2.2"},
        {**VALID, "unknown": 1},
        {**VALID, "mainSteps": []},
        {**VALID, "mainSteps": [{**STEP, "action": "aws:sleep"}]},
        {**VALID, "mainSteps": [{**STEP, "name": "a b"}]},
        with_inputs(Runtime="python2.7"),
        with_inputs(Script="def run(:"),
        with_inputs(InputPayload={"Id": "{{ Other }}"}),
    ],
)
def test_anything_else_is_refused(document: Any) -> None:
    with pytest.raises(ApiError, check=lambda error: error.code.startswith("InvalidDocument")):
        automation_schema.check(document)
