from __future__ import annotations

from rehearsal.checks.secret_scan import leaks


def test_leaks_names_each_place_where_a_secret_can_be_read() -> None:
    observed = [("log /a", "password: swordfish"), ("log /b", "password: ***")]
    assert leaks(observed, ["swordfish", "sesame"]) == ["log /a"]
    assert leaks(observed, ["sesame"]) == []
