from __future__ import annotations

import dataclasses

import pytest

from localaws.assumptions import HARSHER, ROWS, take
from localaws.services.cloudhsmv2.settings import Assumptions
from tests.test_docs import facts

# A choice of the user, not a question about AWS.
NOT_OPEN = {"year"}


def test_every_row_has_two_readings_and_names_the_harsher() -> None:
    assert [
        row.id for row in ROWS if len(row.readings) < 2 or row.harsher not in row.readings
    ] == []
    assert len({row.id for row in ROWS}) == len(ROWS)


def test_a_row_can_be_switched_or_says_why_not() -> None:
    assert [row.id for row in ROWS if bool(row.setting) == bool(row.fixed)] == []
    values = {row.id: [*row.readings.values()] for row in ROWS}
    assert [
        row.id for row in ROWS if not row.setting and values[row.id] != [None] * len(values[row.id])
    ] == []


def test_every_source_is_a_fact_that_is_documented_here() -> None:
    assert [row.id for row in ROWS if row.source and row.source not in facts()] == []


def test_every_setting_has_a_row_whose_first_reading_is_the_default() -> None:
    fields = {field.name: field.default for field in dataclasses.fields(Assumptions)}
    defaults = {row.setting: next(iter(row.readings.values())) for row in ROWS if row.setting}
    assert defaults == {name: value for name, value in fields.items() if name not in NOT_OPEN}


def test_a_reading_replaces_the_setting() -> None:
    assert take(["concurrent-create-hsm=refused"], Assumptions()).concurrent_create is False


def test_the_last_reading_wins() -> None:
    given = [HARSHER, "concurrent-create-hsm=accepted"]
    assert take(given, Assumptions()).concurrent_create is True


def test_harsher_takes_the_harsher_reading_of_every_row() -> None:
    taken = take([HARSHER], Assumptions(year=2024))
    assert taken.year == 2024
    assert [
        row.id
        for row in ROWS
        if row.setting and getattr(taken, row.setting) != row.readings[row.harsher]
    ] == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("no-such-row=x", "unknown assumption no-such-row"),
        ("concurrent-create-hsm=maybe", "expected one of accepted, refused"),
        ("govcloud=same", "govcloud cannot be switched: --region"),
    ],
)
def test_an_unknown_assumption_or_reading_is_refused(given: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        take([given], Assumptions())
