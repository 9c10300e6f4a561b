from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from localaws.client import ROOT, LocalAws
from rehearsal.drivers import deployment
from rehearsal.drivers.deployment import DeployError, Stack

NO_FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:none"
TINY = """
    AWSTemplateFormatVersion: '2010-09-09'
    Parameters:
      pDays: {Type: Number, Default: 7}
      pToken: {Type: String, Default: ''}
    Rules:
      NotTooLong:
        Assertions:
          - Assert: !Not [!Equals [!Ref pDays, '9999']]
            AssertDescription: That is too long.
    Conditions:
      cHasToken: !Not [!Equals [!Ref pToken, '']]
    Resources:
      rLogGroup:
        Type: AWS::Logs::LogGroup
        Properties: {LogGroupName: /tiny, RetentionInDays: !Ref pDays}
      rCustom:
        Condition: cHasToken
        DependsOn: rLogGroup
        Type: Custom::Nothing
        Properties: {ServiceToken: !Ref pToken}
    Outputs:
      oGroup: {Value: !Ref rLogGroup}
"""


@pytest.fixture(scope="module", name="aws")
def _aws() -> Iterator[LocalAws]:
    with LocalAws() as aws:
        yield aws


@pytest.fixture(name="stack")
def _stack(aws: LocalAws, tmp_path: Path) -> Iterator[Stack]:
    template = tmp_path / "templates" / "tiny.yml"
    template.parent.mkdir()
    template.write_text(textwrap.dedent(TINY))
    stack = Stack(aws, "tiny", str(template))
    yield stack
    stack.start_delete()
    stack.wait()


def test_make_deploy_creates_and_updates_a_stack(aws: LocalAws, stack: Stack) -> None:
    assert stack.status() is None
    assert stack.deploy() == "CREATE_COMPLETE"
    assert stack.outputs() == {"oGroup": "/tiny"}
    assert stack.deploy(pDays=30) == "UPDATE_COMPLETE"
    [group] = aws.client("logs").describe_log_groups()["logGroups"]
    assert group["retentionInDays"] == 30


def test_make_destroy_deletes_a_stack_whose_events_stay_readable(stack: Stack) -> None:
    stack.start()
    stack.wait()
    assert stack.destroy() == "DELETE_COMPLETE"
    assert stack.status() == "DELETE_COMPLETE"
    assert stack.events("rLogGroup")[-1]["ResourceStatus"] == "DELETE_COMPLETE"


def test_a_deleted_stack_can_be_recreated(stack: Stack) -> None:
    for request in (stack.start, stack.start_delete):
        request()
        stack.wait()
    assert stack.deploy() == "CREATE_COMPLETE"
    stack.start_delete()
    stack.wait()
    stack.start()
    assert stack.wait() == "CREATE_COMPLETE"


def test_start_creates_and_updates_through_the_api(stack: Stack) -> None:
    stack.start()
    assert stack.wait() == "CREATE_COMPLETE"
    stack.start(pDays=30)
    assert stack.wait() == "UPDATE_COMPLETE"


def test_packaging_rebuilds_an_outdated_zip(stack: Stack) -> None:
    zipped = ROOT / deployment.BUILT[0]
    os.utime(zipped, (0, 0))
    stack.start()
    assert zipped.stat().st_mtime > 0


def test_a_failed_build_reports_makes_error(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment, "BUILT", ("no-such-file",))
    with pytest.raises(DeployError, match="No rule to make target 'no-such-file'"):
        stack.start()


def test_a_rejected_parameter_reports_the_template_rules_message(stack: Stack) -> None:
    with pytest.raises(DeployError, match="That is too long"):
        stack.deploy(pDays=9999)
    with pytest.raises(DeployError, match="That is too long"):
        stack.start()


def test_parameters_retain_their_last_value(aws: LocalAws, stack: Stack) -> None:
    stack.start(pDays=30)
    stack.wait()
    with pytest.raises(DeployError, match="No updates"):
        stack.start()
    assert stack.deploy() == "CREATE_COMPLETE"


def test_reasons_are_those_of_the_latest_request(stack: Stack) -> None:
    stack.start()
    assert (stack.wait(), stack.reasons()) == ("CREATE_COMPLETE", [])
    stack.start(pToken=NO_FUNCTION)
    assert stack.wait() == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.reasons()[0].startswith("rCustom: ")
    stack.start(pToken="", pDays=30)
    assert (stack.wait(), stack.reasons()) == ("UPDATE_COMPLETE", [])
