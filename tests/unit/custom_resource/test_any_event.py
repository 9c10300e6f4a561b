"""Any event at both entry points: no error but the log's, and no response to another host."""

from __future__ import annotations

import json
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hsm_lifecycle.custom_resource import response_url
from hsm_lifecycle.custom_resource.request import take
from hsm_lifecycle.custom_resource.response import respond
from tests.support import bad_input
from tests.support.bad_input import MISSING
from tests.support.custom_resource import STACK_ID, Context, outcome, request
from tests.support.executions import Executions
from tests.support.response_endpoint import HOST

URL = f"https://{HOST}/responses/one?X-Amz-Signature=of-the-url"
KINDS = st.sampled_from(["Create", "Update", "Delete"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just("\ud83d"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from([*request("Update", URL), "Failure", "Fallback", "Outcome", "IsRetry"])
URLS = st.lists(
    st.sampled_from(
        [
            *("https:", "http:", "file:", "//", "/", "\\", "@", ":", ":443", "#", "?", ".", "%2e"),
            *(
                HOST,
                HOST.upper(),
                "example.com",
                "127.0.0.1",
                "[::1]",
                "user",
                " ",
                "\n",
                "\t",
                "ü",
            ),
        ]
    ),
    max_size=8,
).map("".join)


@pytest.fixture(name="sent")
def _sent(monkeypatch: pytest.MonkeyPatch) -> list[urllib.request.Request]:
    """The requests that are sent."""
    sent: list[urllib.request.Request] = []

    class Accepted:
        def close(self) -> None:
            """Nothing to close."""

    def urlopen(put: urllib.request.Request, timeout: float) -> Accepted:
        sent.append(put)
        return Accepted()

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return sent


def changed(event: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**event, **changes}.items() if value is not MISSING}


CHANGES = st.dictionaries(FIELDS, JSON | st.just(MISSING), max_size=3)


@given(kind=KINDS, changes=CHANGES | URLS.map(lambda url: {"ResponseURL": url}))
@example(kind="Update", changes={"OldResourceProperties": {"ClientInstanceId": []}})
@example(kind="Update", changes={"PhysicalResourceId": "((("})
def test_any_request_is_started_answered_or_refused(
    states: Executions, sent: list[urllib.request.Request], kind: str, changes: dict[str, Any]
) -> None:
    states.started.clear()
    states.running.clear()
    sent.clear()
    event = changed(request(kind, URL), changes)
    take(event, Context())
    is_refused = response_url.problem(event) is not None
    assert len(states.started) + len(sent) == (0 if is_refused else 1)
    if states.started:
        assert event["StackId"] == STACK_ID
        assert "ResponseURL" not in json.loads(states.started[0]["input"])["Request"]
    expect_cloudformation(sent)


@given(kind=KINDS, changes=CHANGES, more=CHANGES, as_record=st.booleans())
def test_any_outcome_is_answered_or_refused(
    sent: list[urllib.request.Request],
    kind: str,
    changes: dict[str, Any],
    more: dict[str, Any],
    as_record: bool,
) -> None:
    sent.clear()
    given_outcome = outcome(kind, URL)
    given_outcome["Request"] = changed(given_outcome["Request"], changes)
    event = changed(given_outcome, more)
    if as_record:
        event = {"requestPayload": changed(request(kind, URL), changes), "responsePayload": more}
    respond(event, Context())
    assert len(sent) <= 1
    expect_cloudformation(sent)
    for put in sent:
        assert isinstance(put.data, bytes)
        body = json.loads(put.data)
        assert body["Status"] == "SUCCESS" or body["Reason"]


@given(event=JSON)
def test_any_json_is_refused(
    states: Executions, sent: list[urllib.request.Request], event: Any
) -> None:
    for entry_point in (take, respond):
        entry_point(event, Context())
    assert (states.started, sent) == ([], [])


@given(url=URLS)
@example(url=URL)
@example(url=f"HTTPS://{HOST.upper()}:443/one")
def test_any_address_that_is_accepted_leads_to_cloudformation(url: str) -> None:
    sent = request("Create", url)
    if response_url.problem(sent) is None:
        # As the library that sends the response reads it.
        put = urllib.request.Request(url, method="PUT")
        assert put.type.lower() == "https"
        assert put.host.lower().removesuffix(":443").removesuffix(":") == HOST
    if url in bad_input.URLS:
        assert response_url.problem(sent)


def expect_cloudformation(sent: list[urllib.request.Request]) -> None:
    """Nothing is sent elsewhere."""
    assert {urlsplit(put.full_url).hostname for put in sent} <= {HOST}
