"""Run Command and documents, as a client of the API sees them."""

from __future__ import annotations

import datetime
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from localaws.core.api_error import ApiError
from localaws.core.event_log import EventLog
from localaws.core.faults import Faults
from localaws.core.jump_clock import JumpClock
from localaws.sandbox.sandbox import Sandbox, Script
from localaws.services.cloudhsmv2.settings import Timings
from localaws.services.ssm.interfaces import Outcome
from localaws.services.ssm.provider import SsmProvider

INSTANCE = "i-0123456789abcdef0"
OTHER = "i-0fedcba9876543210"
Json = dict[str, Any]


class SlowScript:
    """A script in a sandbox that takes virtual time after it has run."""

    def __init__(self, script: Script, clock: JumpClock, seconds: float) -> None:
        self._script = script
        self._clock = clock
        self._seconds = seconds
        self._killed = clock.signal()

    def wait(self, timeout: float | None = None) -> Outcome:
        outcome = self._script.wait(timeout)
        was_killed = self._clock.wait([self._killed], self._seconds)
        return replace(outcome, exit_code=-9) if was_killed else outcome

    def kill(self) -> None:
        self._clock.set(self._killed)


class SlowSandbox:
    """A sandbox in which every script takes as many virtual seconds as Instances says."""

    def __init__(self, sandbox: Sandbox, instances: Instances) -> None:
        self._instances = instances
        self.run, self.halt, self.destroy = sandbox.run, sandbox.halt, sandbox.destroy
        self.commands = sandbox.commands
        self._start = sandbox.start

    def start(self, script: str, environment: Mapping[str, str]) -> SlowScript:
        started = self._start(script, environment)
        return SlowScript(started, self._instances.clock, self._instances.script_seconds)


class Instances:
    """Instances that were launched when the test began."""

    def __init__(self, clock: JumpClock, make_sandbox: Callable[..., Sandbox]) -> None:
        self.clock = clock
        self.script_seconds = 0.0
        self.launched: dict[str, float | None] = {INSTANCE: clock.now()}
        self._sandboxes: dict[str, SlowSandbox] = {}
        self._make_sandbox = make_sandbox

    def ids(self) -> list[str]:
        return list(self.launched)

    def launched_at(self, instance_id: str) -> float | None:
        return self.launched[instance_id]

    def sandbox(self, instance_id: str) -> SlowSandbox:
        if instance_id not in self._sandboxes:
            self._sandboxes[instance_id] = SlowSandbox(self._make_sandbox(instance_id), self)
        return self._sandboxes[instance_id]


class EmulatorState:
    """One account's Systems Manager and all that it needs; the test holds the clock."""

    def __init__(self, make_sandbox: Callable[..., Sandbox]) -> None:
        self.clock = JumpClock()
        self.start = self.clock.now()
        self.faults = Faults()
        self.event_log = EventLog(self.clock)
        self.instances = Instances(self.clock, make_sandbox)
        self.ssm = SsmProvider(
            self.clock,
            self.instances,
            self.spawn,
            region="eu-west-1",
            account="123456789012",
            timings=Timings(),
            faults=self.faults,
            event_log=self.event_log,
        )

    def spawn(self, work: Callable[..., object], *arguments: Any) -> None:
        held = self.clock.handoff()

        def run() -> None:
            with held:
                work(*arguments)

        threading.Thread(target=run, daemon=True).start()

    def call(self, action: str, **parameters: Any) -> Json:
        return self.ssm.call(action, parameters)

    def at(self, seconds: float) -> None:
        """Wait until so many virtual seconds have passed since the start."""
        self.clock.sleep(self.start + seconds - self.clock.now())

    def document(self, script: str, name: str = "job", **more: Any) -> None:
        self.call("CreateDocument", Name=name, Content=content(script, **more))

    def send(self, name: str = "job", **more: Any) -> str:
        sent = self.call("SendCommand", DocumentName=name, **{"InstanceIds": [INSTANCE], **more})
        return str(sent["Command"]["CommandId"])

    def ask(self, command: str, instance: str = INSTANCE) -> Json:
        return self.call("GetCommandInvocation", CommandId=command, InstanceId=instance)

    def outcome(self, command: str) -> Json:
        """Wait for a command's end."""
        self.clock.sleep(1.5)
        while self.ask(command)["Status"] in ("Pending", "Delayed", "InProgress", "Cancelling"):
            self.clock.sleep(0.5)
        return self.ask(command)


