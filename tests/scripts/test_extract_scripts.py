from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts import extract_scripts


def document(*steps: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::SSM::Document",
        "Properties": {"Content": {"parameters": parameters, "mainSteps": list(steps)}},
    }


def step(name: str, *lines: str, action: str = "aws:runShellScript") -> dict[str, Any]:
    return {"action": action, "name": name, "inputs": {"runCommand": list(lines)}}


def test_a_script_is_named_after_its_document() -> None:
    template = {"Resources": {"rGreetDocument": document(step("Greet", "#!/bin/bash\necho hi"))}}
    assert extract_scripts.scripts_of(template) == {"rGreetDocument": "#!/bin/bash\necho hi\n"}


def test_several_steps_are_several_scripts() -> None:
    template = {"Resources": {"rTwo": document(step("One", "a"), step("Two", "b"))}}
    assert extract_scripts.scripts_of(template) == {"rTwo-One": "a\n", "rTwo-Two": "b\n"}


def test_lines_are_joined_as_the_agent_joins_them() -> None:
    template = {"Resources": {"rGreet": document(step("Greet", "echo a", "echo b\n"))}}
    assert extract_scripts.scripts_of(template) == {"rGreet": "echo a\necho b\n"}


def test_other_resources_and_other_actions_hold_no_script() -> None:
    template = {
        "Resources": {
            "rBucket": {"Type": "AWS::S3::Bucket"},
            "rOther": document(step("Other", action="aws:configurePackage")),
        }
    }
    assert extract_scripts.scripts_of(template) == {}


def test_parameters_become_harmless_words() -> None:
    template = {"Resources": {"r": document(step("S", "say '{{ Word }}' {{Word}}"), Word={})}}
    assert extract_scripts.scripts_of(template) == {"r": "say 'value-of-Word' value-of-Word\n"}


def test_a_parameter_that_the_document_does_not_declare_is_refused() -> None:
    template = {"Resources": {"r": document(step("S", "say {{ Wrod }}"), Word={})}}
    with pytest.raises(KeyError, match="Wrod"):
        extract_scripts.scripts_of(template)


def test_every_script_of_the_templates_is_written_and_stale_ones_go(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stale.sh").write_text("")
    extract_scripts.main([str(tmp_path)])
    written = {str(path) for path in tmp_path.iterdir()}
    assert written == set(capsys.readouterr().out.split())
    assert str(tmp_path / "cloudhsm-rActivateClusterDocument.sh") in written
    assert str(tmp_path / "stale.sh") not in written
    for path in tmp_path.iterdir():
        assert path.read_text().startswith("#!/bin/bash\nset -euo pipefail\n")
        assert "{{" not in path.read_text()
