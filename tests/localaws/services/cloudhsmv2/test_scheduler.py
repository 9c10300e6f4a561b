from __future__ import annotations

from localaws.services.cloudhsmv2.scheduler import Agenda
from tests.localaws.services.cloudhsm import START, StillClock


def test_what_is_due_happens_in_the_order_of_its_moments() -> None:
    clock, happened = StillClock(), list[str]()
    agenda = Agenda(clock)
    agenda.later(20, lambda: happened.append("later"))
    agenda.later(10, lambda: happened.append("sooner"))
    agenda.later(10, lambda: happened.append("as soon, but said after"))
    clock.advance(19)
    agenda.settle()
    assert happened == ["sooner", "as soon, but said after"]
    clock.advance(1)
    agenda.settle()
    assert happened[-1] == "later"


def test_an_effect_takes_place_at_the_moment_when_it_was_due() -> None:
    clock, moments = StillClock(), list[float]()
    agenda = Agenda(clock)

    def first() -> None:
        moments.append(agenda.now())
        agenda.later(5, lambda: moments.append(agenda.now()))

    agenda.later(10, first)
    clock.advance(100)
    agenda.settle()
    assert moments == [START + 10, START + 15]
    assert agenda.now() == START + 100


def test_what_was_called_off_does_not_happen() -> None:
    clock, happened = StillClock(), list[str]()
    agenda = Agenda(clock)
    agenda.later(10, lambda: happened.append("this")).called_off = True
    clock.advance(10)
    agenda.settle()
    assert happened == []


def test_an_effect_that_asks_the_agenda_to_settle_does_not_disturb_the_order() -> None:
    clock, happened = StillClock(), list[str]()
    agenda = Agenda(clock)

    def first() -> None:
        agenda.settle()
        happened.append("first")

    agenda.later(1, first)
    agenda.later(2, lambda: happened.append("second"))
    clock.advance(3)
    agenda.settle()
    assert happened == ["first", "second"]
