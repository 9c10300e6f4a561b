from __future__ import annotations

from rehearsal.timeline import Event, Timeline


class Clock:
    """Time that a test sets."""

    time = 1000.0

    def now(self) -> float:
        return self.time


def test_events_carry_virtual_seconds_since_the_start_and_their_details() -> None:
    clock = Clock()
    timeline = Timeline(clock)
    clock.time += 12.34
    timeline.note("ssm", "i-1", "SendCommand", document="install")
    assert timeline.events() == [
        {
            "at": 12.3,
            "service": "ssm",
            "subject": "i-1",
            "event": "SendCommand",
            "document": "install",
        }
    ]


def test_events_are_in_the_order_of_time_and_then_of_noting() -> None:
    clock = Clock()
    timeline = Timeline(clock)
    clock.time = 1100
    for event, moment in (("c", 1100), ("a", 1010), ("d", 1100), ("b", 1010)):
        timeline.note_at(moment, "cloudhsm", "x", event)
    assert [entry["event"] for entry in timeline.events()] == ["a", "b", "c", "d"]
    assert [entry["event"] for entry in timeline.events(since=10)] == ["a", "b", "c", "d"]
    assert [entry["event"] for entry in timeline.events(since=10.1)] == ["c", "d"]


def test_a_listener_hears_each_event_as_it_is_noted() -> None:
    timeline = Timeline(Clock())
    heard: list[Event] = []
    timeline.note("kms", "x", "before")
    timeline.listen(heard.append)
    timeline.note("kms", "x", "after")
    assert [entry["event"] for entry in heard] == ["after"]
