from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROMISED = {
    "help", "setup", "format", "lint", "test", "rehearse", "serve", "docs", "check-docs", "check",
    "build", "package", "deploy", "destroy", "bench", "clean",
}  # fmt: skip
TEMPLATE = "templates/cloudhsm.yml"
REHEARSED = "build/rehearsal/templates/cloudhsm.yml"


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, text=True, capture_output=True, check=False
    )


def recipe(*arguments: str) -> list[str]:
    """The commands that make would run for this, one a line."""
    done = make("--dry-run", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.replace("\\\n", "").splitlines()


def text() -> str:
    return (ROOT / "Makefile").read_text()


def test_make_alone_lists_every_target_with_a_line_of_its_own() -> None:
    lines = make().stdout.splitlines()
    assert {line.split()[1] for line in lines} == PROMISED
    assert all(len(line.split()) > 3 for line in lines)


def test_every_target_that_is_no_file_says_so() -> None:
    phony = set(re.findall(r"^\.PHONY: (.+)$", text(), re.MULTILINE))
    assert phony >= PROMISED


def test_a_recipe_takes_two_lines_at_most() -> None:
    joined = text().replace("\\\n", "")
    for rule in re.findall(r"(?:^\t.*\n)+", joined, re.MULTILINE):
        assert rule.count("\n") <= 2, rule


def test_lint_changes_nothing() -> None:
    commands = "\n".join(recipe("lint"))
    assert "ruff format --check" in commands
    assert "--fix" not in commands


def test_check_is_lint_documents_and_tests() -> None:
    parts = [*recipe("lint"), *recipe("check-docs"), *recipe("test")]
    assert recipe("check") == list(dict.fromkeys(parts))  # what several need is done once


def test_a_part_of_the_tests_can_be_run() -> None:
    assert recipe("test", "TESTS=tests/scripts")[-1].endswith(" tests/scripts")


@pytest.mark.parametrize(
    ("missing", "given"),
    [
        ("BUCKET", ["package"]),
        ("BUCKET", ["deploy", f"TEMPLATE={TEMPLATE}", "STACK=s"]),
        ("STACK", ["deploy", f"TEMPLATE={TEMPLATE}", "BUCKET=b"]),
        ("TEMPLATE", ["deploy", "STACK=s", "BUCKET=b"]),
        ("STACK", ["destroy"]),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_done(missing: str, given: list[str]) -> None:
    done = make("AWS=false", *given)
    assert done.returncode == 2
    assert f"{missing} is missing" in done.stderr
    assert done.stdout == ""


def test_every_template_is_packaged_unless_one_is_named() -> None:
    def packaged(*arguments: str) -> list[str]:
        return re.findall(
            r"--template-file (\S+)", "\n".join(recipe("package", "BUCKET=b", *arguments))
        )

    every = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("templates/*.yml"))
    assert packaged() == every
    assert packaged(f"TEMPLATE={TEMPLATE}") == [TEMPLATE]


def test_the_rehearsal_is_packaged_by_the_same_command_from_another_place() -> None:
    def command(template: str) -> str:
        (line,) = [line for line in recipe("package", "BUCKET=b", f"TEMPLATE={template}")
                   if " cloudformation package " in line]  # fmt: skip
        return line

    elsewhere = command(TEMPLATE).replace("templates/", "build/rehearsal/templates/")
    elsewhere = elsewhere.replace("build/packaged/", "build/rehearsal/build/packaged/")
    assert command(REHEARSED) == elsewhere


def test_the_rehearsals_templates_are_the_real_ones() -> None:
    for name in "templates", "statemachines":
        assert (ROOT / "build" / "rehearsal" / name).resolve() == ROOT / name


@pytest.fixture(name="aws")
def _aws(tmp_path: Path) -> Path:
    """A fake command for the CLI that writes down what it is told, and the template it should write."""
    path = tmp_path / "aws"
    path.write_text(
        "#!/bin/sh\n"
        'printf "%s\\n" "$*" >> "$0.log"\n'
        'for last; do [ "$before" = --output-template-file ] && echo done > "$last"\n'
        "before=$last; done; true\n"
    )
    path.chmod(0o755)
    return path


def test_deploying_is_packaging_one_template_and_then_deploying_that(aws: Path) -> None:
    done = make(
        "deploy", f"AWS={aws}", f"TEMPLATE={TEMPLATE}", "STACK=s", "BUCKET=b",
        "PARAMS=pSubnets=subnet-1,subnet-2 pReconcile='to day'", "TAGS=team=a",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    package, deploy = Path(f"{aws}.log").read_text().splitlines()
    assert package.startswith(f"cloudformation package --template-file {TEMPLATE} --s3-bucket b ")
    assert deploy == (
        "cloudformation deploy --template-file build/packaged/cloudhsm.yml --stack-name s"
        " --s3-bucket b --capabilities CAPABILITY_IAM --no-fail-on-empty-changeset"
        " --parameter-overrides pSubnets=subnet-1,subnet-2 pReconcile=to day --tags team=a"
    )
    assert (ROOT / "build" / "packaged" / "cloudhsm.yml").read_text() == "done\n"


def test_a_failed_packaging_deploys_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    failing = tmp_path / "aws"
    failing.write_text(f'#!/bin/sh\necho "$2" >> {log}\nexit 1\n')
    failing.chmod(0o755)
    done = make("deploy", f"AWS={failing}", f"TEMPLATE={TEMPLATE}", "STACK=s", "BUCKET=b")
    assert done.returncode == 2
    assert log.read_text() == "package\n"


def test_a_stack_is_destroyed_and_waited_for(aws: Path) -> None:
    assert make("destroy", f"AWS={aws}", "STACK=s").returncode == 0
    assert Path(f"{aws}.log").read_text().splitlines() == [
        "cloudformation delete-stack --stack-name s",
        "cloudformation wait stack-delete-complete --stack-name s",
    ]


def test_building_again_without_a_change_does_nothing() -> None:
    assert make("build").returncode == 0
    assert recipe("build") == ["make: Nothing to be done for 'build'."]


def test_clean_removes_only_what_make_made() -> None:
    commands = recipe("clean")
    assert commands[0] == "rm -rf build .mypy_cache .pytest_cache .ruff_cache"
    assert "__pycache__" in commands[1]
    ignored = (ROOT / ".gitignore").read_text().split()
    assert {"/build/", ".mypy_cache/", ".pytest_cache/", ".ruff_cache/"} <= set(ignored)


def test_a_python_that_is_too_old_is_refused(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text(
        '#!/bin/sh\n[ "$1" = -c ] || exit 9\n'
        f'exec {shutil.which("python3")} -c "import sys; sys.version_info = (3, 10); $2"\n'
    )
    old.chmod(0o755)
    done = make(f"PYTHON={old}", f"VENV={tmp_path}/venv", "setup")
    assert done.returncode == 2
    assert "Python 3.11 or later is needed" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_ci_runs_the_check_and_the_tests_in_a_fresh_environment(tmp_path: Path) -> None:
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "make").write_text(f'#!/bin/sh\necho "$VENV $*" > {tmp_path}/log\nexit 7\n')
    (commands / "make").chmod(0o755)
    done = subprocess.run(
        [ROOT / ".ci" / "run"],
        env={**os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "CI": "true"},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 7
    venv, _, goals = (tmp_path / "log").read_text().strip().partition(" ")
    assert goals == "check test"
    assert Path(venv) != ROOT / ".venv"
    assert not Path(venv).parent.exists()
