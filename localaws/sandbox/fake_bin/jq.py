"""jq: the library itself (PyPI's jq), behind the options of the command."""

from __future__ import annotations

import importlib
import json
import sys

FLAGS = {
    "r": "raw-output",
    "j": "join-output",
    "e": "exit-status",
    "c": "compact-output",
    "n": "null-input",
    "s": "slurp",
    "R": "raw-input",
    "M": "monochrome-output",
    "S": "sort-keys",
}


class _UsageError(Exception):
    pass


def main(arguments: list[str]) -> int:
    """`jq [-rjecnsRS] [--arg NAME VALUE] [--argjson NAME JSON] FILTER [FILE...]`."""
    try:
        flags, named, words = _parse(arguments)
    except _UsageError as error:
        print(
            f"jq: error: {error}\nUse jq --help for help with command-line options,",
            file=sys.stderr,
        )
        return 2
    jq = importlib.import_module("jq")
    try:
        program = jq.compile(words[0], args=named)
    except ValueError as error:
        print(f"jq: error: {error}\njq: 1 compile error", file=sys.stderr)
        return 3
    try:
        text = "".join(_read(name) for name in words[1:]) if words[1:] else None
    except OSError as error:
        print(f"jq: error: Could not open {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    if "null-input" in flags:
        ready = program.input_value(None)
    else:
        text = sys.stdin.read() if text is None else text
        if "raw-input" in flags:
            ready = (
                program.input_value(text)
                if "slurp" in flags
                else program.input_values(text.splitlines())
            )
        else:
            ready = program.input_text(text, slurp="slurp" in flags)
    last: object = False
    nothing = True
    try:
        for last in ready:
            nothing = False
            _print(last, flags)
    except ValueError as error:
        sys.stdout.flush()
        parsing = "input" not in str(error) and "parse" in str(error)
        print(f"jq: {'parse ' if parsing else ''}error: {error}", file=sys.stderr)
        return 2 if parsing else 5
    if "exit-status" in flags:
        return 4 if nothing else int(last is None or last is False)
    return 0


def _parse(arguments: list[str]) -> tuple[set[str], dict[str, object], list[str]]:
    flags: set[str] = set()
    named: dict[str, object] = {}
    words: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument in ("--arg", "--argjson"):
            name, value = next(rest, None), next(rest, None)
            if name is None or value is None:
                raise _UsageError(f"{argument} takes two parameters (e.g. {argument} name value)")
            try:
                named[name] = value if argument == "--arg" else json.loads(value)
            except ValueError:
                raise _UsageError(f"Invalid JSON text passed to --argjson: {value}") from None
        elif argument.startswith("--") and argument[2:] in FLAGS.values():
            flags.add(argument[2:])
        elif argument.startswith("-") and argument[1:] and set(argument[1:]) <= set(FLAGS):
            flags.update(FLAGS[letter] for letter in argument[1:])
        elif argument.startswith("-") and argument != "-":
            raise _UsageError(f"Unknown option: {argument}")
        else:
            words.append(argument)
    if not words:
        raise _UsageError("no filter given")
    return flags, named, words


def _read(name: str) -> str:
    with open(name) as file:
        return file.read()


def _print(value: object, flags: set[str]) -> None:
    raw = bool(flags & {"raw-output", "join-output"})
    if raw and isinstance(value, str):
        text = value
    else:
        compact = "compact-output" in flags
        text = json.dumps(
            value,
            ensure_ascii=False,
            indent=None if compact else 2,
            separators=(",", ":") if compact else (",", ": "),
            sort_keys="sort-keys" in flags,
        )
    sys.stdout.write(text if "join-output" in flags else text + "\n")
