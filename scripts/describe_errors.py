"""Describes the errors of the workers in Markdown, from the one module that has them all."""

from __future__ import annotations

import ast
from pathlib import Path

ERRORS = Path("functions") / "hsm_lifecycle" / "errors.py"


def table(source: str) -> str:
    """The name and the meaning of each exception class in this Python source."""
    rows = ["| Error | What it means |", "| --- | --- |"]
    rows += [
        f"| `{node.name}` | {meaning(node)} |"
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef)
    ]
    return "\n".join(rows)


def meaning(node: ast.ClassDef) -> str:
    """The first paragraph of a class's docstring, on one line."""
    paragraph = (ast.get_docstring(node) or "").partition("\n\n")[0]
    return " ".join(paragraph.split()).replace("|", "\\|")
