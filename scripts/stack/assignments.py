"""NAME=value words of PARAMS= and TAGS=, and whether a template takes them. Pure."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Mapping
from typing import Any

from scripts.stack.account import OperatorError


def parse(variable: str, text: str) -> dict[str, str]:
    """The assignments in the text of a make variable, quoted as in a shell."""
    try:
        words = shlex.split(text.replace("\\\n", " "))
    except ValueError as error:
        raise OperatorError(f"{variable}: {error} in {text!r}. Close it.") from error
    found: dict[str, str] = {}
    for word in words:
        name, is_assignment, value = word.partition("=")
        if not is_assignment or not name:
            raise OperatorError(
                f"{variable}: {word!r} is not NAME=value. Quote a value with spaces:"
                f" {variable}=\"name='a b'\"."
            )
        if name in found:
            raise OperatorError(f"{variable}: {name} is given twice. Give it once.")
        found[name] = value
    return found


def check(given: Mapping[str, str], declared: Mapping[str, Any], *, is_new: bool) -> None:
    """Refuse parameters that the template lacks, and a new stack without those it requires.

    CloudFormation's own deploy command ignores the former.
    """
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise OperatorError(
            f"PARAMS: {' '.join(unknown_parameter(name, declared) for name in unknown)}"
        )
    missing = sorted(
        name for name, about in declared.items() if "Default" not in about and name not in given
    )
    if is_new and missing:
        raise OperatorError(
            f"PARAMS: a new stack requires {', '.join(missing)}. Nothing was created."
        )


def unknown_parameter(name: str, declared: Mapping[str, Any]) -> str:
    """The sentence for a parameter that the template lacks."""
    by_case = {each.lower(): each for each in declared}
    alike = difflib.get_close_matches(name.lower(), by_case, n=1)
    hint = f" Did you mean {by_case[alike[0]]}?" if alike else " See docs/parameters.md."
    return f"the template has no parameter {name}.{hint}"
