"""Describes the errors of the functions in Markdown."""

from __future__ import annotations

import ast
from pathlib import Path

from scripts import markdown

ERRORS = Path("functions") / "hsm_lifecycle" / "errors.py"


def table(source: str) -> str:
    """The name and the meaning of each exception class in Python source."""
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    return markdown.table(
        ("Error", "Meaning"), ((f"`{node.name}`", meaning(node)) for node in classes)
    )


def meaning(node: ast.ClassDef) -> str:
    """The first paragraph of a class's docstring on one line."""
    paragraph = (ast.get_docstring(node) or "").partition("\n\n")[0]
    return markdown.cell(paragraph)
