from __future__ import annotations

import json

from localaws.core.records import Records, render


def test_a_value_is_recorded_as_it_was_and_once() -> None:
    records, value = Records(), {"text": "before"}
    records.add("request", value)
    value["text"] = "after"
    records.add("request", {"text": "before"})
    assert records.texts() == [("request", '{"text": "before"}')]


def test_a_followed_object_is_recorded_with_what_it_contains_later() -> None:
    records, events = Records(), list[str]()
    assert not records.follows(events)
    records.follow("log", events)
    records.follow("log", events)
    events.append("later")
    assert records.follows(events)
    assert records.texts() == [("log", '["later"]')]


def test_a_secret_is_recorded_by_name_and_value() -> None:
    records = Records()
    for value in ("old", "new", "old"):
        records.add_secret("/password", value)
    assert records.secrets() == [("/password", "old"), ("/password", "new")]


def test_nested_json_is_rendered_without_backslashes() -> None:
    nested = {"cause": json.dumps({"message": json.dumps({"password": "a"})})}
    assert '"password": "a"' in render(nested)
    assert render('say \\"a\\"') == 'say "a"'
