"""The content of SSM documents of type Automation, as far as they are only stored: schema 0.3.

https://docs.aws.amazon.com/systems-manager/latest/userguide/documents-schemas-features.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from localaws.core.api_error import ApiError

KEYS = frozenset({"schemaVersion", "description", "assumeRole", "parameters", "mainSteps"})
ACTIONS = frozenset({"aws:executeAwsApi", "aws:executeScript"})
# https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-action-executeScript.html
SCRIPT_KEYS = frozenset({"Runtime", "Handler", "InputPayload", "Script"})
RUNTIMES = frozenset({"python3.11"})
PLACEHOLDER = re.compile(r"{{\s*([^{}\s]+)\s*}}")
GLOBAL = ("global:", "automation:")


def check(document: Mapping[str, Any]) -> None:
    """Raise ApiError for a document that Automation does not accept, or that is not modelled."""
    if document.get("schemaVersion") != "0.3":
        raise ApiError(
            "InvalidDocumentSchemaVersion",
            f"Schema version {document.get('schemaVersion')!r} is not supported; use 0.3.",
        )
    unknown = sorted(set(document) - KEYS)
    steps = document.get("mainSteps")
    if unknown or not isinstance(steps, list) or not steps:
        raise _invalid(f"Unknown keys: {', '.join(unknown)}" if unknown else "There is no step")
    for step in steps:
        _check_step(step)
    declared = document.get("parameters") or {}
    for name in PLACEHOLDER.findall(json.dumps(document)):
        if name not in declared and not name.startswith(GLOBAL):
            raise _invalid(f"Parameter {name} is not declared")


def _check_step(step: Mapping[str, Any]) -> None:
    if step.get("action") not in ACTIONS:
        raise _invalid(f"Action {step.get('action')} is not modelled")
    if not re.fullmatch(r"[a-zA-Z0-9_]{3,128}", str(step.get("name", ""))):
        raise _invalid("A step name must have 3 to 128 letters, digits and underscores")
    inputs = step.get("inputs") or {}
    if step["action"] == "aws:executeScript":
        if set(inputs) - SCRIPT_KEYS or inputs.get("Runtime") not in RUNTIMES:
            raise _invalid(f"Step {step['name']}: the inputs are not modelled")
        try:
            compile(inputs["Script"], step["name"], "exec")
        except (KeyError, SyntaxError) as error:
            raise _invalid(f"Step {step['name']}: {error}") from None


def _invalid(why: str) -> ApiError:
    return ApiError("InvalidDocumentContent", f"{why}.")
