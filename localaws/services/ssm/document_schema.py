"""The content of SSM documents of type Command: schema 2.2 with one `aws:runShellScript` step.

Anything else that SSM supports is rejected with an error, not ignored. AWS's own documents are of
schema 1.2, which can be run but not created.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from localaws.core.api_error import ApiError
from localaws.services.ssm import automation_schema

# Bytes: the quota "SSM document size".
MAXIMUM_SIZE = 65536
COMMAND, AUTOMATION = "Command", "Automation"
PLACEHOLDER = re.compile(r"{{\s*([^{}\s]+)\s*}}")
STEP_KEYS = frozenset({"action", "name", "inputs", "precondition"})
INPUT_KEYS = frozenset({"runCommand", "timeoutSeconds"})
PARAMETER_KEYS = frozenset(
    {
        "type",
        "description",
        "default",
        "allowedPattern",
        "allowedValues",
        "displayType",
        "minChars",
        "maxChars",
        "minItems",
        "maxItems",
    }
)


@dataclass(frozen=True)
class Version:
    """One version: its text and the parsed document."""

    content: str
    format: str
    document: Mapping[str, Any]

    @property
    def hash(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.content.encode()).hexdigest()

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """The declared parameters by name."""
        declared: Mapping[str, Mapping[str, Any]] = self.document.get("parameters") or {}
        return declared

    @property
    def step(self) -> Mapping[str, Any]:
        """The one step; in schema 1.2 it is called like its plugin."""
        if "runtimeConfig" in self.document:
            ((name, plugin),) = self.document["runtimeConfig"].items()
            return {"name": name, "inputs": plugin["properties"][0]}
        step: Mapping[str, Any] = self.document["mainSteps"][0]
        return step


def parse(content: str, format: str, kind: str = COMMAND) -> Version:
    """Parse and validate the text of a document of a type, JSON or YAML."""
    if len(content.encode()) > MAXIMUM_SIZE:
        raise ApiError("MaxDocumentSizeExceeded", f"The document is over {MAXIMUM_SIZE} bytes.")
    try:
        document = json.loads(content) if format == "JSON" else yaml.safe_load(content)
    except (ValueError, yaml.YAMLError) as error:
        raise _invalid(f"The text is not {format}: {error}") from None
    if not isinstance(document, dict):
        raise _invalid("The text is not a mapping")
    if kind == AUTOMATION:
        automation_schema.check(document)
        return Version(content, format, document)
    if document.get("schemaVersion") != "2.2":
        raise ApiError(
            "InvalidDocumentSchemaVersion",
            f"Schema version {document.get('schemaVersion')!r} is not supported; use 2.2.",
        )
    unknown = set(document) - {"schemaVersion", "description", "parameters", "mainSteps"}
    if unknown:
        raise _invalid(f"Unknown keys: {', '.join(sorted(unknown))}")
    version = Version(content, format, document)
    _check_step(document.get("mainSteps"))
    for name, declaration in version.parameters.items():
        _check_declaration(name, declaration)
    for name in _placeholders(version.step["inputs"]):
        if name not in version.parameters:
            raise _invalid(f"Parameter {name} is not declared")
    return version


def _check_step(steps: Any) -> None:
    if not isinstance(steps, list) or len(steps) != 1 or not isinstance(steps[0], dict):
        raise _invalid("mainSteps must have one step")
    step = steps[0]
    if step.get("action") != "aws:runShellScript":
        raise _invalid(f"Action {step.get('action')} is not modelled; use aws:runShellScript")
    if not re.fullmatch(r"[a-zA-Z0-9_]{1,}", str(step.get("name", ""))):
        raise _invalid("A step name must consist of letters, digits and underscores")
    inputs = step.get("inputs")
    if not isinstance(inputs, dict) or set(step) - STEP_KEYS or set(inputs) - INPUT_KEYS:
        raise _invalid(f"Only {', '.join(sorted(STEP_KEYS | INPUT_KEYS))} are modelled in a step")
    lines = inputs.get("runCommand")
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise _invalid("runCommand must be a list of strings")


def _check_declaration(name: str, declaration: Any) -> None:
    if not isinstance(declaration, dict) or declaration.get("type") not in ("String", "StringList"):
        raise _invalid(f"Parameter {name} must be of type String or StringList")
    unknown = set(declaration) - PARAMETER_KEYS
    if unknown:
        raise _invalid(f"Parameter {name}: {', '.join(sorted(unknown))} is not modelled")
    pattern = declaration.get("allowedPattern")
    if pattern is not None:
        try:
            compile_pattern(pattern)
        except (ValueError, re.error) as error:
            raise _invalid(f"Parameter {name}: allowedPattern {pattern}: {error}") from None
    if "default" in declaration:
        try:
            _check_value(name, declaration, _as_list(declaration["default"]))
        except ApiError as error:
            raise _invalid(f"Parameter {name}: invalid default: {error.message}") from None


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a pattern that Java (the API) and RE2 (the agent) read the same way (F6.23).

    It is searched for, not matched in full; `$` is the very end, as in RE2. Raises ValueError for
    syntax that only one of the two supports.
    """
    translated, at, in_class = "", 0, False
    while at < len(pattern):
        char, two = pattern[at], pattern[at : at + 2]
        if char == "\\":
            if two[1:].isdigit() or two in (r"\k", r"\Z", r"\z", r"\G", r"\Q"):
                raise ValueError(f"{two} is unsupported by, or differs between, RE2 and Java")
            translated += two
            at += 2
            continue
        if not in_class:
            if two == "(?" and pattern[at + 2 : at + 3] not in (":", "i", "s", "m"):
                raise ValueError("RE2 supports neither look-around nor atomic groups")
            if char in "*+?}" and pattern[at + 1 : at + 2] == "+":
                raise ValueError("RE2 does not support possessive quantifiers")
        in_class = char == "[" if not in_class else char != "]"
        translated += r"\Z" if char == "$" and not in_class else char
        at += 1
    return re.compile(translated)


