"""What people do by hand around a stack: its secrets read and stored, its client put to use."""

from __future__ import annotations

import json
from typing import Any

from rehearsal.drivers.stack import StackDriver

Json = dict[str, Any]

# Virtual seconds within which Run Command is through with a script that waits for nothing.
COMMAND_SECONDS = 30


def secret_name(driver: StackDriver, kind: str) -> str:
    """The name of one of the cluster's four secrets, such as "cluster-csr"."""
    return f"/cloudhsm/{driver.cluster()['ClusterId']}/{kind}"


def secrets_of(driver: StackDriver) -> list[str]:
    """The names of all secrets of the cluster that there are."""
    names = [str(name) for name in driver.admin.inventory()["secretsmanager"]]
    return [name for name in names if name.startswith(secret_name(driver, ""))]


def read_secret(driver: StackDriver, kind: str) -> str:
    """The text of one of the cluster's secrets."""
    secrets = driver.aws.client("secretsmanager")
    return str(secrets.get_secret_value(SecretId=secret_name(driver, kind))["SecretString"])


def store_secret(driver: StackDriver, kind: str, text: str) -> None:
    """Put a text into one of the cluster's secrets."""
    secrets = driver.aws.client("secretsmanager")
    secrets.put_secret_value(SecretId=secret_name(driver, kind), SecretString=text)


def delete_secret(driver: StackDriver, kind: str) -> None:
    """Delete one of the cluster's secrets for good."""
    driver.aws.client("secretsmanager").delete_secret(
        SecretId=secret_name(driver, kind), ForceDeleteWithoutRecovery=True
    )


def run_on_client(driver: StackDriver, script: str) -> str:
    """Run a script on the client by Run Command; what it prints."""
    ssm, name = driver.aws.client("ssm"), "by-hand"
    inputs = {"runCommand": ["set -eu", script]}
    step = {"action": "aws:runShellScript", "name": "Run", "inputs": inputs}
    document = {"schemaVersion": "2.2", "mainSteps": [step]}
    instance = driver.stack.outputs()["oClientInstanceId"]
    ssm.create_document(Name=name, DocumentType="Command", Content=json.dumps(document))
    # Time would go on by itself, how far would depend on how quick we are.
    driver.admin.pause()
    command = ssm.send_command(DocumentName=name, InstanceIds=[instance])["Command"]
    # Nothing jumps while the script runs, so it is over then.
    driver.admin.advance(COMMAND_SECONDS)
    driver.admin.resume()
    done = ssm.get_command_invocation(CommandId=command["CommandId"], InstanceId=instance)
    ssm.delete_document(Name=name)
    what = f"{script!r} on the client ({done['StandardErrorContent'].strip()})"
    driver.expect(what, done["Status"], "Success")
    return str(done["StandardOutputContent"]).strip()


def create_crypto_user(driver: StackDriver, name: str) -> list[Json]:
    """Create a crypto user on the client, as the admin; all users of the cluster then."""
    admin = json.loads(read_secret(driver, "initial-crypto-officer-password"))
    user = f"--username {name} --role crypto-user --password Planted0By0Hand"
    run_on_client(
        driver,
        f"export CLOUDHSM_ROLE=admin CLOUDHSM_PIN={admin['username']}:{admin['password']}\n"
        f"/opt/cloudhsm/bin/cloudhsm-cli user create {user}",
    )
    users = list(driver.cluster()["Users"])
    [made] = [user for user in users if user["username"] == name]
    driver.expect(f"coverage of {name}", made["cluster-coverage"], "full")
    return users


def last_warnings(driver: StackDriver) -> str:
    """What the latest update says in its workflow's output that it could not do."""
    updates = [
        event
        for event in driver.admin.event_log()
        if event["event"] == "ExecutionSucceeded" and event["subject"].endswith("-update-cluster")
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
