"""The findings and costs, for people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from scripts.preflight import prices
from scripts.preflight.findings import ERROR, OK, WARNING, Finding
from scripts.preflight.subject import Subject

_STYLES = {OK: "green", WARNING: "yellow", ERROR: "bold red"}


def show(console: Console, subject: Subject, found: Sequence[Finding], bill: Sequence[Any]) -> None:
    """Print the tables and a summary."""
    console.print(_findings(found))
    if bill:
        console.print(_costs(list(bill)))
        for remark in prices.remarks(subject, list(bill)):
            console.print(Text(remark, style="dim"))
        console.print()
    console.print(_summary(found))


def _findings(found: Sequence[Finding]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("check", no_wrap=True)
    table.add_column("finding", overflow="fold", ratio=1)
    previous = ""
    for each in found:
        name = each.check if each.check != previous else ""
        previous = each.check
        advice = [Text(f"→ {each.advice}", style="cyan")] if each.advice else []
        table.add_row(
            Text(each.level, style=_STYLES[each.level]),
            name,
            Group(Text(each.text, overflow="fold"), *advice),
        )
    return table


def _costs(bill: list[prices.Item]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("costs, from the first minute", no_wrap=True)
    table.add_column("USD an hour", justify="right")
    table.add_column("USD a month", justify="right")
    for item in (*bill, prices.total(bill)):
        style = "bold" if item.name == "total" else ""
        table.add_row(item.name, _usd(item.hourly, 4), _usd(item.monthly, 2), style=style)
    return table


def _usd(amount: float | None, digits: int) -> str:
    return "?" if amount is None else f"{amount:,.{digits}f}"


def _summary(found: Sequence[Finding]) -> Text:
    errors, warnings = _count(found, ERROR), _count(found, WARNING)
    if errors:
        text = f"The creation would fail: {errors} errors, {warnings} warnings."
        return Text(text.replace(" 1 errors", " 1 error"), style=_STYLES[ERROR])
    if warnings:
        return Text(f"No errors; read the warnings ({warnings}) first.", style=_STYLES[WARNING])
    return Text("Preflight found no problems.", style=_STYLES[OK])


def _count(found: Sequence[Finding], level: str) -> int:
    return sum(each.level == level for each in found)


def as_json(subject: Subject, found: Sequence[Finding], bill: list[prices.Item]) -> str:
    """Everything that the tables have."""
    document = {
        "region": subject.account.region,
        "errors": _count(found, ERROR),
        "warnings": _count(found, WARNING),
        "findings": [
            {
                "check": each.check,
                "level": each.level,
                "parameter": each.parameter,
                "text": each.text,
                "advice": each.advice,
            }
            for each in found
        ],
        "costs": [
            {"item": item.name, "usd_per_hour": item.hourly, "usd_per_month": item.monthly}
            for item in (*bill, prices.total(bill))
        ],
        "prices": prices.SOURCE,
    }
    return json.dumps(document, indent=2, ensure_ascii=False)
