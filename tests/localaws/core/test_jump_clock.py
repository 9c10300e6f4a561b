from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from localaws.core.clock import Hold
from localaws.core.jump_clock import JumpClock


@pytest.fixture(name="clock")
def _clock() -> JumpClock:
    return JumpClock(start=1000.0)


def started(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def sleeper(clock: JumpClock) -> threading.Event:
    """Start a thread that sleeps for ten virtual seconds and then sets the event."""
    slept = threading.Event()

    def sleep() -> None:
        clock.sleep(10)
        slept.set()

    started(sleep)
    return slept


def test_half_an_hour_passes_in_an_instant(clock: JumpClock) -> None:
    began = time.monotonic()
    clock.sleep(1800)
    assert clock.now() == 2800
    assert clock.elapsed() == 1800
    assert time.monotonic() - began < 1


def test_time_stands_still_while_a_thread_is_busy(clock: JumpClock) -> None:
    with clock.busy():
        slept = sleeper(clock)
        assert not slept.wait(0.1)
        assert clock.now() == 1000
    assert slept.wait(1)
    assert clock.now() == 1010


def test_busy_may_be_nested(clock: JumpClock) -> None:
    with clock.busy():
        with clock.busy():
            pass
        slept = sleeper(clock)
        assert not slept.wait(0.05)
    assert slept.wait(1)


def test_time_moves_while_a_busy_thread_is_idle(clock: JumpClock) -> None:
    with clock.busy():
        slept = sleeper(clock)
        with clock.idle():
            assert slept.wait(1)


def test_a_busy_thread_holds_the_clock_again_after_sleeping(clock: JumpClock) -> None:
    with clock.busy():
        clock.sleep(10)
        slept = sleeper(clock)
        assert not slept.wait(0.05)
    assert slept.wait(1)


def test_a_signal_ends_a_wait_early(clock: JumpClock) -> None:
    signal, outcome = clock.signal(), list[bool]()
    with clock.busy():
        waiter = started(lambda: outcome.append(clock.wait([signal], 100)))
        while not signal.waiters:
            time.sleep(0.001)
        clock.set(signal)
    waiter.join(1)
    assert outcome == [True]
    assert clock.now() == 1000


def test_a_wait_times_out_without_a_signal(clock: JumpClock) -> None:
    assert not clock.wait([clock.signal()], 100)
    assert clock.now() == 1100


def test_a_wait_for_a_set_signal_returns_at_once(clock: JumpClock) -> None:
    signal = clock.signal()
    clock.set(signal)
    assert clock.wait([signal], 100)
    assert clock.now() == 1000


def test_threads_due_at_the_same_moment_run_one_after_the_other(clock: JumpClock) -> None:
    order: list[str] = []

    def work(name: str) -> None:
        clock.sleep(10)
        order.append(f"{name} begins")
        time.sleep(0.02)
        order.append(f"{name} ends")

    with clock.busy():
        threads = []
        for name in ("first", "second", "third"):
            hold = clock.deferred_hold()

            def run(name: str = name, hold: Hold = hold) -> None:
                with hold:
                    work(name)

            threads.append(started(run))
    for thread in threads:
        thread.join(2)
    assert order == [
        f"{name} {what}" for name in ("first", "second", "third") for what in ("begins", "ends")
    ]


def test_a_deferred_hold_starts_after_the_current_work_at_the_same_moment(clock: JumpClock) -> None:
    seen: list[float] = []
    with clock.busy():
        hold = clock.deferred_hold()

        def run() -> None:
            with hold:
                seen.append(clock.now())

        thread = started(run)
        time.sleep(0.05)
        assert seen == []
    thread.join(1)
    assert seen == [1000]


def test_a_released_deferred_hold_does_not_stop_the_clock(clock: JumpClock) -> None:
    clock.deferred_hold().release()
    clock.sleep(5)
    assert clock.now() == 1005


def test_a_handoff_holds_the_clock_until_its_thread_ends(clock: JumpClock) -> None:
    hold = clock.handoff()
    slept = sleeper(clock)
    assert not slept.wait(0.05)

    def work() -> None:
        with hold:
            time.sleep(0.05)

    started(work).join(1)
    assert slept.wait(1)


def test_a_borrowed_hold_is_kept_until_it_is_released(clock: JumpClock) -> None:
    hold = clock.handoff()

    def work() -> None:
        with hold.borrow():
            clock.sleep(10)

    started(work).join(1)
    assert clock.now() == 1010
    slept = sleeper(clock)
    assert not slept.wait(0.05)
    hold.release()
    hold.release()
    assert slept.wait(1)


def test_a_paused_clock_does_not_jump(clock: JumpClock) -> None:
    clock.pause()
    slept = sleeper(clock)
    assert not slept.wait(0.1)
    assert clock.paused
    clock.resume()
    assert slept.wait(1)


def test_advancing_a_paused_clock_runs_what_is_due_until_then(clock: JumpClock) -> None:
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


def test_jumps_are_counted(clock: JumpClock) -> None:
    clock.sleep(1)
    clock.sleep(1)
    assert clock.jumps == 2
