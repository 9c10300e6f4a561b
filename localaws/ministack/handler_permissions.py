"""What CloudFormation's resource handlers may do: what the caller of the stack operation may.

Without a service role, CloudFormation acts with the caller's rights, in Service Catalog the launch
role's (F7.118):
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/control-access-with-iam.html
Each resource type's schema lists the actions of each handler, but not which of them a resource
needs (F7.123). The stricter reading: all of them, except those of properties that it lacks.
Users other than roles are not checked: nobody deploys with them here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from localaws.core.api_error import ApiError
from localaws.ministack import resource_schemas
from localaws.ministack.access import ministack
from localaws.ministack.handler_targets import Target, is_custom, targets
from localaws.ministack.iam import CallerPermissions
from localaws.ministack.resource_handlers import handler_error
from localaws.ministack.role_sessions import called_by_role

if TYPE_CHECKING:
    from localaws.state import EmulatorState

Props = Mapping[str, Any]

_stacks = ministack("services.cloudformation.stacks")
_provisioners = ministack("services.cloudformation.provisioners")
_responses = ministack("core.responses")

# No property of the type sets what the action changes.
NO_PROPERTY = ""
_FUNCTION = {
    "DeleteFunctionCodeSigningConfig": "CodeSigningConfigArn",
    "DeleteFunctionConcurrency": "ReservedConcurrentExecutions",
    "GetCodeSigningConfig": "CodeSigningConfigArn",
    "GetLayerVersion": "Layers",
    "PassCapacityProvider": "CapacityProviderConfig",
    "AssociateRuntimeAlias": "RuntimeManagementConfig",
    "PublishVersion": "PublishToLatestPublished",
    "PutFunctionCodeSigningConfig": "CodeSigningConfigArn",
    "PutFunctionConcurrency": "ReservedConcurrentExecutions",
    "PutFunctionRecursionConfig": "RecursiveLoop",
    "PutFunctionScalingConfig": "FunctionScalingConfig",
    "PutRuntimeManagementConfig": "RuntimeManagementConfig",
}
_INSTANCE = {
    "AttachVolume": "Volumes",
    "DetachVolume": "Volumes",
    "DescribeKeyPairs": "KeyName",
    "DescribeLaunchTemplateVersions": "LaunchTemplate",
    "ModifyInstanceCreditSpecification": "CreditSpecification",
    "ModifyInstanceMaintenanceOptions": NO_PROPERTY,
    "ModifyInstancePlacement": "Tenancy",
    "ModifyPrivateDnsNameOptions": "PrivateDnsNameOptions",
    "MonitorInstances": "Monitoring",
    "UnmonitorInstances": "Monitoring",
}
_LOG_GROUP = {
    "AssociateKmsKey": "KmsKeyId",
    "CreateLogDelivery": "DataProtectionPolicy",
    "DeleteDataProtectionPolicy": "DataProtectionPolicy",
    "DeleteIndexPolicy": "FieldIndexPolicies",
    "DeleteResourcePolicy": "ResourcePolicyDocument",
    "DisassociateKmsKey": "KmsKeyId",
    "PutBearerTokenAuthentication": "BearerTokenAuthenticationEnabled",
    "PutDataProtectionPolicy": "DataProtectionPolicy",
    "PutIndexPolicy": "FieldIndexPolicies",
    "PutLogGroupDeletionProtection": "DeletionProtectionEnabled",
    "PutResourcePolicy": "ResourcePolicyDocument",
}
# The property without which a handler never uses an action that its schema lists.
ONLY_WITH: Mapping[str, Mapping[str, str]] = {
    "AWS::EC2::Instance": {
        **{f"ec2:{action}": name for action, name in _INSTANCE.items()},
        "ssm:CreateAssociation": "SsmAssociations",
        "ssm:DeleteAssociation": "SsmAssociations",
    },
    "AWS::Events::Rule": {"iam:PassRole": "RoleArn"},
    "AWS::IAM::Role": {
        "iam:AttachRolePolicy": "ManagedPolicyArns",
        "iam:DeleteRolePermissionsBoundary": "PermissionsBoundary",
        "iam:DetachRolePolicy": "ManagedPolicyArns",
        "iam:PutRolePermissionsBoundary": "PermissionsBoundary",
        "iam:UpdateRole": "MaxSessionDuration",
        "iam:UpdateRoleDescription": "Description",
    },
    "AWS::Lambda::Function": {
        **{f"lambda:{action}": name for action, name in _FUNCTION.items()},
        "ec2:DescribeNetworkInterfaces": "VpcConfig",
        "ec2:DescribeSecurityGroups": "VpcConfig",
        "ec2:DescribeSubnets": "VpcConfig",
        "ec2:DescribeVpcs": "VpcConfig",
        "elasticfilesystem:DescribeMountTargets": "FileSystemConfigs",
        "kms:CreateGrant": "KmsKeyArn",
        "kms:Decrypt": "KmsKeyArn",
        "kms:DescribeKey": "KmsKeyArn",
        "kms:Encrypt": "KmsKeyArn",
        "kms:GenerateDataKey": "KmsKeyArn",
        "s3files:ListMountTargets": "FileSystemConfigs",
    },
    "AWS::Logs::LogGroup": {
        **{f"logs:{action}": name for action, name in _LOG_GROUP.items()},
        "firehose:TagDeliveryStream": "DataProtectionPolicy",
        "s3:REST.PUT.OBJECT": "DataProtectionPolicy",
    },
    "AWS::SSM::Document": {"iam:PassRole": "Attachments", "s3:GetObject": "Attachments"},
    "AWS::SecretsManager::Secret": {
        "secretsmanager:RemoveRegionsFromReplication": "ReplicaRegions",
        "secretsmanager:ReplicateSecretToRegions": "ReplicaRegions",
    },
    "AWS::StepFunctions::StateMachine": {
        "kms:Decrypt": "EncryptionConfiguration",
        "kms:DescribeKey": "EncryptionConfiguration",
        "kms:GenerateDataKey": "EncryptionConfiguration",
    },
}
# The update handlers read the resource afterwards, as the create handlers do.
_HANDLERS = {"create": ("create", "read"), "update": ("update", "read"), "delete": ("delete",)}


def actions(kind: str, operation: str, *properties: Props, region: str) -> Iterator[str]:
    """The actions that an operation on a resource with these properties requires."""
    if is_custom(kind):
        yield "lambda:InvokeFunction"
        return
    handlers = resource_schemas.schema(kind, region).get("handlers") or {}
    optional = ONLY_WITH.get(kind, {})
    found: dict[str, None] = {}
    for handler in _HANDLERS[operation]:
        for action in (handlers.get(handler) or {}).get("permissions") or []:
            name = optional.get(action)
            if name is None or any(name in each for each in properties):
                found[action] = None
    yield from found


class Handlers:
    """Checks each operation of a resource handler before it runs."""

    def __init__(self, emulator: EmulatorState) -> None:
        self._caller = CallerPermissions(emulator)
        self._provision = _stacks._provision_resource
        self._update = _stacks._update_resource
        self._delete = _stacks._delete_resource

    def provision(self, kind: str, logical_id: str, props: Any, stack_name: str) -> Any:
        """Create a resource."""
        target = Target(kind, logical_id, stack_name, "", props)
        self._check("create", target, props)
        return self._provision(kind, logical_id, props, stack_name)

    def update(
        self,
        kind: str,
        physical_id: str,
        old: Any,
        new: Any,
        stack_name: str,
        logical_id: str,
        *rest: Any,
    ) -> Any:
        """Update a resource that has changed."""
        if old != new:
            replaced = _provisioners._replacing_change(kind, old, new)
            physical = "" if replaced else physical_id
            target = Target(kind, logical_id, stack_name, physical, new)
            self._check("create" if replaced else "update", target, old, new)
        return self._update(kind, physical_id, old, new, stack_name, logical_id, *rest)

    def delete(
        self,
        kind: str,
        physical_id: str,
        props: Any,
        stack_name: str = "",
        logical_id: str | None = None,
    ) -> Any:
        """Delete a resource."""
        target = Target(kind, logical_id or "", stack_name, physical_id, props)
        self._check("delete", target, props)
        return self._delete(kind, physical_id, props, stack_name, logical_id)

    def _check(self, operation: str, target: Target, *properties: Props) -> None:
        if not called_by_role():
            return
        region = _responses.get_region()
        for action in actions(target.kind, operation, *properties, region=region):
            for resource, context in targets(action, target):
                self._authorize(action, resource, context)

    def _authorize(self, action: str, resource: str, context: Mapping[str, Any]) -> None:
        try:
            self._caller.authorize(action, resource, context)
        except ApiError as error:
            raise handler_error(error.message, "AccessDenied") from error


def install(emulator: EmulatorState) -> None:
    """Check the rights of the caller; before anything else is wrapped around the handlers."""
    handlers = Handlers(emulator)
    _stacks._provision_resource = handlers.provision
    _stacks._update_resource = handlers.update
    _stacks._delete_resource = handlers.delete
