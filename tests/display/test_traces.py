from __future__ import annotations

from display.traces import Span, fold_polls, without_current_look


def spans(*states: tuple[str, float]) -> list[Span]:
    """States with their start; each lasts until the next, and the last one still."""
    ends = [start for _, start in states[1:]]
    return [
        Span(state, start, end) for (state, start), end in zip(states, [*ends, None], strict=True)
    ]


LOOK = ("DescribeHsms", "AreHsmsAligned", "NeedsPackage")


def looking(*times: float) -> list[tuple[str, float]]:
    """A loop that looks and waits at these times."""
    return [(state, at) for at in times for state in (*LOOK, "WaitForHsms")]


def test_a_polling_loop_is_one_span_that_counts_its_looks() -> None:
    folded = fold_polls(spans(*looking(0, 15, 30), ("ReportHsms", 45)))
    assert folded == [
        *(Span(state, 0, 0) for state in LOOK),
        Span("WaitForHsms", 0, 45, looks=3),
        Span("ReportHsms", 45),
    ]


def test_states_that_last_and_work_between_looks_are_not_folded() -> None:
    slow = spans(("WaitForHsms", 0), ("DescribeHsms", 15), ("WaitForHsms", 17))
    assert fold_polls(slow) == slow
    work = [("DescribeHsms", 15.0), ("DeleteHsm", 15.0), ("DescribeHsms", 15.0)]
    working = spans(("WaitForHsms", 0), *work, ("WaitForHsms", 15))
    assert fold_polls(working) == working


def test_while_a_loop_looks_the_loop_is_the_current_state() -> None:
    again = spans(*looking(0, 15), ("DescribeHsms", 30))
    assert without_current_look(again)[-1] == Span("WaitForHsms", 0, 30, looks=2)


def test_after_a_loop_the_next_state_is_the_current_one() -> None:
    over = spans(*looking(0, 15), ("DescribeHsms", 30), ("ReportHsms", 30))
    assert without_current_look(over)[-1] == Span("ReportHsms", 30)
    assert without_current_look(spans(("CreateHsm", 0))) == [Span("CreateHsm", 0)]
