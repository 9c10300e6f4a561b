"""The resource types that ministack's CloudFormation lacks, or makes in another way than AWS.

Added: AWS::EC2::Instance, AWS::EC2::SecurityGroupIngress and -Egress, AWS::SSM::Document.
Otherwise in ministack: a resource whose name is taken replaces what has it, a group in use is
deleted, a machine's or function's role and code are not looked at, and Ref of an instance profile
is its ARN.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from localaws.core.api_error import ApiError
from localaws.ministack import state_machines
from localaws.ministack.access import ministack
from localaws.ministack.iam import role_trusts
from localaws.ministack.instances import Instances
from localaws.ministack.networks import PERMISSIONS, dependents, named_groups
from localaws.ministack.services import Models

if TYPE_CHECKING:
    from localaws.state import EmulatorState

Props = dict[str, Any]
Made = tuple[str, dict[str, Any]]
Handlers = dict[str, Any]

# Virtual seconds for which CloudFormation tries again to delete a group that is still used.
GROUP_PATIENCE = 900.0
GROUP_PAUSE = 30.0
INSTANCE_REPLACED_BY = (
    "AvailabilityZone",
    "BlockDeviceMappings",
    "ImageId",
    "KeyName",
    "LaunchTemplate",
    "NetworkInterfaces",
    "PrivateIpAddress",
    "SecurityGroups",
    "SubnetId",
)
RULE_PROPERTIES = (
    "CidrIp",
    "CidrIpv6",
    "DestinationSecurityGroupId",
    "FromPort",
    "GroupId",
    "IpProtocol",
    "SourceSecurityGroupId",
    "ToPort",
)

_provisioners = ministack("services.cloudformation.provisioners")
_ec2 = ministack("services.ec2")
_iam = ministack("services.iam")
_lambda = ministack("services.lambda_svc")
_logs = ministack("services.cloudwatch_logs")
_states = ministack("services.stepfunctions")
_responses = ministack("core.responses")


def install(emulator: EmulatorState, models: Models, instances: Instances) -> None:
    """Add and replace resource types."""
    types: dict[str, Handlers] = _provisioners._RESOURCE_HANDLERS
    types["AWS::EC2::Instance"] = _instance(instances)
    types["AWS::SSM::Document"] = _document(models)
    for direction in PERMISSIONS:
        types[f"AWS::EC2::SecurityGroup{direction}"] = _group_rule(direction)
        _provisioners._REPLACING_PROPERTIES[f"AWS::EC2::SecurityGroup{direction}"] = RULE_PROPERTIES
    _provisioners._REPLACING_PROPERTIES["AWS::EC2::Instance"] = INSTANCE_REPLACED_BY
    _provisioners._REPLACING_PROPERTIES["AWS::SSM::Document"] = ("Name", "DocumentType")
    _provisioners._CUSTOM_NAME_REPLACEMENT["AWS::SSM::Document"] = {"name": "Name"}
    types["AWS::IAM::InstanceProfile"].update(_instance_profile(types["AWS::IAM::InstanceProfile"]))
    types["AWS::EC2::SecurityGroup"].update(_group(emulator, types["AWS::EC2::SecurityGroup"]))
    # What an update replaces is deleted by the handler above, in the update's cleanup.
    _provisioners._ec2_sg_delete = lambda group_id, props: None
    types["AWS::Logs::LogGroup"]["create"] = _unless_taken(
        "AWS::Logs::LogGroup", "LogGroupName", lambda: _logs._log_groups
    )(types["AWS::Logs::LogGroup"]["create"])
    types["AWS::Lambda::Function"].update(_function(emulator, types["AWS::Lambda::Function"]))
    types["AWS::StepFunctions::StateMachine"].update(
        _machine(emulator, types["AWS::StepFunctions::StateMachine"])
    )


def _failed(problem: str, code: str = "GeneralServiceException") -> ValueError:
    """A failure as a resource handler words it in a stack event."""
    return ValueError(
        f'Resource handler returned message: "{problem}" (RequestToken: '
        f"{_responses.new_uuid()}, HandlerErrorCode: {code})"
    )


def _unless_taken(
    kind: str, name_property: str, store: Callable[[], Mapping[str, Any]]
) -> Callable[[Callable[..., Made]], Callable[..., Made]]:
    def wrap(create: Callable[..., Made]) -> Callable[..., Made]:
        def create_unless_taken(logical_id: str, props: Props, stack_name: str) -> Made:
            name = props.get(name_property)
            if name and name in store():
                raise _failed(
                    f"Resource of type '{kind}' with identifier '{name}' already exists.",
                    "AlreadyExists",
                )
            return create(logical_id, props, stack_name)

        return create_unless_taken

    return wrap


# --- EC2 ---


def _instance(instances: Instances) -> Handlers:
    def create(logical_id: str, props: Props, stack_name: str) -> Made:
        profile = None
        if props.get("IamInstanceProfile"):
            profile, error = _ec2._resolve_iam_instance_profile(
                iam_name=props["IamInstanceProfile"]
            )
            if error or not profile:
                raise _failed(f"Invalid IAM Instance Profile name {props['IamInstanceProfile']}")
        subnet = props.get("SubnetId", _ec2._DEFAULT_SUBNET_ID)
        if subnet not in _ec2._subnets:
            raise _failed(f"The subnet ID '{subnet}' does not exist", "NotFound")
        for group in props.get("SecurityGroupIds") or []:
            if group not in _ec2._security_groups:
                raise _failed(f"The security group '{group}' does not exist", "NotFound")
        try:
            record = _ec2._launch_instances_internal(
                image_id=props["ImageId"],
                instance_type=props.get("InstanceType", "m1.small"),
                subnet_id=subnet,
                count=1,
                user_data=props.get("UserData", ""),
                sg_ids=list(props.get("SecurityGroupIds") or []),
                iam_profile=profile,
            )[0]
        except ApiError as refused:
            raise _failed(refused.message) from refused
        instance_id: str = record["InstanceId"]
        _ec2._tags[instance_id] = list(props.get("Tags") or [])
        instances.wait_for(instance_id, "running")
        return instance_id, _instance_attributes(record)

    def update(instance_id: str, old: Props, new: Props, stack_name: str) -> Made:
        record = _ec2._instances[instance_id]
        groups = named_groups(new.get("SecurityGroupIds") or [])
        record["SecurityGroups"] = groups
        instances.regroup(instance_id, groups)
        _ec2._tags[instance_id] = list(new.get("Tags") or [])
        if old.get("IamInstanceProfile") != new.get("IamInstanceProfile"):
            record["IamInstanceProfile"], _ = _ec2._resolve_iam_instance_profile(
                iam_name=new.get("IamInstanceProfile", "")
            )
        if old.get("InstanceType") != new.get("InstanceType"):
            instances.stop(instance_id)
            instances.wait_for(instance_id, "stopped")
            record["InstanceType"] = new["InstanceType"]
            instances.start(instance_id)
            instances.wait_for(instance_id, "running")
        return instance_id, _instance_attributes(record)

    def delete(instance_id: str, props: Props) -> None:
        instances.terminate(instance_id)
        instances.wait_for(instance_id, "terminated")

    return {"create": create, "update": update, "delete": delete}


def _instance_attributes(record: Props) -> dict[str, Any]:
    return {
        "AvailabilityZone": record["Placement"]["AvailabilityZone"],
        "InstanceId": record["InstanceId"],
        "PrivateDnsName": record["PrivateDnsName"],
        "PrivateIp": record["PrivateIpAddress"],
        "VpcId": record["VpcId"],
    }


def _group(emulator: EmulatorState, known: Handlers) -> Handlers:
    known_create = known["create"]

    def create(logical_id: str, props: Props, stack_name: str) -> Made:
        vpc = props.get("VpcId", _ec2._DEFAULT_VPC_ID)
        if vpc not in _ec2._vpcs:
            raise _failed(f"The vpc ID '{vpc}' does not exist", "NotFound")
        name = props.get("GroupName")
        for group in _ec2._security_groups.values():
            if name and (group["GroupName"], group["VpcId"]) == (name, vpc):
                raise _failed(
                    f"The security group '{name}' already exists for VPC '{vpc}'", "AlreadyExists"
                )
        made: Made = known_create(logical_id, props, stack_name)
        return made

    def delete(group_id: str, props: Props) -> None:
        """CloudFormation tries for a while, because what uses the group may just be going."""
        patience = emulator.clock.now() + GROUP_PATIENCE
        while dependents(group_id):
            if emulator.clock.now() >= patience:
                raise _failed(
                    f"resource {group_id} has a dependent object (Service: Ec2, Status Code: 400)",
                    "InvalidRequest",
                )
            emulator.clock.sleep(GROUP_PAUSE)
        _ec2._security_groups.pop(group_id, None)
        _ec2._tags.pop(group_id, None)

    return {"create": create, "delete": delete}


def _group_rule(direction: str) -> Handlers:
    def request(props: Props) -> dict[str, list[str]]:
        peer = props.get("SourceSecurityGroupId") or props.get("DestinationSecurityGroupId")
        given = {
            "GroupId": props["GroupId"],
            "IpPermissions.1.IpProtocol": props["IpProtocol"],
            "IpPermissions.1.FromPort": props.get("FromPort"),
            "IpPermissions.1.ToPort": props.get("ToPort"),
            "IpPermissions.1.Groups.1.GroupId": peer,
            "IpPermissions.1.IpRanges.1.CidrIp": props.get("CidrIp"),
            "IpPermissions.1.Ipv6Ranges.1.CidrIpv6": props.get("CidrIpv6"),
        }
        return {key: [str(value)] for key, value in given.items() if value is not None}

    def act(verb: str, props: Props) -> None:
        status, _, body = _ec2._ACTION_MAP[f"{verb}SecurityGroup{direction}"](request(props))
        if status >= 400:
            raise _failed(body.decode().partition("<Message>")[2].partition("</Message>")[0])

    def create(logical_id: str, props: Props, stack_name: str) -> Made:
        act("Authorize", props)
        rule = _ec2._parse_ip_permissions(request(props), "IpPermissions")[0]
        rule_id: str = _ec2._sg_rule_id(props["GroupId"], direction == "Egress", rule)
        return rule_id, {"Id": rule_id}

    def update(rule_id: str, old: Props, new: Props, stack_name: str) -> Made:
        return rule_id, {"Id": rule_id}

    def delete(rule_id: str, props: Props) -> None:
        group = _ec2._security_groups.get(props["GroupId"])
        rules = _ec2._parse_ip_permissions(request(props), "IpPermissions")
        there = (group or {}).get(PERMISSIONS[direction]) or []
        if any(_ec2._rules_match(rule, other) for rule in rules for other in there):
            act("Revoke", props)

    return {"create": create, "update": update, "delete": delete}


# --- IAM ---


def _instance_profile(known: Handlers) -> Handlers:
    """Ref gives the name."""

    def arn_of(name: str) -> str:
        return str((_iam._instance_profiles.get(name) or {}).get("Arn", ""))

    def named(made: Made) -> Made:
        return made[0].rpartition("/")[2], made[1]

    def check(props: Props) -> None:
        for role in props.get("Roles") or []:
            if role not in _iam._roles:
                raise _failed(f"The role with name {role} cannot be found.", "NotFound")

    def create(logical_id: str, props: Props, stack_name: str) -> Made:
        check(props)
        return named(known_create(logical_id, props, stack_name))

    def update(name: str, old: Props, new: Props, stack_name: str, logical_id: str) -> Made:
        check(new)
        return named(known_update(arn_of(name), old, new, stack_name, logical_id))

    def delete(name: str, props: Props) -> None:
        known_delete(arn_of(name), props)

    known_create, known_update, known_delete = (
        known[verb] for verb in ("create", "update", "delete")
    )
    return {"create": create, "update": update, "delete": delete}


# --- Lambda and Step Functions ---


def _function(emulator: EmulatorState, known: Handlers) -> Handlers:
    create, update, delete = known["create"], known["update"], known["delete"]

    def check(props: Props) -> None:
        code = props.get("Code") or {}
        bucket, key = code.get("S3Bucket"), code.get("S3Key")
        if "ZipFile" not in code and not (
            bucket and key and _lambda._fetch_code_from_s3(bucket, key)
        ):
            raise _failed(f"Error occurred while GetObject. s3://{bucket}/{key}: NoSuchKey")
        if not 1 <= int(props.get("Timeout", 3)) <= 900:
            raise _failed("Timeout must be between 1 and 900 seconds", "InvalidRequest")
        account, region = _responses.get_account_id(), _responses.get_region()
        source = f"arn:aws:lambda:{region}:{account}:function:{props.get('FunctionName', '*')}"
        if emulator.auth and not role_trusts(props["Role"], "lambda.amazonaws.com", source):
            raise _failed(
                "The role defined for the function cannot be assumed by Lambda.", "InvalidRequest"
            )

    def create_checked(logical_id: str, props: Props, stack_name: str) -> Made:
        check(props)
        made: Made = create(logical_id, props, stack_name)
        return made

    def update_checked(name: str, old: Props, new: Props, stack_name: str, logical: str) -> Made:
        check(new)
        made: Made = update(name, old, new, stack_name, logical)
        return made

    def delete_with_environments(name: str, props: Props) -> None:
        arn = _lambda._functions[name]["config"]["FunctionArn"]
        delete(name, props)
        emulator.environments.retire(arn)

    taken = _unless_taken("AWS::Lambda::Function", "FunctionName", lambda: _lambda._functions)
    return {
        "create": taken(create_checked),
        "update": update_checked,
        "delete": delete_with_environments,
    }


def _machine(emulator: EmulatorState, known: Handlers) -> Handlers:
    create, update = known["create"], known["update"]

    def check(props: Props, name: str) -> None:
        try:
            state_machines.check(
                emulator,
                name,
                _provisioners._sfn_definition(props),
                props.get("RoleArn", ""),
                props.get("LoggingConfiguration"),
            )
        except state_machines.RefusedError as refused:
            raise _failed(f"{refused} (Service: Sfn, Status Code: 400)", refused.code) from refused

    def create_checked(logical_id: str, props: Props, stack_name: str) -> Made:
        name = props.get("StateMachineName") or f"{stack_name}-{logical_id}"
        if any(machine["name"] == name for machine in _states._state_machines.values()):
            raise _failed(
                f"Resource of type 'AWS::StepFunctions::StateMachine' with identifier '{name}' "
                "already exists.",
                "AlreadyExists",
            )
        check(props, name)
        made: Made = create(logical_id, props, stack_name)
        return made

    def update_checked(arn: str, old: Props, new: Props, stack_name: str, logical: str) -> Made:
        check(new, arn.rpartition(":")[2])
        made: Made = update(arn, old, new, stack_name, logical)
        return made

    return {"create": create_checked, "update": update_checked}


# --- Systems Manager ---


def _document(models: Models) -> Handlers:
    """A document of a fixed name cannot be replaced (F6.20)."""

    def call(action: str, **given: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = models.ssm().call(action, given)
        except ApiError as refused:
            raise _failed(f"{refused.code}: {refused.message}", "InvalidRequest") from refused
        return answer

    def content(props: Props) -> dict[str, str]:
        given = props["Content"]
        if isinstance(given, dict):
            return {"Content": json.dumps(given), "DocumentFormat": "JSON"}
        return {"Content": given, "DocumentFormat": props.get("DocumentFormat", "JSON")}

    def create(logical_id: str, props: Props, stack_name: str) -> Made:
        name = props.get("Name") or _provisioners._physical_name(stack_name, logical_id)
        call(
            "CreateDocument",
            Name=name,
            DocumentType=props.get("DocumentType", "Command"),
            Tags=props.get("Tags") or [],
            **content(props),
        )
        return name, {}

    def update(name: str, old: Props, new: Props, stack_name: str, logical_id: str) -> Made:
        if content(old) == content(new):
            return name, {}
        if new.get("UpdateMethod", "Replace") == "NewVersion":
            made = call("UpdateDocument", Name=name, DocumentVersion="$LATEST", **content(new))
            version = made["DocumentDescription"]["DocumentVersion"]
            call("UpdateDocumentDefaultVersion", Name=name, DocumentVersion=version)
            return name, {}
        if new.get("Name"):
            raise ValueError(
                "CloudFormation cannot update a stack when a custom-named resource requires "
                f"replacing. Rename {name} and update the stack again."
            )
        _provisioners._NAME_SEED.set(_responses.new_uuid()[:8])
        return create(logical_id, new, stack_name)

    def delete(name: str, props: Props) -> None:
        if name in models.ssm().documents():
            call("DeleteDocument", Name=name)

    return {"create": create, "update": update, "update_with_logical_id": True, "delete": delete}
