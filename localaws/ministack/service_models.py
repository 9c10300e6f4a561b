"""Requests held to the service models of botocore, as AWS holds them.

ministack takes most values as they come. moto's parsers read the requests of the query and REST
protocols; requests in JSON need none. A request is checked once it is authorized.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode

from localaws.core import shapes
from localaws.core.api_error import ApiError
from localaws.core.shapes import Violation
from localaws.ministack import documented_combinations, documented_rules, offered, records
from localaws.ministack.access import ministack
from localaws.ministack.services import error_response

if TYPE_CHECKING:
    from localaws.core.records import Records
    from localaws.state import EmulatorState

Response = tuple[int, dict[str, str], bytes]
Handler = Callable[[str, str, Any, bytes, Any], Awaitable[Response]]
Application = Callable[[Any, Any, Any], Awaitable[None]]

# The error code for a value that breaks a constraint, by service as ministack calls it.
CODES = {
    "cloudformation": "ValidationError",
    "cloudhsm": "CloudHsmInvalidRequestException",
    "ec2": "InvalidParameterValue",
    "iam": "ValidationError",
    "logs": "InvalidParameterException",
    "s3": "InvalidArgument",
    "servicequotas": "IllegalArgumentException",
    "sts": "ValidationError",
}
DEFAULT_CODE = "ValidationException"
# The service in the credential scope of a signature.
CREDENTIAL = re.compile(r"Credential=[^/]+/\d{8}/[^/]+/([^/]+)/aws4_request")
# How ministack refuses the operations it lacks.
UNKNOWN_ACTION = re.compile(rb"Unknown (?:\w+ )?action: (\w+)")

_app = ministack("app")
_responses = ministack("core.responses")


def install(emulator: EmulatorState) -> None:
    """Check and record the requests of every service that is offered."""
    handlers: dict[str, Handler] = _app.SERVICE_HANDLERS
    for name in offered.SERVICES:
        handlers[name] = _checking(emulator.records, name, handlers[name])


def refusing_others(application: Application) -> Application:
    """The ASGI application, for requests that are signed for an offered service."""

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        service = _signed_for(scope) if scope["type"] == "http" else ""
        if not service or service in offered.SERVICES:
            await application(scope, receive, send)
            return
        error = offered.not_offered(f"the service {service}")
        sent = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        status, headers, body = error_response(service, sent, error)
        listed = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": listed})
        await send({"type": "http.response.body", "body": body})

    return serve


def _signed_for(scope: Mapping[str, Any]) -> str:
    """The service in the credential scope of a request's signature; empty without one."""
    authorization = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
    found = CREDENTIAL.search(authorization)
    return found[1] if found else ""


def _checking(found: Records, service: str, handler: Handler) -> Handler:
    async def handle(method: str, path: str, headers: Any, body: bytes, query: Any) -> Response:
        try:
            operation, given = check(service, method, path, headers, body, query)
        except ApiError as error:
            return error_response(service, headers, error)
        records.request(found, service, operation, given)
        response = await handler(method, path, headers, body, query)
        unknown = UNKNOWN_ACTION.search(response[2]) if response[0] >= 400 else None
        if unknown:
            missing = offered.not_offered(f"{service}:{unknown[1].decode()}")
            return error_response(service, headers, missing)
        return response

    return handle


def check(
    service: str, method: str, path: str, headers: Any, body: bytes, query: Mapping[str, Any]
) -> tuple[str, Any]:
    """The operation and its input. Raises ApiError if the input breaks a constraint."""
    model = _responses._service_model(service)
    protocol = model.metadata["protocol"]
    try:
        if protocol == "json":
            operation = headers.get("x-amz-target", "").rpartition(".")[2]
            shape, given = _input_shape(model, operation), json.loads(body or b"{}")
        elif protocol in ("query", "ec2"):
            operation, shape, given = _query_request(service, headers, body, query)
        else:
            operation, shape, given = _rest_request(service, method, path, headers, body, query)
    except (ValueError, TypeError, AttributeError) as problem:
        code = "MalformedXML" if service == "s3" else "SerializationException"
        raise ApiError(code, f"The request could not be read: {problem}") from problem
    if shape is not None:
        found = list(shapes.violations(shape, given))
        if found:
            raise _error(service, found)
        documented_rules.check_request(service, operation, given)
        documented_combinations.check_request(service, operation, given)
        offered.check_request(service, operation, given)
    return operation, given


def _input_shape(model: Any, operation: str) -> Any:
    """The input of an operation; None if it has none or does not exist."""
    if operation not in model.operation_names:
        return None
    return model.operation_model(operation).input_shape


@functools.cache
def _moto_model(service: str) -> Any:
    """moto's extension of a service model, from the description that is already loaded."""
    from moto.core.model import ServiceModel

    model = _responses._service_model(service)
    return ServiceModel(model._service_description, model.service_name)


@functools.cache
def _parser(service: str, operation: str) -> Any:
    from moto.core import parse

    model = _moto_model(service)
    kind = {
        "query": parse.QueryParser,
        "ec2": parse.EC2QueryParser,
        "rest-json": parse.RestJSONParser,
        "rest-xml": parse.RestXMLParser,
    }[model.metadata["protocol"]]
    return kind(model.operation_model(operation))


def _query_request(
    service: str, headers: Any, body: bytes, query: Mapping[str, Any]
) -> tuple[str, Any, Any]:
    values = {key: value[0] for key, value in query.items()}
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        values.update(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    operation = str(values.get("Action", ""))
    shape = _input_shape(_moto_model(service), operation)
    if shape is None:
        return operation, None, None
    return operation, shape, _parser(service, operation).parse({"values": values})


@functools.cache
def _router(service: str) -> Any:
    from moto.core.routing import RestRouter

    return RestRouter(_moto_model(service))


def _rest_request(
    service: str, method: str, path: str, headers: Any, body: bytes, query: Mapping[str, Any]
) -> tuple[str, Any, Any]:
    from moto.core.request import Request
    from werkzeug.exceptions import NotFound

    url = f"http://localhost{quote(path)}?{urlencode(query, doseq=True)}"
    request = Request.from_primitives(method, url, headers)
    try:
        operation, labels = _router(service).match(request)
    except NotFound:
        return "", None, None
    shape = operation.input_shape
    if shape is None:
        return operation.name, None, None
    given = _parser(service, operation.name).parse(
        {"body": body, "headers": request.headers, "url_params": labels, "values": request.args}
    )
    return operation.name, shape, given


def _error(service: str, found: Sequence[Violation]) -> ApiError:
    """The error of AWS for constraints that a request breaks."""
    code = CODES.get(service, DEFAULT_CODE)
    if any(violation.kind == "type" for violation in found):
        return ApiError("SerializationException", shapes.message(found))
    if service == "ec2":
        return _ec2_error(found[0])
    if service == "s3" and "." in found[0].path:
        # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
        return ApiError(
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published "
            f"schema: {found[0]}",
        )
    if service == "lambda" and [violation.path for violation in found] == ["runtime"]:
        return ApiError("InvalidParameterValueException", f"{found[0]} or be a valid ARN")
    return ApiError(code, shapes.message(found))


def _ec2_error(violation: Violation) -> ApiError:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"""
    name = ".".join(part[:1].upper() + part[1:] for part in violation.path.split("."))
    if violation.kind == "required":
        return ApiError("MissingParameter", f"The request must contain the parameter {name}")
    return ApiError(
        "InvalidParameterValue", f"Invalid value '{violation.value}' for {name}. {violation}"
    )
