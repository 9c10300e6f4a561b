from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from typing import Any

from localaws.sandbox.sandbox import Sandbox
from localaws.services.ssm.interfaces import Outcome
from tests.localaws.services.ssm.conftest import INSTANCE, OTHER, Json, SystemsManager

PARAMETERS = {
    "Name": {"type": "String", "allowedPattern": "^[a-z]{1,9}$"},
    "Mode": {"type": "String", "default": "fast", "allowedValues": ["fast", "safe"]},
}

# --- Parameters


INVALID: list[tuple[Json, str]] = [
    ({}, "Name is required"),
    ({"Name": ["abc"], "Size": ["1"]}, "declares no Size"),
    ({"Name": ["a b"]}, "Name does not match"),
    ({"Name": ["abc\n"]}, "Name does not match"),
    ({"Name": ["abc", "def"]}, "Name takes one value"),
    ({"Name": ["abc"], "Mode": ["slow"]}, "Mode is not one of its allowed values"),
]


def test_invalid_parameters_are_rejected(online: SystemsManager) -> None:
    online.document("echo {{ Name }} {{Mode}}", parameters=PARAMETERS)
    for parameters, words in INVALID:
        assert words in online.rejected_send("InvalidParameters", Parameters=parameters)


def test_parameters_are_inserted_verbatim(online: SystemsManager) -> None:
    online.document("echo {{ Name }} '{{Mode}}'", parameters=PARAMETERS)
    online.result(online.send(Parameters={"Name": ["abc"]}))
    assert online.sandbox.started[0][0] == "echo abc 'fast'\n"


def test_a_missing_or_unanchored_pattern_allows_command_injection(online: SystemsManager) -> None:
    injected = "'; echo broken in; '"
    for pattern in ({}, {"allowedPattern": "[a-z]+"}):
        name = f"job{len(pattern)}"
        online.document(
            "echo '{{ Name }}'", name, parameters={"Name": {"type": "String"} | pattern}
        )
        online.result(online.send(name, Parameters={"Name": [injected]}))
        assert online.sandbox.started[-1][0] == "echo ''; echo broken in; ''\n"


def test_a_list_becomes_lines_on_a_line_of_its_own_and_json_elsewhere(
    online: SystemsManager,
) -> None:
    online.document("{{ Lines }}\necho '{{ Lines }}'", parameters={"Lines": {"type": "StringList"}})
    online.result(online.send(Parameters={"Lines": ["echo one", "echo two"]}))
    assert online.sandbox.started[0][0] == (
        'echo one\necho two\necho \'["echo one", "echo two"]\'\n'
    )


def test_the_delivery_timeout_has_bounds(online: SystemsManager) -> None:
    online.document("true")
    for seconds in (29, 2592001):
        online.rejected_send("ValidationException", TimeoutSeconds=seconds)


def test_an_unknown_document_or_version_cannot_be_sent(online: SystemsManager) -> None:
    online.document("true")
    online.rejected_send("InvalidDocumentVersion", DocumentVersion="2")
    online.rejected_send("InvalidDocument", "unknown")


# --- The course of a command


def test_a_command_takes_virtual_time_and_returns_its_output(online: SystemsManager) -> None:
    online.document("echo")
    online.sandbox.outcome = Outcome(0, "out\n", "err\n")
    command = online.send(Comment="why")
    states = []
    for moment in (71.5, 72.5, 74):
        online.at(moment)
        if moment == 71.5:
            request = {"CommandId": command, "InstanceId": INSTANCE}
            online.rejected("InvocationDoesNotExist", "GetCommandInvocation", **request)
        states.append(online.invocation(command)["Status"])
    assert states == ["Pending", "InProgress", "Success"]
    found = online.invocation(command)
    assert found["ResponseCode"] == 0
    assert found["StandardOutputContent"] == "out\n"
    assert found["StandardErrorContent"] == "err\n"
    assert (found["PluginName"], found["Comment"]) == ("RunJob", "why")
    assert found["ExecutionElapsedTime"] == "PT2.000S"
    assert online.sandbox.started[0][1]["AWS_SSM_REGION_NAME"] == "eu-west-1"


def test_only_the_first_query_right_after_sending_finds_no_invocation(
    online: SystemsManager,
) -> None:
    online.document("true")
    command = online.send()
    request = {"CommandId": command, "InstanceId": INSTANCE}
    online.rejected("InvocationDoesNotExist", "GetCommandInvocation", **request)
    assert online.invocation(command)["Status"] == "Pending"


def test_a_first_query_after_a_second_finds_the_invocation(online: SystemsManager) -> None:
    online.document("true")
    command = online.send()
    online.at(72)
    assert online.invocation(command)["CommandId"] == command


def test_an_unknown_command_is_not_found(online: SystemsManager) -> None:
    unknown = "0" * 36
    request = {"CommandId": unknown, "InstanceId": INSTANCE}
    online.rejected("InvocationDoesNotExist", "GetCommandInvocation", **request)
    online.rejected("InvalidCommandId", "CancelCommand", CommandId=unknown)
    online.rejected("InvalidCommandId", "ListCommandInvocations", CommandId=unknown)


