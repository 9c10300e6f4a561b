"""AWS::EC2 resource types.

ministack lacks AWS::EC2::Instance, AWS::EC2::SecurityGroupIngress and -Egress, so we add them. For
AWS::EC2::SecurityGroup, AWS rejects an existing name or an unknown VPC and retries to delete a
group in use, which ministack deletes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localaws.core.api_error import ApiError
from localaws.core.clock import Clock
from localaws.ministack import images
from localaws.ministack.access import ministack
from localaws.ministack.instances import Instances
from localaws.ministack.resource_handlers import Created, Handlers, Props, handler_error
from localaws.ministack.security_groups import RULE_KEYS, dependents, references

if TYPE_CHECKING:
    from localaws.state import EmulatorState

# Virtual seconds for which CloudFormation retries to delete a group in use, and between attempts.
GROUP_TIMEOUT = 900.0
GROUP_RETRY_INTERVAL = 30.0
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
RULE_REPLACED_BY = (
    "CidrIp",
    "CidrIpv6",
    "DestinationSecurityGroupId",
    "FromPort",
    "GroupId",
    "IpProtocol",
    "SourceSecurityGroupId",
    "ToPort",
)

DEFAULT_TYPE = "m1.small"

_provisioners = ministack("services.cloudformation.provisioners")
_ec2 = ministack("services.ec2")


def install(emulator: EmulatorState, instances: Instances) -> None:
    """Add the instance and rule types, and replace the group type's create and delete."""
    types: dict[str, Handlers] = _provisioners._RESOURCE_HANDLERS
    types["AWS::EC2::Instance"] = _instance(instances)
    _provisioners._REPLACING_PROPERTIES["AWS::EC2::Instance"] = INSTANCE_REPLACED_BY
    # Stack tags, and aws:cloudformation:stack-id.
    _provisioners._STACK_TAG_PROPERTY["AWS::EC2::Instance"] = ("Tags", "list")
    for direction in RULE_KEYS:
        rule_type = f"AWS::EC2::SecurityGroup{direction}"
        types[rule_type] = _group_rule(direction)
        _provisioners._REPLACING_PROPERTIES[rule_type] = RULE_REPLACED_BY
    group = types["AWS::EC2::SecurityGroup"]
    group.update(_group(emulator.clock, group))
    # The handler above deletes the groups that an update replaces.
    _provisioners._ec2_sg_delete = lambda group_id, props: None


def _instance(instances: Instances) -> Handlers:
    def create(logical_id: str, props: Props, stack_name: str) -> Created:
        record = _launch(props)
        instance_id: str = record["InstanceId"]
        _ec2._tags[instance_id] = list(props.get("Tags") or [])
        # CloudFormation waits until it is running: see creation_times.
        return instance_id, _instance_attributes(record)

    def update(instance_id: str, old: Props, new: Props, stack_name: str) -> Created:
        record = _ec2._instances.get(instance_id)
        if record is None:
            raise handler_error(f"The instance ID '{instance_id}' does not exist", "NotFound")
        _ec2._tags[instance_id] = list(new.get("Tags") or [])
        if {**old, "Tags": None} == {**new, "Tags": None}:
            # EC2 tags an instance for as long as it lists it, even if it was terminated.
            return instance_id, _instance_attributes(record)
        _check_launch(new)
        groups = references(new.get("SecurityGroupIds") or [])
        record["SecurityGroups"] = groups
        instances.set_security_groups(instance_id, groups)
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


def _launch(props: Props) -> Props:
    profile = None
    if props.get("IamInstanceProfile"):
        profile, error = _ec2._resolve_iam_instance_profile(iam_name=props["IamInstanceProfile"])
        if error or not profile:
            raise handler_error(f"Invalid IAM Instance Profile name {props['IamInstanceProfile']}")
    _check_launch(props)
    try:
        launched: list[Props] = _ec2._launch_instances_internal(
            image_id=props["ImageId"],
            instance_type=props.get("InstanceType", DEFAULT_TYPE),
            subnet_id=props.get("SubnetId", _ec2._DEFAULT_SUBNET_ID),
            count=1,
            user_data=props.get("UserData", ""),
            sg_ids=list(props.get("SecurityGroupIds") or []),
            iam_profile=profile,
        )
    except ApiError as error:
        raise handler_error(error.message) from error
    return launched[0]


