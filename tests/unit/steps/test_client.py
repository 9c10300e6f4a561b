from __future__ import annotations

import itertools
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto.core.utils import camelcase_to_underscores
from moto.ssm.responses import SimpleSystemManagerResponse

from hsm_lifecycle import aws
from hsm_lifecycle.errors import NotOwnedError, RefusedError, TransientError
from hsm_lifecycle.steps import client
from localaws.core.api_error import ApiError
from localaws.core.event_log import EventLog
from localaws.core.faults import Faults
from localaws.core.jump_clock import JumpClock
from localaws.services.ssm import provider
from localaws.services.ssm.interfaces import Outcome
from tests.support.account import ACCOUNT, OTHER_STACK_ID, STACK_ID, TIMINGS, Account, Json
from tests.support.step_events import moment

UNKNOWN = "i-0123456789abcdef0"
CLUSTER = "cluster-aaaaaaaaaaa"
MACHINE = "cloudhsm-1-run-on-client"
EXECUTION = f"arn:aws:states:us-east-1:{ACCOUNT}:execution:{MACHINE}:e-1"


# ---- The instance


@pytest.fixture(name="instance")
def _instance(account: Account) -> str:
    made = account.ec2.run_instances(ImageId="ami-00000001", MinCount=1, MaxCount=1)
    return str(made["Instances"][0]["InstanceId"])


def of(instance_id: str, **more: Any) -> Json:
    client = {"Client": {"InstanceId": instance_id}, "InstanceId": instance_id}
    return {**client, "ClusterId": CLUSTER, "ExecutionId": EXECUTION, **more}


def marks(account: Account, instance_id: str) -> dict[str, str]:
    """The tags of an instance."""
    described = account.ec2.describe_instances(InstanceIds=[instance_id])
    tags = described["Reservations"][0]["Instances"][0].get("Tags", [])
    return {tag["Key"]: tag["Value"] for tag in tags}


def described(account: Account, instance_id: str) -> str:
    result = account.run(client.describe_client, **of(instance_id))
    assert result.keys() == {"Id", "State", "Reason", "LaunchTime", "PingStatus"}
    assert result["Id"] == instance_id
    return str(result["State"])


def test_describe_client_returns_the_reason_of_the_state(account: Account, instance: str) -> None:
    result = account.run(client.describe_client, **of(instance))
    assert result["Reason"] == "EC2 gives no reason"
    account.ec2.stop_instances(InstanceIds=[instance])
    result = account.run(client.describe_client, **of(instance))
    assert result["Reason"] == "Client.UserInitiatedShutdown: User initiated shutdown"


def test_describe_client_returns_the_instance_state(account: Account, instance: str) -> None:
    assert described(account, instance) == "running"
    account.ec2.stop_instances(InstanceIds=[instance])
    assert described(account, instance) == "stopped"
    account.ec2.terminate_instances(InstanceIds=[instance])
    assert described(account, instance) == "terminated"


def test_describe_client_returns_terminated_for_an_unknown_instance(account: Account) -> None:
    assert described(account, UNKNOWN) == "terminated"


# ---- The instance that CloudFormation launches for the stack

NUMBERS = itertools.count(100)
WANTED = {"ImageId": "ami-00000001", "InstanceType": "t3a.small"}