def test_a_failed_script_has_its_exit_status_at_the_end_of_stderr(
    online: SystemsManager, make_sandbox: Callable[..., Sandbox]
) -> None:
    online.instances.sandboxes[INSTANCE] = make_sandbox(INSTANCE)
    online.document("echo $AWS_SSM_REGION_NAME\necho bad >&2\nexit 3")
    found = online.result(online.send())
    assert (found["Status"], found["StatusDetails"]) == ("Failed", "Failed")
    assert found["ResponseCode"] == 3
    assert found["StandardOutputContent"] == "eu-west-1\n"
    assert found["StandardErrorContent"] == "bad\nfailed to run commands: exit status 3"


def test_output_is_truncated(online: SystemsManager) -> None:
    online.document("true")
    online.sandbox.outcome = Outcome(0, "0" * 30000, "0" * 10000)
    command = online.send()
    found = online.result(command)
    assert len(found["StandardOutputContent"]) == 24000
    assert len(found["StandardErrorContent"]) == 8000
    listed = online.call("ListCommandInvocations", CommandId=command, Details=True)
    [plugin] = listed["CommandInvocations"][0]["CommandPlugins"]
    assert len(plugin["Output"]) == 2500


def test_an_injected_failure_replaces_the_script_once(online: SystemsManager) -> None:
    online.document("true")
    online.faults.inject({"script": "job", "exit": 5, "stderr": "injected"})
    found = online.result(online.send())
    assert (found["Status"], found["ResponseCode"]) == ("Failed", 5)
    assert found["StandardErrorContent"].startswith("injected\n")
    assert online.sandbox.started == []
    assert online.result(online.send())["Status"] == "Success"


def test_an_injected_download_fault_is_passed_to_the_script_once(online: SystemsManager) -> None:
    online.document("true")
    online.faults.inject({"download": "corrupt"})
    for _ in range(2):
        online.result(online.send())
    passed = [environment["LOCALAWS_DOWNLOAD"] for _, environment in online.sandbox.started]
    assert passed == ["corrupt", ""]


def test_the_virtual_time_of_a_script_counts(online: SystemsManager) -> None:
    online.document("sleep 100", timeout=600)
    online.sandbox.seconds = 100
    online.result(online.send())
    [_, end] = online.event_log.events()
    assert (end["at"], end["event"]) == (71 + 3 + 100, "Success")


def test_a_script_killed_by_a_signal_fails(online: SystemsManager) -> None:
    online.document("kill -KILL $$")
    online.sandbox.outcome = Outcome(-9, "", "")
    found = online.result(online.send())
    assert (found["Status"], found["ResponseCode"]) == ("Failed", 137)
    assert found["StandardErrorContent"] == "failed to run commands: signal: killed"


def test_a_script_that_exceeds_its_timeout_is_stopped(online: SystemsManager) -> None:
    online.document("sleep 100", timeout="60")
    online.sandbox.seconds, online.sandbox.outcome = 100, Outcome(0, "begun\n", "")
    found = online.result(online.send())
    assert (found["Status"], found["StatusDetails"]) == ("TimedOut", "ExecutionTimedOut")
    assert found["StandardOutputContent"] == "begun\n"
    assert online.event_log.events()[-1]["at"] == 71 + 3 + 60


def test_the_event_log_has_commands_but_no_parameters(online: SystemsManager) -> None:
    online.document("true {{ Name }}", parameters=PARAMETERS)
    online.result(online.send(Parameters={"Name": ["sesame"]}))
    events = online.event_log.events()
    assert [(one["at"], one["service"], one["subject"], one["event"]) for one in events] == [
        (71, "ssm", "job", "SendCommand"),
        (74, "ssm", "job", "Success"),
    ]
    assert "sesame" not in json.dumps(events)


def test_processes_have_the_arguments_of_the_scripts_commands(online: SystemsManager) -> None:
    online.document("true")
    online.result(online.send())
    assert online.provider.processes() == {INSTANCE: [["sh", "-c", "true\n"]]}


# --- Agents that go offline


def test_a_command_that_cannot_be_delivered_times_out(online: SystemsManager) -> None:
    online.document("true")
    command = online.send(TimeoutSeconds=300)
    online.faults.inject({"agent": "offline", "instance": INSTANCE})
    online.at(71 + 299)
    assert online.invocation(command)["Status"] == "Delayed"
    assert online.call("ListCommands")["Commands"][0]["Status"] == "Pending"
    found = online.result(command)
    assert (found["Status"], found["StatusDetails"]) == ("TimedOut", "DeliveryTimedOut")
    assert online.event_log.events()[-1]["at"] == 71 + 300
    assert online.sandbox.started == []


def test_a_command_is_delivered_when_the_agent_is_online_again(online: SystemsManager) -> None:
    online.document("true")
    command = online.send(TimeoutSeconds=300)
    online.faults.inject({"agent": "offline", "instance": INSTANCE})
    online.at(200)
    online.faults.inject({"agent": "online", "instance": INSTANCE})
    assert online.result(command)["Status"] == "Success"


