from __future__ import annotations

import threading
import time

from localaws.core.real_clock import RealClock


def test_waits_take_real_time() -> None:
    clock = RealClock()
    began = time.monotonic()
    assert not clock.wait([clock.signal()], 0.05)
    assert time.monotonic() - began >= 0.05
    assert clock.elapsed() >= 0.05


def test_advancing_ends_a_wait() -> None:
    clock = RealClock()
    thread = threading.Thread(target=clock.sleep, args=(3600,), daemon=True)
    thread.start()
    clock.advance(3600)
    thread.join(2)
    assert not thread.is_alive()
