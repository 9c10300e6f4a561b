"""Service Catalog's calls of CloudFormation, with the rights of a product's launch role.

It copies a product's template, and the launch role reads that copy, which has a tag, and calls
CloudFormation (F7.112, F7.118):
https://docs.aws.amazon.com/servicecatalog/latest/adminguide/constraints-launch.html
"""

from __future__ import annotations

import contextvars
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree  # nosec B405 # reads what ministack has written

from localaws.core.api_error import ApiError
from localaws.ministack.access import ministack
from localaws.ministack.iam import CallerPermissions, role_trusts
from localaws.ministack.partitions import partition
from localaws.ministack.role_sessions import acting_as, principal
from localaws.ministack.templates import SSM_VALUE
from localaws.services.servicecatalog.models import Given, Json
from localaws.services.servicecatalog.provider import ServiceCatalog

if TYPE_CHECKING:
    from localaws.state import EmulatorState

SERVICE = "servicecatalog.amazonaws.com"
SESSION = "servicecatalog"
# It acknowledges capabilities itself (F7.120); CAPABILITY_AUTO_EXPAND is not among them.
CAPABILITY = "CAPABILITY_NAMED_IAM"
# What else the launch role needs for each operation: SC constraints-launch.
READS = ("ValidateTemplate", "GetTemplateSummary")
# Stack events with which an operation begins.
STARTS = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS")
WATCHES = ("DescribeStacks", "DescribeStackEvents")

_engine = ministack("services.cloudformation.engine")
_handlers = ministack("services.cloudformation.handlers")
_helpers = ministack("services.cloudformation.helpers")
_package = ministack("services.cloudformation")
_responses = ministack("core.responses")

# The copy of a template that the current request deploys, by its URL.
_copies: contextvars.ContextVar[Mapping[str, str] | None] = contextvars.ContextVar(
    "copies", default=None
)


class LaunchedStacks:
    """Implements servicecatalog.models.Stacks."""

    def __init__(self, emulator: EmulatorState) -> None:
        self._emulator = emulator
        self._caller = CallerPermissions(emulator)

    def read_template(self, url: str) -> str:
        """The text of a template in S3."""
        text, problem = _helpers._resolve_document(
            {"TemplateURL": [url]}, "TemplateBody", "TemplateURL", "Template"
        )
        if problem:
            raise ApiError("InvalidParametersException", f"Invalid templateURL: {url}")
        return str(text)

    def parse(self, template: str) -> Json:
        """A template with its functions in long form."""
        try:
            parsed: Json = _engine._parse_template(template)
        except Exception as error:
            raise ApiError("InvalidParametersException", f"Invalid template: {error}") from error
        return parsed

    def create(self, role: str, source: str, name: str, template: Json, given: Given) -> None:
        """Assume the role and create a stack."""
        with self._assumed(role, source, "CreateStack"):
            self._deploy("CreateStack", name, template, given)
            self._demand("SetStackPolicy", name)

    def update(self, role: str, source: str, name: str, template: Json, given: Given) -> None:
        """Assume the role and update a stack."""
        with self._assumed(role, source, "UpdateStack"):
            self._deploy("UpdateStack", name, template, given)

    def delete(self, role: str, source: str, name: str) -> None:
        """Assume the role and delete a stack."""
        with self._assumed(role, source, "DeleteStack"):
            for action in (*WATCHES, "DeleteStack"):
                self._demand(action, name)
            _call("DeleteStack", {"StackName": name})

    def describe(self, name: str) -> Json | None:
        """The stack as CloudFormation keeps it."""
        stack: Json | None = _package._stacks.get(name)
        return stack

    def failure(self, name: str) -> str:
        """The reason of the first resource that failed in the latest operation."""
        stack, reason = self.describe(name), ""
        for event in reversed(_package._stack_events.get((stack or {}).get("StackId"), [])):
            if event["LogicalResourceId"] == name and event["ResourceStatus"] in STARTS:
                break
            if event["ResourceStatus"].endswith("_FAILED"):
                reason = f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}"
        return reason

    def _assumed(self, role: str, source: str, operation: str) -> Any:
        if self._emulator.auth and not role_trusts(role, SERVICE, source):
            raise ApiError(
                "InvalidParametersException",
                f"Access denied while assuming the role {role} of the launch constraint.",
            )
        return acting_as(role, SESSION, f"cloudformation:{operation}")

    def _deploy(self, operation: str, name: str, template: Json, given: Given) -> None:
        """Call CreateStack or UpdateStack with the copy of a template."""
        for action in READS:
            self._authorize(f"cloudformation:{action}", "*")
        for action in (*WATCHES, operation):
            self._demand(action, name)
        bucket = f"sc-{_responses.get_account_id()}-{_responses.get_region()}"
        self._authorize(
            "s3:GetObject",
            f"arn:{partition()}:s3:::{bucket}/{name}",
            {"s3:ExistingObjectTag/servicecatalog:provisioning": "true"},
        )
        self._authorize_parameters(template, given)
        url = f"https://s3.amazonaws.com/{bucket}/{name}"
        token = _copies.set({url: json.dumps(template, default=str)})
        try:
            _call(operation, {"StackName": name, "TemplateURL": url, **_members(given)})
        finally:
            _copies.reset(token)

    def _authorize_parameters(self, template: Json, given: Given) -> None:
        """CloudFormation looks up SSM parameters with the caller's rights (F7.122, F7.214)."""
        for name, declared in (template.get("Parameters") or {}).items():
            if SSM_VALUE.fullmatch(str(declared.get("Type", ""))):
                looked_up = str(given.parameters.get(name) or declared.get("Default", ""))
                owner = "" if looked_up.startswith("/aws/") else _responses.get_account_id()
                arn = f"arn:{partition()}:ssm:{_responses.get_region()}:{owner}:parameter"
                self._authorize("ssm:GetParameters", f"{arn}/{looked_up.lstrip('/')}")

    def _demand(self, action: str, name: str) -> None:
        account, region = _responses.get_account_id(), _responses.get_region()
        arn = f"arn:{partition()}:cloudformation:{region}:{account}:stack/{name}/*"
        self._authorize(f"cloudformation:{action}", arn)

    def _authorize(
        self, action: str, resource: str, context: Mapping[str, Any] | None = None
    ) -> None:
        try:
            self._caller.authorize(action, resource, context or {})
        except ApiError as error:
            raise ApiError("InvalidParametersException", error.message) from error


