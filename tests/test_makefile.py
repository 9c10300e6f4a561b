from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TASKS = {
    "help", "setup", "format", "lint", "test", "rehearse", "serve", "docs", "check-docs", "check",
    "build", "package", "deploy", "watch", "why", "preflight", "destroy", "faults", "bench",
    "mirror", "shell", "slow-tests", "clean", "release", "verify-release", "freeze-release",
}  # fmt: skip
TEMPLATE = "templates/cloudhsm.yml"
REHEARSAL_TEMPLATE = "build/rehearsal/templates/cloudhsm.yml"


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, text=True, capture_output=True, check=False
    )


def recipe(*arguments: str) -> list[str]:
    """The commands that make would run, one per line."""
    done = make("--dry-run", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.replace("\\\n", "").splitlines()


def text() -> str:
    return (ROOT / "Makefile").read_text()


def test_make_without_a_target_lists_every_task_with_a_summary() -> None:
    lines = make().stdout.splitlines()
    assert {line.split()[1] for line in lines} == TASKS
    assert [line for line in lines if len(line.split()) <= 3] == []


def test_every_task_is_phony() -> None:
    phony = set(re.findall(r"^\.PHONY: (.+)$", text(), re.MULTILINE))
    assert TASKS - phony == set()


def test_a_recipe_has_at_most_two_lines() -> None:
    recipes = re.findall(r"(?:^\t.*\n)+", text().replace("\\\n", ""), re.MULTILINE)
    assert recipes
    assert [recipe for recipe in recipes if recipe.count("\n") > 2] == []


def test_lint_modifies_no_file() -> None:
    commands = "\n".join(recipe("lint"))
    assert "ruff format --check" in commands
    assert "--fix" not in commands


def test_check_runs_lint_checkov_check_docs_and_all_tests() -> None:
    tests = recipe("test", "TESTS=tests")
    parts = [*recipe("lint"), *recipe("lint-checkov"), *recipe("check-docs"), *tests]
    assert recipe("check") == list(dict.fromkeys(parts))  # make runs shared prerequisites once
    assert recipe("check", "test")[: len(recipe("check"))] == recipe("check")


def test_only_tests_without_paths_leaves_out_the_long_ones() -> None:
    commands = {goal: recipe(*goal.split())[-1] for goal in ("test", "test TESTS=tests", "check")}
    assert [goal for goal in commands if ' -m "not long"' in commands[goal]] == ["test"]


def test_rehearse_runs_the_standard_scenario_unless_another_is_named() -> None:
    assert recipe("rehearse")[-1].endswith(" run --scenario standard")
    assert recipe("rehearse", "SCENARIO=key-store")[-1].endswith(" run --scenario key-store")


@pytest.mark.parametrize(
    ("tests", "processes"),
    [
        ("tests/unit/", 3),
        ("tests/scenarios/test_backups.py", 3),
        ("tests/scripts tests/iam", 3),
        ("tests/scripts", 0),
        ("tests/unit/test_aws.py", 0),
        ("tests/scenarios/test_backups.py::test_one", 0),
    ],
)
def test_long_selections_of_tests_run_in_three_processes(tests: str, processes: int) -> None:
    command = recipe("test", f"TESTS={tests}")[-1]
    assert command.endswith(f" --numprocesses {processes} --dist worksteal {tests}")


def test_the_number_of_processes_can_be_overridden() -> None:
    assert " --numprocesses 2 " in recipe("test", "TESTS=tests/scripts", "PROCESSES=2")[-1]


@pytest.mark.parametrize(
    ("missing", "given"),
    [
        ("BUCKET", ["package"]),
        ("BUCKET", ["deploy", f"TEMPLATE={TEMPLATE}", "STACK=s"]),
        ("STACK", ["deploy", f"TEMPLATE={TEMPLATE}", "BUCKET=b"]),
        ("TEMPLATE", ["deploy", "STACK=s", "BUCKET=b"]),
        ("STACK", ["destroy"]),
        ("STACK", ["watch"]),
        ("STACK", ["why"]),
    ],
)
def test_a_missing_variable_is_reported_before_any_command_runs(
    missing: str, given: list[str]
) -> None:
    done = make("AWS=false", *given)
    assert done.returncode == 2
    assert f"{missing} is missing" in done.stderr
    assert done.stdout == ""


def test_package_packages_all_templates_unless_one_is_named() -> None:
    def packaged(*arguments: str) -> list[str]:
        return re.findall(
            r"--template-file (\S+)", "\n".join(recipe("package", "BUCKET=b", *arguments))
        )

    found = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("templates/*.yml"))
    assert packaged() == found
    assert packaged(f"TEMPLATE={TEMPLATE}") == [TEMPLATE]


