from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator

import pytest

from localaws.client import LocalAws
from rehearsal.checks.secret_scan import disclosures, leaks, needles, violations
from rehearsal.fixtures import existing_cluster
from rehearsal.test_ca import make_ca

PASSWORD = "Swordfish0Sesame0Open"
CREDENTIALS = json.dumps({"username": "admin", "password": PASSWORD})
SECRET = ("/cluster/password", CREDENTIALS)
CA = make_ca(time.time())
URL = (
    "https://bucket.s3.amazonaws.com/stack?AWSAccessKeyId=A&Expires=7200&Signature=0123456789abcdef"
)
TEMPLATE = json.dumps(
    {
        "Parameters": {"pText": {"Type": "String"}},
        "Resources": {"rGroup": {"Type": "AWS::Logs::LogGroup"}},
        "Outputs": {"oText": {"Value": {"Ref": "pText"}}},
    }
)
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "states.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)
SCRIPT = f"echo {PASSWORD}; echo {PASSWORD} > /var/tmp/left; ls {PASSWORD} || true"


def test_leaks_names_each_place_where_a_secret_can_be_read() -> None:
    observed = [("log /a", "password: swordfish"), ("log /b", "password: ***")]
    assert leaks(observed, ["swordfish", "sesame"]) == ["log /a"]
    assert leaks(observed, ["sesame"]) == []


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        (*SECRET, f"login with {PASSWORD}"),
        (*SECRET, base64.b64encode(PASSWORD.encode()).decode()),
        ("/kmsuser", PASSWORD, f'--password "{PASSWORD}"'),
        ("/quoted", 'a\\b"c{PASSWORD}', 'text a\\b"c{PASSWORD}'.replace("\\", "")),
        ("/customer-ca-cert", CA.pem + CA.key_pem, CA.key_pem.splitlines()[1]),
        ("/customer-ca-cert", CA.key_pem, f"Cause: {CA.key_pem[40:110]}"),
        ("ResponseURL", URL, f"PUT {URL}"),
    ],
    # Keys differ from process to process, and all have to collect the same tests.
    ids=["plain", "Base64", "quoted", "JSON", "line of a key", "part of a key", "ResponseURL"],
)
def test_a_secret_is_found_in_a_text(name: str, value: str, text: str) -> None:
    observed = [("log /clean", "nothing"), ("log /worker", text)]
    assert disclosures(observed, [(name, value)]) == [f"{name} can be read in: log /worker"]


def test_a_private_key_is_found_although_it_never_was_in_a_secret() -> None:
    for key in (CA.key_pem, json.dumps(CA.key_pem).replace("\\", "")):
        found = disclosures([("history of x", key)], [])
        assert found == ["a private key can be read in: history of x"]
    assert disclosures([("history of x", "customer-ca-cert contains a PRIVATE KEY")], []) == []


def test_certificates_and_short_texts_are_no_secrets() -> None:
    assert needles("/customer-ca-cert", CA.pem * 2) == []
    assert needles("/cluster-cert", "junk") == []
    assert needles("/password", CREDENTIALS)[0] == PASSWORD


def test_only_the_arguments_of_the_cli_may_contain_a_password() -> None:
    arguments = f"cloudhsm-cli cluster activate --password {PASSWORD}"
    assert disclosures([("arguments of cloudhsm-cli on i-1", arguments)], [SECRET]) == []
    for place in ("arguments of curl on i-1", "file /arguments of cloudhsm-cli on i-1"):
        assert disclosures([(place, arguments)], [SECRET]) != []


@pytest.fixture(scope="module", name="found")
def _found() -> Iterator[list[str]]:
    """What the scan finds after a password was planted everywhere, and what had it was deleted."""
    with LocalAws("--no-auth", timings={"connect": 31}) as aws:
        cluster = existing_cluster(aws)
        assert violations(aws) == []
        aws.client("secretsmanager").create_secret(Name=SECRET[0], SecretString=SECRET[1])
        _plant_in_services(aws)
        _plant_on_client(aws, cluster.client)
        aws.client("secretsmanager").delete_secret(
            SecretId=SECRET[0], ForceDeleteWithoutRecovery=True
        )
        yield violations(aws)


def _plant_in_services(aws: LocalAws) -> None:
    aws.client("ssm").put_parameter(Name="/p", Value=PASSWORD, Type="SecureString")
    aws.client("secretsmanager").tag_resource(
        SecretId=SECRET[0], Tags=[{"Key": "note", "Value": PASSWORD}]
    )
    logs = aws.client("logs")
    logs.create_log_group(logGroupName="/g")
    logs.create_log_stream(logGroupName="/g", logStreamName="s")
    event = {"timestamp": int(aws.admin.clock()["now"] * 1000), "message": PASSWORD}
    logs.put_log_events(logGroupName="/g", logStreamName="s", logEvents=[event])
    logs.delete_log_group(logGroupName="/g")
    role = aws.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)
    states = aws.client("stepfunctions")
    machine = states.create_state_machine(
        name="m",
        roleArn=role["Role"]["Arn"],
        definition=json.dumps({"StartAt": "End", "States": {"End": {"Type": "Pass", "End": True}}}),
    )["stateMachineArn"]
    states.start_execution(stateMachineArn=machine, input=json.dumps({"text": PASSWORD}))
    while not aws.admin.is_idle():
        pass
    states.delete_state_machine(stateMachineArn=machine)
    stacks = aws.client("cloudformation")
    given = [{"ParameterKey": "pText", "ParameterValue": PASSWORD}]
    stacks.create_stack(StackName="t", TemplateBody=TEMPLATE, Parameters=given)
    stacks.get_waiter("stack_create_complete").wait(StackName="t")
    stacks.delete_stack(StackName="t")
    stacks.get_waiter("stack_delete_complete").wait(StackName="t")


def _plant_on_client(aws: LocalAws, client: str) -> None:
    ssm = aws.client("ssm")
    step = {
        "action": "aws:runShellScript",
        "name": "run",
        "inputs": {"runCommand": [SCRIPT], "timeoutSeconds": "60"},
    }
    content = json.dumps({"schemaVersion": "2.2", "description": "d", "mainSteps": [step]})
    ssm.create_document(Name="Plant", Content=content, DocumentType="Command")
    sent = ssm.send_command(DocumentName="Plant", InstanceIds=[client], Comment=PASSWORD)
    command = sent["Command"]["CommandId"]
    aws.admin.advance(30)
    done = ssm.get_command_invocation(CommandId=command, InstanceId=client)
    assert done["Status"] == "Success", done
    aws.client("ec2").terminate_instances(InstanceIds=[client])


@pytest.mark.parametrize(
    "place",
    [
        "arguments of ls on i-",
        "command of Plant",
        "event bus default",
        "file /var/tmp/left on i-",
        "history of arn:aws:states:",
        "log /g",
        "output of Plant",
        "request secretsmanager:TagResource",
        "request ssm:PutParameter",
        "request ssm:SendCommand",
        "request states:StartExecution",
        "request cloudformation:CreateStack",
        "stack t",
    ],
)
def test_a_password_is_found_wherever_it_is_planted(found: list[str], place: str) -> None:
    assert [line for line in found if line.startswith(f"{SECRET[0]} can be read in: {place}")]


def test_a_secret_belongs_into_the_request_that_stores_it(found: list[str]) -> None:
    assert [line for line in found if "CreateSecret" in line] == []
