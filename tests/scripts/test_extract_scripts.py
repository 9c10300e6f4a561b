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


def test_each_step_of_a_document_is_a_script() -> None:
    template = {"Resources": {"rTwo": document(step("One", "a"), step("Two", "b"))}}
    assert extract_scripts.scripts_of(template) == {"rTwo-One": "a\n", "rTwo-Two": "b\n"}


def test_commands_are_joined_by_newlines_like_the_agent_does() -> None:
    template = {"Resources": {"rGreet": document(step("Greet", "echo a", "echo b\n"))}}
    assert extract_scripts.scripts_of(template) == {"rGreet": "echo a\necho b\n"}


def test_other_resources_and_actions_have_no_script() -> None:
    template = {
        "Resources": {
            "rBucket": {"Type": "AWS::S3::Bucket"},
            "rOther": document(step("Other", action="aws:configurePackage")),
        }
    }
    assert extract_scripts.scripts_of(template) == {}


def test_parameters_are_replaced_by_words() -> None:
    template = {"Resources": {"r": document(step("S", "say '{{ Word }}' {{Word}}"), Word={})}}
    assert extract_scripts.scripts_of(template) == {"r": "say 'value-of-Word' value-of-Word\n"}


def test_an_undeclared_parameter_is_rejected() -> None:
    template = {"Resources": {"r": document(step("S", "say {{ Wrod }}"), Word={})}}
    with pytest.raises(KeyError, match="Wrod"):
        extract_scripts.scripts_of(template)


def test_main_writes_every_script_and_deletes_stale_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stale.sh").write_text("")
    extract_scripts.main([str(tmp_path)])
    written = {str(path) for path in tmp_path.iterdir()}
    assert written == set(capsys.readouterr().out.split())
    assert str(tmp_path / "cloudhsm-rActivateClusterDocument.sh") in written
    assert str(tmp_path / "stale.sh") not in written
    wrong = [
        path.name
        for path in tmp_path.iterdir()
        if not path.read_text().startswith("#!/bin/bash\nset -euo pipefail\n")
        or "{{" in path.read_text()
    ]
    assert wrong == []
