"""What Lambda refuses beyond the models of its API: old runtimes and large environments."""

from __future__ import annotations

import datetime as dt
import functools
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from localaws.core.api_error import ApiError
from localaws.ministack import offered
from localaws.ministack.access import ministack

if TYPE_CHECKING:
    from localaws.state import EmulatorState

Params = dict[str, Any]
Response = tuple[int, dict[str, str], bytes]

INVALID = "InvalidParameterValueException"
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_ENVIRONMENT = 4096
# Of functions outside of Lambda Managed Instances, whose limit the API's model has:
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
MAX_MEMORY = 10240

_lambda = ministack("services.lambda_svc")


def install(emulator: EmulatorState) -> None:
    """Check functions that are created or updated through the API."""

    def checked(
        act: Callable[..., Response], settings: Callable[..., Params], block: str
    ) -> Callable[..., Response]:
        def check_and_act(*given: Any) -> Response:
            try:
                check(settings(*given), emulator.clock.now(), block)
            except ApiError as error:
                response: Response = _lambda.error_response_json(error.code, error.message, 400)
                return response
            return act(*given)

        return check_and_act

    def updated(name: str, change: Params) -> Params:
        return {**(_lambda._functions.get(name) or {}).get("config", {}), **change}

    _lambda._create_function = checked(_lambda._create_function, dict, "create-block")
    for name in ("_update_code", "_update_config"):
        setattr(_lambda, name, checked(getattr(_lambda, name), updated, "update-block"))


def check(settings: Mapping[str, Any], now: float, block: str) -> None:
    """Raise ApiError unless Lambda takes these settings, at a time, for a "create-block" or an
    "update-block"."""
    runtime = settings.get("Runtime", "")
    blocked = (_lifecycles().get(runtime) or {}).get(block)
    if blocked and dt.datetime.fromtimestamp(now, dt.UTC).date() >= dt.date.fromisoformat(blocked):
        raise ApiError(
            INVALID,
            f"The runtime parameter of {runtime} is no longer supported for creating or updating "
            "AWS Lambda functions. We recommend you use a supported runtime while creating or "
            "updating functions.",
        )
    offered.check_runtime(runtime)
    _check_memory(settings)
    if block == "create-block":
        _demand_runtime(settings)
    variables = (settings.get("Environment") or {}).get("Variables") or {}
    reserved = sorted(set(variables) & _reserved())
    if reserved:
        raise ApiError(
            INVALID,
            "Lambda was unable to configure your environment variables because the environment "
            "variables you have provided contains reserved keys that are currently not supported "
            f"for modification. Reserved keys used in this request: {', '.join(reserved)}",
        )
    if len(json.dumps(variables, separators=(",", ":"))) > MAX_ENVIRONMENT:
        raise ApiError(
            INVALID,
            "Lambda was unable to configure your environment variables because the environment "
            "variables you have provided exceeded the 4KB limit.",
        )


def _check_memory(settings: Mapping[str, Any]) -> None:
    if int(settings.get("MemorySize") or 0) > MAX_MEMORY:
        raise ApiError(
            INVALID,
            "'memorySize' value failed to satisfy constraint: Member must have value less than or "
            f"equal to {MAX_MEMORY}",
        )


def _demand_runtime(settings: Mapping[str, Any]) -> None:
    if settings.get("PackageType", "Zip") == "Zip" and not (
        settings.get("Runtime") and settings.get("Handler")
    ):
        raise ApiError(
            INVALID,
            "Runtime and Handler are mandatory parameters for functions created with deployment "
            "packages.",
        )


@functools.cache
def _lifecycles() -> Mapping[str, Mapping[str, str]]:
    """The dates from which Lambda refuses each runtime."""
    from cfnlint.helpers import load_resource

    lifecycles: Mapping[str, Mapping[str, str]] = load_resource(
        "cfnlint.data.AdditionalSpecs", "LmbdRuntimeLifecycle.json"
    )
    return lifecycles


@functools.cache
def _reserved() -> frozenset[str]:
    from cfnlint.helpers import load_resource

    schema = load_resource(
        "cfnlint.data.schemas.extensions.aws_lambda_function", "environment_variable_keys.json"
    )
    return frozenset(schema["propertyNames"]["not"]["enum"])
