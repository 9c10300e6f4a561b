from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from localaws.client import LocalAws, LocalAwsError
from tests.localaws.ministack.custom_resource_function import CustomResourceStack
from tests.localaws.ministack.support import Json, SampleStack, elapsed, function, role

# Real seconds, in which an answer would have come if nothing held it up.
A_MOMENT = 0.3
PARAMETER = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "x"}}


def asked(aws: LocalAws, path: str, body: Json | None = None) -> str:
    """What the admin API says to a request that it refuses."""
    with pytest.raises(LocalAwsError) as refused:
        aws.admin._ask(path, body)
    return str(refused.value)


def test_the_clock_moves_as_far_as_it_is_advanced(aws: LocalAws) -> None:
    before = aws.admin.clock()
    aws.admin.advance(100)
    after = aws.admin.clock()
    assert after["elapsed"] - before["elapsed"] == 100
    assert after["now"] - before["now"] == 100
    assert after["jumps"] > before["jumps"]
    assert not after["paused"]


def test_time_that_is_made_to_stand_still_moves_as_far_as_it_is_advanced(aws: LocalAws) -> None:
    aws.admin.pause()
    before = aws.admin.clock()
    assert before["paused"]
    aws.admin.advance(100)
    assert aws.admin.clock()["elapsed"] - before["elapsed"] == 100
    assert aws.admin.clock()["paused"]
    aws.admin.resume()
    assert not aws.admin.clock()["paused"]


def test_whoever_asks_for_a_stack_at_rest_is_answered_once_it_is(
    aws: LocalAws, custom: CustomResourceStack
) -> None:
    stack = custom.stack
    aws.admin.pause()
    stack.create(custom.resources({"Example": {"Create": {"Sleep": 60}}}), wait=False)
    with ThreadPoolExecutor() as asking:
        answers = [asking.submit(aws.admin.rests, each) for each in (stack.name, stack.id)]
        assert not wait(answers, A_MOMENT).done
        aws.admin.resume()
        assert all(answer.result() for answer in answers)
    assert stack.status() == "CREATE_COMPLETE"


def test_the_timeline_can_be_read_from_a_moment_on(aws: LocalAws, stack: SampleStack) -> None:
    aws.admin.advance(10)
    # As exact as the event_log is.
    began = round(elapsed(aws), 1)
    stack.create({"It": PARAMETER})
    since = aws.admin.event_log(since=began)
    assert all(event["at"] >= began for event in since)
    # Something that another test has begun may come to its end meanwhile.
    told = [event for event in since if event.get("stack") == stack.name]
    assert [(event["subject"], event["event"]) for event in told] == [
        (stack.name, "CREATE_IN_PROGRESS"),
        ("It", "CREATE_IN_PROGRESS"),
        ("It", "CREATE_COMPLETE"),
        (stack.name, "CREATE_COMPLETE"),
    ]
    assert {event["service"] for event in told} == {"cloudformation"}
    assert told[1]["type"] == "AWS::SSM::Parameter"


def test_the_inventory_shows_what_exists_and_no_more(aws: LocalAws, stack: SampleStack) -> None:
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
        {"deliver": "thrice", "request": "Create"},
    ],
)
def test_a_fault_that_means_nothing_is_refused(aws: LocalAws, fault: Json) -> None:
    assert "InvalidFault" in asked(aws, "/faults", fault)


def test_a_path_that_is_not_there_is_refused(aws: LocalAws) -> None:
    assert "NotFound" in asked(aws, "/nothing")
    assert "NotFound" in asked(aws, "/nothing", {})


def test_what_custom_resources_answer_is_kept(aws: LocalAws, custom: CustomResourceStack) -> None:
    before = len(aws.admin.answers())
    custom.create()
    told = [json.loads(answer) for answer in aws.admin.answers()[before:]]
    assert [answer["Status"] for answer in told] == ["SUCCESS"]
