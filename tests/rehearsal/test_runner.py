from __future__ import annotations

import io
import re
import textwrap
from pathlib import Path

import pytest
from rich.console import Console

from rehearsal.__main__ import main
from rehearsal.checks import invariants
from rehearsal.drivers.deployment import Stack
from rehearsal.drivers.stack import StackDriver
from rehearsal.report import progress
from rehearsal.runner import rehearse, rehearse_all, rehearse_one
from rehearsal.scenarios import SCENARIOS, description

LOG_GROUP = """
    Resources:
      rLogGroup:
        Type: AWS::Logs::LogGroup
        Properties: {LogGroupName: /tiny}
"""
NO_PROVIDER = """
    Resources:
      rCustom:
        Type: Custom::Nothing
        Properties: {ServiceToken: 'arn:aws:lambda:us-east-1:123456789012:function:none'}
"""


@pytest.fixture(name="_scenarios")
def _scenarios(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Instead of the real scenarios: one passes, one fails, one does not delete its stack."""

    def stack(driver: StackDriver, name: str, template: str) -> Stack:
        path = tmp_path / name / "templates" / "tiny.yml"
        path.parent.mkdir(parents=True)
        path.write_text(textwrap.dedent(template))
        return Stack(driver.aws, name, str(path))

    def passes(driver: StackDriver) -> None:
        """A log group is created and deleted."""
        driver.stack = stack(driver, "passes", LOG_GROUP)
        with driver.step("Create"):
            driver.start()
            driver.wait()
            driver.expect_stack("CREATE_COMPLETE")
        with driver.step("Delete"):
            driver.destroy()
            driver.expect_stack("DELETE_COMPLETE")

    def fails(driver: StackDriver) -> None:
        """A custom resource without a provider."""
        driver.stack = stack(driver, "fails", NO_PROVIDER)
        with driver.step("Create"):
            driver.request()
            driver.expect_stack("CREATE_COMPLETE")
        with driver.step("Not reached"):
            pass

    def leaks(driver: StackDriver) -> None:
        """A log group is created and never deleted."""
        driver.stack = stack(driver, "leaks", LOG_GROUP)
        with driver.step("Create"):
            driver.request()

    def stops(driver: StackDriver) -> None:
        """Ctrl-C is pressed."""
        with driver.step("Create"):
            raise KeyboardInterrupt

    for name in [*SCENARIOS]:
        monkeypatch.delitem(SCENARIOS, name)
    for scenario in (passes, fails, leaks, stops):
        monkeypatch.setitem(SCENARIOS, scenario.__name__, scenario)


with_test_scenarios = pytest.mark.usefixtures("_scenarios")


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def printed(on: Console) -> str:
    assert isinstance(on.file, io.StringIO)
    return on.file.getvalue()


def test_every_scenario_has_a_valid_name_and_a_description_of_one_line() -> None:
    assert [
        name
        for name in SCENARIOS
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
        or not re.fullmatch(r".+\.", description(name))
    ] == []


def test_list_prints_every_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [*SCENARIOS]


def test_unknown_commands_and_scenarios_are_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dance"]) == 2
    assert "usage: python -m rehearsal run|faults|bench" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["run", "--scenario", "unheard-of"])


@with_test_scenarios
def test_a_passed_scenario_ends_with_its_summary_and_diagram() -> None:
    on = console()
    assert rehearse_one(on, "passes", None, (), show=True)
    assert "passes: A log group is created and deleted." in printed(on)
    assert printed(on).count(" passed ") == 2
    assert "build/rehearsal-passes.svg" in printed(on)


@with_test_scenarios
def test_the_commands_are_shown_and_the_next_run_knows_how_many_steps_there_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(progress, "LATEST", tmp_path / "steps")
    first, second = console(), console()
    rehearse_one(first, "passes", None, (), show=True)
    shown = printed(first)
    assert "step 2: Delete" in shown
    assert f"$ make deploy TEMPLATE={tmp_path}/passes/templates/tiny.yml STACK=passes" in shown
    assert shown.index("step 2: Delete") < shown.index("$ make destroy STACK=passes")
    (tmp_path / "passes" / "templates" / "tiny.yml").unlink()
    (tmp_path / "passes" / "templates").rmdir()
    (tmp_path / "passes").rmdir()
    rehearse_one(second, "passes", None, (), show=True)
    assert "step 2 of 2: Delete" in printed(second)


@with_test_scenarios
def test_the_end_says_what_to_do_next() -> None:
    on = console()
    rehearse_one(on, "fails", None, (), show=False)
    shown = printed(on).split("again: make rehearse SCENARIO=fails")[1]
    commands = [line.split("  ")[1] for line in shown.splitlines()[2:]]
    assert commands == [
        "make rehearse SCENARIO=leaks",
        "make serve",
        "make watch STACK=hsm",
        "make why STACK=hsm",
        "docs/local-aws.md",
        "docs/testing.md",
    ]


@with_test_scenarios
def test_a_failed_scenario_reports_why() -> None:
    result = rehearse("fails")
    assert not result.passed
    assert [step.name for step in result.steps] == ["Create"]
    report = "\n".join(result.failures)
    assert "stack: expected CREATE_COMPLETE, found ROLLBACK_COMPLETE" in report
    assert "rCustom: " in report


@with_test_scenarios
def test_a_stopped_scenario_has_a_summary_and_a_diagram_and_no_traceback() -> None:
    on = console()
    assert not rehearse_one(on, "stops", None, (), show=True)
    assert "Stopped before the end" in printed(on)
    assert "Traceback" not in printed(on)
    assert "build/rehearsal-stops.svg; again: make rehearse SCENARIO=stops" in printed(on)


@with_test_scenarios
def test_a_scenario_that_does_not_delete_its_stack_fails() -> None:
    assert rehearse("leaks").failures == ["stack leaks was not deleted: CREATE_COMPLETE"]


@with_test_scenarios
def test_a_violated_invariant_alone_fails_a_scenario(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invariants, "FORBIDDEN_STATUS", "DELETE_COMPLETE")
    result = rehearse("passes")
    assert not result.passed
    assert [step.failure for step in result.steps] == [None, None]
    assert "stack passes ended in DELETE_COMPLETE" in result.failures


@with_test_scenarios
@pytest.mark.parametrize(("name", "code"), [("passes", 0), ("fails", 1)])
def test_the_exit_code_is_the_outcome(name: str, code: int) -> None:
    assert main(["run", "--scenario", name, "--no-display"]) == code


@with_test_scenarios
def test_rehearse_all_prints_a_line_for_each_scenario_and_fails_if_one_fails() -> None:
    on = console()
    assert not rehearse_all(on, None, ())
    lines = printed(on).splitlines()
    assert lines[0].startswith("passes ")
    assert lines[0].endswith("  passed")
    assert "FAILED" in next(line for line in lines if line.startswith("fails "))
