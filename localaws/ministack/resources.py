"""Resource types of IAM, Lambda, CloudWatch Logs, Step Functions and Systems Manager.

ministack lacks AWS::SSM::Document, so we add it. For the others, AWS checks a function's or state
machine's role and code, and returns an instance profile's name from Ref; ministack does not check,
and returns the ARN.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from localaws.core.api_error import ApiError
from localaws.ministack import ec2_resources, inline_code, lambda_limits, state_machines
from localaws.ministack.access import ministack
from localaws.ministack.iam import role_trusts
from localaws.ministack.instances import Instances
from localaws.ministack.partitions import partition
from localaws.ministack.resource_handlers import (
    Created,
    Handlers,
    Props,
    handler_error,
)
from localaws.ministack.services import Providers
from localaws.ministack.template_urls import region_problem

if TYPE_CHECKING:
    from localaws.state import EmulatorState

_provisioners = ministack("services.cloudformation.provisioners")
_iam = ministack("services.iam")
_lambda = ministack("services.lambda_svc")
_responses = ministack("core.responses")


def install(emulator: EmulatorState, providers: Providers, instances: Instances) -> None:
    """Add and replace resource types."""
    ec2_resources.install(emulator, instances)
    types: dict[str, Handlers] = _provisioners._RESOURCE_HANDLERS
    types["AWS::SSM::Document"] = _document(providers)
    _provisioners._REPLACING_PROPERTIES["AWS::SSM::Document"] = ("Name", "DocumentType")
    _provisioners._CUSTOM_NAME_REPLACEMENT["AWS::SSM::Document"] = {"name": "Name"}
    types["AWS::IAM::InstanceProfile"].update(_instance_profile(types["AWS::IAM::InstanceProfile"]))
    types["AWS::Lambda::Function"].update(_function(emulator, types["AWS::Lambda::Function"]))
    _provisioners._zip_inline = inline_code.zipped
    types["AWS::StepFunctions::StateMachine"].update(
        _state_machine(emulator, types["AWS::StepFunctions::StateMachine"])
    )


def _instance_profile(original: Handlers) -> Handlers:
    """The profile's name is its physical id."""
    original_create, original_update, original_delete = (
        original[operation] for operation in ("create", "update", "delete")
    )

    def arn_of(name: str) -> str:
        return str((_iam._instance_profiles.get(name) or {}).get("Arn", ""))

    def with_name(created: Created) -> Created:
        return created[0].rpartition("/")[2], created[1]

    def check(props: Props) -> None:
        for role in props.get("Roles") or []:
            if role not in _iam._roles:
                raise handler_error(f"The role with name {role} cannot be found.", "NotFound")

    def create(logical_id: str, props: Props, stack_name: str) -> Created:
        check(props)
        return with_name(original_create(logical_id, props, stack_name))

    def update(name: str, old: Props, new: Props, stack_name: str, logical_id: str) -> Created:
        check(new)
        return with_name(original_update(arn_of(name), old, new, stack_name, logical_id))

    def delete(name: str, props: Props) -> None:
        original_delete(arn_of(name), props)

    return {"create": create, "update": update, "delete": delete}


