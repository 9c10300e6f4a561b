"""AWS-RunShellScript: parameters, limits and ownership as AWS publishes them (F6.78)."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from localaws.core.api_error import ApiError
from localaws.sandbox.sandbox import Sandbox
from localaws.services.ssm.interfaces import Outcome
from tests.localaws.services.ssm.conftest import INSTANCE, Json, SystemsManager

NAME = "AWS-RunShellScript"
DOCUMENT = {"Name": NAME}


def parameters(*commands: str, **more: str) -> Json:
    return {"commands": [*commands], **{name: [value] for name, value in more.items()}}


def test_it_runs_the_commands_as_one_script(online: SystemsManager) -> None:
    online.sandbox.outcome = Outcome(0, "out\n", "")
    command = online.send(NAME, Parameters=parameters("echo '{{ out }}'", "exit 0"))
    found = online.result(command)
    assert online.sandbox.started[0][0] == "echo '{{ out }}'\nexit 0\n"
    assert (found["PluginName"], found["Status"]) == ("aws:runShellScript", "Success")
    assert found["StandardOutputContent"] == "out\n"


INVALID: list[tuple[Json, str]] = [
    ({}, "commands is required"),
    (parameters(), "fewer than 1"),
    (parameters("true", executionTimeout="0"), "executionTimeout does not match"),
    (parameters("true", executionTimeout="172801"), "executionTimeout does not match"),
    (parameters("true", executionTimeout="60s"), "executionTimeout does not match"),
    (parameters("true", workingDirectory="/" * 4097), "more than 4096"),
    (parameters("true", user="root"), "declares no user"),
    (parameters("echo {{ssm:secret}}"), "not modelled"),
]


def test_invalid_parameters_are_rejected(online: SystemsManager) -> None:
    for given, words in INVALID:
        assert words in online.rejected_send("InvalidParameters", NAME, Parameters=given)


def test_it_ends_after_its_execution_timeout(online: SystemsManager) -> None:
    online.sandbox.seconds = 120
    command = online.send(NAME, Parameters=parameters("sleep 120", executionTimeout="60"))
    assert online.result(command)["StatusDetails"] == "ExecutionTimedOut"


def test_output_is_cut_as_that_of_every_command(online: SystemsManager) -> None:
    online.sandbox.outcome = Outcome(0, "o" * 24001, "e" * 8001)
    found = online.result(online.send(NAME, Parameters=parameters("true")))
    assert len(found["StandardOutputContent"]) == 24000
    assert len(found["StandardErrorContent"]) == 8000


def test_the_agent_must_be_online(ssm: SystemsManager) -> None:
    ssm.rejected_send("InvalidInstanceId", NAME, Parameters=parameters("true"))
    with pytest.raises(ApiError, match=f"{INSTANCE} is not connected"):
        ssm.provider.shell(INSTANCE)


def test_it_starts_in_an_absolute_directory_or_in_the_agents(
    online: SystemsManager, make_sandbox: Callable[..., Sandbox]
) -> None:
    online.instances.sandboxes[INSTANCE] = make_sandbox(INSTANCE)
    found = []
    for directory in ("/opt", "", "opt", "/missing"):
        given = parameters("pwd", workingDirectory=directory)
        done = online.result(online.send(NAME, Parameters=given))
        found.append((done["Status"], done["StandardOutputContent"]))
    agent = ("Success", "/usr/bin\n")
    assert found == [("Success", "/opt\n"), agent, agent, ("Failed", "")]


def test_it_belongs_to_amazon(ssm: SystemsManager) -> None:
    described = ssm.call("DescribeDocument", **DOCUMENT)["Document"]
    assert (described["Owner"], described["SchemaVersion"]) == ("Amazon", "1.2")
    content = json.loads(ssm.call("GetDocument", **DOCUMENT)["Content"])
    assert list(content["parameters"]) == ["commands", "workingDirectory", "executionTimeout"]
    ssm.rejected("InvalidDocument", "DeleteDocument", **DOCUMENT)
    ssm.rejected("InvalidDocument", "UpdateDocument", **DOCUMENT, Content=described["Name"])
    assert ssm.provider.documents() == []
    of_amazon = [{"Key": "Owner", "Values": ["Amazon"]}]
    listed = ssm.call("ListDocuments", Filters=of_amazon)["DocumentIdentifiers"]
    assert [each["Name"] for each in listed] == [NAME]


def test_other_documents_of_aws_are_unknown(online: SystemsManager) -> None:
    online.rejected_send("InvalidDocument", "AWS-RunPowerShellScript")
