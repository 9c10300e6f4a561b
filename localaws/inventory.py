"""What exists, by service, from the services' own stores: for leak checks."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from localaws.ministack.access import ministack

if TYPE_CHECKING:
    from localaws.state import EmulatorState

Json = dict[str, Any]

# Before the first request to CloudHSM or to a key store.
EMPTY_MODEL: Json = {
    "cloudhsm": {"clusters": [], "backups": []},
    "kms": {"key_stores": [], "keys": []},
}

_responses = ministack("core.responses")
_cloudformation = ministack("services.cloudformation")
_secrets = ministack("services.secretsmanager")
_logs = ministack("services.cloudwatch_logs")
_iam = ministack("services.iam")
_ec2 = ministack("services.ec2")
_parameters = ministack("services.ssm")
_lambda = ministack("services.lambda_svc")
_states = ministack("services.stepfunctions")
_events = ministack("services.eventbridge")
_s3 = ministack("services.s3")


def scope(account: str, region: str) -> AbstractContextManager[None]:
    """The account and Region of all requests to ministack's stores inside the block."""
    found: AbstractContextManager[None] = _responses.request_scope(account, region)
    return found


def inventory(emulator: EmulatorState, account: str, region: str) -> Json:
    """Everything that one account has in one Region, by service."""
    with scope(account, region):
        model, ssm = emulator.hsms.get((account, region)), emulator.ssms.get((account, region))
        return {
            **(model.inventory() if model else EMPTY_MODEL),
            "cloudformation": {
                "stacks": [
                    {"name": stack["StackName"], "status": stack["StackStatus"]}
                    for stack in _cloudformation._stacks.values()
                    if stack["StackStatus"] != "DELETE_COMPLETE"
                ]
            },
            "secretsmanager": sorted(_secrets._secrets),
            "logs": sorted(_logs._log_groups),
            "iam": {
                "roles": sorted(_iam._roles),
                "instance_profiles": sorted(_iam._instance_profiles),
            },
            "ec2": _ec2_inventory(),
            "ssm": {
                "documents": ssm.documents() if ssm else [],
                "parameters": sorted(_parameters._parameters),
            },
            "lambda": sorted(_lambda._functions),
            "states": {
                "machines": sorted(machine["name"] for machine in _states._state_machines.values()),
                "running": sorted(
                    arn
                    for arn, execution in _states._executions.items()
                    if execution["status"] == "RUNNING"
                ),
            },
            "events": sorted(rule["Name"] for rule in _events._rules.values()),
            "s3": sorted(_s3._buckets),
        }


def _ec2_inventory() -> Json:
    return {
        "instances": [
            {
                "InstanceId": each["InstanceId"],
                "State": each["State"]["Name"],
                "SecurityGroups": [group["GroupId"] for group in each["SecurityGroups"]],
            }
            for each in _ec2._instances.values()
            if each["State"]["Name"] != "terminated"
        ],
        "security_groups": [
            {"GroupId": group_id, "GroupName": group["GroupName"]}
            for group_id, group in _ec2._security_groups.items()
            if group["GroupName"] != "default"
        ],
        "network_interfaces": [
            {"NetworkInterfaceId": interface_id, "Description": each["Description"]}
            for interface_id, each in _ec2._network_interfaces.items()
        ],
    }
