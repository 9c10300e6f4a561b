"""State machines: checks on creation and update, and the permissions of their roles.

AWS validates the definition, the role's trust and permissions and the logging configuration, and
runs each task with the role; ministack does not.
"""

from __future__ import annotations

import contextvars
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from localaws.core.api_error import ApiError
from localaws.ministack import offered
from localaws.ministack.access import ministack
from localaws.ministack.iam import role_allows, role_allows_all, role_trusts
from localaws.ministack.partitions import partition
from localaws.ministack.state_machine_definitions import definition_errors, task_resources
from localaws.ministack.step_functions import demand_running
from localaws.ministack.task_calls import call_error, current_task, failing

if TYPE_CHECKING:
    from localaws.state import EmulatorState

Response = tuple[int, dict[str, str], bytes]
Record = dict[str, Any]

# https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html (F6.3)
JSONATA = re.compile(r'"QueryLanguage"\s*:\s*"JSONata"')
MANAGED_RULE = "StepFunctionsGetEventsForStepFunctionsExecutionRule"
RULE_ACTIONS = ("events:PutTargets", "events:PutRule", "events:DescribeRule")
# https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
LOG_ACTIONS = (
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
)

_states = ministack("services.stepfunctions")
_responses = ministack("core.responses")
_logs = ministack("services.cloudwatch_logs")
_role: contextvars.ContextVar[str] = contextvars.ContextVar("role", default="")


def install(emulator: EmulatorState) -> None:
    """Check state machines on creation and update, and tasks against the machine's role."""

    def checking(action: Callable[[Record], Response]) -> Callable[[Record], Response]:
        def check_and_handle(params: Record) -> Response:
            known = _states._state_machines.get(params.get("stateMachineArn")) or {}
            try:
                check(
                    emulator,
                    params.get("name") or known.get("name", ""),
                    params.get("definition", known.get("definition", "{}")),
                    params.get("roleArn", known.get("roleArn", "")),
                    params.get("loggingConfiguration", known.get("loggingConfiguration")),
                )
            except ApiError as error:
                response: Response = _states.error_response_json(error.code, error.message, 400)
                return response
            return action(params)

        return check_and_handle

    _states._create_state_machine = checking(_states._create_state_machine)
    _states._update_state_machine = checking(_delayed(emulator, _states._update_state_machine))
    _install_tasks(emulator)


def _delayed(
    emulator: EmulatorState, update: Callable[[Record], Response]
) -> Callable[[Record], Response]:
    """UpdateStateMachine is eventually consistent: executions that start immediately afterwards
    use the previous definition (F6.47).
    """

    def update_later(params: Record) -> Response:
        machine = _states._state_machines.get(params.get("stateMachineArn")) or {}
        previous = machine.get("definition")
        response = update(params)
        if machine.get("definition") != previous:
            updated, machine["definition"] = machine["definition"], previous

            def take_effect() -> None:
                emulator.clock.sleep(emulator.timings.state_machine_update)
                machine["definition"] = updated

            emulator.spawn(take_effect)
        return response

    return update_later


def check(
    emulator: EmulatorState,
    name: str,
    definition: str,
    role: str,
    logging: Mapping[str, Any] | None,
) -> None:
    """Raise ApiError if AWS would reject this state machine."""
    if JSONATA.search(definition):
        raise offered.not_offered("the query language JSONata")
    errors = list(definition_errors(definition))
    if errors:
        problem = f"Invalid State Machine Definition: {', '.join(errors)}"
        raise ApiError("InvalidDefinition", problem)
    for resource in task_resources(json.loads(definition)):
        offered.check_task(resource)
    if not emulator.auth:
        return
    region, account = _responses.get_region(), _responses.get_account_id()
    machine = f"arn:{partition()}:states:{region}:{account}:stateMachine:{name}"
    if not role_trusts(role, "states.amazonaws.com", machine):
        raise ApiError(
            "AccessDeniedException",
            "Neither the global service principal states.amazonaws.com, nor the regional one is "
            f"authorized to assume the provided role '{role}'.",
        )
    rule = f"arn:{partition()}:events:{region}:{account}:rule/{MANAGED_RULE}"
    if ":states:startExecution.sync" in definition and not role_allows_all(
        emulator, role, RULE_ACTIONS, rule, behind="states:CreateStateMachine"
    ):
        raise ApiError(
            "AccessDeniedException", f"'{role}' is not authorized to create managed-rule."
        )
    _check_logging(emulator, role, logging or {})


