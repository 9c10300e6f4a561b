"""Describes in Markdown what has not been proven on AWS."""

from __future__ import annotations

from localaws.assumptions import ROWS, Assumption


def assumptions() -> str:
    """The table of all open questions: default readings in bold, harsher ones in italics."""
    head = [
        "| Id | Open question, and how the templates handle it | Readings | How to find out |",
        "| --- | --- | --- | --- |",
    ]
    return "\n".join(head + [_row(row) for row in ROWS])


def _row(row: Assumption) -> str:
    source = f" ({row.source})" if row.source else ""
    return (
        f"| `{row.id}` | {row.question} {row.handling}{source} | {_readings(row)} |"
        f" {row.evidence} |"
    )


def _readings(row: Assumption) -> str:
    default = next(iter(row.readings))
    marked = []
    for reading in row.readings:
        text = f"*{reading}*" if reading == row.harsher else reading
        marked.append(f"**{text}**" if reading == default else text)
    return ", ".join(marked)