def _check_launch(props: Props) -> None:
    try:
        images.check_launch(
            props["ImageId"],
            props.get("InstanceType", DEFAULT_TYPE),
            props.get("SubnetId", _ec2._DEFAULT_SUBNET_ID),
            props.get("SecurityGroupIds") or [],
        )
    except ApiError as error:
        code = "NotFound" if error.code.endswith("NotFound") else "InvalidRequest"
        problem = f"{error.message} (Service: Ec2, Status Code: {error.status})"
        raise handler_error(problem, code) from error


def _instance_attributes(record: Props) -> dict[str, Any]:
    return {
        "AvailabilityZone": record["Placement"]["AvailabilityZone"],
        "InstanceId": record["InstanceId"],
        "PrivateDnsName": record["PrivateDnsName"],
        "PrivateIp": record["PrivateIpAddress"],
        "VpcId": record["VpcId"],
    }


def _group(clock: Clock, original: Handlers) -> Handlers:
    original_create = original["create"]

    def create(logical_id: str, props: Props, stack_name: str) -> Created:
        vpc = props.get("VpcId", _ec2._DEFAULT_VPC_ID)
        if vpc not in _ec2._vpcs:
            raise handler_error(f"The vpc ID '{vpc}' does not exist", "NotFound")
        name = props.get("GroupName")
        for group in _ec2._security_groups.values():
            if name and (group["GroupName"], group["VpcId"]) == (name, vpc):
                raise handler_error(
                    f"The security group '{name}' already exists for VPC '{vpc}'", "AlreadyExists"
                )
        created: Created = original_create(logical_id, props, stack_name)
        return created

    def delete(group_id: str, props: Props) -> None:
        """Delete the group, retrying while it is in use."""
        deadline = clock.now() + GROUP_TIMEOUT
        while dependents(group_id):
            if clock.now() >= deadline:
                raise handler_error(
                    f"resource {group_id} has a dependent object (Service: Ec2, Status Code: 400)",
                    "InvalidRequest",
                )
            clock.sleep(GROUP_RETRY_INTERVAL)
        _ec2._security_groups.pop(group_id, None)
        _ec2._tags.pop(group_id, None)

    return {"create": create, "delete": delete}


def _group_rule(direction: str) -> Handlers:
    def call(verb: str, props: Props) -> None:
        action = _ec2._ACTION_MAP[f"{verb}SecurityGroup{direction}"]
        status, _, body = action(_rule_params(props))
        if status >= 400:
            raise handler_error(body.decode().partition("<Message>")[2].partition("</Message>")[0])

    def create(logical_id: str, props: Props, stack_name: str) -> Created:
        call("Authorize", props)
        rule = _ec2._parse_ip_permissions(_rule_params(props), "IpPermissions")[0]
        rule_id: str = _ec2._sg_rule_id(props["GroupId"], direction == "Egress", rule)
        return rule_id, {"Id": rule_id}

    def update(rule_id: str, old: Props, new: Props, stack_name: str) -> Created:
        return rule_id, {"Id": rule_id}

    def delete(rule_id: str, props: Props) -> None:
        group = _ec2._security_groups.get(props["GroupId"])
        rules = _ec2._parse_ip_permissions(_rule_params(props), "IpPermissions")
        existing = (group or {}).get(RULE_KEYS[direction]) or []
        if any(_ec2._rules_match(rule, other) for rule in rules for other in existing):
            call("Revoke", props)

    return {"create": create, "update": update, "delete": delete}


def _rule_params(props: Props) -> dict[str, list[str]]:
    """A rule's properties as the parameters of an EC2 request."""
    peer = props.get("SourceSecurityGroupId") or props.get("DestinationSecurityGroupId")
    params = {
        "GroupId": props["GroupId"],
        "IpPermissions.1.IpProtocol": props["IpProtocol"],
        "IpPermissions.1.FromPort": props.get("FromPort"),
        "IpPermissions.1.ToPort": props.get("ToPort"),
        "IpPermissions.1.Groups.1.GroupId": peer,
        "IpPermissions.1.IpRanges.1.CidrIp": props.get("CidrIp"),
        "IpPermissions.1.Ipv6Ranges.1.CidrIpv6": props.get("CidrIpv6"),
    }
    return {key: [str(value)] for key, value in params.items() if value is not None}
