"""SSM documents of type Command: versions, what is refused, and the script that comes of one.

A document here has schema 2.2 and one step, `aws:runShellScript`: what else SSM knows is refused in
words, not ignored.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from localaws.core.api_error import ApiError

NAME = re.compile(r"[a-zA-Z0-9_\-.]{3,128}")
RESERVED_PREFIXES = ("aws", "amazon", "amzn")
# Bytes: the quota "SSM document size".
MAXIMUM_SIZE = 65536
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
    """One version's text and what was read from it."""

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
        """The one step."""
        step: Mapping[str, Any] = self.document["mainSteps"][0]
        return step


@dataclass
class Document:
    """A document with all its versions; the default one counts from 1."""

    name: str
    created: float
    tags: Sequence[Mapping[str, str]]
    versions: list[Version]
    default: int = 1
    deleted: set[int] = field(default_factory=set)

    def pick(self, wanted: str | None) -> tuple[int, Version]:
        """The version called "3", "$LATEST" or "$DEFAULT" (which None means too)."""
        latest = len(self.versions)
        number = {None: self.default, "$DEFAULT": self.default, "$LATEST": latest}.get(wanted)
        if number is None:
            number = int(wanted) if wanted and wanted.isdigit() else 0
        if not 1 <= number <= latest or number in self.deleted:
            raise ApiError(
                "InvalidDocumentVersion", f"Document {self.name} has no version {wanted}."
            )
        return number, self.versions[number - 1]


def check_name(name: str) -> None:
    """Refuse a name that a new document cannot have."""
    if not NAME.fullmatch(name) or name.lower().startswith(RESERVED_PREFIXES):
        raise ApiError(
            "ValidationException",
            f"'{name}' is no name for a document: 3 to 128 letters, digits or _-. are needed, and "
            f"{', '.join(RESERVED_PREFIXES)} are reserved as prefixes.",
        )


def parse(content: str, format: str) -> Version:
    """Read and check a document's text, JSON or YAML."""
    if len(content.encode()) > MAXIMUM_SIZE:
        raise ApiError("MaxDocumentSizeExceeded", f"The document is over {MAXIMUM_SIZE} bytes.")
    try:
        document = json.loads(content) if format == "JSON" else yaml.safe_load(content)
    except (ValueError, yaml.YAMLError) as error:
        raise _invalid(f"The text is not {format}: {error}") from None
    if not isinstance(document, dict):
        raise _invalid("The text is not a mapping")
    if document.get("schemaVersion") != "2.2":
        raise ApiError(
            "InvalidDocumentSchemaVersion",
            f"Schema version {document.get('schemaVersion')!r} is not supported: 2.2 is.",
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
            raise _invalid(f"Parameter {name} is used and not declared")
    return version


def _check_step(steps: Any) -> None:
    if not isinstance(steps, list) or len(steps) != 1 or not isinstance(steps[0], dict):
        raise _invalid("mainSteps must have one step")
    step = steps[0]
    if step.get("action") != "aws:runShellScript":
        raise _invalid(f"Action {step.get('action')} is not rehearsed: aws:runShellScript is")
    if not re.fullmatch(r"[a-zA-Z0-9_]{1,}", str(step.get("name", ""))):
        raise _invalid("A step's name is made of letters, digits and underscores")
    inputs = step.get("inputs")
    if not isinstance(inputs, dict) or set(step) - STEP_KEYS or set(inputs) - INPUT_KEYS:
        raise _invalid(f"Only {', '.join(sorted(STEP_KEYS | INPUT_KEYS))} are rehearsed in a step")
    lines = inputs.get("runCommand")
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise _invalid("runCommand must be a list of strings")


def _check_declaration(name: str, declaration: Any) -> None:
    if not isinstance(declaration, dict) or declaration.get("type") not in ("String", "StringList"):
        raise _invalid(f"Parameter {name} must be of type String or StringList")
    unknown = set(declaration) - PARAMETER_KEYS
    if unknown:
        raise _invalid(f"Parameter {name}: {', '.join(sorted(unknown))} is not rehearsed")
    pattern = declaration.get("allowedPattern")
    if pattern is not None:
        try:
            compile_pattern(pattern)
        except (ValueError, re.error) as error:
            raise _invalid(f"Parameter {name}: allowedPattern {pattern}: {error}") from None
    if "default" in declaration:
        try:
            _check_value(name, declaration, _as_list(declaration["default"]))
        except ApiError as refusal:
            raise _invalid(f"Parameter {name}: the default is refused: {refusal.message}") from None


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """A pattern that Java (the API) and RE2 (the agent) understand alike (F6.23), or ValueError.

    It is searched for, not matched whole; `$` is the very end, as in RE2.
    """
    translated, at, in_class = "", 0, False
    while at < len(pattern):
        char, two = pattern[at], pattern[at : at + 2]
        if char == "\\":
            if two[1:].isdigit() or two in (r"\k", r"\Z", r"\z", r"\G", r"\Q"):
                raise ValueError(f"{two} means nothing, or something else, to RE2 or Java")
            translated += two
            at += 2
            continue
        if not in_class:
            if two == "(?" and pattern[at + 2 : at + 3] not in (":", "i", "s", "m"):
                raise ValueError("RE2 has no look-around and no atomic groups")
            if char in "*+?}" and pattern[at + 1 : at + 2] == "+":
                raise ValueError("RE2 has no possessive quantifiers")
        in_class = char == "[" if not in_class else char != "]"
        translated += r"\Z" if char == "$" and not in_class else char
        at += 1
    return re.compile(translated)


def bind(version: Version, given: Mapping[str, Sequence[str]]) -> dict[str, str | list[str]]:
    """The parameters' values, defaults filled in; InvalidParameters if one is not as declared."""
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
    """Messages name the parameter and never its value."""
    if declaration["type"] == "String" and len(values) != 1:
        raise _invalid_parameters(f"{name} takes one value")
    pattern = declaration.get("allowedPattern")
    for value in values:
        if not isinstance(value, str):
            raise _invalid_parameters(f"{name} takes strings")
        if pattern is not None and not compile_pattern(pattern).search(value):
            raise _invalid_parameters(f"{name} does not match {pattern}")
        if value not in declaration.get("allowedValues", [value]):
            raise _invalid_parameters(f"{name} is not one of its allowed values")
        if not int(declaration.get("minChars", 0)) <= len(value):
            raise _invalid_parameters(f"{name} has less than {declaration['minChars']} characters")
        if len(value) > int(declaration.get("maxChars", len(value))):
            raise _invalid_parameters(f"{name} has more than {declaration['maxChars']} characters")


def script(version: Version, bound: Mapping[str, str | list[str]]) -> str:
    """The text that the agent runs: values are pasted in as they are, quotes and all (F6.21)."""
    lines: list[str] = []
    for line in version.step["inputs"]["runCommand"]:
        whole = PLACEHOLDER.fullmatch(line.strip())
        value = bound.get(whole[1]) if whole else None
        lines += value if isinstance(value, list) else [_paste(line, bound)]
    return "\n".join(lines) + "\n"


def timeout(version: Version, bound: Mapping[str, str | list[str]]) -> float:
    """Virtual seconds that the script may run."""
    return float(_paste(str(version.step["inputs"].get("timeoutSeconds", 3600)), bound))


def _paste(text: str, bound: Mapping[str, str | list[str]]) -> str:
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
