"""A worker: tries chains of units in a local AWS, as long as that is in order."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterable

from rehearsal.fault_matrix.cell import Cell
from rehearsal.fault_matrix.plan import Chain, Unit
from rehearsal.fault_matrix.recording import Recording
from rehearsal.fault_matrix.results import HOLE, PASSED, TOLERATED, Result
from rehearsal.fault_matrix.session import REASON, BrokenError, Session, Trial
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
        self._was_fresh = True
        self.setting = ""

    def close(self) -> None:
        """End the local AWS."""
        self._session = None
        # A local AWS that does not end in order is none of its cells' faults.
        with contextlib.suppress(Exception):
            self._exit.close()

    def try_chain(self, chain: Chain) -> None:
        """Try all units of a chain; after lasting faults, the request has to succeed."""
        if chain.setting != self.setting:
            self.close()
        self.setting = chain.setting
        for unit in chain.units:
            self.try_unit(unit)
        if chain.units[-1].lasting and self._session:
            self._repeat(chain.units[-1])

    def try_unit(self, unit: Unit) -> None:
        """Try a unit; those that fail together are tried again in halves, and at last alone."""
        trial = self._try(unit)
        alone = len(unit.cells) == 1
        if alone and (trial.missed or trial.problems) and not self._is_final(trial):
            self.close()
            trial = self._try(unit)
        if alone:
            self._report(_result(unit.cells[0], trial))
        elif trial.problems:
            for half in unit.halves():
                self.try_unit(half)
        else:
            self._report_passed(cell for cell in unit.cells if cell not in trial.missed)
            for single in unit.alone(trial.missed):
                self.try_unit(single)

    def _is_final(self, trial: Trial) -> bool:
        """Whether another try in a new local AWS would end in the same way."""
        return self._was_fresh or bool(trial.problems and _is_usable(trial))

    def _try(self, unit: Unit) -> Trial:
        """Try a unit once. Ends the local AWS if that is not in order afterwards."""
        may_fail = len(unit.cells) == 1 and reason_for(unit.cells[0]) is not None
        try:
            session = self._at(unit)
            request = session.setting.requests[unit.request]
            if unit.lasting:
                trial = session.try_lasting(request, unit.cells[0])
            else:
                trial = session.try_once(request, unit.cells, may_fail=may_fail)
        except Exception as error:
            trial = Trial([_crash(error)], [])
        if trial.problems and not _is_usable(trial):
            self.close()
        return trial

    def _repeat(self, unit: Unit) -> None:
        """Send the request of a lasting fault once more, now that the fault is gone."""
        try:
            if self._session:
                self._session.repeat(self._session.setting.requests[unit.request])
        except Exception as error:
            self.close()
            detail = f"after the faults: {_crash(error)}"[:DETAIL]
            self._report(Result(unit.cells[-1].id, HOLE, detail))

    def _at(self, unit: Unit) -> Session:
        """A local AWS in the state before the unit's request; a new one if necessary."""
        if self._session and self._session.requests_sent > LONGEST_SESSION:
            self.close()
        if self._session:
            try:
                self._was_fresh = False
                return self._reached(self._session, unit)
            except BrokenError:
                self.close()
        self._exit = contextlib.ExitStack()
        states = self._recording.states[self.setting]
        self._session = self._exit.enter_context(Session(self.setting, states))
        self._was_fresh = True
        return self._reached(self._session, unit)

    def _reached(self, session: Session, unit: Unit) -> Session:
        session.prepare_for(session.setting.requests[unit.request])
        return session

    def _report_passed(self, cells: Iterable[Cell]) -> None:
        for cell in cells:
            self._report(Result(cell.id, PASSED))


def _is_usable(trial: Trial) -> bool:
    """Whether only words are wrong, so that all is in order for the next request."""
    return all(problem.startswith(REASON) for problem in trial.problems)


def _crash(error: Exception) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({where.name}:{where.lineno})"


def _result(cell: Cell, trial: Trial) -> Result:
    if trial.problems or trial.missed:
        detail = "; ".join(trial.problems or [NOT_CALLED])[:DETAIL]
        # Without a response, no failure is as it should be.
        outcome = TOLERATED if cell.lasting and reason_for(cell) else HOLE
        return Result(cell.id, outcome, detail)
    if trial.failure:
        return Result(cell.id, TOLERATED, trial.failure[:DETAIL])
    return Result(cell.id, PASSED)
