from __future__ import annotations

import http.client
import json
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from localaws.client import LocalAws, LocalAwsError
from localaws.services.cloudhsmv2 import hardware_roots
from tests.localaws.ministack.custom_resource_function import CustomResourceStack
from tests.localaws.ministack.support import Json, SampleStack, elapsed, function, role
from tests.support.plain_http import ask

# Real seconds, long enough for a response that does not wait.
A_MOMENT = 0.3
PARAMETER = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "x"}}


def error_of(aws: LocalAws, path: str, body: Json | None = None) -> str:
    """The error of a request."""
    with pytest.raises(LocalAwsError) as caught:
        aws.admin._ask(path, body)
    return str(caught.value)


def test_advance_moves_the_clock(aws: LocalAws) -> None:
    before = aws.admin.clock()
    aws.admin.advance(100)
    after = aws.admin.clock()
    assert after["elapsed"] - before["elapsed"] == 100
    assert after["now"] - before["now"] == 100
    assert after["jumps"] > before["jumps"]
    assert not after["paused"]


def test_advance_moves_a_paused_clock(aws: LocalAws) -> None:
    aws.admin.pause()
    before = aws.admin.clock()
    assert before["paused"]
    aws.admin.advance(100)
    assert aws.admin.clock()["elapsed"] - before["elapsed"] == 100
    assert aws.admin.clock()["paused"]
    aws.admin.resume()
    assert not aws.admin.clock()["paused"]


def test_idle_waits_until_the_stack_is_at_rest(aws: LocalAws, custom: CustomResourceStack) -> None:
    stack = custom.stack
    aws.admin.pause()
    stack.create(custom.resources({"Example": {"Create": {"Sleep": 60}}}), wait=False)
    with ThreadPoolExecutor() as executor:
        responses = [executor.submit(aws.admin.is_idle, each) for each in (stack.name, stack.id)]
        assert not wait(responses, A_MOMENT).done
        aws.admin.resume()
        assert all(response.result() for response in responses)
    assert stack.status() == "CREATE_COMPLETE"


def test_the_event_log_can_be_read_from_a_moment_on(aws: LocalAws, stack: SampleStack) -> None:
    aws.admin.advance(10)
    # As precise as the event log is.
    began = round(elapsed(aws), 1)
    stack.create({"It": PARAMETER})
    since = aws.admin.event_log(since=began)
    assert all(event["at"] >= began for event in since)
    # Stacks of other tests may still have events.
    events = [event for event in since if event.get("stack") == stack.name]
    assert [(event["subject"], event["event"]) for event in events] == [
        (stack.name, "CREATE_IN_PROGRESS"),
        ("It", "CREATE_IN_PROGRESS"),
        ("It", "CREATE_COMPLETE"),
        (stack.name, "CREATE_COMPLETE"),
    ]
    assert {event["service"] for event in events} == {"cloudformation"}
    assert events[1]["type"] == "AWS::SSM::Parameter"


def test_the_inventory_lists_what_exists(aws: LocalAws, stack: SampleStack) -> None:
    before = aws.admin.inventory()
    resources = {
        "It": PARAMETER,
        "FunctionRole": role("lambda"),
        "Function": function("def handler(e, c): pass"),
    }
    stack.create(resources)
    during = aws.admin.inventory()
    assert {"name": stack.name, "status": "CREATE_COMPLETE"} in during["cloudformation"]["stacks"]
    assert stack.physical_id("It") in during["ssm"]["parameters"]
    assert stack.physical_id("Function") in during["lambda"]
    assert stack.physical_id("FunctionRole") in during["iam"]["roles"]
    stack.delete()
    assert aws.admin.inventory() == before


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"operation": "CreateHsm", "when": "sometime"},
        {"nonsense": 1},
        {"lambda": "x", "die": "slowly"},
        {"operation": "CreateHsm", "function": "cluster"},
        {"deliver": "thrice", "request": "Create"},
    ],
)
def test_an_invalid_fault_is_rejected(aws: LocalAws, fault: Json) -> None:
    assert "InvalidFault" in error_of(aws, "/faults", fault)


def test_an_unknown_path_is_rejected(aws: LocalAws) -> None:
    assert "NotFound" in error_of(aws, "/nothing")
    assert "NotFound" in error_of(aws, "/nothing", {})


def test_responses_of_custom_resources_are_recorded(
    aws: LocalAws, custom: CustomResourceStack
) -> None:
    before = len(aws.admin.responses())
    custom.create()
    responses = [json.loads(response) for response in aws.admin.responses()[before:]]
    assert [response["Status"] for response in responses] == ["SUCCESS"]


# --- Who is served


def answer(
    aws: LocalAws, method: str, path: str, body: str | None = None, **changed: str | None
) -> tuple[int, str]:
    """Status and error of a request as the client sends it, but for some headers."""
    host = aws.admin.url.removeprefix("http://")
    sent = {"Host": host, **aws.admin._headers, **changed}
    connection = http.client.HTTPConnection(host)
    connection.putrequest(method, path, skip_host=True)
    for name, value in sent.items():
        if value is not None:
            connection.putheader(name, value)
    connection.putheader("Content-Length", str(len(body or "")))
    connection.endheaders((body or "").encode())
    response = connection.getresponse()
    found = json.load(response)
    connection.close()
    return response.status, found.get("error", "") if isinstance(found, dict) else ""


def test_the_admin_api_requires_the_token_of_this_start(aws: LocalAws) -> None:
    for token in (None, "", "Bearer ", "Bearer guessed", f"Basic {aws.admin.url}", "Bearer é"):
        for method, path in (("GET", "/clock"), ("POST", "/advance"), ("GET", "/nothing")):
            refused = answer(aws, method, path, "{}", Authorization=token)
            assert refused == (401, "Unauthorized"), (token, method, path)
    assert answer(aws, "GET", "/clock") == (200, "")


def test_the_admin_api_refuses_names_that_were_resolved_to_this_machine(aws: LocalAws) -> None:
    port = aws.admin.url.rpartition(":")[2]
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", "127.0.0.1:1", None):
        assert answer(aws, "GET", "/clock", Host=host) == (403, "ForeignHost"), host
    assert answer(aws, "GET", "/clock", Host=f"localhost:{port}") == (200, "")


def test_the_admin_api_refuses_what_a_web_page_can_send(aws: LocalAws) -> None:
    for origin in ("https://evil.example", "null", aws.admin.url):
        assert answer(aws, "POST", "/advance", "{}", Origin=origin) == (403, "ForeignOrigin")
    for content in (None, "text/plain", "application/x-www-form-urlencoded"):
        refused = answer(aws, "POST", "/advance", "{}", **{"Content-Type": content})
        assert refused == (415, "UnsupportedMediaType"), content


def test_invalid_json_is_an_error(aws: LocalAws) -> None:
    assert answer(aws, "POST", "/advance", "{") == (400, "InvalidJson")


def test_a_sandbox_reaches_the_hsms_but_not_the_rest_of_the_admin_api(aws: LocalAws) -> None:
    [commands] = aws.scratch.glob("*/sockets/commands")
    for method, path in (("GET", "/clock"), ("POST", "/faults"), ("POST", "/advance")):
        assert ask(commands, method, path, "{}")[0] == 404
    status, body = ask(commands, "POST", "/data-plane", '{"operation": "x", "parameters": {}}')
    assert status == 400
    # The latter if another test has made a cluster.
    assert json.loads(body)["error"] in ("Unreachable", "Refused")


def test_roots_can_be_downloaded(aws: LocalAws) -> None:
    assert aws.admin.hsm_roots() == hardware_roots.all_roots()
