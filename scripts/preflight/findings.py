"""What a check found, and how bad it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

OK, WARNING, ERROR = "ok", "warning", "error"
_PARAMETER = re.compile(r"(p[A-Z]\w+)\b")


@dataclass(frozen=True)
class Finding:
    """One row: of which check, how bad, what, and what to do."""

    check: str
    level: str
    text: str
    advice: str = ""

    @property
    def parameter(self) -> str:
        """The stack parameter that the finding is about; empty if it is about none."""
        found = _PARAMETER.search(f"{self.text} {self.advice}")
        return found[1] if found and self.level != OK else ""


@dataclass(frozen=True)
class Check:
    """Makes findings under one name."""

    name: str

    def ok(self, text: str) -> Finding:
        """Nothing is wrong."""
        return Finding(self.name, OK, text)

    def warning(self, text: str, advice: str = "") -> Finding:
        """It may fail, or could not be checked."""
        return Finding(self.name, WARNING, text, advice)

    def error(self, text: str, advice: str = "") -> Finding:
        """It would fail."""
        return Finding(self.name, ERROR, text, advice)

    def errors_or_ok(self, problems: Iterable[Exception], ok: str) -> Iterator[Finding]:
        """A row for each problem of the workflow's own rules, or else that there is none."""
        found = [self.error(str(problem)) for problem in problems]
        yield from found or [self.ok(ok)]
