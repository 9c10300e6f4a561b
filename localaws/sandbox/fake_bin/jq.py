"""jq: the library itself (PyPI's jq), behind the options of the command."""

from __future__ import annotations

import importlib
import json
import sys

from .usage import unsupported


def main(arguments: list[str]) -> int:
    """`jq {-r|-e} [--arg NAME VALUE] FILTER`, of JSON on standard input."""
    match arguments:
        case ["-r" | "-e" as option, "--arg", name, value, expression]:
            return _filter(option, expression, {name: value})
        case ["-r" | "-e" as option, expression] if not expression.startswith("-"):
            return _filter(option, expression, {})
    return unsupported("jq", arguments)


def _filter(option: str, expression: str, variables: dict[str, str]) -> int:
    jq = importlib.import_module("jq")
    try:
        program = jq.compile(expression, args=variables)
    except ValueError as error:
        print(f"jq: error: {error}\njq: 1 compile error", file=sys.stderr)
        return 3
    result: object = False
    is_empty = True
    try:
        for result in program.input_text(sys.stdin.read()):
            is_empty = False
            is_text = option == "-r" and isinstance(result, str)
            print(result if is_text else json.dumps(result, ensure_ascii=False, indent=2))
    except ValueError as error:
        sys.stdout.flush()
        is_parse_error = "input" not in str(error) and "parse" in str(error)
        print(f"jq: {'parse ' if is_parse_error else ''}error: {error}", file=sys.stderr)
        return 2 if is_parse_error else 5
    if option == "-e":
        return 4 if is_empty else int(result is None or result is False)
    return 0