@pytest.fixture(name="stack")
def _stack(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack without instances of other tests."""
    monkeypatch.setenv("STACK_ID", f"{STACK_ID[:-8]}{next(NUMBERS):08}")


def launch(account: Account, stack_id: str = "", **changes: str) -> str:
    """An instance as CloudFormation launches one for a stack."""
    tags = [{"Key": client.STACK_TAG, "Value": stack_id or os.environ["STACK_ID"]}]
    made = account.ec2.run_instances(
        **{**WANTED, "SubnetId": account.subnets[0], **changes},
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )
    return str(made["Instances"][0]["InstanceId"])


def found(account: Account, *, is_new: bool, after: float = 0) -> tuple[str, str]:
    """The ID and the state of the client of the stack, so many seconds after the first look."""
    wanted = {**WANTED, "SubnetId": account.subnets[0], "IsNew": is_new}
    result = account.run(
        client.describe_client,
        Client=wanted,
        ClusterId=CLUSTER,
        StartTime=moment(),
        EnteredTime=moment(after),
    )
    return result["Id"], result["State"]


@pytest.mark.usefixtures("stack")
def test_describe_client_finds_the_instance_of_this_stack_only(account: Account) -> None:
    launch(account, OTHER_STACK_ID)
    instance = launch(account)
    assert found(account, is_new=False) == (instance, "running")
    assert client.ids_of_this_stack() == {instance}


@pytest.mark.usefixtures("stack")
def test_a_request_asks_ec2_again_for_the_instances(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Else one throttled call would leave commands of an earlier request running.
    instance, asked, make = launch(account), list[int](), aws.client

    def client_of(service: str, attempts: int = 1) -> Any:
        asked.append(attempts)
        return make(service, attempts)

    monkeypatch.setattr(aws, "client", client_of)
    assert client.ids_of_this_stack() == {instance}
    assert asked == [aws.ATTEMPTS]


@pytest.mark.usefixtures("stack")
def test_describe_client_waits_seven_minutes_for_an_instance(account: Account) -> None:
    assert found(account, is_new=True, after=419) == ("", "pending")
    assert found(account, is_new=True, after=420) == ("", "NOT_FOUND")
    instance = launch(account)
    assert found(account, is_new=True, after=421) == (instance, "running")


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize(
    "changes", [{"ImageId": "ami-00000002"}, {"InstanceType": "t3a.large"}, {"SubnetId": "other"}]
)
def test_describe_client_waits_until_the_instance_is_as_the_template_says(
    account: Account, changes: Json
) -> None:
    if "SubnetId" in changes:
        changes = {"SubnetId": account.subnets[1]}
    old = launch(account, **changes)
    assert found(account, is_new=True) == ("", "pending")
    # Changed by hand, and nothing is to be launched.
    assert found(account, is_new=False) == (old, "running")
    assert found(account, is_new=True, after=420) == (old, "running")
    new = launch(account)
    assert found(account, is_new=True) == (new, "running")


@pytest.mark.usefixtures("stack")
def test_describe_client_waits_while_cloudformation_restarts_the_instance(account: Account) -> None:
    instance = launch(account)
    account.ec2.stop_instances(InstanceIds=[instance])
    assert found(account, is_new=True) == ("", "pending")
    assert found(account, is_new=False) == (instance, "stopped")
    assert found(account, is_new=True, after=420) == (instance, "stopped")


@pytest.mark.usefixtures("stack")
def test_describe_client_reports_a_terminated_instance(account: Account) -> None:
    instance = launch(account)
    account.ec2.terminate_instances(InstanceIds=[instance])
    assert found(account, is_new=False) == (instance, "terminated")
    assert found(account, is_new=True) == ("", "pending")
    new = launch(account)
    assert found(account, is_new=False) == (new, "running")


@pytest.mark.usefixtures("stack")
def test_describe_client_reports_a_stack_without_an_instance(account: Account) -> None:
    assert found(account, is_new=False) == ("of this stack", "terminated")


# ---- A client that is found stopped


def test_a_stopped_client_is_started_and_stopped_again(account: Account, instance: str) -> None:
    account.ec2.stop_instances(InstanceIds=[instance])
    for _ in range(2):
        assert account.run(client.start_client, **of(instance)) == {}
        assert described(account, instance) == "running"
        assert marks(account, instance) == {"hsm-lifecycle:started-by": MACHINE}
    for _ in range(2):
        assert account.run(client.stop_client, **of(instance)) == {}
        assert described(account, instance) == "stopped"
        assert marks(account, instance) == {}


def test_start_client_tags_before_it_starts(account: Account, instance: str) -> None:
    account.ec2.stop_instances(InstanceIds=[instance])
    account.faults.inject({"operation": "StartInstances", "code": "InsufficientInstanceCapacity"})
    with pytest.raises(RefusedError):
        account.run(client.start_client, **of(instance))
    assert marks(account, instance) == {"hsm-lifecycle:started-by": MACHINE}


@pytest.mark.parametrize(
    ("machine", "state"), [(MACHINE, "stopped"), ("cloudhsm-ks-1-run-on-client", "running")]
)
def test_stop_started_finds_instances_by_their_tag(
    account: Account, instance: str, machine: str, state: str
) -> None:
    account.run(client.start_client, **of(instance))
    assert client.stop_started([machine, "cloudhsm-1-align-hsms"])
    assert described(account, instance) == state
    assert client.stop_started([machine])


@pytest.mark.parametrize(
    ("step", "operation"),
    [
        (client.describe_client, "DescribeInstances"),
        (client.start_client, "StartInstances"),
        (client.stop_client, "StopInstances"),
    ],
)
@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("RequestLimitExceeded", TransientError),
        ("UnauthorizedOperation", TransientError),
        ("InsufficientInstanceCapacity", RefusedError),
    ],
)
def test_client_steps_quote_errors_of_ec2(
    account: Account,
    instance: str,
    step: Callable[..., Json],
    operation: str,
    code: str,
    error: type[Exception],
) -> None:
    account.faults.inject({"operation": operation, "code": code, "message": "the message of AWS"})
    with pytest.raises(error, match=rf"{operation}: {code}: the message of AWS \[{CLUSTER}\]$"):
        account.run(step, **of(instance))


def test_stop_client_is_retried_while_the_instance_boots(account: Account, instance: str) -> None:
    account.faults.inject({"operation": "StopInstances", "code": "IncorrectInstanceState"})
    with pytest.raises(TransientError, match="StopInstances: IncorrectInstanceState"):
        account.run(client.stop_client, **of(instance))
    assert account.run(client.stop_client, **of(instance)) == {}


def test_start_client_survives_a_lost_response(account: Account, instance: str) -> None:
    account.ec2.stop_instances(InstanceIds=[instance])
    account.faults.inject(
        {"operation": "StartInstances", "code": "ConnectionLost", "when": "after"}
    )
    with pytest.raises(TransientError):
        account.run(client.start_client, **of(instance))
    assert account.run(client.start_client, **of(instance)) == {}
    assert described(account, instance) == "running"


# ---- Commands on it: the rehearsal's own Run Command, with scripts that only say how they end


class JsonScript:
    """A script that is its own outcome: {"exit", "stdout", "stderr", "seconds"} (virtual)."""

    def __init__(self, text: str, clock: JumpClock) -> None:
        self._outcome: Json = {"exit": 0, "stdout": "", "stderr": "", "seconds": 0}
        self._outcome.update(json.loads(text.splitlines()[-1]))
        self._clock = clock
        self._killed = clock.signal()

    def wait(self, timeout: float | None = None) -> Outcome:
        self._clock.wait([self._killed], self._outcome["seconds"])
        code = -9 if self._killed.happened else self._outcome["exit"]
        return Outcome(code, self._outcome["stdout"], self._outcome["stderr"])

    def kill(self) -> None:
        self._clock.set(self._killed)


class RunCommand:
    """Systems Manager with instances launched at the start of the test."""

    def __init__(self, clock: JumpClock, *instance_ids: str) -> None:
        self.clock = clock
        self.faults = Faults()
        self.instances = dict.fromkeys(instance_ids, clock.now())
        self.runs: dict[str, tuple[float, float]] = {}
        self.model = provider.SsmProvider(
            clock,
            self,
            self._spawn,
            region="us-east-1",
            account=ACCOUNT,
            timings=TIMINGS,
            faults=self.faults,
            event_log=EventLog(clock),
        )

    # --- Called by Systems Manager

    def ids(self) -> list[str]:
        return list(self.instances)

    def launched_at(self, instance_id: str) -> float | None:
        return self.instances[instance_id]

    def last_run(self, instance_id: str) -> tuple[float, float] | None:
        return self.runs.get(instance_id)

    def sandbox(self, instance_id: str) -> Any:
        return self

    def start(self, text: str, environment: Mapping[str, str], directory: str) -> JsonScript:
        return JsonScript(text, self.clock)

    # --- Called by tests

    def document(self, name: str = "job", *, timeout: int = 300, **said: Any) -> str:
        content = {
            "schemaVersion": "2.2",
            "parameters": {"Region": {"type": "String", "allowedPattern": "^[a-z0-9-]{9,20}$"}},
            "mainSteps": [
                {
                    "action": "aws:runShellScript",
                    "name": "Job",
                    "inputs": {
                        "timeoutSeconds": str(timeout),
                        "runCommand": ["# in {{ Region }}", json.dumps(said)],
                    },
                }
            ],
        }
        self.model.call("CreateDocument", {"Name": name, "Content": json.dumps(content)})
        return name

    def sent(self) -> list[Json]:
        """All commands, oldest first."""
        return list(self.model.call("ListCommands", {})["Commands"][::-1])

    def _spawn(self, work: Callable[..., object], *arguments: Any) -> None:
        held = self.clock.handoff()

        def run() -> None:
            with held:
                work(*arguments)

        threading.Thread(target=run, daemon=True).start()


def answered_by(model: provider.SsmProvider, action: str) -> Callable[[Any], Any]:
    """A moto method that passes an action to the model of Systems Manager."""

    def result(response: Any) -> Any:
        try:
            return json.dumps(model.call(action, json.loads(response.body or "{}")))
        except ApiError as refusal:
            body = json.dumps({"__type": refusal.code, "message": refusal.message})
            return body, {"status": refusal.status, "x-amzn-errortype": refusal.code}

    return result


@pytest.fixture(name="run_command")
def _run_command(
    account: Account, instance: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunCommand]:
    clock = JumpClock()
    run_command = RunCommand(clock, instance)
    for action in provider.ACTIONS:
        monkeypatch.setattr(
            SimpleSystemManagerResponse,
            camelcase_to_underscores(action),
            answered_by(run_command.model, action),
            raising=False,
        )
    with clock.busy():
        clock.sleep(TIMINGS.ssm_online)
        yield run_command


# ---- describe_agent


def test_describe_agent_returns_absent_until_it_registers(
    account: Account, run_command: RunCommand
) -> None:
    run_command.instances[UNKNOWN] = run_command.clock.now()
    result = agent(account, UNKNOWN, launched=run_command.clock.now())
    assert result == {"PingStatus": "Absent", "Seconds": 0}
    launched = run_command.clock.now()
    run_command.clock.sleep(TIMINGS.ssm_online)
    result = agent(account, UNKNOWN, launched=launched, seconds=71)
    assert result == {"PingStatus": "Online", "Seconds": 71}


def agent(account: Account, instance: str, *, launched: float = 0, seconds: float = 0) -> Json:
    launch_time = datetime.fromtimestamp(launched, UTC)
    now = max(launch_time, datetime.fromisoformat(moment())) + timedelta(seconds=seconds)
    times = {"StartTime": moment(), "EnteredTime": now.isoformat()}
    return account.run(
        client.describe_agent, **of(instance, LaunchTime=launch_time.isoformat(), **times)
    )


@pytest.mark.usefixtures("run_command")
@pytest.mark.parametrize(("launched", "seconds"), [(-60, 100), (0, 100), (60, 40)])
def test_an_agent_has_as_long_after_a_late_launch(
    account: Account, launched: int, seconds: int
) -> None:
    times = {"StartTime": moment(), "EnteredTime": moment(100), "LaunchTime": moment(launched)}
    result = account.run(client.describe_agent, **of(UNKNOWN, **times))
    assert result["Seconds"] == seconds


def test_describe_agent_does_not_trust_a_ping_from_before_the_last_start(
    account: Account, run_command: RunCommand, instance: str
) -> None:
    launched = run_command.instances[instance]
    run_command.clock.sleep(60)
    run_command.runs[instance] = launched, run_command.clock.now()
    run_command.clock.sleep(60)
    started = run_command.instances[instance] = run_command.clock.now()
    run_command.clock.sleep(TIMINGS.ssm_online - 1)
    assert agent(account, instance, launched=started)["PingStatus"] == "Stale"
    run_command.clock.sleep(1)
    assert agent(account, instance, launched=started)["PingStatus"] == "Online"


@pytest.mark.usefixtures("run_command")
@pytest.mark.parametrize(
    ("state", "asked_for", "status"),
    [("running", True, "Online"), ("running", False, ""), ("stopped", True, "")],
)
def test_describe_client_describes_the_agent_of_a_running_client_if_asked_for(
    account: Account, instance: str, state: str, asked_for: bool, status: str
) -> None:
    if state == "stopped":
        account.ec2.stop_instances(InstanceIds=[instance])
    given = {"Client": {"InstanceId": instance}, "WithAgent": asked_for}
    result = account.run(client.describe_client, **of(instance, **given))
    assert (result["State"], result["PingStatus"]) == (state, status)


def test_describe_agent_returns_a_lost_connection(
    account: Account, run_command: RunCommand, instance: str
) -> None:
    run_command.faults.inject({"agent": "offline", "instance": instance})
    result = agent(account, instance, seconds=600)
    assert result == {"PingStatus": "ConnectionLost", "Seconds": 600}


def test_describe_agent_ignores_other_instances(account: Account, run_command: RunCommand) -> None:
    assert agent(account, UNKNOWN)["PingStatus"] == "Absent"


def test_describe_agent_is_retried_when_throttled(
    account: Account, run_command: RunCommand, instance: str
) -> None:
    account.faults.inject(
        {"operation": "DescribeInstanceInformation", "code": "ThrottlingException"}
    )
    with pytest.raises(TransientError, match=rf"\[{CLUSTER}\]$"):
        agent(account, instance)


# ---- send_command


def sent(
    account: Account,
    instance: str,
    document: str = "job",
    execution: str = "create-1",
    machine: str = MACHINE,
    **given: Any,
) -> str:
    result = account.run(
        client.send_command,
        **of(
            instance,
            DocumentName=document,
            Parameters={"Region": "us-east-1", **given},
            ExecutionId=f"arn:aws:states:us-east-1:{ACCOUNT}:execution:{machine}:{execution}",
        ),
    )
    assert sorted(result) == ["Id", "SentAt", "Wait"]
    return str(result["Id"])


def test_send_command_sends_the_document_with_its_parameters(
    account: Account, run_command: RunCommand, instance: str
) -> None:
    run_command.document()
    command_id = sent(account, instance)
    (command,) = run_command.sent()
    assert command["CommandId"] == command_id
    assert command["DocumentName"] == "job"
    assert command["Parameters"] == {"Region": ["us-east-1"]}
    assert command["InstanceIds"] == [instance]
    assert command["TimeoutSeconds"] == 120
    assert command["Comment"] == "hsm-lifecycle cloudhsm-1-run-on-client:create-1"


def test_send_command_is_idempotent_per_execution(
    account: Account, run_command: RunCommand, instance: str
) -> None:
    run_command.document(seconds=60)
    first = sent(account, instance)
    assert sent(account, instance) == first
    run_command.clock.sleep(120)
    assert sent(account, instance) == first
    assert len(run_command.sent()) == 1


def test_send_command_survives_a_lost_response(
    account: Account, run_command: RunCommand, instance: str
) -> None:
    run_command.document()
    account.faults.inject({"operation": "SendCommand", "code": "ConnectionLost", "when": "after"})
    with pytest.raises(TransientError):
        sent(account, instance)
    (command,) = run_command.sent()
    assert sent(account, instance) == command["CommandId"]
    assert len(run_command.sent()) == 1


def test_send_command_sends_one_per_execution(
    account: Account, run_command: RunCommand, instance: str
) -> None:
    run_command.document()
    commands = {
        sent(account, instance, execution=name) for name in ("create-1", "create-11", "e-1")
    }
    assert len(commands) == 3


def test_send_command_finds_its_command_on_any_page(
    account: Account, run_command: RunCommand, instance: str
) -> None:
    run_command.document()
    first = sent(account, instance)
    for number in range(60):
        run_command.model.call(
            "SendCommand",
            {
                "DocumentName": "job",
                "InstanceIds": [instance],
                "Parameters": {"Region": ["us-east-1"]},
                "Comment": f"by hand {number}",
            },
        )
    assert sent(account, instance) == first


def test_the_comment_holds_the_longest_names(
    account: Account, run_command: RunCommand, instance: str
) -> None:
    run_command.document()
    machine = f"{'s' * 20}-{'e' * 12}-run-on-client"  # as long as the parameters allow
    executions = [f"01234567-89ab-cdef-0123-{number:012}" for number in range(2)]
    commands = [sent(account, instance, execution=name, machine=machine) for name in executions]
    assert len(set(commands)) == 2
    assert [sent(account, instance, execution=name, machine=machine) for name in executions] == (
        commands
    )


def test_send_command_refuses_an_unknown_instance(
    account: Account, run_command: RunCommand
) -> None:
    run_command.document()
    with pytest.raises(RefusedError, match=rf"SendCommand: InvalidInstanceId.*\[{CLUSTER}\]$"):
        sent(account, UNKNOWN)


def test_send_command_refuses_invalid_parameters(
    account: Account, run_command: RunCommand, instance: str
) -> None:
    run_command.document()
    with pytest.raises(RefusedError, match="SendCommand: InvalidParameters"):
        sent(account, instance, Region="us-east-1; rm -rf /")
    assert run_command.sent() == []


def test_send_command_refuses_a_missing_document(
    account: Account, run_command: RunCommand, instance: str
) -> None:
    with pytest.raises(RefusedError, match="InvalidDocument"):
        sent(account, instance, "no-such-document")


@pytest.mark.parametrize("operation", ["ListCommands", "SendCommand"])
def test_send_command_is_retried_when_throttled(
    account: Account, run_command: RunCommand, instance: str, operation: str
) -> None:
    run_command.document()
    account.faults.inject({"operation": operation, "code": "ThrottlingException"})
    with pytest.raises(TransientError):
        sent(account, instance)
    assert sent(account, instance)
    assert len(run_command.sent()) == 1


# ---- describe_command


def outcome(account: Account, instance: str, command_id: str) -> Json:
    return account.run(
        client.describe_command, **of(instance, CommandId=command_id, SentAt=moment())
    )


def test_describe_command_returns_running_before_ssm_knows_it(
    account: Account, run_command: RunCommand, instance: str
) -> None:
    run_command.document()
    command_id = sent(account, instance)
    answers = [outcome(account, instance, command_id) for _ in range(2)]
    assert [result["Message"] for result in answers] == ["not known to SSM yet", "Pending"]
    assert {result["Status"] for result in answers} == {"Running"}
    assert {result["Id"] for result in answers} == {command_id}
    assert {(result["SentAt"], result["Wait"]) for result in answers} == {(moment(), 3)}


@pytest.mark.parametrize("machine", ["cloudhsm-2-run-on-client", "cloudhsm-1-run-on-client2", ""])
def test_describe_command_shows_nothing_of_another_stacks_command(
    account: Account, run_command: RunCommand, instance: str, machine: str
) -> None:
    run_command.document(stdout="theirs")
    command_id = sent(account, instance, machine=machine)
    run_command.clock.sleep(60)
    with pytest.raises(NotOwnedError, match="is not of this stack") as refused:
        outcome(account, instance, command_id)
    assert "theirs" not in str(refused.value)


def test_describe_command_returns_running_then_success(
    account: Account, run_command: RunCommand, instance: str
) -> None:
    run_command.document(seconds=60, stdout="kmsuser is ready.\n")
    command_id = sent(account, instance)
    for _ in range(3):
        run_command.clock.sleep(15)
        assert outcome(account, instance, command_id)["Status"] == "Running"
    run_command.clock.sleep(30)
    result = outcome(account, instance, command_id)
    assert (result["Id"], result["Status"]) == (command_id, "Success")
    assert result["Message"] == "kmsuser is ready."


def ended(account: Account, run_command: RunCommand, instance: str, **said: Any) -> Json:
    run_command.document(**said)
    command_id = sent(account, instance)
    run_command.clock.sleep(60)
    return outcome(account, instance, command_id)


def test_describe_command_returns_the_end_of_the_output(
    account: Account, run_command: RunCommand, instance: str
) -> None:
    result = ended(
        account,
        run_command,
        instance,
        exit=1,
        stdout="progress",
        stderr="begin " + "x" * 700 + " the reason\n",
    )
    assert result["Status"] == "Failed"
    assert result["Message"].endswith("x the reason")
    assert len(result["Message"]) <= 600


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (1, "CommandFailed"),
        (3, "LoginRefused"),
        (4, "LoginFailed"),
        (5, "CommandFailed"),
        (137, "CommandInterrupted"),
        (254, "CommandFailed"),  # the AWS CLI was refused
    ],
)
def test_describe_command_names_the_error(
    account: Account, run_command: RunCommand, instance: str, code: int, error: str
) -> None:
    assert ended(account, run_command, instance, exit=code)["Error"] == error


def test_describe_command_returns_short_output_whole(
    account: Account, run_command: RunCommand, instance: str
) -> None:
    result = ended(account, run_command, instance, exit=1, stderr="Is the password right?\n")
    assert result["Message"].startswith("Is the password right?")
    assert result["Summary"] == f"job on {instance} ended with status Failed: {result['Message']}"


@pytest.mark.parametrize(
    "sentence",
    ["pClientInstanceId: cloudhsm-cli is not installed.", "Secret /a/b-1: it has no password."],
)
def test_describe_command_returns_a_sentence_about_a_parameter_or_secret_alone(
    account: Account, run_command: RunCommand, instance: str, sentence: str
) -> None:
    said = f"cloud-init status: exit code 1.\n{sentence}\n"
    result = ended(account, run_command, instance, exit=1, stderr=said)
    assert result["Summary"].endswith(f"job: {sentence}")
    assert instance not in result["Summary"]


def test_describe_command_returns_the_status_without_output(
    account: Account, run_command: RunCommand, instance: str
) -> None:
    run_command.document(timeout=30, seconds=600)
    command_id = sent(account, instance)
    run_command.clock.sleep(60)
    result = outcome(account, instance, command_id)
    assert (result["Status"], result["Error"]) == ("TimedOut", "CommandInterrupted")
    assert result["Message"]


def test_describe_command_returns_timed_out_for_an_undelivered_command(
    account: Account, run_command: RunCommand, instance: str
) -> None:
    run_command.document()
    command_id = sent(account, instance)
    run_command.faults.inject({"agent": "offline", "instance": instance})
    run_command.clock.sleep(60)
    assert outcome(account, instance, command_id)["Status"] == "Running"
    run_command.clock.sleep(90)
    result = outcome(account, instance, command_id)
    assert (result["Status"], result["Message"]) == ("TimedOut", "DeliveryTimedOut")


def test_describe_command_returns_cancelled(
    account: Account, run_command: RunCommand, instance: str
) -> None:
    run_command.document(seconds=600)
    command_id = sent(account, instance)
    run_command.clock.sleep(15)
    boto3.client("ssm").cancel_command(CommandId=command_id, InstanceIds=[instance])
    assert outcome(account, instance, command_id)["Status"] == "Running"
    run_command.clock.sleep(15)
    assert outcome(account, instance, command_id)["Status"] == "Cancelled"


def test_describe_command_quotes_other_errors(
    account: Account, run_command: RunCommand, instance: str
) -> None:
    run_command.document()
    command_id = sent(account, instance)
    account.faults.inject({"operation": "GetCommandInvocation", "code": "InvalidCommandId"})
    with pytest.raises(RefusedError, match="GetCommandInvocation: InvalidCommandId"):
        outcome(account, instance, command_id)


# ---- cancel_commands


def test_cancel_commands_cancels_those_of_the_state_machines(
    account: Account, run_command: RunCommand, instance: str
) -> None:
    run_command.document(seconds=600)
    for execution in ("create-1", "align-1"):
        sent(account, instance, execution=execution)
    run_command.clock.sleep(15)
    client.cancel_commands(instance, ["cloudhsm-1-create-cluster", MACHINE])
    client.cancel_commands(instance, [MACHINE])
    run_command.clock.sleep(15)
    assert [command["Status"] for command in run_command.sent()] == ["Cancelled", "Cancelled"]


def test_cancel_commands_ignores_finished_and_other_commands(
    account: Account, run_command: RunCommand, instance: str
) -> None:
    run_command.instances[UNKNOWN] = 0
    run_command.document("short")
    run_command.document("long", seconds=600)
    sent(account, instance, "short", execution="create-1")
    run_command.clock.sleep(15)
    sent(account, UNKNOWN, "long", execution="create-2")
    # Another stack's state machine on the same client may have a longer name.
    for machine in ("cloudhsm-ks-1-run-on-client", f"{MACHINE}-too", "cloudhsm-1"):
        sent(account, instance, "long", execution="create-3", machine=machine)
    for comment in ("", "patches", "not by hsm-lifecycle"):
        boto3.client("ssm").send_command(
            InstanceIds=[instance],
            DocumentName="long",
            Parameters={"Region": ["us-east-1"]},
            Comment=comment,
        )
    run_command.clock.sleep(15)
    account.changes.clear()
    client.cancel_commands(instance, [MACHINE])
    assert account.changes == []
    assert [command["Status"] for command in run_command.sent()] == ["Success", *["InProgress"] * 7]
