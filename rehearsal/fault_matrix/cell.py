"""The cells of the matrix: a request, one of its calls, and a way in which it fails."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rehearsal.fault_matrix import faults
from rehearsal.fault_matrix.call import Call


@dataclass(frozen=True)
class Cell:
    """One fault of one call of one request."""

    request: str
    call: Call
    kind: str

    @property
    def id(self) -> str:
        """Its name, by which it is selected and reported."""
        return f"{self.request}/{self.call}/{self.kind}"

    @property
    def lasting(self) -> bool:
        """Whether the fault stays, so that the request has to fail."""
        return self.kind in faults.LASTING

    @property
    def fault(self) -> faults.Json:
        """The fault as the admin API takes it."""
        return faults.fault_of(self.call, self.kind)


def cells_of(calls: Mapping[str, Sequence[Call]]) -> list[Cell]:
    """Every cell, in the order of requests and calls."""
    return [
        Cell(request, call, kind)
        for request, made in calls.items()
        for call in made
        for kind in faults.kinds_of(call)
    ]


def selected(
    cells: Sequence[Cell], only: str = "", sample: int | None = None, seed: int = 0
) -> list[Cell]:
    """The cells whose id the pattern matches, or that many of them, chosen by the seed."""
    found = [cell for cell in cells if re.search(only, cell.id)]
    if sample is None or sample >= len(found):
        return found
    random_numbers = random.Random(seed)  # nosec B311 # a repeatable sample
    chosen = {*random_numbers.sample(range(len(found)), sample)}
    return [cell for number, cell in enumerate(found) if number in chosen]