def _check_logging(emulator: EmulatorState, role: str, logging: Mapping[str, Any]) -> None:
    settings = {key[0].lower() + key[1:]: value for key, value in logging.items()}
    if settings.get("level", "OFF") == "OFF":
        return
    for arn in destinations(logging):
        group = arn.removesuffix(":*").partition(":log-group:")[2]
        if not arn.endswith(":*") or group not in _logs._log_groups:
            raise ApiError(
                "InvalidLoggingConfiguration",
                "Invalid Logging Configuration: Log Destination must be the ARN of a log group "
                "that exists, and end with ':*'.",
            )
    if len(destinations(logging)) != 1:
        raise ApiError(
            "InvalidLoggingConfiguration",
            "Invalid Logging Configuration: Must specify exactly one Log Destination.",
        )
    if not role_allows_all(emulator, role, LOG_ACTIONS, "*", behind="states:CreateStateMachine"):
        raise ApiError(
            "AccessDeniedException",
            "The state machine IAM Role is not authorized to access the Log Destination",
        )


def destinations(logging: Mapping[str, Any]) -> list[str]:
    """The log group ARNs of a logging configuration, spelled as in the API or in a template."""
    listed = logging.get("destinations") or logging.get("Destinations") or []
    groups = [
        each.get("cloudWatchLogsLogGroup") or each.get("CloudWatchLogsLogGroup") or {}
        for each in listed
    ]
    return [group.get("logGroupArn") or group.get("LogGroupArn") or "" for group in groups]


# --- Tasks ---


def _install_tasks(emulator: EmulatorState) -> None:
    """Check each task against the machine's role, and start none once its execution has ended."""
    execute_task, invoke_resource = _states._execute_task, _states._invoke_resource

    def execute(state: Any, params: Any, execution: Any, context: Mapping[str, Any]) -> Any:
        machine = _states._state_machines.get(context["StateMachine"]["Id"]) or {}
        current_task.set((context["StateMachine"]["Name"], context["State"]["Name"]))
        token = _role.set(machine.get("roleArn") or execution.get("_role", _role.get()))
        try:
            return execute_task(state, params, execution, context)
        finally:
            _role.reset(token)

    def invoke(resource: str, params: Any) -> Any:
        demand_running()
        for action, arn, behind in _permissions(resource, params):
            if not role_allows(emulator, _role.get(), action, arn, behind=behind):
                raise _denied(emulator, _role.get(), action, arn)
        if ":lambda:" not in resource:
            return invoke_resource(resource, params)
        with failing(emulator, "Lambda"):
            return invoke_resource(resource, params)

    _states._execute_task = execute
    _states._invoke_resource = invoke


def _permissions(resource: str, params: Any) -> Iterator[tuple[str, str, str | None]]:
    """Actions and resources that a task requires, and the action that each depends on."""
    if ":states:::lambda:invoke" in resource:
        yield "lambda:InvokeFunction", _function_arn(str(params.get("FunctionName", ""))), None
    elif ":lambda:" in resource and ":function:" in resource:
        yield "lambda:InvokeFunction", resource, None
    elif ":states:::states:startExecution" in resource:
        start, machine = "states:StartExecution", str(params.get("StateMachineArn", "*"))
        yield start, machine, None
        if ".sync" in resource:
            # AWS checks these two later, when it polls or stops the child.
            execution = machine.replace(":stateMachine:", ":execution:")
            children = f"{execution}:{params.get('Name', 'a-child')}"
            yield "states:DescribeExecution", children, start
            yield "states:StopExecution", children, start


def _function_arn(name: str) -> str:
    if name.startswith("arn:"):
        return name
    region, account = _responses.get_region(), _responses.get_account_id()
    return f"arn:{partition()}:lambda:{region}:{account}:function:{name}"


def _denied(emulator: EmulatorState, role: str, action: str, arn: str) -> Exception:
    account, name = role.split(":")[4], role.rsplit("/", 1)[-1]
    user = f"arn:{partition()}:sts::{account}:assumed-role/{name}/states"
    return call_error(
        emulator,
        "Lambda" if action.startswith("lambda") else "StepFunctions",
        "AccessDeniedException",
        f"User: {user} is not authorized to perform: {action} on resource: {arn} because no "
        f"identity-based policy allows the {action} action",
    )
