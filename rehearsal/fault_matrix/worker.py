"""A worker: tries chains of units in a local AWS, as long as that is in order."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterable

from rehearsal.fault_matrix.cell import Cell
from rehearsal.fault_matrix.plan import Chain, Unit
from rehearsal.fault_matrix.recording import Recording
from rehearsal.fault_matrix.results import HOLE, PASSED, TOLERATED, Result
from rehearsal.fault_matrix.session import BrokenError, Session
from rehearsal.fault_matrix.tolerated import reason_for

# A local AWS becomes slower with each request.
LONGEST_SESSION = 60
NOT_CALLED = "the call was not made"
DETAIL = 600


class Worker:
    """Tries units and reports the result of each of their cells."""

    def __init__(self, recording: Recording, report: Callable[[Result], None]) -> None:
        self._recording, self._report = recording, report
        self._session: Session | None = None
        self._exit = contextlib.ExitStack()
        self._is_fresh = True
        self.setting = ""

    def close(self) -> None:
        """End the local AWS."""
        self._session = None
        self._exit.close()

    def try_chain(self, chain: Chain) -> None:
        """Try all units of a chain."""
        if chain.setting != self.setting:
            self.close()
        self.setting = chain.setting
        for unit in chain.units:
            self.try_unit(unit)

    def try_unit(self, unit: Unit) -> None:
        """Try a unit; those that fail together are tried again in halves, and at last alone."""
        problems, missed = self._problems(unit)
        alone = len(unit.cells) == 1
        if alone and (missed or problems) and not self._is_final(problems, unit):
            self.close()
            problems, missed = self._problems(unit)
        if alone:
            self._report(_result(unit.cells[0], problems, missed=bool(missed)))
        elif problems:
            for half in unit.halves():
                self.try_unit(half)
        else:
            self._report_passed(cell for cell in unit.cells if cell not in missed)
            for single in unit.alone(missed):
                self.try_unit(single)

    def _is_final(self, problems: list[str], unit: Unit) -> bool:
        """Whether another try in a new local AWS would end in the same way."""
        only_reason = bool(problems) and all(each.startswith("the reason") for each in problems)
        return self._is_fresh or only_reason or bool(problems and reason_for(unit.cells[0]))

    def _problems(self, unit: Unit) -> tuple[list[str], list[Cell]]:
        """Problems, and the cells whose call was not made. Ends a local AWS with problems."""
        try:
            session = self._at(unit)
            request = session.setting.requests[unit.request]
            if unit.lasting:
                problems, happened = session.try_lasting(request, unit.cells[0])
                missed = [] if happened else [*unit.cells]
            else:
                problems, missed = session.try_once(request, unit.cells)
        except Exception as error:
            last = traceback.format_exc().strip().splitlines()[-3:-1]
            self.close()
            return [f"crashed: {error!r} {' '.join(line.strip() for line in last)}"], []
        if any(not each.startswith("the reason") for each in problems):
            self.close()
        return problems, missed

    def _at(self, unit: Unit) -> Session:
        """A local AWS in the state before the unit's request; a new one if necessary."""
        if self._session and self._session.requests_sent > LONGEST_SESSION:
            self.close()
        if self._session:
            try:
                self._is_fresh = False
                return self._reached(self._session, unit)
            except BrokenError:
                self.close()
        self._exit = contextlib.ExitStack()
        states = self._recording.states[self.setting]
        self._session = self._exit.enter_context(Session(self.setting, states))
        self._is_fresh = True
        return self._reached(self._session, unit)

    def _reached(self, session: Session, unit: Unit) -> Session:
        session.prepare_for(session.setting.requests[unit.request])
        return session

    def _report_passed(self, cells: Iterable[Cell]) -> None:
        for cell in cells:
            self._report(Result(cell.id, PASSED))


def _result(cell: Cell, problems: list[str], *, missed: bool) -> Result:
    if not problems and not missed:
        return Result(cell.id, PASSED)
    detail = "; ".join(problems or [NOT_CALLED])[:DETAIL]
    return Result(cell.id, TOLERATED if reason_for(cell) else HOLE, detail)