def content(script: str, parameters: Json | None = None, timeout: Any = 60) -> str:
    step = {
        "action": "aws:runShellScript",
        "name": "Job",
        "inputs": {"timeoutSeconds": timeout, "runCommand": script.split("\n")},
    }
    return json.dumps({"schemaVersion": "2.2", "parameters": parameters or {}, "mainSteps": [step]})


@pytest.fixture(name="emulator")
def _emulator(make_sandbox: Callable[..., Sandbox]) -> Iterator[EmulatorState]:
    emulator = EmulatorState(make_sandbox)
    with emulator.clock.busy():
        yield emulator
        # Let the last command end before its sandbox goes.
        emulator.clock.sleep(5)


@pytest.fixture(name="online")
def _online(emulator: EmulatorState) -> EmulatorState:
    emulator.at(71)
    return emulator


def refused(emulator: EmulatorState, code: str, action: str, **parameters: Any) -> str:
    with pytest.raises(ApiError) as caught:
        emulator.call(action, **parameters)
    assert caught.value.code == code
    return caught.value.message


# --- Documents


def test_a_new_version_is_the_default_only_when_told(emulator: EmulatorState) -> None:
    emulator.document("echo 1")
    updated = emulator.call(
        "UpdateDocument", Name="job", Content=content("echo 2"), DocumentVersion="$LATEST"
    )
    assert updated["DocumentDescription"]["DocumentVersion"] == "2"
    described = emulator.call("DescribeDocument", Name="job")["Document"]
    assert (described["DefaultVersion"], described["LatestVersion"]) == ("1", "2")
    assert "echo 1" in emulator.call("GetDocument", Name="job")["Content"]
    emulator.call("UpdateDocumentDefaultVersion", Name="job", DocumentVersion="2")
    assert "echo 2" in emulator.call("GetDocument", Name="job")["Content"]
    assert "echo 1" in emulator.call("GetDocument", Name="job", DocumentVersion="1")["Content"]


def test_a_document_may_be_yaml(emulator: EmulatorState) -> None:
    text = "schemaVersion: '2.2'\nmainSteps:\n- action: aws:runShellScript\n  name: Job\n"
    text += "  inputs: {runCommand: [echo hello]}\n"
    emulator.call("CreateDocument", Name="job", Content=text, DocumentFormat="YAML")
    assert emulator.call("GetDocument", Name="job")["Content"] == text


def test_a_document_is_deleted_with_all_its_versions(emulator: EmulatorState) -> None:
    emulator.document("echo 1")
    emulator.call("DeleteDocument", Name="job")
    refused(emulator, "InvalidDocument", "DescribeDocument", Name="job")
    refused(emulator, "InvalidDocument", "DeleteDocument", Name="job")
    assert emulator.call("ListDocuments")["DocumentIdentifiers"] == []


def test_documents_are_listed_by_owner_and_name(emulator: EmulatorState) -> None:
    emulator.document("true", "cloudhsm-1-a")
    emulator.document("true", "other")
    filters = [
        {"Key": "Owner", "Values": ["Self"]},
        {"Key": "Name", "Values": ["cloudhsm-1"]},
    ]
    listed = emulator.call("ListDocuments", Filters=filters)["DocumentIdentifiers"]
    assert [one["Name"] for one in listed] == ["cloudhsm-1-a"]
    assert emulator.ssm.documents() == ["cloudhsm-1-a", "other"]


