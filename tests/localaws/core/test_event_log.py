from __future__ import annotations

from localaws.core.event_log import Event, EventLog


class Clock:
    """Time set by the test."""

    time = 1000.0

    def now(self) -> float:
        return self.time


def test_events_carry_virtual_seconds_since_the_start_and_their_details() -> None:
    clock = Clock()
    event_log = EventLog(clock)
    clock.time += 12.34
    event_log.record("ssm", "i-1", "SendCommand", document="install")
    assert event_log.events() == [
        {
            "at": 12.3,
            "service": "ssm",
            "subject": "i-1",
            "event": "SendCommand",
            "document": "install",
        }
    ]


def test_events_are_ordered_by_time_and_then_by_recording() -> None:
    clock = Clock()
    event_log = EventLog(clock)
    clock.time = 1100
    for event, moment in (("c", 1100), ("a", 1010), ("d", 1100), ("b", 1010)):
        event_log.record_at(moment, "cloudhsm", "x", event)
    assert [entry["event"] for entry in event_log.events()] == ["a", "b", "c", "d"]
    assert [entry["event"] for entry in event_log.events(since=10)] == ["a", "b", "c", "d"]
    assert [entry["event"] for entry in event_log.events(since=10.1)] == ["c", "d"]


def test_a_listener_receives_the_events_recorded_after_it_was_added() -> None:
    event_log = EventLog(Clock())
    heard: list[Event] = []
    event_log.record("kms", "x", "before")
    event_log.listen(heard.append)
    event_log.record("kms", "x", "after")
    assert [entry["event"] for entry in heard] == ["after"]
