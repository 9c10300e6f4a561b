"""What the local AWS offers: services, resource types and their properties.

ministack has more, unchecked against AWS. The rest is refused with the code NotImplemented and the
name of what is missing, so that no test passes on half an emulation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from localaws.core.api_error import ApiError

# Services as requests are signed for them, which is what ministack calls them.
SERVICES = frozenset(
    {
        "cloudformation",
        "cloudhsm",
        "ec2",
        "events",
        "iam",
        "kms",
        "lambda",
        "logs",
        "s3",
        "secretsmanager",
        "servicecatalog",
        "servicequotas",
        "ssm",
        "states",
        "sts",
    }
)
RESOURCE_TYPES = frozenset(
    {
        "AWS::CDK::Metadata",
        "AWS::CloudFormation::CustomResource",
        "AWS::CloudFormation::WaitCondition",
        "AWS::CloudFormation::WaitConditionHandle",
        "AWS::EC2::Instance",
        "AWS::EC2::InternetGateway",
        "AWS::EC2::Route",
        "AWS::EC2::RouteTable",
        "AWS::EC2::SecurityGroup",
        "AWS::EC2::SecurityGroupEgress",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EC2::Subnet",
        "AWS::EC2::SubnetRouteTableAssociation",
        "AWS::EC2::VPC",
        "AWS::EC2::VPCEndpoint",
        "AWS::EC2::VPCGatewayAttachment",
        "AWS::Events::EventBus",
        "AWS::Events::Rule",
        "AWS::IAM::InstanceProfile",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Policy",
        "AWS::IAM::Role",
        "AWS::IAM::User",
        "AWS::KMS::Alias",
        "AWS::KMS::Key",
        "AWS::Lambda::Alias",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::Function",
        "AWS::Lambda::Permission",
        "AWS::Lambda::Version",
        "AWS::Logs::LogGroup",
        "AWS::Logs::LogStream",
        "AWS::Logs::ResourcePolicy",
        "AWS::S3::Bucket",
        "AWS::S3::BucketPolicy",
        "AWS::SSM::Document",
        "AWS::SSM::Parameter",
        "AWS::SecretsManager::Secret",
        "AWS::ServiceCatalog::CloudFormationProduct",
        "AWS::ServiceCatalog::LaunchRoleConstraint",
        "AWS::ServiceCatalog::LaunchTemplateConstraint",
        "AWS::ServiceCatalog::Portfolio",
        "AWS::ServiceCatalog::PortfolioPrincipalAssociation",
        "AWS::ServiceCatalog::PortfolioProductAssociation",
        "AWS::ServiceCatalog::ResourceUpdateConstraint",
        "AWS::ServiceCatalog::ServiceAction",
        "AWS::ServiceCatalog::ServiceActionAssociation",
        "AWS::ServiceCatalog::TagOption",
        "AWS::ServiceCatalog::TagOptionAssociation",
        "AWS::StepFunctions::StateMachine",
    }
)
# Properties that the handlers of these types ignore.
MISSING_PROPERTIES: Mapping[str, frozenset[str]] = {
    "AWS::EC2::Instance": frozenset(
        {
            "ElasticInferenceAccelerators",
            "HostId",
            "HostResourceGroupArn",
            "KeyName",
            "LaunchTemplate",
            "LicenseSpecifications",
            "NetworkInterfaces",
            "PlacementGroupName",
            "PrivateIpAddress",
            "SecurityGroups",
            "SsmAssociations",
            "Tenancy",
            "UserData",
            "Volumes",
        }
    ),
    "AWS::EC2::Subnet": frozenset(
        {
            "AssignIpv6AddressOnCreation",
            "EnableDns64",
            "EnableLniAtDeviceIndex",
            "Ipv4IpamPoolId",
            "Ipv4NetmaskLength",
            "Ipv6CidrBlock",
            "Ipv6IpamPoolId",
            "Ipv6Native",
            "Ipv6NetmaskLength",
            "OutpostArn",
        }
    ),
    "AWS::EC2::VPC": frozenset({"Ipv4IpamPoolId", "Ipv4NetmaskLength"}),
    "AWS::Events::EventBus": frozenset(
        {"DeadLetterConfig", "EventSourceName", "KmsKeyIdentifier", "LogConfig", "Policy"}
    ),
    "AWS::Lambda::Alias": frozenset({"ProvisionedConcurrencyConfig"}),
    "AWS::Lambda::Function": frozenset(
        {
            "CapacityProviderConfig",
            "CodeSigningConfigArn",
            "DeadLetterConfig",
            "DurableConfig",
            "FileSystemConfigs",
            "FunctionScalingConfig",
            "ImageConfig",
            "KmsKeyArn",
            "Layers",
            "PublishToLatestPublished",
            "RecursiveLoop",
            "ReservedConcurrentExecutions",
            "RuntimeManagementConfig",
            "SnapStart",
            "TenancyConfig",
            "VpcConfig",
        }
    ),
    "AWS::Lambda::Version": frozenset(
        {"CodeSha256", "ProvisionedConcurrencyConfig", "RuntimePolicy"}
    ),
    "AWS::Logs::LogGroup": frozenset(
        {
            "BearerTokenAuthenticationEnabled",
            "DataProtectionPolicy",
            "DeletionProtectionEnabled",
            "FieldIndexPolicies",
            "ResourcePolicyDocument",
        }
    ),
    "AWS::S3::Bucket": frozenset(
        {
            "AbacStatus",
            "AccelerateConfiguration",
            "AccessControl",
            "AnalyticsConfigurations",
            "BucketNamePrefix",
            "BucketNamespace",
            "IntelligentTieringConfigurations",
            "InventoryConfigurations",
            "LoggingConfiguration",
            "MetadataConfiguration",
            "MetadataTableConfiguration",
            "MetricsConfigurations",
            "ObjectLockConfiguration",
            "ObjectLockEnabled",
            "ReplicationConfiguration",
        }
    ),
}
# Request parameters and operations that ministack ignores or implements in part, by service.
MISSING_PARAMETERS: Mapping[str, frozenset[str]] = {
    "cloudformation": frozenset(
        {
            "NotificationARNs",
            "ResourceTypes",
            "RoleARN",
            "RollbackConfiguration",
            "StackPolicyBody",
            "StackPolicyDuringUpdateBody",
            "StackPolicyDuringUpdateURL",
            "StackPolicyURL",
            "TimeoutInMinutes",
        }
    ),
    "states": frozenset({"encryptionConfiguration"}),
}
MISSING_OPERATIONS: Mapping[str, frozenset[str]] = {
    "cloudformation": frozenset({"DetectStackDrift", "DetectStackResourceDrift", "SetStackPolicy"}),
}
# What a processed template still declares: macros, and AWS::Include outside of Fn::Transform.
APPLIED_TRANSFORMS = frozenset({"AWS::LanguageExtensions"})
# The resources of Task states: functions and nested executions.
TASK = re.compile(
    r"arn:[\w-]+:(lambda:[^:]*:[^:]*:function:.+"
    r"|states:::lambda:invoke|states:::states:startExecution(\.sync(:2)?)?)"
)
# Resource types that may wait for signals.
SIGNALLED = frozenset({"AWS::CloudFormation::WaitCondition"})


def not_offered(name: str) -> ApiError:
    """The error for something that the local AWS lacks."""
    return ApiError("NotImplemented", f"The local AWS does not offer {name}.", 501)


def check_task(resource: str) -> None:
    """Raise ApiError for a Task state that the local AWS cannot run."""
    if not TASK.fullmatch(resource):
        raise not_offered(f"the task {resource}")


def check_request(service: str, operation: str, given: Mapping[str, Any]) -> None:
    """Raise ApiError for a request that the local AWS would only half fulfil."""
    if operation in MISSING_OPERATIONS.get(service, frozenset()):
        raise not_offered(f"{service}:{operation}")
    if operation == "CreateStateMachine" and given.get("type") == "EXPRESS":
        raise not_offered("state machines of type EXPRESS")
    missing = {
        name for name in MISSING_PARAMETERS.get(service, frozenset()) & set(given) if given[name]
    }
    if missing:
        raise not_offered(f"the parameter {min(missing)} of {service}:{operation}")


def check_transforms(names: Iterable[str]) -> None:
    """Raise ApiError for a transform that the local AWS does not apply."""
    for name in names:
        if name not in APPLIED_TRANSFORMS:
            raise not_offered(f"the transform {name}")


def check_runtime(runtime: str) -> None:
    """Raise ApiError for a runtime whose functions the local AWS cannot run."""
    if runtime and not runtime.startswith("python3."):
        raise not_offered(f"the Lambda runtime {runtime}")


def check_resources(resources: Mapping[str, Any], conditions: Mapping[str, bool]) -> None:
    """Raise ApiError for the first resource that the local AWS cannot emulate."""
    for logical_id, resource in resources.items():
        kind = resource.get("Type", "")
        if kind not in RESOURCE_TYPES and not kind.startswith("Custom::"):
            raise not_offered(f"the resource type {kind} of {logical_id}")
        given = {
            name
            for name, value in (resource.get("Properties") or {}).items()
            if not _is_absent(value, conditions)
        }
        missing = MISSING_PROPERTIES.get(kind, frozenset()) & given
        if missing:
            raise not_offered(f"the property {min(missing)} of {kind}, which {logical_id} has")
        if (resource.get("Properties") or {}).get("StateMachineType") == "EXPRESS":
            raise not_offered(f"state machines of type EXPRESS such as {logical_id}")
        if "CreationPolicy" in resource and kind not in SIGNALLED:
            raise not_offered(f"the CreationPolicy of {logical_id}")
        if "UpdatePolicy" in resource:
            raise not_offered(f"the UpdatePolicy of {logical_id}")


def _is_absent(value: Any, conditions: Mapping[str, bool]) -> bool:
    """Whether a property is AWS::NoValue."""
    if isinstance(value, dict) and "Fn::If" in value:
        condition, then, otherwise = value["Fn::If"]
        return _is_absent(then if conditions.get(condition) else otherwise, conditions)
    return bool(value == {"Ref": "AWS::NoValue"})