def test_a_name_is_taken_once(emulator: EmulatorState) -> None:
    emulator.document("true")
    refused(
        emulator, "DocumentAlreadyExists", "CreateDocument", Name="job", Content=content("false")
    )


@pytest.mark.parametrize("name", ["ab", "a b", "aws-job", "Amazon-job", "x" * 129])
def test_some_names_cannot_be_had(emulator: EmulatorState, name: str) -> None:
    refused(emulator, "ValidationException", "CreateDocument", Name=name, Content=content("true"))


def test_an_update_that_changes_nothing_is_refused(emulator: EmulatorState) -> None:
    emulator.document("true")
    refused(
        emulator, "DuplicateDocumentContent", "UpdateDocument", Name="job", Content=content("true")
    )


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"mainSteps": []}, "one step"),
        ({"mainSteps": [{"action": "aws:runPowerShellScript"}]}, "aws:runPowerShellScript"),
        ({"parameters": {"p": {"type": "Integer"}}}, "String or StringList"),
        ({"parameters": {"p": {"type": "String", "colour": 1}}}, "colour"),
        (
            {"parameters": {"p": {"type": "String", "default": "x", "allowedPattern": "^y$"}}},
            "default",
        ),
        ({"outputs": []}, "outputs"),
    ],
)
def test_a_document_is_checked(emulator: EmulatorState, change: Json, complaint: str) -> None:
    document = {**json.loads(content("true")), **change}
    message = refused(
        emulator,
        "InvalidDocumentContent",
        "CreateDocument",
        Name="job",
        Content=json.dumps(document),
    )
    assert complaint in message


def test_a_document_that_uses_what_it_does_not_declare_is_refused(emulator: EmulatorState) -> None:
    refused(
        emulator,
        "InvalidDocumentContent",
        "CreateDocument",
        Name="job",
        Content=content("echo {{ who }}"),
    )


def test_a_document_of_another_schema_is_refused(emulator: EmulatorState) -> None:
    text = content("true").replace("2.2", "1.2")
    refused(emulator, "InvalidDocumentSchemaVersion", "CreateDocument", Name="job", Content=text)


@pytest.mark.parametrize(
    "pattern", ["^(?!x).*$", "(?<=a)b", "(a)\\1", "a++", "(?>a)", "^a\\Z", "["]
)
def test_a_pattern_that_java_and_re2_do_not_share_is_refused(
    emulator: EmulatorState, pattern: str
) -> None:
    refused(
        emulator,
        "InvalidDocumentContent",
        "CreateDocument",
        Name="job",
        Content=content("true", {"p": {"type": "String", "allowedPattern": pattern}}),
    )


# --- Which instances can be reached


def test_an_instance_is_listed_once_its_agent_has_come_and_not_before(
    emulator: EmulatorState,
) -> None:
    filters = [{"Key": "InstanceIds", "Values": [INSTANCE]}]
    emulator.document("true")
    emulator.at(70.9)
    listed = emulator.call("DescribeInstanceInformation", Filters=filters)
    assert listed["InstanceInformationList"] == []
    refused(
        emulator, "InvalidInstanceId", "SendCommand", DocumentName="job", InstanceIds=[INSTANCE]
    )
    emulator.at(71)
    [one] = emulator.call("DescribeInstanceInformation", Filters=filters)["InstanceInformationList"]
    assert (one["InstanceId"], one["PingStatus"]) == (INSTANCE, "Online")


def test_an_unknown_instance_is_not_listed_and_takes_no_command(online: EmulatorState) -> None:
    online.document("true")
    filters = [{"Key": "InstanceIds", "Values": [OTHER]}]
    listed = online.call("DescribeInstanceInformation", Filters=filters)
    assert listed["InstanceInformationList"] == []
    message = refused(
        online, "InvalidInstanceId", "SendCommand", DocumentName="job", InstanceIds=[OTHER]
    )
    assert OTHER in message


