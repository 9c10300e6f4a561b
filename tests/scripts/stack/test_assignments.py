from __future__ import annotations

import pytest

from scripts import templates
from scripts.stack import assignments
from scripts.stack.account import OperatorError

DECLARED = {"pSubnets": {}, "pHsmsPerSubnet": {"Default": 1}, "pReconcile": {"Default": ""}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("pA=1 pB=2", {"pA": "1", "pB": "2"}),
        ("pA='to day' pB=", {"pA": "to day", "pB": ""}),
        ("pA=a=b", {"pA": "a=b"}),
        ("pA=$HOME pB=$$ pC='#1'", {"pA": "$HOME", "pB": "$$", "pC": "#1"}),
        ("pA=1 \\\n  pB=2", {"pA": "1", "pB": "2"}),
    ],
)
def test_assignments_are_quoted_as_in_a_shell(text: str, expected: dict[str, str]) -> None:
    assert assignments.parse("PARAMS", text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("pA=to day", "PARAMS: 'day' is not NAME=value"),
        ("=1", "PARAMS: '=1' is not NAME=value"),
        ("pA=1 pA=2", "PARAMS: pA is given twice"),
        ("pA='1", "PARAMS: No closing quotation"),
    ],
)
def test_what_is_no_assignment_is_refused(text: str, problem: str) -> None:
    with pytest.raises(OperatorError, match=problem):
        assignments.parse("PARAMS", text)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("pHsmPerSubnet", "no parameter pHsmPerSubnet. Did you mean pHsmsPerSubnet?"),
        ("psubnets", "no parameter psubnets. Did you mean pSubnets?"),
        ("Zebra", "no parameter Zebra. See docs/parameters.md."),
    ],
)
def test_a_parameter_that_the_template_lacks_is_refused(given: str, problem: str) -> None:
    with pytest.raises(OperatorError) as refused:
        assignments.check({given: "1"}, DECLARED, is_new=False)
    assert str(refused.value).endswith(problem)


def test_only_a_new_stack_requires_parameters_without_default() -> None:
    assignments.check({}, DECLARED, is_new=False)
    with pytest.raises(OperatorError, match="a new stack requires pSubnets"):
        assignments.check({"pReconcile": "x"}, DECLARED, is_new=True)


def test_every_parameter_of_our_templates_is_taken() -> None:
    for template in templates.load_all().values():
        declared = template["Parameters"]
        assignments.check(dict.fromkeys(declared, "x"), declared, is_new=True)
        assert declared