def test_the_rehearsal_s_templates_are_packaged_by_the_same_command() -> None:
    def command(template: str) -> str:
        (line,) = [line for line in recipe("package", "BUCKET=b", f"TEMPLATE={template}")
                   if " cloudformation package " in line]  # fmt: skip
        return line

    expected = command(TEMPLATE).replace("templates/", "build/rehearsal/templates/")
    expected = expected.replace("build/packaged/", "build/rehearsal/build/packaged/")
    assert command(REHEARSAL_TEMPLATE) == expected


def test_the_rehearsal_s_templates_and_state_machines_are_links_to_the_originals() -> None:
    directory = ROOT / "build" / "rehearsal"
    assert (directory / "templates").resolve() == ROOT / "templates"
    assert (directory / "statemachines").resolve() == ROOT / "statemachines"


def test_deploy_packages_one_template_and_deploys_the_result() -> None:
    given = ("deploy", f"TEMPLATE={TEMPLATE}", "STACK=s", "BUCKET=b")
    command = recipe(*given)[-1]
    expected = (
        f" -m scripts.stack deploy s --template {TEMPLATE} --packaged"
        " build/packaged/cloudhsm.yml --bucket b --aws "
    )
    assert expected in " ".join(command.split())
    assert "--protect" not in command
    assert recipe(*given, "PROTECT=no")[-1].endswith("--protect no")


@pytest.mark.parametrize("template", ["mine/ks.yml", "./ks.yml", "/srv/ks.yml", "../ks.yml"])
def test_a_template_outside_templates_is_never_overwritten(template: str) -> None:
    commands = " ".join(recipe("package", "BUCKET=b", f"TEMPLATE={template}"))
    [output] = re.findall(r"--output-template-file (\S+)\.\$\$ ", commands)
    assert output.startswith("build/packaged/")
    assert output.endswith("ks.yml")


@pytest.mark.parametrize("swallowed", [["pB=2"], ["pB"], ["PARAMETERS=pA=1"]])
def test_parameters_that_make_would_swallow_are_reported(swallowed: list[str]) -> None:
    done = make("deploy", f"TEMPLATE={TEMPLATE}", "STACK=s", "BUCKET=b", "PARAMS=pA=1", *swallowed)
    assert done.returncode == 2
    assert f"{swallowed[0].partition('=')[0]} was not passed on: quote" in done.stderr
    assert done.stdout == ""


def test_options_of_the_cli_that_other_commands_would_not_use_are_reported() -> None:
    done = make(
        "deploy", f"TEMPLATE={TEMPLATE}", "STACK=s", "BUCKET=b", "AWS=aws --profile production"
    )
    assert done.returncode == 2
    assert "AWS_PROFILE" in done.stderr


@pytest.mark.parametrize("command", ["watch", "why", "destroy"])
def test_watch_why_and_destroy_name_the_stack(command: str) -> None:
    assert recipe(command, "STACK=s")[-1].endswith(f" -m scripts.stack {command} s")


def test_build_without_changes_does_nothing() -> None:
    assert make("build").returncode == 0
    assert recipe("build") == ["make: Nothing to be done for 'build'."]