@pytest.mark.parametrize("agent", ["stopped", "offline", "never"])
def test_an_instance_that_is_not_there_takes_no_command(online: EmulatorState, agent: str) -> None:
    online.document("true")
    if agent == "stopped":
        online.instances.launched[INSTANCE] = None
    else:
        online.faults.inject({"agent": agent, "instance": INSTANCE})
    refused(online, "InvalidInstanceId", "SendCommand", DocumentName="job", InstanceIds=[INSTANCE])
    listed = online.call("DescribeInstanceInformation")["InstanceInformationList"]
    expected = [] if agent == "never" else ["ConnectionLost"]
    assert [one["PingStatus"] for one in listed] == expected


def test_instances_are_filtered_by_the_state_of_their_agents(online: EmulatorState) -> None:
    online.instances.launched[OTHER] = online.start
    online.faults.inject({"agent": "offline", "instance": OTHER})
    for status, instance in (("Online", INSTANCE), ("ConnectionLost", OTHER)):
        filters = [{"Key": "PingStatus", "Values": [status]}]
        listed = online.call("DescribeInstanceInformation", Filters=filters)
        assert [one["InstanceId"] for one in listed["InstanceInformationList"]] == [instance]


# --- What a command is given


PARAMETERS = {
    "Name": {"type": "String", "allowedPattern": "^[a-z]{1,9}$"},
    "Mode": {"type": "String", "default": "fast", "allowedValues": ["fast", "safe"]},
}


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({}, "Name is required"),
        ({"Name": ["abc"], "Size": ["1"]}, "declares no Size"),
        ({"Name": ["a b"]}, "Name does not match"),
        ({"Name": ["abc\n"]}, "Name does not match"),
        ({"Name": ["abc", "def"]}, "Name takes one value"),
        ({"Name": ["abc"], "Mode": ["slow"]}, "Mode is not one of its allowed values"),
    ],
)
def test_parameters_have_to_be_what_the_document_declares(
    online: EmulatorState, given: Json, complaint: str
) -> None:
    online.document("echo {{ Name }} {{Mode}}", parameters=PARAMETERS)
    message = refused(
        online,
        "InvalidParameters",
        "SendCommand",
        DocumentName="job",
        InstanceIds=[INSTANCE],
        Parameters=given,
    )
    assert complaint in message


def test_parameters_are_pasted_into_the_script(online: EmulatorState) -> None:
    online.document("echo {{ Name }} '{{Mode}}'", parameters=PARAMETERS)
    command = online.send(Parameters={"Name": ["abc"]})
    assert online.outcome(command)["StandardOutputContent"] == "abc fast\n"


def test_a_lax_pattern_lets_a_command_in(online: EmulatorState) -> None:
    online.document("echo '{{ Name }}'", parameters={"Name": {"type": "String"}})
    command = online.send(Parameters={"Name": ["'; echo broken in; '"]})
    assert "broken in" in online.outcome(command)["StandardOutputContent"]


def test_an_unanchored_pattern_is_no_protection(online: EmulatorState) -> None:
    unanchored = {"Name": {"type": "String", "allowedPattern": "[a-z]+"}}
    online.document("echo '{{ Name }}'", parameters=unanchored)
    command = online.send(Parameters={"Name": ["'; echo broken in; '"]})
    assert "broken in" in online.outcome(command)["StandardOutputContent"]


def test_a_list_becomes_lines_where_it_stands_alone_and_json_elsewhere(
    online: EmulatorState,
) -> None:
    lines = {"Lines": {"type": "StringList"}}
    online.document("{{ Lines }}\necho '{{ Lines }}'", parameters=lines)
    command = online.send(Parameters={"Lines": ["echo one", "echo two"]})
    assert online.outcome(command)["StandardOutputContent"] == (
        'one\ntwo\n["echo one", "echo two"]\n'
    )