def test_a_command_on_an_instance_that_is_stopped_times_out(online: SystemsManager) -> None:
    online.document("sleep 1000", timeout=2000)
    online.sandbox.seconds = 1000
    command = online.send(TimeoutSeconds=60)
    online.at(100)
    online.instances.launched[INSTANCE] = None
    online.sandbox.halt()
    online.at(71 + 60 + 2000 + 1)
    assert online.invocation(command)["Status"] == "TimedOut"
    assert online.event_log.events()[-1]["at"] == 71 + 60 + 2000


def test_a_command_on_an_instance_that_is_terminated_times_out(online: SystemsManager) -> None:
    online.document("true", timeout=100)
    online.sandbox.terminated = True
    command = online.send(TimeoutSeconds=60)
    online.at(72)
    del online.instances.launched[INSTANCE]
    online.at(71 + 60 + 100 + 1)
    assert online.invocation(command)["Status"] == "TimedOut"


# --- CancelCommand


def test_cancelling_stops_a_running_script(online: SystemsManager) -> None:
    online.document("sleep 1000", timeout=2000)
    online.sandbox.seconds = 1000
    for moment in (100, 200, 300):
        command = online.send()
        online.at(moment)
        online.call("CancelCommand", CommandId=command)
        found = online.result(command)
        assert (found["Status"], found["StatusDetails"]) == ("Cancelled", "Cancelled")
        assert found["ResponseCode"] == 137
        assert online.event_log.events()[-1]["at"] == moment


def test_a_command_cancelled_before_delivery_never_runs(online: SystemsManager) -> None:
    online.document("true")
    command = online.send()
    online.call("CancelCommand", CommandId=command, InstanceIds=[INSTANCE])
    assert online.result(command)["Status"] == "Cancelled"
    assert online.sandbox.started == []


def test_cancelling_a_finished_command_has_no_effect(online: SystemsManager) -> None:
    online.document("true")
    command = online.send()
    online.result(command)
    online.call("CancelCommand", CommandId=command)
    assert online.invocation(command)["Status"] == "Success"


# --- Lists


def test_commands_are_filtered_by_instance_status_document_and_time(
    online: SystemsManager,
) -> None:
    online.document("false", "bad")
    online.document("true", "good")
    online.faults.inject({"script": "bad"})
    bad, good = online.send("bad"), online.send("good")
    online.at(100)
    late = online.send("good")

    def found(**parameters: Any) -> list[str]:
        return [one["CommandId"] for one in online.call("ListCommands", **parameters)["Commands"]]

    def by(key: str, value: str) -> list[str]:
        return found(Filters=[{"key": key, "value": value}])

    moment = datetime.datetime.fromtimestamp(online.start + 90, datetime.UTC)
    instant = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert found() == [late, good, bad]
    assert found(CommandId=good) == [good]
    assert found(InstanceId=OTHER) == []
    assert by("Status", "Failed") == [bad]
    assert by("Status", "Pending") == [late]
    assert by("DocumentName", "good") == [late, good]
    assert by("InvokedAfter", instant) == [late]
    assert by("InvokedBefore", instant) == [good, bad]
    filters = [{"key": "Colour", "value": "red"}]
    online.rejected("InvalidFilterKey", "ListCommands", Filters=filters)


def test_lists_are_paged(online: SystemsManager) -> None:
    online.document("true")
    sent = [online.send() for _ in range(5)]
    first = online.call("ListCommandInvocations", MaxResults=3)
    rest = online.call("ListCommandInvocations", MaxResults=3, NextToken=first["NextToken"])
    pages = first["CommandInvocations"] + rest["CommandInvocations"]
    assert [one["CommandId"] for one in pages] == sent[::-1]
    assert "NextToken" not in rest
    online.rejected("InvalidNextToken", "ListCommands", NextToken="soon")


def test_a_command_counts_its_invocations(online: SystemsManager) -> None:
    online.instances.launched[OTHER] = online.start
    online.document("true")
    command = online.send(InstanceIds=[INSTANCE, OTHER])
    online.result(command)
    [one] = online.call("ListCommands", CommandId=command)["Commands"]
    assert (one["TargetCount"], one["CompletedCount"], one["ErrorCount"]) == (2, 2, 0)
    assert one["Status"] == "Success"
    online.faults.inject({"script": "job"})
    mixed = online.send(InstanceIds=[INSTANCE, OTHER])
    online.result(mixed)
    online.clock.sleep(5)
    [one] = online.call("ListCommands", CommandId=mixed)["Commands"]
    assert (one["Status"], one["StatusDetails"]) == ("Failed", "Incomplete")
    online.rejected_send("DuplicateInstanceId", InstanceIds=[INSTANCE, INSTANCE])


def test_an_injected_error_replaces_the_response(online: SystemsManager) -> None:
    online.document("true")
    online.faults.inject({"operation": "SendCommand", "code": "ThrottlingException"})
    online.rejected_send("ThrottlingException")
    assert online.call("ListCommands")["Commands"] == []
