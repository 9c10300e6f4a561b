"""Dynamic references, and parameters whose values are those of Systems Manager parameters.

ministack decrypts secure strings for both, and shows the values of parameters instead of the names
that they were given.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree  # nosec B405 # reads ministack's responses
from collections.abc import Callable, Mapping
from typing import Any

from localaws.ministack.access import ministack

Response = tuple[int, dict[str, str], bytes]

_engine = ministack("services.cloudformation.engine")
_handlers = ministack("services.cloudformation.handlers")
_ssm = ministack("services.ssm")


def install() -> None:
    """Refuse secure strings where AWS does, and show the names of parameters."""
    resolve = _engine._resolve_dynamic_reference

    def resolve_reference(literal: str) -> str:
        service, _, body = literal.removeprefix("{{resolve:").removesuffix("}}").partition(":")
        if service == "ssm-secure":
            # None of the properties that may have one belongs to a resource type that is offered:
            # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references-ssm-secure-strings.html
            raise ValueError(f"SSM Secure reference is not supported here: {literal}")
        name = body.partition(":")[0]
        if service == "ssm" and is_secure(name):
            raise ValueError(f"Non-secure ssm prefix was used for secure parameter: {name}")
        resolved: str = resolve(literal)
        return resolved

    _engine._resolve_dynamic_reference = resolve_reference
    actions = _handlers._ACTION_HANDLERS
    actions["DescribeStacks"] = _with_resolved_values(actions["DescribeStacks"])


def is_secure(name: str) -> bool:
    """Whether a parameter is a secure string."""
    return (_ssm._parameters.get(name) or {}).get("Type") == "SecureString"


def _with_resolved_values(describe: Callable[[Any], Response]) -> Callable[[Any], Response]:
    """DescribeStacks with ParameterValue and ResolvedValue."""

    def describe_stacks(params: Any) -> Response:
        status, headers, body = describe(params)
        if status != 200:
            return status, headers, body
        document = ElementTree.fromstring(body)  # nosec B314 # from ministack
        space = document.tag.partition("}")[0] + "}"
        ElementTree.register_namespace("", space[1:-1])
        for stack in document.iterfind(f".//{space}Stacks/{space}member"):
            found = _handlers._resolve_stack(stack.findtext(f"{space}StackId"))
            for member in stack.iterfind(f"{space}Parameters/{space}member"):
                _show_name(member, space, (found or {}).get("_resolved_params") or {})
        return status, headers, ElementTree.tostring(document, "utf-8", xml_declaration=True)

    return describe_stacks


def _show_name(member: ElementTree.Element, space: str, resolved: Mapping[str, Any]) -> None:
    parameter = resolved.get(member.findtext(f"{space}ParameterKey") or "")
    value = member.find(f"{space}ParameterValue")
    if isinstance(parameter, dict) and parameter.get("SsmName") and value is not None:
        ElementTree.SubElement(member, f"{space}ResolvedValue").text = value.text
        value.text = parameter["SsmName"]
