from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from localaws.core.clock import Hold, JumpClock, RealClock, make


@pytest.fixture(name="clock")
def _clock() -> JumpClock:
    return JumpClock(start=1000.0)


def started(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def sleeper(clock: JumpClock) -> threading.Event:
    """A thread that sleeps for ten seconds; set once it has slept."""
    slept = threading.Event()

    def sleep() -> None:
        clock.sleep(10)
        slept.set()

    started(sleep)
    return slept


def test_half_an_hour_passes_at_once(clock: JumpClock) -> None:
    began = time.monotonic()
    clock.sleep(1800)
    assert clock.now() == 2800
    assert clock.elapsed() == 1800
    assert time.monotonic() - began < 1


def test_time_stands_still_while_somebody_works(clock: JumpClock) -> None:
    with clock.busy():
        slept = sleeper(clock)
        assert not slept.wait(0.1)
        assert clock.now() == 1000
    assert slept.wait(1)
    assert clock.now() == 1010


def test_work_may_be_nested(clock: JumpClock) -> None:
    with clock.busy():
        with clock.busy():
            pass
        slept = sleeper(clock)
        assert not slept.wait(0.05)
    assert slept.wait(1)


def test_time_moves_while_a_worker_waits_for_others(clock: JumpClock) -> None:
    with clock.busy():
        slept = sleeper(clock)
        with clock.idle():
            assert slept.wait(1)


def test_a_worker_that_sleeps_gives_its_hold_up_and_gets_it_back(clock: JumpClock) -> None:
    with clock.busy():
        clock.sleep(10)
        slept = sleeper(clock)
        assert not slept.wait(0.05)
    assert slept.wait(1)


def test_a_signal_ends_a_wait_before_its_time(clock: JumpClock) -> None:
    signal, outcome = clock.signal(), list[bool]()
    with clock.busy():
        waiter = started(lambda: outcome.append(clock.wait([signal], 100)))
        while not signal.waiters:
            time.sleep(0.001)
        clock.set(signal)
    waiter.join(1)
    assert outcome == [True]
    assert clock.now() == 1000


def test_a_wait_without_a_signal_ends_in_time(clock: JumpClock) -> None:
    assert not clock.wait([clock.signal()], 100)
    assert clock.now() == 1100


def test_a_signal_that_has_happened_ends_a_wait_at_once(clock: JumpClock) -> None:
    signal = clock.signal()
    clock.set(signal)
    assert clock.wait([signal], 100)
    assert clock.now() == 1000


def test_who_waits_for_the_same_moment_goes_one_after_the_other(clock: JumpClock) -> None:
    order: list[str] = []

    def work(name: str) -> None:
        clock.sleep(10)
        order.append(f"{name} begins")
        time.sleep(0.02)
        order.append(f"{name} ends")

    with clock.busy():
        threads = []
        for name in ("first", "second", "third"):
            turn = clock.turn()

            def run(name: str = name, turn: Hold = turn) -> None:
                with turn:
                    work(name)

            threads.append(started(run))
    for thread in threads:
        thread.join(2)
    assert order == [
        f"{name} {what}" for name in ("first", "second", "third") for what in ("begins", "ends")
    ]


def test_a_turn_comes_once_those_at_work_rest_but_at_the_same_moment(clock: JumpClock) -> None:
    seen: list[float] = []
    with clock.busy():
        turn = clock.turn()

        def run() -> None:
            with turn:
                seen.append(clock.now())

        thread = started(run)
        time.sleep(0.05)
        assert seen == []
    thread.join(1)
    assert seen == [1000]


def test_a_turn_that_is_not_taken_holds_nothing_up(clock: JumpClock) -> None:
    clock.turn().release()
    clock.sleep(5)
    assert clock.now() == 1005


def test_a_hold_can_be_handed_to_another_thread(clock: JumpClock) -> None:
    hold = clock.handoff()
    slept = sleeper(clock)
    assert not slept.wait(0.05)

    def work() -> None:
        with hold:
            time.sleep(0.05)

    started(work).join(1)
    assert slept.wait(1)


def test_a_hold_that_was_lent_comes_back(clock: JumpClock) -> None:
    hold = clock.handoff()

    def borrow() -> None:
        with hold.lent():
            clock.sleep(10)

    started(borrow).join(1)
    assert clock.now() == 1010
    slept = sleeper(clock)
    assert not slept.wait(0.05)
    hold.release()
    hold.release()
    assert slept.wait(1)


def test_somebody_may_sleep_on_behalf_of_a_process_that_another_thread_holds_for(
    clock: JumpClock,
) -> None:
    with clock.busy():
        started(lambda: clock.sleep_on_behalf(60)).join(1)
        assert clock.now() == 1060


def test_a_paused_clock_does_not_jump(clock: JumpClock) -> None:
    clock.pause()
    slept = sleeper(clock)
    assert not slept.wait(0.1)
    assert clock.paused
    clock.resume()
    assert slept.wait(1)


def test_a_paused_clock_moves_as_far_as_it_is_advanced(clock: JumpClock) -> None:
    clock.pause()
    moments: list[float] = []

    def work() -> None:
        with clock.busy():
            for _ in range(3):
                clock.sleep(10)
                moments.append(clock.now())

    thread = started(work)
    time.sleep(0.05)
    clock.advance(25)
    assert clock.now() == 1025
    assert moments == [1010, 1020]
    clock.resume()
    thread.join(1)
    assert moments == [1010, 1020, 1030]


def test_a_jump_is_counted(clock: JumpClock) -> None:
    clock.sleep(1)
    clock.sleep(1)
    assert clock.jumps == 2


def test_the_real_clock_takes_its_time() -> None:
    clock = RealClock()
    began = time.monotonic()
    assert not clock.wait([clock.signal()], 0.05)
    assert time.monotonic() - began >= 0.05
    assert clock.elapsed() >= 0.05


def test_the_real_clock_can_be_advanced_past_a_wait() -> None:
    clock = RealClock()
    thread = started(lambda: clock.sleep(3600))
    clock.advance(3600)
    thread.join(2)
    assert not thread.is_alive()


def test_clocks_go_by_name() -> None:
    assert isinstance(make("jump"), JumpClock)
    assert isinstance(make("real"), RealClock)
