"""What CloudFormation checks before it creates, changes or previews a stack.

Errors of the template itself are refused by the API. Properties that do not fit their resource's
schema fail the operation or the change set before it changes anything, and once more, with all
values known, before a resource's handler is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from localaws.core.api_error import ApiError
from localaws.ministack import (
    documented_combinations,
    documented_rules,
    network_rules,
    offered,
    policy_grammar,
    property_types,
    request_limits,
    resource_schemas,
    template_format,
)
from localaws.ministack.access import ministack
from localaws.ministack.resource_handlers import handler_error
from localaws.ministack.resource_schemas import Problem, Resolver

Json = dict[str, Any]
Response = tuple[int, dict[str, str], bytes]

# https://github.com/aws/aws-cdk-cli/issues/1000
FAILED_CHANGE_SET = (
    "The following hook(s)/validation failed: [AWS::EarlyValidation::PropertyValidation]. To "
    "troubleshoot Early Validation errors, use the DescribeEvents API for detailed failure "
    "information."
)

_engine = ministack("services.cloudformation.engine")
_handlers = ministack("services.cloudformation.handlers")
_changesets = ministack("services.cloudformation.changesets")
_stacks = ministack("services.cloudformation.stacks")
_package = ministack("services.cloudformation")
_responses = ministack("core.responses")


def install() -> None:
    """Check templates and properties as CloudFormation does."""
    _install_template_checks()
    _install_property_checks()
    actions = _handlers._ACTION_HANDLERS
    actions["CreateChangeSet"] = _validating_change_sets(actions["CreateChangeSet"])


# --- Templates ---


def _install_template_checks() -> None:
    validate = _engine.validate_template_support

    def validate_template(
        template: Json, conditions: Mapping[str, bool], params: Json | None = None
    ) -> None:
        for problem in template_format.problems(template):
            raise ValueError(problem)
        offered.check_transforms(_engine.declared_transforms(template))
        active = dict(_active_resources(template, conditions))
        known = {
            logical_id: resource
            for logical_id, resource in active.items()
            if resource_schemas.is_known(resource.get("Type", ""), _responses.get_region())
        }
        # ministack refuses the others, as AWS does.
        offered.check_resources(known, conditions)
        validate(template, conditions, params)
        for problem in [
            *_absent_resources(template, active, conditions),
            *_attribute_problems(template, known),
            *_circles(active),
        ]:
            raise ValueError(problem)

    for module in (_engine, _handlers, _changesets):
        module.validate_template_support = validate_template


def _active_resources(
    template: Mapping[str, Any], conditions: Mapping[str, bool]
) -> Iterator[tuple[str, Json]]:
    for logical_id, resource in (template.get("Resources") or {}).items():
        condition = resource.get("Condition")
        if condition is None or conditions.get(condition, True):
            yield logical_id, resource


def _attribute_problems(template: Mapping[str, Any], known: Mapping[str, Json]) -> Iterator[str]:
    """Attributes that Fn::GetAtt asks for and the resource's type does not have."""
    region = _responses.get_region()
    sections = [known, template.get("Outputs") or {}]
    for name, attribute in _engine._intrinsic_references(sections):
        if attribute is None or name not in known:
            continue
        allowed = resource_schemas.attributes(known[name]["Type"], region)
        if allowed is not None and attribute not in allowed:
            yield (
                f"Template error: resource {name} does not support attribute type {attribute} in "
                "Fn::GetAtt"
            )


def _absent_resources(
    template: Mapping[str, Any], active: Mapping[str, Json], conditions: Mapping[str, bool]
) -> Iterator[str]:
    """References to resources whose condition is false, from what exists."""
    outputs = {
        name: output
        for name, output in (template.get("Outputs") or {}).items()
        if conditions.get(output.get("Condition"), True)
    }
    used = {
        "Resources": [each.get("Properties") or {} for each in active.values()],
        "Outputs": list(outputs.values()),
    }
    absent = set(template.get("Resources") or {}) - set(active)
    for section, members in used.items():
        chosen = _chosen(members, conditions)
        missing = sorted({name for name, _ in _engine._intrinsic_references(chosen)} & absent)
        if missing:
            yield (
                f"Template format error: Unresolved resource dependencies [{', '.join(missing)}] "
                f"in the {section} block of the template"
            )


def _chosen(value: Any, conditions: Mapping[str, bool]) -> Any:
    """A value with each Fn::If replaced by what its condition chooses."""
    if isinstance(value, list):
        return [_chosen(each, conditions) for each in value]
    if not isinstance(value, dict):
        return value
    test = value.get("Fn::If")
    if len(value) == 1 and isinstance(test, list) and len(test) == 3:
        return _chosen(test[1] if conditions.get(test[0]) else test[2], conditions)
    return {key: _chosen(each, conditions) for key, each in value.items()}


def _circles(active: Mapping[str, Json]) -> Iterator[str]:
    """The circular dependencies of a template, which AWS finds before it creates anything."""
    waiting = {
        logical_id: set(_stacks._extract_deps(resource, set(active)))
        for logical_id, resource in active.items()
    }
    while free := [name for name, needed in waiting.items() if not needed]:
        for name in free:
            del waiting[name]
        for needed in waiting.values():
            needed.difference_update(free)
    if waiting:
        yield f"Circular dependency between resources: [{', '.join(sorted(waiting))}]"


# --- Properties ---