def test_clean_removes_only_ignored_files() -> None:
    commands = recipe("clean")
    assert commands[0] == "rm -rf build .hypothesis .mypy_cache .pytest_cache .ruff_cache"
    assert "__pycache__" in commands[1]
    ignored = (ROOT / ".gitignore").read_text().split()
    assert {"/build/", ".hypothesis/", ".mypy_cache/", ".pytest_cache/", ".ruff_cache/"} <= set(
        ignored
    )


def test_setup_says_what_it_does_and_how_large_it_is(tmp_path: Path) -> None:
    said = [line for line in recipe(f"VENV={tmp_path}/venv", "setup") if "echo" in line]
    assert [re.sub(r".*echo ", "", line)[:12] for line in said] == [
        '"Installing ', '"Installing ', '"All depende',
    ]  # fmt: skip
    assert all(re.search(r"\d GB|du -sh", line) for line in said)


def test_setup_rejects_an_old_python(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text(
        '#!/bin/sh\n[ "$1" = -c ] || exit 9\n'
        f'exec {shutil.which("python3")} -c "import sys; sys.version_info = (3, 10); $2"\n'
    )
    old.chmod(0o755)
    done = make(f"PYTHON={old}", f"VENV={tmp_path}/venv", "setup")
    assert done.returncode == 2
    assert "Python 3.11 or later is required" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_ci_runs_check_and_test_in_a_new_environment_as_a_user_and_deletes_it() -> None:
    with tempfile.TemporaryDirectory() as directory:
        # For any user: root runs the checks as another one.
        stub, log = Path(directory) / "make", Path(directory) / "log"
        stub.write_text(f'#!/bin/sh\necho "$(id -u) $VENV $PWD $*" > {log}\nexit 7\n')
        log.touch()
        for path, mode in ((stub, 0o755), (log, 0o666), (stub.parent, 0o755)):
            path.chmod(mode)
        done = subprocess.run(
            [ROOT / ".ci" / "run"],
            env={**os.environ, "PATH": f"{directory}:{os.environ['PATH']}", "CI": "true"},
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == 7
        user, venv, checkout, goals = log.read_text().strip().split(" ", 3)
    assert goals == "check test"
    assert user != "0"
    assert (os.getuid() == 0) == (Path(checkout) != ROOT)
    assert Path(venv) != ROOT / ".venv"
    assert not Path(venv).parent.exists()


def test_security_linters_run_over_what_ships_and_what_runs_it() -> None:
    (bandit,) = [line for line in recipe("lint") if "/bandit " in line]
    assert {"display", "functions", "localaws", "rehearsal", "scripts"} <= set(bandit.split())
    assert recipe("check").count(recipe("lint-checkov")[-1]) == 1


def test_every_finding_that_a_security_linter_may_ignore_has_a_reason() -> None:
    directories = ("display", "functions", "localaws", "rehearsal", "scripts")
    sources = [path for name in directories for path in (ROOT / name).rglob("*.py")]
    nosec = re.compile(r"# nosec(?! B\d{3} # \w)")
    assert [path for path in sources if nosec.search(path.read_text())] == []
    skipped = re.compile(r"checkov:skip=(?!CKV_AWS_\d+:\w)")
    templates = (ROOT / "templates").glob("*.yml")
    assert [path for path in templates if skipped.search(path.read_text())] == []
    lines = (ROOT / ".checkov.yaml").read_text().splitlines()
    checks = [number for number, line in enumerate(lines) if line.startswith("  - CKV")]
    assert checks
    assert [lines[number] for number in checks if not lines[number - 1].startswith("  # ")] == []


def test_zips_for_the_local_aws_pin_its_roots() -> None:
    recipes = re.findall(r"^\$\((\w*ZIPS?)\): .*\n\t(.+)$", text(), re.MULTILINE)
    pinned = {name for name, commands in recipes if "--roots $(LOCAL_ROOTS)" in commands}
    assert pinned == {name for name, _ in recipes} - {"ZIP"} == {"REHEARSAL_ZIP", "RELEASED_ZIPS"}
