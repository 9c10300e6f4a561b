from __future__ import annotations

from localaws.services.cloudhsmv2.scheduler import Scheduler
from tests.localaws.services.cloudhsm import START, StillClock


def test_tasks_run_in_the_order_of_their_due_times() -> None:
    clock, ran = StillClock(), list[str]()
    scheduler = Scheduler(clock)
    scheduler.schedule(20, lambda: ran.append("late"))
    scheduler.schedule(10, lambda: ran.append("early"))
    scheduler.schedule(10, lambda: ran.append("early, scheduled second"))
    clock.advance(19)
    scheduler.run_due()
    assert ran == ["early", "early, scheduled second"]
    clock.advance(1)
    scheduler.run_due()
    assert ran[-1] == "late"


def test_a_task_runs_at_its_due_time_however_late_it_is() -> None:
    clock, moments = StillClock(), list[float]()
    scheduler = Scheduler(clock)

    def first() -> None:
        moments.append(scheduler.now())
        scheduler.schedule(5, lambda: moments.append(scheduler.now()))

    scheduler.schedule(10, first)
    clock.advance(100)
    scheduler.run_due()
    assert moments == [START + 10, START + 15]
    assert scheduler.now() == START + 100


def test_a_cancelled_task_does_not_run() -> None:
    clock, ran = StillClock(), list[str]()
    scheduler = Scheduler(clock)
    scheduler.schedule(10, lambda: ran.append("this")).cancel()
    clock.advance(10)
    scheduler.run_due()
    assert ran == []


def test_running_what_is_due_inside_a_task_keeps_the_order() -> None:
    clock, ran = StillClock(), list[str]()
    scheduler = Scheduler(clock)

    def first() -> None:
        scheduler.run_due()
        ran.append("first")

    scheduler.schedule(1, first)
    scheduler.schedule(2, lambda: ran.append("second"))
    clock.advance(3)
    scheduler.run_due()
    assert ran == ["first", "second"]