def _function(emulator: EmulatorState, original: Handlers) -> Handlers:
    original_create, original_update, original_delete = (
        original[operation] for operation in ("create", "update", "delete")
    )

    def check(props: Props, block: str) -> None:
        try:
            lambda_limits.check(props, emulator.clock.now(), block)
        except ApiError as error:
            problem = f"{error.message} (Service: Lambda, Status Code: 400)"
            raise handler_error(problem, "InvalidRequest") from error
        code = props.get("Code") or {}
        bucket, key = code.get("S3Bucket"), code.get("S3Key")
        if bucket and (elsewhere := region_problem(bucket)):
            raise handler_error(elsewhere, "InvalidRequest")
        if "ZipFile" not in code and not (
            bucket and key and _lambda._fetch_code_from_s3(bucket, key)
        ):
            raise handler_error(f"Error occurred while GetObject. s3://{bucket}/{key}: NoSuchKey")
        if not 1 <= int(props.get("Timeout", 3)) <= 900:
            raise handler_error("Timeout must be between 1 and 900 seconds", "InvalidRequest")
        account, region = _responses.get_account_id(), _responses.get_region()
        source = (
            f"arn:{partition()}:lambda:{region}:{account}:function:{props.get('FunctionName', '*')}"
        )
        if emulator.auth and not role_trusts(props["Role"], "lambda.amazonaws.com", source):
            raise handler_error(
                "The role defined for the function cannot be assumed by Lambda.", "InvalidRequest"
            )

    def create(logical_id: str, props: Props, stack_name: str) -> Created:
        check(props, "create-block")
        created: Created = original_create(logical_id, props, stack_name)
        return created

    def update(name: str, old: Props, new: Props, stack_name: str, logical_id: str) -> Created:
        check(new, "update-block")
        updated: Created = original_update(name, old, new, stack_name, logical_id)
        if old != new:
            emulator.clock.sleep(emulator.timings.function_update)
        return updated

    def delete(name: str, props: Props) -> None:
        arn = _lambda._functions[name]["config"]["FunctionArn"]
        original_delete(name, props)
        emulator.environments.retire(arn)

    return {"create": create, "update": update, "delete": delete}


def _state_machine(emulator: EmulatorState, original: Handlers) -> Handlers:
    original_create, original_update = original["create"], original["update"]

    def check(props: Props, name: str) -> None:
        bucket = (props.get("DefinitionS3Location") or {}).get("Bucket")
        if bucket and (elsewhere := region_problem(bucket)):
            raise handler_error(elsewhere, "InvalidRequest")
        try:
            state_machines.check(
                emulator,
                name,
                _provisioners._sfn_definition(props),
                props.get("RoleArn", ""),
                props.get("LoggingConfiguration"),
            )
        except ApiError as error:
            problem = f"{error.message} (Service: Sfn, Status Code: 400)"
            raise handler_error(problem, error.code) from error

    def create(logical_id: str, props: Props, stack_name: str) -> Created:
        name = props.get("StateMachineName") or f"{stack_name}-{logical_id}"
        check(props, name)
        created: Created = original_create(logical_id, props, stack_name)
        return created

    def update(arn: str, old: Props, new: Props, stack_name: str, logical_id: str) -> Created:
        check(new, arn.rpartition(":")[2])
        updated: Created = original_update(arn, old, new, stack_name, logical_id)
        return updated

    return {"create": create, "update": update}


def _document(providers: Providers) -> Handlers:
    """A document with an explicit name cannot be replaced (F6.20)."""

    def call(action: str, **params: Any) -> dict[str, Any]:
        try:
            response: dict[str, Any] = providers.ssm().call(action, params)
        except ApiError as error:
            raise handler_error(f"{error.code}: {error.message}", "InvalidRequest") from error
        return response

    def content(props: Props) -> dict[str, str]:
        text = props["Content"]
        if isinstance(text, dict):
            return {"Content": json.dumps(text), "DocumentFormat": "JSON"}
        return {"Content": text, "DocumentFormat": props.get("DocumentFormat", "JSON")}

    def create(logical_id: str, props: Props, stack_name: str) -> Created:
        name = props.get("Name") or _provisioners._physical_name(stack_name, logical_id)
        call(
            "CreateDocument",
            Name=name,
            DocumentType=props.get("DocumentType", "Command"),
            Tags=props.get("Tags") or [],
            **content(props),
        )
        return name, {}

    def update(name: str, old: Props, new: Props, stack_name: str, logical_id: str) -> Created:
        if content(old) == content(new):
            return name, {}
        if new.get("UpdateMethod", "Replace") == "NewVersion":
            updated = call("UpdateDocument", Name=name, DocumentVersion="$LATEST", **content(new))
            version = updated["DocumentDescription"]["DocumentVersion"]
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
        if name in providers.ssm().documents():
            call("DeleteDocument", Name=name)

    return {"create": create, "update": update, "update_with_logical_id": True, "delete": delete}