@pytest.mark.parametrize("seconds", [29, 2592001])
def test_the_delivery_timeout_has_bounds(online: EmulatorState, seconds: int) -> None:
    online.document("true")
    refused(
        online,
        "ValidationException",
        "SendCommand",
        DocumentName="job",
        InstanceIds=[INSTANCE],
        TimeoutSeconds=seconds,
    )


def test_a_version_that_does_not_exist_cannot_be_sent(online: EmulatorState) -> None:
    online.document("true")
    refused(
        online,
        "InvalidDocumentVersion",
        "SendCommand",
        DocumentName="job",
        DocumentVersion="2",
        InstanceIds=[INSTANCE],
    )
    refused(online, "InvalidDocument", "SendCommand", DocumentName="no", InstanceIds=[INSTANCE])


# --- How a command goes


def test_a_command_takes_its_virtual_time_and_reports(online: EmulatorState) -> None:
    online.document("echo out; echo err >&2; echo $AWS_SSM_REGION_NAME")
    command = online.send(Comment="why")
    states = []
    for moment in (71.5, 72.5, 74):
        online.at(moment)
        if moment == 71.5:
            with pytest.raises(ApiError):
                online.ask(command)
        states.append(online.ask(command)["Status"])
    assert states == ["Pending", "InProgress", "Success"]
    response = online.ask(command)
    assert response["ResponseCode"] == 0
    assert response["StandardOutputContent"] == "out\neu-west-1\n"
    assert response["StandardErrorContent"] == "err\n"
    assert (response["PluginName"], response["Comment"]) == ("Job", "why")
    assert response["ExecutionElapsedTime"] == "PT2.000S"


def test_an_invocation_cannot_be_seen_at_once(online: EmulatorState) -> None:
    online.document("true")
    command = online.send()
    ask = {"CommandId": command, "InstanceId": INSTANCE}
    refused(online, "InvocationDoesNotExist", "GetCommandInvocation", **ask)
    assert online.ask(command)["Status"] == "Pending"


def test_an_invocation_that_is_asked_for_later_is_seen(online: EmulatorState) -> None:
    online.document("true")
    command = online.send()
    online.at(72)
    assert online.ask(command)["CommandId"] == command


def test_a_command_that_was_never_sent_is_unknown(online: EmulatorState) -> None:
    ask = {"CommandId": "0" * 36, "InstanceId": INSTANCE}
    refused(online, "InvocationDoesNotExist", "GetCommandInvocation", **ask)
    refused(online, "InvalidCommandId", "CancelCommand", CommandId="0" * 36)
    refused(online, "InvalidCommandId", "ListCommandInvocations", CommandId="0" * 36)


def test_a_script_that_fails_says_so_at_the_end_of_its_stderr(online: EmulatorState) -> None:
    online.document("echo bad >&2\nexit 3")
    response = online.outcome(online.send())
    assert (response["Status"], response["StatusDetails"]) == ("Failed", "Failed")
    assert response["ResponseCode"] == 3
    assert response["StandardErrorContent"] == "bad\nfailed to run commands: exit status 3"


def test_only_the_beginning_of_the_output_is_kept(online: EmulatorState) -> None:
    online.document("printf '%030000d' 0; printf '%010000d' 0 >&2")
    command = online.send()
    response = online.outcome(command)
    assert len(response["StandardOutputContent"]) == 24000
    assert len(response["StandardErrorContent"]) == 8000
    listed = online.call("ListCommandInvocations", CommandId=command, Details=True)
    [plugin] = listed["CommandInvocations"][0]["CommandPlugins"]
    assert len(plugin["Output"]) == 2500


