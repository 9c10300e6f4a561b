"""What an operator does outside the stack: manage its secrets, run scripts on its client."""

from __future__ import annotations

import json
from typing import Any

from localaws.client import LocalAws
from rehearsal.drivers.stack import ExpectationError, StackDriver

Json = dict[str, Any]

# Virtual seconds; a script that does not wait ends sooner.
COMMAND_SECONDS = 30
CLI = "/opt/cloudhsm/bin/cloudhsm-cli"


def secret_name(driver: StackDriver, kind: str) -> str:
    """The name of one of the cluster's four secrets, such as "cluster-csr"."""
    return f"/cloudhsm/{driver.cluster()['ClusterId']}/{kind}"


def secrets_of(driver: StackDriver) -> list[str]:
    """The names of the cluster's existing secrets."""
    names = [str(name) for name in driver.admin.inventory()["secretsmanager"]]
    return [name for name in names if name.startswith(secret_name(driver, ""))]


def read_secret(driver: StackDriver, kind: str) -> str:
    """The value of one of the cluster's secrets."""
    secrets = driver.aws.client("secretsmanager")
    return str(secrets.get_secret_value(SecretId=secret_name(driver, kind))["SecretString"])


def store_secret(driver: StackDriver, kind: str, text: str) -> None:
    """Put a new value into one of the cluster's secrets."""
    secrets = driver.aws.client("secretsmanager")
    secrets.put_secret_value(SecretId=secret_name(driver, kind), SecretString=text)


def delete_secret(driver: StackDriver, kind: str) -> None:
    """Delete one of the cluster's secrets without recovery."""
    driver.aws.client("secretsmanager").delete_secret(
        SecretId=secret_name(driver, kind), ForceDeleteWithoutRecovery=True
    )


def run_on_client(driver: StackDriver, script: str) -> str:
    """Run a script on the stack's client with Run Command; returns its standard output."""
    return run_on_instance(driver.aws, driver.stack.outputs()["oClientInstanceId"], script)


def run_on_instance(aws: LocalAws, instance: str, script: str) -> str:
    """Run a script on an instance with Run Command; returns its standard output."""
    ssm, name = aws.client("ssm"), "operator"
    inputs = {"runCommand": ["set -eu", script]}
    step = {"action": "aws:runShellScript", "name": "Run", "inputs": inputs}
    document = {"schemaVersion": "2.2", "mainSteps": [step]}
    ssm.create_document(Name=name, DocumentType="Command", Content=json.dumps(document))
    # While time runs, the distance it jumps would depend on real time.
    aws.admin.pause()
    command = ssm.send_command(DocumentName=name, InstanceIds=[instance])["Command"]
    # Time does not jump while the script runs, so afterwards it has ended.
    aws.admin.advance(COMMAND_SECONDS)
    aws.admin.resume()
    done = ssm.get_command_invocation(CommandId=command["CommandId"], InstanceId=instance)
    ssm.delete_document(Name=name)
    if done["Status"] != "Success":
        error = done["StandardErrorContent"].strip()
        raise ExpectationError(f"{script!r} on {instance} ended in {done['Status']}: {error}")
    return str(done["StandardOutputContent"]).strip()


def expect_cli_works(driver: StackDriver) -> None:
    """cloudhsm-cli on the stack's client reaches the HSMs."""
    driver.expect_in("user list", run_on_client(driver, f"{CLI} user list"), '"error_code": 0')


def logged_in(driver: StackDriver, *version: str) -> str:
    """The lines of a script that log in as the admin; the password is read on the client."""
    secret = read_on_client(driver, "initial-crypto-officer-password", *version)
    return (
        f"pin=$({secret} | jq -r '.username + \":\" + .password')\n"
        'export CLOUDHSM_ROLE=admin CLOUDHSM_PIN="$pin"\n'
    )


def read_on_client(driver: StackDriver, kind: str, *version: str) -> str:
    """A command that prints one of the cluster's secrets, for scripts on the client."""
    options = ("--region", driver.aws.region, "--secret-id", secret_name(driver, kind), *version)
    read = "aws secretsmanager get-secret-value"
    return f"{read} {' '.join(options)} --query SecretString --output text"


def create_crypto_user(driver: StackDriver, name: str) -> list[Json]:
    """Create a crypto user on the client, as the admin; returns all users of the cluster."""
    user = f"--username {name} --role crypto-user --password Crypto0User0Password"
    run_on_client(driver, f"{logged_in(driver)}{CLI} user create {user}")
    users = list(driver.cluster()["Users"])
    [created] = [user for user in users if user["username"] == name]
    driver.expect(f"coverage of {name}", created["cluster-coverage"], "full")
    return users


def last_warnings(driver: StackDriver) -> str:
    """The warnings in the output of the latest update workflow."""
    updates = [
        event
        for event in driver.events("ExecutionSucceeded")
        if event["subject"].endswith("-update-cluster")
    ]
    machine, name = updates[-1]["subject"], updates[-1]["execution"]
    states = driver.aws.client("stepfunctions")
    arns = {
        each["name"]: each["stateMachineArn"]
        for each in states.list_state_machines()["stateMachines"]
    }
    arn = f"{arns[machine].replace(':stateMachine:', ':execution:')}:{name}"
    output = json.loads(states.describe_execution(executionArn=arn)["output"])
    return str(output["Data"]["Warnings"])