def _install_property_checks() -> None:
    find_others = _stacks._validation_errors
    provision, update = _stacks._provision_resource, _stacks._update_resource

    def validation_errors(
        definitions: Json, ordered: list[str], *context: Any, **named: Any
    ) -> list[tuple[str, str, str, str, str]]:
        params, conditions, mappings, stack_name, stack_id = context[:5]
        resolve = _resolver(definitions, params, conditions, mappings, stack_name, stack_id)
        errors: list[tuple[str, str, str, str, str]] = find_others(
            definitions, ordered, *context, **named
        )
        for logical_id in ordered:
            kind = definitions[logical_id].get("Type", "")
            properties = resolve.known(definitions[logical_id].get("Properties") or {})
            errors += [
                (logical_id, kind, "PROPERTY_VALIDATION", _place(logical_id, problem), str(problem))
                for problem in _problems(kind, properties)
            ]
        return errors

    def provision_checked(kind: str, logical_id: str, props: Json, stack_name: str) -> Any:
        _check(kind, logical_id, props)
        _check_new(kind, props)
        return provision(kind, logical_id, _converted(kind, props), stack_name)

    def update_checked(
        kind: str, physical_id: str, old: Json, new: Json, stack_name: str, logical_id: str,
        *rest: Any,
    ) -> Any:  # fmt: skip
        _check(kind, logical_id, new)
        old, new = _converted(kind, old), _converted(kind, new)
        return update(kind, physical_id, old, new, stack_name, logical_id, *rest)

    _stacks._validation_errors = validation_errors
    _stacks._provision_resource = provision_checked
    _stacks._update_resource = update_checked


def _resolver(definitions: Json, *context: Any) -> Resolver:
    return Resolver(
        lambda value: _engine._resolve_refs(value, {}, *context),
        _engine._intrinsic_references,
        context[1],
        definitions,
        _engine._NO_VALUE,
    )


def _place(logical_id: str, problem: Problem) -> str:
    return f"/Resources/{logical_id}/Properties{problem.pointer}"


def _problems(kind: str, properties: Any) -> list[Problem]:
    return resource_schemas.problems(kind, properties, _responses.get_region())


def _check(kind: str, logical_id: str, properties: Any) -> None:
    found = _problems(kind, properties)
    if found:
        raise ValueError(
            f"Properties validation failed for resource {logical_id} with message:\n"
            + "\n".join(map(str, found))
        )
    for rule in documented_rules.broken_by(kind, properties):
        raise handler_error(rule.message, "InvalidRequest")
    try:
        policy_grammar.check_properties(kind, properties)
    except ApiError as error:
        raise handler_error(error.message, "InvalidRequest") from error
    converted = _converted(kind, properties)
    for reason in (
        *request_limits.problems(kind, converted),
        *documented_combinations.problems(kind, converted),
    ):
        raise handler_error(reason, "InvalidRequest")


def _check_new(kind: str, properties: Any) -> None:
    """What AWS checks of a resource that does not exist yet."""
    try:
        network_rules.check_properties(kind, properties)
    except ApiError as error:
        problem = f"{error.message} (Service: Ec2, Status Code: {error.status})"
        raise handler_error(problem, "InvalidRequest") from error


def _converted(kind: str, properties: Any) -> Any:
    return property_types.converted(kind, properties, _responses.get_region())


def _validating_change_sets(create: Callable[[Any], Response]) -> Callable[[Any], Response]:
    """CreateChangeSet, which fails the change set of a template with invalid properties."""

    def create_change_set(params: Any) -> Response:
        response = create(params)
        if response[0] == 200:
            name, stack = _handlers._p(params, "ChangeSetName"), _handlers._p(params, "StackName")
            _, change_set = _changesets._find_change_set(name, _name_of(stack))
            if not change_set["_disable_validation"] and change_set["Status"] == "CREATE_COMPLETE":
                _validate_change_set(change_set)
        return response

    return create_change_set


def _name_of(stack: str) -> str:
    return str((_handlers._resolve_stack(stack) or {}).get("StackName", stack))


def _validate_change_set(change_set: Json) -> None:
    template, params = change_set["_template"], change_set["_resolved_params"]
    conditions = _engine._evaluate_conditions(template, params)
    definitions = template.get("Resources") or {}
    active = [logical_id for logical_id, _ in _active_resources(template, conditions)]
    stack = _package._stacks[change_set["StackName"]]
    owned = {record.get("PhysicalResourceId") for record in stack.get("_resources", {}).values()}
    errors = _stacks._validation_errors(
        definitions,
        active,
        params,
        conditions,
        template.get("Mappings", {}),
        change_set["StackName"],
        change_set["StackId"],
        frozenset(owned),
    )
    if not errors:
        return
    change_set.update(
        Status="FAILED", ExecutionStatus="UNAVAILABLE", StatusReason=FAILED_CHANGE_SET
    )
    operation = _responses.new_uuid()
    stack["_operation_events"] = [
        _stacks._operation_event(
            change_set["StackId"],
            operation,
            "VALIDATION_ERROR",
            "CREATE_CHANGESET",
            LogicalResourceId=logical_id,
            ResourceType=kind,
            ValidationFailureMode="FAIL",
            ValidationName=name,
            ValidationStatus="FAILED",
            ValidationStatusReason=reason,
            ValidationPath=path,
        )
        for logical_id, kind, name, path, reason in errors
    ]