def test_a_planted_failure_takes_the_scripts_place_once(online: EmulatorState) -> None:
    online.document("touch /opt/ran")
    online.faults.inject({"script": "job", "exit": 5, "stderr": "planted"})
    response = online.outcome(online.send())
    assert (response["Status"], response["ResponseCode"]) == ("Failed", 5)
    assert response["StandardErrorContent"].startswith("planted\n")
    assert online.instances.sandbox(INSTANCE).run("ls /opt").stdout == ""
    assert online.outcome(online.send())["Status"] == "Success"


def test_a_command_succeeds_when_its_script_has_ended(online: EmulatorState) -> None:
    online.instances.script_seconds = 100
    online.document("true", timeout=600)
    online.outcome(online.send())
    [_, end] = online.event_log.events()
    assert (end["at"], end["event"]) == (71 + 3 + 100, "Success")


def test_a_script_is_stopped_at_its_timeout(online: EmulatorState) -> None:
    online.instances.script_seconds = 100
    online.document("echo begun", timeout="60")
    response = online.outcome(online.send())
    assert (response["Status"], response["StatusDetails"]) == ("TimedOut", "ExecutionTimedOut")
    assert response["StandardOutputContent"] == "begun\n"
    assert online.event_log.events()[-1]["at"] == 71 + 3 + 60


def test_the_timeline_tells_of_commands_and_never_of_their_parameters(
    online: EmulatorState,
) -> None:
    online.document("true {{ Name }}", parameters=PARAMETERS)
    online.outcome(online.send(Parameters={"Name": ["sesame"]}))
    events = online.event_log.events()
    assert [(one["at"], one["service"], one["subject"], one["event"]) for one in events] == [
        (71, "ssm", "job", "SendCommand"),
        (74, "ssm", "job", "Success"),
    ]
    assert "sesame" not in json.dumps(events)


# --- Agents that go


def test_a_command_that_cannot_be_delivered_times_out(online: EmulatorState) -> None:
    online.document("touch /opt/ran")
    command = online.send(TimeoutSeconds=300)
    online.faults.inject({"agent": "offline", "instance": INSTANCE})
    online.at(71 + 299)
    assert online.ask(command)["Status"] == "Delayed"
    assert online.call("ListCommands")["Commands"][0]["Status"] == "Pending"
    response = online.outcome(command)
    assert (response["Status"], response["StatusDetails"]) == ("TimedOut", "DeliveryTimedOut")
    assert online.event_log.events()[-1]["at"] == 71 + 300
    assert online.instances.sandbox(INSTANCE).run("ls /opt").stdout == ""


def test_a_command_is_delivered_when_the_agent_comes_back(online: EmulatorState) -> None:
    online.document("true")
    command = online.send(TimeoutSeconds=300)
    online.faults.inject({"agent": "offline", "instance": INSTANCE})
    online.at(200)
    online.faults.inject({"agent": "online", "instance": INSTANCE})
    assert online.outcome(command)["Status"] == "Success"


def test_an_instance_that_is_stopped_does_not_report(online: EmulatorState) -> None:
    online.instances.script_seconds = 1000
    online.document("true", timeout=2000)
    command = online.send(TimeoutSeconds=60)
    online.at(100)
    online.instances.launched[INSTANCE] = None
    online.instances.sandbox(INSTANCE).halt()
    online.at(71 + 60 + 2000 + 1)
    assert online.ask(command)["Status"] == "TimedOut"
    assert online.event_log.events()[-1]["at"] == 71 + 60 + 2000


def test_an_instance_that_is_terminated_does_not_report(online: EmulatorState) -> None:
    online.document("touch /opt/ran", timeout=100)
    online.instances.sandbox(INSTANCE).destroy()
    command = online.send(TimeoutSeconds=60)
    online.at(72)
    del online.instances.launched[INSTANCE]
    online.at(71 + 60 + 100 + 1)
    assert online.ask(command)["Status"] == "TimedOut"


# --- Cancelling


