"""Extracts the shell scripts of the templates' SSM documents for ShellCheck."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from scripts import templates

_PARAMETER = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")


def scripts_of(template: templates.Template) -> dict[str, str]:
    """Each script by the logical ID of its document, plus the step name if it has several."""
    found: dict[str, str] = {}
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] != "AWS::SSM::Document":
            continue
        content = resource["Properties"]["Content"]
        steps = [step for step in content["mainSteps"] if step["action"] == "aws:runShellScript"]
        for step in steps:
            name = logical_id if len(steps) == 1 else f"{logical_id}-{step['name']}"
            found[name] = script_of(step, content.get("parameters", {}))
    return found


def script_of(step: dict[str, Any], parameters: dict[str, Any]) -> str:
    """The script of one step as the SSM agent writes it to a file."""
    lines = step["inputs"]["runCommand"]
    return "\n".join(with_placeholders(line, parameters) for line in lines).rstrip("\n") + "\n"


def with_placeholders(text: str, parameters: dict[str, Any]) -> str:
    """The text with a word for each {{ parameter }}; raises KeyError for an undeclared one."""

    def placeholder(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in parameters:
            raise KeyError(f"the document does not declare {match.group()}")
        return f"value-of-{name}"

    return _PARAMETER.sub(placeholder, text)


def main(arguments: list[str] | None = None) -> None:
    """Write <template>-<document>.sh for each script and print the paths."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "directory", type=Path, help="target directory; its *.sh files are deleted first"
    )
    directory: Path = parser.parse_args(arguments).directory
    directory.mkdir(parents=True, exist_ok=True)
    for stale in directory.glob("*.sh"):
        stale.unlink()
    for path in templates.all_paths():
        for name, script in scripts_of(templates.load(path)).items():
            target = directory / f"{path.stem}-{name}.sh"
            target.write_text(script)
            print(target)


if __name__ == "__main__":
    main()
