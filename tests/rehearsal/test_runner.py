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
from rehearsal.runner import rehearse, rehearse_all, rehearse_one
from rehearsal.scenarios import SCENARIOS, description

NOBODY = "arn:aws:lambda:us-east-1:123456789012:function:nobody"


def template(name: str, body: str) -> str:
    path = Path(name, "templates", "tiny.yml")
    path.parent.mkdir()
    path.write_text(textwrap.dedent(body))
    return str(path)


@pytest.fixture(name="told")
def _told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Three scenarios: one goes as expected, one does not, and one leaves what it made."""
    good = template(
        str(tmp_path),
        """
        Resources:
          rLogGroup:
            Type: AWS::Logs::LogGroup
            Properties: {LogGroupName: /tiny}
        """,
    )
    (tmp_path / "bad").mkdir()
    bad = template(
        str(tmp_path / "bad"),
        f"""
        Resources:
          rCustom:
            Type: Custom::Nothing
            Properties: {{ServiceToken: {NOBODY}}}
        """,
    )

    def fine(driver: StackDriver) -> None:
        """A log group comes and goes."""
        driver.stack = Stack(driver.aws, "fine", good)
        with driver.step("Come"):
            driver.start()
            driver.wait()
            driver.expect_stack("CREATE_COMPLETE")
        with driver.step("Go"):
            driver.destroy()
            driver.expect_stack("DELETE_COMPLETE")

    def wrong(driver: StackDriver) -> None:
        """A custom resource that nobody answers for."""
        driver.stack = Stack(driver.aws, "wrong", bad)
        with driver.step("Come"):
            driver.start()
            driver.wait()
            driver.expect_stack("CREATE_COMPLETE")
        with driver.step("Never reached"):
            pass

    def untidy(driver: StackDriver) -> None:
        """A log group comes and stays."""
        driver.stack = Stack(driver.aws, "untidy", good)
        with driver.step("Come"):
            driver.request()

    for name in [*SCENARIOS]:
        monkeypatch.delitem(SCENARIOS, name)
    monkeypatch.setitem(SCENARIOS, "fine", fine)
    monkeypatch.setitem(SCENARIOS, "wrong", wrong)
    monkeypatch.setitem(SCENARIOS, "untidy", untidy)


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def printed(on: Console) -> str:
    assert isinstance(on.file, io.StringIO)
    return on.file.getvalue()


def test_every_scenario_has_a_name_and_a_story_of_one_line() -> None:
    for name in SCENARIOS:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
        assert "\n" not in description(name)
        assert description(name).endswith(".")


def test_the_list_names_every_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [*SCENARIOS]


def test_a_command_line_that_makes_no_sense_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["dance"]) == 2
    assert "run,serve" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["run", "--scenario", "unheard-of"])


@pytest.mark.usefixtures("told")
def test_a_scenario_that_goes_as_expected_ends_with_its_table_and_picture() -> None:
    on = console()
    assert rehearse_one(on, "fine", None, show=True)
    assert "fine: A log group comes and goes." in printed(on)
    assert printed(on).count("as expected") == 2
    assert "build/rehearsal-fine.svg" in printed(on)


@pytest.mark.usefixtures("told")
def test_a_scenario_that_does_not_go_as_expected_says_why() -> None:
    result = rehearse("wrong")
    assert not result.passed
    assert [step.name for step in result.steps] == ["Come"]
    told = "\n".join(result.failures)
    assert "stack: expected CREATE_COMPLETE, found ROLLBACK_COMPLETE" in told
    assert "rCustom: " in told


@pytest.mark.usefixtures("told")
def test_a_scenario_that_leaves_its_stack_is_not_as_expected() -> None:
    assert rehearse("untidy").failures == ["stack untidy is left in CREATE_COMPLETE"]


@pytest.mark.usefixtures("told")
def test_a_broken_law_alone_is_not_as_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invariants, "FORBIDDEN_STATUS", "DELETE_COMPLETE")
    result = rehearse("fine")
    assert not result.passed
    assert [step.failure for step in result.steps] == [None, None]
    assert "stack fine ended in DELETE_COMPLETE" in result.failures


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize(("name", "code"), [("fine", 0), ("wrong", 1)])
def test_the_command_fails_if_its_scenario_does(name: str, code: int) -> None:
    assert main(["run", "--scenario", name, "--no-display"]) == code


@pytest.mark.usefixtures("told")
def test_all_scenarios_take_one_line_each_and_one_failure_is_enough() -> None:
    on = console()
    assert not rehearse_all(on, None)
    lines = printed(on).splitlines()
    assert lines[0].startswith("fine ")
    assert lines[0].endswith("as expected")
    assert "NOT AS EXPECTED" in next(line for line in lines if line.startswith("wrong "))
