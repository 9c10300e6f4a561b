"""The reason of any failure: a line of at most 240 characters with the innermost cause."""

from __future__ import annotations

import json
import time
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from hsm_lifecycle.custom_resource import failure_reason
from tests.support.custom_resource import CLUSTER, description, failed

LIMIT = 240
ERROR = "ParameterError"
KINDS = st.sampled_from(["Create", "Update", "Delete"])
# Characters of one line; the others are replaced.
PRINTABLE = st.characters(exclude_categories=("C", "Zl", "Zp", "Zs"), include_characters=" ")
MESSAGES = st.text(PRINTABLE, min_size=1, max_size=100).map(
    lambda text: " ".join(f"It says {text} [{CLUSTER}]".split())
)
MEMBERS = st.sampled_from(
    ["Error", "Cause", "ExecutionArn", "errorMessage", "errorType", "Input", "Status", "KeyStore"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(MEMBERS | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=10,
)


def nested(levels: int, message: str, *, cause_first: bool = False) -> dict[str, str]:
    """A failure in so many nested executions; AWS does not document the order of its members."""
    error, cause = ERROR, message
    for _ in range(levels):
        described = description(Error=error, Cause=cause)
        if cause_first:
            described = json.dumps(dict(sorted(json.loads(described).items())))
        error, cause = "States.TaskFailed", described
    return failed(error, cause)


@given(failure=JSON, kind=KINDS, as_text=st.booleans())
@example(failure={"Error": None, "Cause": None}, kind="Create", as_text=False)
@example(failure={"Error": "", "Cause": " \n"}, kind="Create", as_text=False)
@example(failure={"Error": "E", "Cause": "[" * 262144}, kind="Delete", as_text=False)
@example(failure={"Error": "E", "Cause": '{"Cause":' * 29127}, kind="Delete", as_text=False)
@example(failure={"Error": "E", "Cause": '{"ExecutionArn": "'}, kind="Update", as_text=False)
@example(
    failure={"Error": "E", "Cause": '{"Cause": {"ExecutionArn": 1}}'}, kind="Update", as_text=False
)
@example(failure={"Error": "E" * 9999, "Cause": "\ud83d\u202e\x00"}, kind="Update", as_text=False)
def test_any_failure_has_a_reason(failure: Any, kind: str, as_text: bool) -> None:
    given_failure = failed("States.TaskFailed", json.dumps(failure)) if as_text else failure
    reason = failure_reason.of(given_failure, kind)
    assert reason
    assert reason.isprintable()
    assert len(reason) <= LIMIT
    assert isinstance(failure_reason.error_of(given_failure), str)


@given(message=MESSAGES, levels=st.integers(0, 4), cause_first=st.booleans())
@example(message='It says "no" and {"a": "b"} \\', levels=3, cause_first=True)
def test_the_innermost_cause_is_kept(message: str, levels: int, cause_first: bool) -> None:
    reason = failure_reason.of(nested(levels, message, cause_first=cause_first))
    assert reason == f"{ERROR}: {message}"


@given(message=MESSAGES, levels=st.integers(1, 3), cause_first=st.booleans(), cut=st.floats(0, 1))
@example(message="Schlüssel 🔑 fehlt.", levels=2, cause_first=True, cut=0.0)
@example(message='It says "no".', levels=3, cause_first=False, cut=0.0)
def test_the_innermost_cause_is_kept_if_step_functions_cuts_it(
    message: str, levels: int, cause_first: bool, cut: float
) -> None:
    cause = nested(levels, message, cause_first=cause_first)["Cause"]
    # Where the message ends in the nested JSON.
    escaped = message
    for _ in range(levels):
        escaped = json.dumps(escaped)[1:-1]
    end = cause.index(escaped) + len(escaped)
    cause = cause[: end + int(cut * (len(cause) - end))]
    reason = failure_reason.of(failed("States.TaskFailed", cause))
    assert message in reason
    assert "ExecutionArn" not in reason


@given(message=MESSAGES, levels=st.integers(1, 3), cause_first=st.booleans(), cut=st.floats(0, 1))
def test_what_is_left_of_the_innermost_cause_is_kept(
    message: str, levels: int, cause_first: bool, cut: float
) -> None:
    cause = nested(levels, message, cause_first=cause_first)["Cause"]
    escaped = message
    for _ in range(levels):
        escaped = json.dumps(escaped)[1:-1]
    # From the end of "It says " on.
    start = cause.index("It says ") + len("It says ")
    end = cause.index(escaped) + len(escaped)
    reason = failure_reason.of(
        failed("States.TaskFailed", cause[: start + int(cut * (end - start))])
    )
    kept = reason.removeprefix(f"{ERROR}: ").rstrip("?")
    assert kept.startswith("It says")
    assert message.startswith(kept.rstrip())


@given(
    message=st.sampled_from(["very ", "🔑", '"', "\\", "{", "[", "\n"]), levels=st.integers(0, 2)
)
def test_a_cause_of_256_kilobytes_is_read_at_once(message: str, levels: int) -> None:
    text = "First. " + message * (65536 // len(message)) + f" [{CLUSTER}]"
    failure = nested(levels, text)
    start = time.process_time()
    reason = failure_reason.of({**failure, "Cause": failure["Cause"][:262144]})
    assert time.process_time() - start < 2
    assert len(reason) <= LIMIT
    assert "First. " in reason