def bind(version: Version, given: Mapping[str, Sequence[str]]) -> dict[str, str | list[str]]:
    """The parameters' values, including defaults; InvalidParameters if one violates the schema."""
    extra = sorted(set(given) - set(version.parameters))
    if extra:
        raise _invalid_parameters(f"the document declares no {', '.join(extra)}")
    bound: dict[str, str | list[str]] = {}
    for name, declaration in version.parameters.items():
        if name in given:
            values = list(given[name])
            _check_value(name, declaration, values)
        elif "default" in declaration:
            values = _as_list(declaration["default"])
        else:
            raise _invalid_parameters(f"{name} is required")
        bound[name] = values if declaration["type"] == "StringList" else values[0]
    return bound


def _check_value(name: str, declaration: Mapping[str, Any], values: Sequence[str]) -> None:
    """Raise InvalidParameters; the message names the parameter, never its value."""
    if declaration["type"] == "String" and len(values) != 1:
        raise _invalid_parameters(f"{name} takes one value")
    if len(values) < int(declaration.get("minItems", 0)):
        raise _invalid_parameters(f"{name} has fewer than {declaration['minItems']} values")
    pattern = declaration.get("allowedPattern")
    for value in values:
        if not isinstance(value, str):
            raise _invalid_parameters(f"{name} takes strings")
        if re.search(r"{{\s*ssm(-secure)?:", value):
            raise _invalid_parameters(f"{name}: references to Parameter Store are not modelled")
        if pattern is not None and not compile_pattern(pattern).search(value):
            raise _invalid_parameters(f"{name} does not match {pattern}")
        if value not in declaration.get("allowedValues", [value]):
            raise _invalid_parameters(f"{name} is not one of its allowed values")
        if not int(declaration.get("minChars", 0)) <= len(value):
            raise _invalid_parameters(f"{name} has fewer than {declaration['minChars']} characters")
        if len(value) > int(declaration.get("maxChars", len(value))):
            raise _invalid_parameters(f"{name} has more than {declaration['maxChars']} characters")


def script(version: Version, bound: Mapping[str, str | list[str]]) -> str:
    """The text that the agent runs: values are inserted verbatim, without quoting (F6.21)."""
    lines: list[str] = []
    for line in _as_list(version.step["inputs"]["runCommand"]):
        whole = PLACEHOLDER.fullmatch(line.strip())
        value = bound.get(whole[1]) if whole else None
        lines += value if isinstance(value, list) else [_substitute(line, bound)]
    return "\n".join(lines) + "\n"


def working_directory(version: Version, bound: Mapping[str, str | list[str]]) -> str:
    """Where the script starts; empty for the agent's own directory.

    The agent looks for a relative path among its downloads, which only other plugins make:
    https://github.com/aws/amazon-ssm-agent, agent/plugins/runscript/runscript.go.
    """
    path = _substitute(version.step["inputs"].get("workingDirectory", ""), bound)
    return path if path.startswith("/") else ""


def timeout(version: Version, bound: Mapping[str, str | list[str]]) -> float:
    """Virtual seconds that the script may run."""
    return float(_substitute(str(version.step["inputs"].get("timeoutSeconds", 3600)), bound))


def _substitute(text: str, bound: Mapping[str, str | list[str]]) -> str:
    def value(match: re.Match[str]) -> str:
        found = bound[match[1]]
        return found if isinstance(found, str) else json.dumps(found)

    return PLACEHOLDER.sub(value, text)


def _placeholders(value: Any) -> set[str]:
    return set(PLACEHOLDER.findall(json.dumps(value)))


def _as_list(value: Any) -> list[str]:
    return list(value) if isinstance(value, list) else [value]


def _invalid(why: str) -> ApiError:
    return ApiError("InvalidDocumentContent", f"{why.rstrip('.')}.")


def _invalid_parameters(why: str) -> ApiError:
    return ApiError("InvalidParameters", f"Invalid parameters: {why}.")
