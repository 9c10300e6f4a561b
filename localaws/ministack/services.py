"""The services of our own, on ministack's wire: CloudHSM, KMS key stores, Systems Manager.

And for every service: an API call that a planted fault makes fail, before or after its effect.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from localaws.core.api_error import ApiError
from localaws.ministack.access import ministack
from localaws.ministack.gateway import CONNECTION_LOST
from localaws.ministack.iam import CallersRights
from localaws.ministack.instances import Instances
from localaws.ministack.key_stores import with_keys_in_key_stores
from localaws.ministack.lambda_functions import ensure_log_group
from localaws.ministack.networks import Network
from localaws.services.cloudhsmv2.provider import (
    CLOUDHSM_ACTIONS,
    KEY_STORE_ACTIONS,
    CloudHsmProvider,
)
from localaws.services.ssm import provider

if TYPE_CHECKING:
    from localaws.state import EmulatorState

Answer = tuple[int, dict[str, str], bytes]
Handler = Callable[[str, str, Any, bytes, Any], Awaitable[Answer]]
Call = Callable[[str, dict[str, Any]], Any]

JSON = {"Content-Type": "application/x-amz-json-1.1"}
_app = ministack("app")
_router = ministack("core.router")
_responses = ministack("core.responses")
_parameters = ministack("services.ssm")

IMAGES = {
    "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64": (
        "ami-0a12c3d4e5f6a7b80"
    ),
    "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64": (
        "ami-0b12c3d4e5f6a7b81"
    ),
}


class Logs:
    """CloudWatch Logs, as a service uses it with its own role (the model's port)."""

    def ensure_log_group(self, name: str) -> None:
        """Make the group if there is none."""
        ensure_log_group(name)


class Models:
    """One model of each service for every account and Region, made when it is first asked for."""

    def __init__(self, emulator: EmulatorState, instances: Instances) -> None:
        self._emulator = emulator
        self._instances = instances

    def hsm(self) -> CloudHsmProvider:
        """CloudHSM and KMS key stores of the current request's account and Region."""
        emulator, (account, region) = self._emulator, _scope()
        if (account, region) not in emulator.hsms:
            emulator.hsms[account, region] = CloudHsmProvider(
                emulator.clock,
                Network(emulator),
                CallersRights(emulator),
                Logs(),
                region=region,
                account=account,
                timings=emulator.timings,
                quotas=emulator.quotas,
                faults=emulator.faults,
                event_log=emulator.event_log,
                assumptions=emulator.assumptions,
            )
        return emulator.hsms[account, region]

    def ssm(self) -> provider.SsmProvider:
        """Systems Manager of the current request's account and Region."""
        emulator, (account, region) = self._emulator, _scope()
        if (account, region) not in emulator.ssms:
            emulator.ssms[account, region] = provider.SsmProvider(
                emulator.clock,
                self._instances,
                emulator.spawn,
                region=region,
                account=account,
                timings=emulator.timings,
                faults=emulator.faults,
                event_log=emulator.event_log,
            )
        return emulator.ssms[account, region]


def _scope() -> tuple[str, str]:
    return _responses.get_account_id(), _responses.get_region()


def install(emulator: EmulatorState, models: Models) -> None:
    """Route the requests of our own services to the models, and plant faults in all others."""
    handlers: dict[str, Handler] = _app.SERVICE_HANDLERS
    for name, handler in list(handlers.items()):
        handlers[name] = _failing_as_planted(emulator, name, handler)
    handlers["cloudhsm"] = _json_service(
        CLOUDHSM_ACTIONS, lambda action, given: models.hsm().call(action, given)
    )
    handlers["ssm"] = _json_service(
        provider.ACTIONS, lambda action, given: models.ssm().call(action, given), handlers["ssm"]
    )
    handlers["kms"] = _json_service(
        KEY_STORE_ACTIONS,
        lambda action, given: models.hsm().call(action, given),
        with_keys_in_key_stores(models.hsm, handlers["kms"]),
    )
    _router.SERVICE_PATTERNS["cloudhsm"] = {
        "target_prefixes": ["BaldrApiService"],
        "host_patterns": [r"cloudhsmv2\."],
    }
    _parameters._PUBLIC_AMI_PARAMETERS.update(IMAGES)


def _json_service(
    actions: Collection[str], call: Call, otherwise: Handler | None = None
) -> Handler:
    async def handle(method: str, path: str, headers: Any, body: bytes, query: Any) -> Answer:
        action = _target(headers)
        try:
            if action not in actions and otherwise:
                return await otherwise(method, path, headers, body, query)
            return 200, dict(JSON), json.dumps(call(action, json.loads(body or b"{}"))).encode()
        except ApiError as refused:
            return _json_error(refused)

    return handle


def _target(headers: Mapping[str, str]) -> str:
    return headers.get("x-amz-target", "").rpartition(".")[2]


def _json_error(refused: ApiError) -> Answer:
    lost = {CONNECTION_LOST: "yes"} if refused.code == "ConnectionLost" else {}
    text = {"__type": refused.code, "message": refused.message, "Message": refused.message}
    return (
        refused.status,
        {**JSON, "x-amzn-errortype": refused.code, **lost},
        json.dumps(text).encode(),
    )


def _failing_as_planted(emulator: EmulatorState, service: str, handler: Handler) -> Handler:
    """The handler of a service, whose calls fail where a fault says so."""

    async def handle(method: str, path: str, headers: Any, body: bytes, query: Any) -> Answer:
        action = _target(headers) or _query_action(headers, body, query)
        try:
            with emulator.faults.during(action):
                return await handler(method, path, headers, body, query)
        except ApiError as refused:
            return _error(service, headers, refused)

    return handle


def _query_action(headers: Any, body: bytes, query: Mapping[str, Any]) -> str:
    if "Action" in query:
        return str(query["Action"][0])
    # What is uploaded may be large, and is no form.
    if not headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return ""
    return parse_qs((body or b"").decode("utf-8", "replace")).get("Action", [""])[0]


def _error(service: str, headers: Any, refused: ApiError) -> Answer:
    """A refusal in the protocol of its service."""
    if refused.code == "ConnectionLost":
        return _json_error(refused)
    _, answer_headers, body = ministack("core.iam_actions").access_denied_response(
        service,
        "",
        "",
        "planted",
        error_code=refused.code,
        message=refused.message,
        headers=headers,
    )
    return refused.status, answer_headers, body
