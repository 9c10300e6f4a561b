"""Services that ministack lacks: CloudHSM, KMS key stores, Systems Manager, Service Quotas and
Service Catalog.

API calls of every service can fail by an injected fault, before or after their effect.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from localaws.core.api_error import ApiError
from localaws.ministack import log_streams, service_catalog
from localaws.ministack.access import ministack
from localaws.ministack.api_calls import Handler, Response, attributed
from localaws.ministack.gateway import CONNECTION_LOST
from localaws.ministack.iam import CallerPermissions
from localaws.ministack.instances import Instances
from localaws.ministack.key_stores import with_keys_in_key_stores
from localaws.ministack.network import Network
from localaws.ministack.partitions import partition
from localaws.ministack.task_calls import start_late
from localaws.services import service_quotas
from localaws.services.cloudhsmv2.provider import (
    CLOUDHSM_ACTIONS,
    KEY_STORE_ACTIONS,
    CloudHsmProvider,
)
from localaws.services.servicecatalog.provider import ACTIONS as CATALOG_ACTIONS
from localaws.services.servicecatalog.provider import ServiceCatalog
from localaws.services.ssm import provider

if TYPE_CHECKING:
    from localaws.state import EmulatorState

Call = Callable[[str, dict[str, Any]], Any]

JSON = {"Content-Type": "application/x-amz-json-1.1"}

_app = ministack("app")
_router = ministack("core.router")
_responses = ministack("core.responses")


class Logs:
    """CloudWatch Logs as CloudHSM uses it: implements cloudhsmv2.interfaces.Logs."""

    def ensure_log_group(self, name: str) -> None:
        """Create the group unless it exists."""
        log_streams.ensure_log_group(name)


class Providers:
    """One provider of each service for every account and Region, created on first use."""

    def __init__(self, emulator: EmulatorState, instances: Instances) -> None:
        self._emulator = emulator
        self._instances = instances

    def cloudhsm(self) -> CloudHsmProvider:
        """CloudHSM and KMS key stores in the current request's account and Region."""
        emulator, (account, region) = self._emulator, _scope()
        if (account, region) not in emulator.hsms:
            emulator.hsms[account, region] = CloudHsmProvider(
                emulator.clock,
                Network(emulator),
                CallerPermissions(emulator),
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
        """Systems Manager in the current request's account and Region."""
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

    def catalog(self) -> ServiceCatalog:
        """Service Catalog in the current request's account and Region."""
        emulator, (account, region) = self._emulator, _scope()
        if (account, region) not in emulator.catalogs:
            emulator.catalogs[account, region] = ServiceCatalog(
                emulator.clock,
                service_catalog.LaunchedStacks(emulator),
                partition=partition(),
                region=region,
                account=account,
            )
        return emulator.catalogs[account, region]

    def quotas(self) -> service_quotas.ServiceQuotas:
        """Service Quotas in the current request's account and Region."""
        account, region = _scope()
        arn = f"arn:{partition()}:servicequotas:{region}:{account}"
        return service_quotas.ServiceQuotas(arn, self._emulator.quotas)


def _scope() -> tuple[str, str]:
    return _responses.get_account_id(), _responses.get_region()


def install(emulator: EmulatorState, providers: Providers) -> None:
    """Route requests to the added services, and inject faults into those of ministack."""
    handlers: dict[str, Handler] = _app.SERVICE_HANDLERS
    for name, handler in list(handlers.items()):
        handlers[name] = _injecting_faults(emulator, name, handler)
    handlers["cloudhsm"] = _json_service(
        CLOUDHSM_ACTIONS, lambda action, params: providers.cloudhsm().call(action, params)
    )
    handlers["ssm"] = _json_service(
        provider.ACTIONS,
        lambda action, params: providers.ssm().call(action, params),
        handlers["ssm"],
    )
    handlers["kms"] = _json_service(
        KEY_STORE_ACTIONS,
        lambda action, params: providers.cloudhsm().call(action, params),
        with_keys_in_key_stores(providers.cloudhsm, handlers["kms"]),
    )
    handlers["servicequotas"] = _json_service(
        service_quotas.ACTIONS, lambda action, params: providers.quotas().call(action, params)
    )
    handlers["servicecatalog"] = _json_service(
        CATALOG_ACTIONS,
        lambda action, params: service_catalog.call(providers.catalog(), action, params),
    )
    for name, handler in list(handlers.items()):
        handlers[name] = attributed(emulator, name, _operation, handler)
    _responses._BOTOCORE_NAME["cloudhsm"] = "cloudhsmv2"
    _responses._BOTOCORE_NAME["servicequotas"] = "service-quotas"
    _router.SERVICE_PATTERNS["cloudhsm"] = {
        "target_prefixes": ["BaldrApiService"],
        "host_patterns": [r"cloudhsmv2\."],
    }
    _responses._BOTOCORE_NAME["servicecatalog"] = "servicecatalog"
    _router.SERVICE_PATTERNS["servicecatalog"] = {
        "target_prefixes": ["AWS242ServiceCatalogService"],
        "host_patterns": [r"servicecatalog\."],
    }
    _router.SERVICE_PATTERNS["servicequotas"] = {
        "target_prefixes": ["ServiceQuotasV20190624"],
        "host_patterns": [r"servicequotas\."],
    }


def _json_service(actions: Collection[str], call: Call, fallback: Handler | None = None) -> Handler:
    """A handler of these actions; ministack's own handles the others."""

    async def handle(method: str, path: str, headers: Any, body: bytes, query: Any) -> Response:
        action = _target(headers)
        try:
            if action not in actions and fallback:
                return await fallback(method, path, headers, body, query)
            return 200, dict(JSON), json.dumps(call(action, json.loads(body or b"{}"))).encode()
        except ApiError as error:
            return _json_error(error)

    return handle


def _target(headers: Mapping[str, str]) -> str:
    return headers.get("x-amz-target", "").rpartition(".")[2]


def _json_error(error: ApiError) -> Response:
    lost = {CONNECTION_LOST: "yes"} if error.code == "ConnectionLost" else {}
    text = {"__type": error.code, "message": error.message, "Message": error.message}
    return (
        error.status,
        {**JSON, "x-amzn-errortype": error.code, **lost},
        json.dumps(text).encode(),
    )


def _injecting_faults(emulator: EmulatorState, service: str, handler: Handler) -> Handler:
    """The handler of a service, failing as injected faults say."""

    async def handle(method: str, path: str, headers: Any, body: bytes, query: Any) -> Response:
        action = _operation(headers, body, query)
        try:
            with emulator.faults.during(action):
                late = emulator.faults.lateness(action) if action == "StartExecution" else None
                if late is not None:
                    emulator.spawn(start_late, emulator, json.loads(body), late)
                    raise ApiError("ConnectionLost", f"{action} takes effect later.")
                return await handler(method, path, headers, body, query)
        except ApiError as error:
            return error_response(service, headers, error)

    return handle


def _operation(headers: Any, body: bytes, query: Mapping[str, Any]) -> str:
    """The operation that a request names; empty for the REST protocols."""
    return _target(headers) or _query_action(headers, body, query)


def _query_action(headers: Any, body: bytes, query: Mapping[str, Any]) -> str:
    if "Action" in query:
        return str(query["Action"][0])
    # Do not parse uploads, which may be large.
    if not headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return ""
    return parse_qs((body or b"").decode("utf-8", "replace")).get("Action", [""])[0]


def error_response(service: str, headers: Any, error: ApiError) -> Response:
    """An error response in the service's protocol."""
    if error.code == "ConnectionLost":
        return _json_error(error)
    _, response_headers, body = ministack("core.iam_actions").access_denied_response(
        service,
        "",
        "",
        "injected",
        error_code=error.code,
        message=error.message,
        headers=headers,
    )
    return error.status, response_headers, body