def _members(given: Given) -> dict[str, str]:
    """Parameters and tags of a request in the query protocol."""
    found = {"Capabilities.member.1": CAPABILITY}
    for number, (name, value) in enumerate(given.parameters.items(), 1):
        found[f"Parameters.member.{number}.ParameterKey"] = name
        key = "ParameterValue" if value is not None else "UsePreviousValue"
        found[f"Parameters.member.{number}.{key}"] = "true" if value is None else value
    for number, (name, value) in enumerate(given.tags.items(), 1):
        found[f"Tags.member.{number}.Key"] = name
        found[f"Tags.member.{number}.Value"] = value
    return found


def _call(operation: str, given: Mapping[str, str]) -> None:
    params = {key: [value] for key, value in given.items()}
    status, _, body = _handlers._ACTION_HANDLERS[operation](params)
    if status >= 400:
        message = ElementTree.fromstring(body).findtext(".//{*}Message")  # nosec B314 # as above
        raise ApiError("InvalidParametersException", str(message))


def call(catalog: ServiceCatalog, action: str, params: Json) -> Json:
    """Run an action of Service Catalog for the caller of the current request."""
    if params.get("NotificationArns"):
        raise ApiError("NotImplemented", "The local AWS does not notify of stack events.", 501)
    return catalog.call(action, params, principal())


def install() -> None:
    """Let CloudFormation read the copies of templates, and accept the tags of the service."""
    _helpers._resolve_document = _reading_copies(_helpers._resolve_document)
    _helpers._validate_stack_tags = _accepting_own_tags(_helpers._validate_stack_tags)


def _reading_copies(resolve: Callable[..., Any]) -> Callable[..., Any]:
    def resolve_document(params: Any, body_key: str, url_key: str, label: str) -> Any:
        copy = (_copies.get() or {}).get(_helpers._p(params, url_key) or "")
        return (copy, None) if copy else resolve(params, body_key, url_key, label)

    return resolve_document


def _accepting_own_tags(validate: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def validate_tags(tags: list[Json]) -> Any:
        own = "aws:servicecatalog:" if _copies.get() else "\0"
        return validate([each for each in tags if not each["Key"].startswith(own)])

    return validate_tags
