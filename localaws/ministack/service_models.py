"""Requests held to the service models of botocore, as AWS holds them.

ministack takes most values as they come. moto's parsers read the requests of the query and REST
protocols; requests in JSON need none. A request is checked once it is authorized.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from localaws.core import shapes
from localaws.core.api_error import ApiError
from localaws.core.shapes import Violation
from localaws.ministack import offered
from localaws.ministack.access import ministack
from localaws.ministack.services import error_response

Response = tuple[int, dict[str, str], bytes]
Handler = Callable[[str, str, Any, bytes, Any], Awaitable[Response]]

# The error code for a value that breaks a constraint, by service as ministack calls it.
CODES = {
    "cloudformation": "ValidationError",
    "cloudhsm": "CloudHsmInvalidRequestException",
    "ec2": "InvalidParameterValue",
    "iam": "ValidationError",
    "logs": "InvalidParameterException",
    "s3": "InvalidArgument",
    "sts": "ValidationError",
}
DEFAULT_CODE = "ValidationException"

_app = ministack("app")
_responses = ministack("core.responses")


def install() -> None:
    """Check the requests of every service that is offered, and refuse those of the others."""
    handlers: dict[str, Handler] = _app.SERVICE_HANDLERS
    for name, handler in list(handlers.items()):
        if name in offered.SERVICES:
            handlers[name] = _checking(name, handler)
        else:
            handlers[name] = _refusing(name)


def _checking(service: str, handler: Handler) -> Handler:
    async def handle(method: str, path: str, headers: Any, body: bytes, query: Any) -> Response:
        try:
            check(service, method, path, headers, body, query)
        except ApiError as error:
            return error_response(service, headers, error)
        return await handler(method, path, headers, body, query)

    return handle


def _refusing(service: str) -> Handler:
    async def handle(method: str, path: str, headers: Any, body: bytes, query: Any) -> Response:
        return error_response(service, headers, offered.not_offered(f"the service {service}"))

    return handle


def check(
    service: str, method: str, path: str, headers: Any, body: bytes, query: Mapping[str, Any]
) -> None:
    """Raise ApiError if a request breaks a constraint of its operation's input."""
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
            raise _error(service, operation, found)


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


def _error(service: str, operation: str, found: Sequence[Violation]) -> ApiError:
    """The error of AWS for constraints that a request breaks."""
    code = CODES.get(service, DEFAULT_CODE)
    if any(violation.kind == "type" for violation in found):
        return ApiError("SerializationException", shapes.message(found))
    if service == "ec2":
        return _ec2_error(found[0])
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
