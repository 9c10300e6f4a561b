"""The order in which cells are tried: what shares a request, and what shares a local AWS."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

from rehearsal.fault_matrix.cell import Cell
from rehearsal.fault_matrix.tolerated import reason_for

Item = TypeVar("Item")

# Faults that share a request. More would exceed a request's time if each costs a retry.
LARGEST_GROUP = 12
# Units that are tried one after the other in a local AWS, before another worker may go on.
ROUNDS, LASTING = 2, 12


@dataclass(frozen=True)
class Unit:
    """Cells that are tried with one request: several faults that happen once, or one that stays."""

    request: str
    cells: tuple[Cell, ...]

    @property
    def lasting(self) -> bool:
        """Whether the request has to fail."""
        return self.cells[0].lasting

    def halves(self) -> list[Unit]:
        """Two units with half of the cells each."""
        middle = len(self.cells) // 2
        return [Unit(self.request, part) for part in (self.cells[:middle], self.cells[middle:])]

    def alone(self, cells: Iterable[Cell]) -> list[Unit]:
        """A unit for each of the cells."""
        return [Unit(self.request, (cell,)) for cell in cells]


@dataclass(frozen=True)
class Chain:
    """Units for one local AWS, in order."""

    setting: str
    units: Sequence[Unit]


def chains_of(cells: Sequence[Cell], requests: Mapping[str, Sequence[str]]) -> list[Chain]:
    """All chains; `requests` are the names of each setting's requests, in their order."""
    chains = []
    for setting, names in requests.items():
        once = [groups(_of(cells, name, lasting=False)) for name in names]
        rounds = [[unit for unit in each if unit is not None] for each in zip_longest(*once)]
        chains += [
            Chain(setting, [unit for each in some for unit in each])
            for some in _parts(rounds, ROUNDS)
        ]
        for name in names:
            units = [Unit(name, (cell,)) for cell in _of(cells, name, lasting=True)]
            chains += [Chain(setting, some) for some in _parts(units, LASTING)]
    return chains


def groups(cells: Iterable[Cell]) -> list[Unit]:
    """Units of cells with faults that happen once; no two are retried together."""
    found: list[dict[str, Cell]] = []
    alone: list[Cell] = []
    for cell in cells:
        if reason_for(cell):
            alone.append(cell)
            continue
        occasion = cell.call.occasion
        group = next((g for g in found if occasion not in g and len(g) < LARGEST_GROUP), None)
        if group is None:
            found.append(group := {})
        group[occasion] = cell
    units = [Unit(next(iter(g.values())).request, tuple(g.values())) for g in found]
    return [*units, *(Unit(cell.request, (cell,)) for cell in alone)]


def _of(cells: Iterable[Cell], request: str, *, lasting: bool) -> Iterator[Cell]:
    return (cell for cell in cells if cell.request == request and cell.lasting == lasting)


def _parts(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