def test_a_running_script_is_stopped_by_cancelling(online: EmulatorState) -> None:
    online.instances.script_seconds = 1000
    online.document("touch /opt/begun", timeout=2000)
    command = online.send()
    online.at(100)
    online.call("CancelCommand", CommandId=command)
    response = online.outcome(command)
    assert (response["Status"], response["StatusDetails"]) == ("Cancelled", "Cancelled")
    assert online.event_log.events()[-1]["at"] == 100
    assert online.instances.sandbox(INSTANCE).run("ls /opt").stdout == "begun\n"


def test_a_command_that_is_cancelled_before_its_delivery_never_runs(online: EmulatorState) -> None:
    online.document("touch /opt/begun")
    command = online.send()
    online.call("CancelCommand", CommandId=command, InstanceIds=[INSTANCE])
    assert online.outcome(command)["Status"] == "Cancelled"
    assert online.instances.sandbox(INSTANCE).run("ls /opt").stdout == ""


def test_a_command_that_is_over_is_not_changed_by_cancelling(online: EmulatorState) -> None:
    online.document("true")
    command = online.send()
    online.outcome(command)
    online.call("CancelCommand", CommandId=command)
    assert online.ask(command)["Status"] == "Success"


def test_time_goes_on_after_scripts_were_stopped(online: EmulatorState) -> None:
    online.instances.script_seconds = 5000
    online.document("true", timeout=9000)
    for moment in (100, 200, 300):
        command = online.send()
        online.at(moment)
        online.call("CancelCommand", CommandId=command)
        online.outcome(command)
    ends = [one["at"] for one in online.event_log.events() if one["event"] == "Cancelled"]
    assert ends == [100, 200, 300]


# --- Lists


def test_commands_are_found_by_instance_state_document_and_time(online: EmulatorState) -> None:
    online.document("exit 1", "bad")
    online.document("true", "good")
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
    refused(online, "InvalidFilterKey", "ListCommands", Filters=[{"key": "Colour", "value": "red"}])


def test_lists_come_in_pages(online: EmulatorState) -> None:
    online.document("true")
    sent = [online.send() for _ in range(5)]
    first = online.call("ListCommandInvocations", MaxResults=3)
    rest = online.call("ListCommandInvocations", MaxResults=3, NextToken=first["NextToken"])
    pages = first["CommandInvocations"] + rest["CommandInvocations"]
    assert [one["CommandId"] for one in pages] == sent[::-1]
    assert "NextToken" not in rest
    refused(online, "InvalidNextToken", "ListCommands", NextToken="soon")


def test_a_command_counts_its_invocations(online: EmulatorState) -> None:
    online.instances.launched[OTHER] = online.start
    online.document("true")
    command = online.send(InstanceIds=[INSTANCE, OTHER])
    online.outcome(command)
    [one] = online.call("ListCommands", CommandId=command)["Commands"]
    assert (one["TargetCount"], one["CompletedCount"], one["ErrorCount"]) == (2, 2, 0)
    assert one["Status"] == "Success"
    online.faults.inject({"script": "job"})
    mixed = online.send(InstanceIds=[INSTANCE, OTHER])
    online.outcome(mixed)
    online.clock.sleep(5)
    [one] = online.call("ListCommands", CommandId=mixed)["Commands"]
    assert (one["Status"], one["StatusDetails"]) == ("Failed", "Incomplete")
    refused(
        online,
        "DuplicateInstanceId",
        "SendCommand",
        DocumentName="job",
        InstanceIds=[INSTANCE, INSTANCE],
    )


def test_a_planted_refusal_comes_instead_of_the_answer(online: EmulatorState) -> None:
    online.document("true")
    online.faults.inject({"operation": "SendCommand", "code": "ThrottlingException"})
    refused(
        online, "ThrottlingException", "SendCommand", DocumentName="job", InstanceIds=[INSTANCE]
    )
    assert online.call("ListCommands")["Commands"] == []
