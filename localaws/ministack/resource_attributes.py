"""What Ref and Fn::GetAtt return for a resource, and the names that CloudFormation generates.

ministack returns a secret's name from Ref instead of its ARN, names log groups and parameters
after their stack's path, and lacks attributes that are those of the resource's properties.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from localaws.ministack import resource_schemas
from localaws.ministack.access import ministack
from localaws.ministack.resource_handlers import Created, Handlers, Props

# The property with the name of a resource, by type.
NAMED = {"AWS::Logs::LogGroup": "LogGroupName", "AWS::SSM::Parameter": "Name"}

_ec2 = ministack("services.ec2")
_provisioners = ministack("services.cloudformation.provisioners")
_responses = ministack("core.responses")
_secrets = ministack("services.secretsmanager")


def install() -> None:
    """Correct the physical ids and attributes of resources."""
    types: dict[str, Handlers] = _provisioners._RESOURCE_HANDLERS
    for kind, name_property in NAMED.items():
        types[kind].update(_named(kind, name_property, {**types[kind]}))
    types["AWS::SecretsManager::Secret"].update(_secret({**types["AWS::SecretsManager::Secret"]}))
    types["AWS::S3::BucketPolicy"].update(_bucket_policy({**types["AWS::S3::BucketPolicy"]}))
    for kind, find in ATTRIBUTES.items():
        types[kind].update(_with_attributes(kind, find, {**types[kind]}))


def _named(kind: str, name_property: str, original: Handlers) -> Handlers:
    """A name that CloudFormation generates and an update keeps.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-name.html
    """

    def with_name(props: Props, stack_name: str, logical_id: str) -> Props:
        if props.get(name_property):
            return props
        name = _provisioners._physical_name(stack_name, logical_id)
        if kind == "AWS::SSM::Parameter":
            # Its name must not start with "ssm" or "aws", as a stack's may.
            name = f"CFN-{logical_id}-{name.rpartition('-')[2]}"
        return {**props, name_property: name}

    def create(logical_id: str, props: Props, stack_name: str) -> Created:
        created: Created = original["create"](
            logical_id, with_name(props, stack_name, logical_id), stack_name
        )
        return created

    def update(name: str, old: Props, new: Props, stack_name: str, logical_id: str) -> Created:
        if not old.get(name_property):
            old = {**old, name_property: name}
            new = {name_property: name, **new}
        updated: Created = original["update"](
            name, old, with_name(new, stack_name, logical_id), stack_name, logical_id
        )
        return updated

    return {"create": create, "update": update, "update_with_logical_id": True}


def _secret(original: Handlers) -> Handlers:
    """Ref returns the ARN.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-secretsmanager-secret.html
    """

    def name_of(arn: str) -> str:
        return next(
            (name for name, secret in _secrets._secrets.items() if secret["ARN"] == arn), arn
        )

    def with_arn(created: Created) -> Created:
        return created[1]["Arn"], {"Id": created[1]["Arn"]}

    def create(logical_id: str, props: Props, stack_name: str) -> Created:
        return with_arn(original["create"](logical_id, props, stack_name))

    def update(arn: str, old: Props, new: Props, stack_name: str, logical_id: str) -> Created:
        return with_arn(original["update"](name_of(arn), old, new, stack_name, logical_id))

    def delete(arn: str, props: Props) -> None:
        original["delete"](name_of(arn), props)

    return {"create": create, "update": update, "delete": delete}


def _bucket_policy(original: Handlers) -> Handlers:
    """Ref returns the name of the bucket."""

    def create(logical_id: str, props: Props, stack_name: str) -> Created:
        original["create"](logical_id, props, stack_name)
        return props["Bucket"], {}

    def update(name: str, old: Props, new: Props, stack_name: str) -> Created:
        original["update"](name, old, new, stack_name)
        return new["Bucket"], {}

    return {"create": create, "update": update}


# --- Attributes ---


def _vpc(vpc_id: str, props: Props) -> Mapping[str, Any]:
    return {
        "CidrBlock": _ec2._vpcs[vpc_id]["CidrBlock"],
        "CidrBlockAssociations": [f"vpc-cidr-assoc-{vpc_id.removeprefix('vpc-')}"],
        "Ipv6CidrBlocks": [],
    }


def _subnet(subnet_id: str, props: Props) -> Mapping[str, Any]:
    subnet = _ec2._subnets[subnet_id]
    return {
        "CidrBlock": subnet["CidrBlock"],
        "Ipv6CidrBlocks": [],
        "NetworkAclAssociationId": f"aclassoc-{subnet_id.removeprefix('subnet-')}",
        "VpcId": subnet["VpcId"],
    }


def _bucket(name: str, props: Props) -> Mapping[str, Any]:
    return {"DualStackDomainName": f"{name}.s3.dualstack.{_responses.get_region()}.amazonaws.com"}


# The attributes that ministack lacks, by resource type, of a physical id and properties.
ATTRIBUTES: Mapping[str, Callable[[str, Props], Mapping[str, Any]]] = {
    "AWS::EC2::SecurityGroup": lambda name, props: {"Id": name},
    "AWS::EC2::Instance": lambda name, props: {},
    "AWS::EC2::Subnet": _subnet,
    "AWS::EC2::SubnetRouteTableAssociation": lambda name, props: {"Id": name},
    "AWS::EC2::VPC": _vpc,
    "AWS::EC2::VPCGatewayAttachment": lambda name, props: {"AttachmentType": name.split("|")[0]},
    "AWS::Lambda::Permission": lambda name, props: {"Id": name},
    "AWS::Lambda::Version": lambda name, props: {"FunctionArn": name},
    "AWS::S3::Bucket": _bucket,
    "AWS::SSM::Parameter": lambda name, props: {"Name": name},
}


def _with_attributes(
    kind: str, find: Callable[[str, Props], Mapping[str, Any]], original: Handlers
) -> Handlers:
    """The handlers, with the attributes that ministack lacks and those of properties."""

    def complete(created: Created, props: Props) -> Created:
        physical_id, known = created
        allowed = resource_schemas.attributes(kind, _responses.get_region()) or frozenset()
        given = {name: value for name, value in props.items() if name in allowed}
        return physical_id, {**given, **find(physical_id, props), **known}

    def create(logical_id: str, props: Props, stack_name: str) -> Created:
        return complete(original["create"](logical_id, props, stack_name), props)

    def update(name: str, old: Props, new: Props, *rest: Any) -> Created:
        return complete(original["update"](name, old, new, *rest), new)

    return {"create": create, **({"update": update} if "update" in original else {})}
