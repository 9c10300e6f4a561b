"""Who sends a request: the credentials of this start, and the signature of every request.

ministack takes an empty access key, `test` and account ids for the account's root user whatever the
signature, derives the credentials of a role from names, serves its own paths to everyone, and
answers to every Host.

A web page in a browser on this machine cannot sign requests. The check of Host keeps it from what
needs no signature, such as public objects, under a name that resolves to 127.0.0.1.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from localaws.core.partitions import response_host
from localaws.ministack.access import ministack
from localaws.ministack.partitions import partition

if TYPE_CHECKING:
    from localaws.state import EmulatorState

Application = Callable[[Any, Any, Any], Awaitable[None]]

# Those who have a wait condition's URL may send its signal, as on AWS.
SIGNALS = "/_ministack/cfn-signal/"

_app = ministack("app")
_evaluator = ministack("core.iam_evaluator")
_responses = ministack("core.responses")
_router = ministack("core.router")
_runtime = ministack("core.lambda_runtime")
_s3 = ministack("services.s3")
_sts = ministack("services.sts")


def install(emulator: EmulatorState) -> None:
    """Know the credentials of this start, and no other ones."""
    resolve = _evaluator.resolve_credential
    root = emulator.credentials

    def resolve_credential(access_key_id: str, account_id: str | None = None, *token: Any) -> Any:
        if not hmac.compare_digest(access_key_id.encode(), root.access_key_id.encode()):
            return resolve(access_key_id, account_id, *token)
        if token and token[0]:
            return _evaluator._invalid_session_token()
        account = account_id or _responses.get_account_id()
        return _evaluator.ResolvedCredential(
            access_key_id=access_key_id,
            secret_access_key=root.secret_access_key,
            account_id=account,
            principal_arn=f"arn:{partition()}:iam::{account}:root",
            principal_id=account,
            principal_type="Root",
            source_access_key_id=access_key_id,
        )

    for module in (_evaluator, _s3, _sts):
        module.resolve_credential = resolve_credential
    for module in (_evaluator, _sts):
        module.is_root_access_key = lambda access_key_id: False
    _evaluator.enforce = _enforcing(emulator, _evaluator.enforce)
    _runtime.execution_credentials = _session_of_role(emulator)
    _app._handle_pre_body_request = _nothing
    _app._handle_post_body_shortcuts = _authenticating(_app._handle_post_body_shortcuts)


async def _nothing(*arguments: Any) -> None:
    """Serve none of ministack's own paths, nor any preflight request of a browser."""


def _authenticating(handle: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Let only authenticated requests reach handlers that do not authenticate."""

    async def handle_authenticated(
        method: str, path: str, headers: Mapping[str, str], body: bytes, query: Any, *rest: Any
    ) -> Any:
        if path.startswith(SIGNALS):
            return await handle(method, path, headers, body, query, *rest)
        if not headers.get("authorization"):
            # This is where the signature of a presigned URL is checked, and the policy of a bucket.
            return await _app._dispatch_service_request(method, path, headers, body, query, *rest)
        service = _router.detect_service(method, path, headers, query)
        access_key = _router.extract_access_key_id(headers, query)
        failure = _evaluator.check_credentials(access_key, service)
        if failure is None and _evaluator._verified_key.get() != access_key:
            failure = _evaluator.AuthError(
                "SignatureDoesNotMatch", "The signature is not verified."
            )
        if failure is not None:
            return _app._credential_failure(service, "", *rest, failure, headers)
        return await handle(method, path, headers, body, query, *rest)

    return handle_authenticated


def _session_of_role(emulator: EmulatorState) -> Callable[[Mapping[str, Any]], dict[str, str]]:
    """The credentials of a function's role, which no one can derive from its name."""

    def execution_credentials(config: Mapping[str, Any]) -> dict[str, str]:
        function, role = str(config["FunctionArn"]), str(config["Role"])
        account, name = function.split(":")[4], role.rpartition("/")[2]
        session = str(config["FunctionName"])[:64]

        def derived(purpose: str) -> bytes:
            message = f"{purpose}:{function}:{role}".encode()
            return hmac.digest(emulator.credentials.seed, message, hashlib.sha256)

        access_key = f"ASIA{base64.b32encode(derived('key')[:10]).decode()}"
        secret, token = derived("secret").hex(), derived("token").hex()
        _sts.register_session(
            access_key,
            {
                "Arn": f"arn:{partition()}:sts::{account}:assumed-role/{name}/{session}",
                "UserId": f"{name}:{session}",
                "SecretAccessKey": secret,
                "SessionToken": token,
            },
        )
        return {
            "AWS_ACCESS_KEY_ID": access_key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_SESSION_TOKEN": token,
        }

    return execution_credentials


def _enforcing(emulator: EmulatorState, enforce: Callable[..., Any]) -> Callable[..., Any]:
    """Allow what ministack allows to those it knows; everyone only what a bucket's policy does."""

    def enforce_unless_anonymous(
        access_key: str, action: str, service: str, region: str, resource: str = "*", *context: Any
    ) -> Any:
        if service == "s3" and _evaluator._anonymous.get():
            if _is_public(action, resource, region):
                return None
            return _evaluator.AuthError("MissingAuthenticationToken", "Access Denied")
        if not emulator.auth:
            return _evaluator.check_credentials(access_key, service)
        return enforce(access_key, action, service, region, resource, *context)

    return enforce_unless_anonymous


def _is_public(action: str, resource: str, region: str) -> bool:
    found = _evaluator._resource_policy("s3", resource)
    context = _evaluator.EvalContext(
        principal_arn="anonymous",
        principal_type="Anonymous",
        principal_account="",
        action=action,
        resource_arn=resource,
        region=region,
    )
    policy = found[0] if found else None
    return bool(_evaluator.evaluate_resource_policy(policy, context).decision == "Allow")


def refusing_strangers(emulator: EmulatorState, application: Application) -> Application:
    """The ASGI application, for requests to this machine that ministack would not serve to all."""
    own = {f"{name}:{port}" for name in ("127.0.0.1", "localhost") for port in _ports(emulator)}
    hosts = {*own, "localhost", response_host(emulator.region)}

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await application(scope, receive, send)
        elif scope["type"] == "http":
            given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
            path = scope["path"]
            known = len(given) == 1 and given[0] in hosts
            if known and (not path.startswith("/_") or path.startswith(SIGNALS)):
                await application(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        else:
            await send({"type": "websocket.close"})

    return serve


def _ports(emulator: EmulatorState) -> tuple[int, int]:
    return emulator.ports.gateway, emulator.ports.secure
