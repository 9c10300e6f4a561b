"""Writes Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are Markdown, see cell() for plain text."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str) -> str:
    """Plain text as the content of one cell."""
    return " ".join(text.split()).replace("|", "\\|")


def section(template: str, block: str) -> str:
    """A block about one template, below the template's name."""
    return f"**templates/{template}**\n\n{block}"
