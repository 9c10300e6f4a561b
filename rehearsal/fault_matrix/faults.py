"""The ways in which a call may fail, and the fault that makes it fail so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rehearsal.fault_matrix.call import API, COMMAND, RESPONSE, STEP, TASK, Call

Json = dict[str, Any]

THROTTLED, LOST, KILLED = "throttled", "lost", "killed"
DIES, TIMES_OUT, FAILS = "dies-before", "times-out", "fails-once"
DENIED, INVALID, FAILS_FOR_GOOD = "denied", "invalid", "fails"
LATE = {"late-20": 20, "late-90": 90, "late-300": 300}
LASTING = frozenset({DENIED, INVALID, FAILS_FOR_GOOD})
DESCRIPTIONS = {
    THROTTLED: "refused once, by throttling",
    LOST: "error 500 once, after the effect",
    KILLED: "process killed once, right after the call",
    DIES: "function killed once, before its work",
    TIMES_OUT: "function times out once, after its work",
    FAILS: "command fails once, before its effect",
    **{kind: f"response lost, effect {seconds} s late" for kind, seconds in LATE.items()},
    DENIED: "access denied for good",
    INVALID: "refused as invalid for good",
    FAILS_FOR_GOOD: "command fails for good",
}
FOR_GOOD = 1_000_000
# Calls whose effect may come after their response was lost.
LATE_OPERATIONS = frozenset(
    {"CreateCluster", "CreateHsm", "DeleteHsm", "CreateCustomKeyStore", "ConnectCustomKeyStore"}
)
# Codes by service, "" for all others.
_CODES: dict[str, dict[str, str]] = {
    THROTTLED: {
        "": "ThrottlingException",
        "cloudformation": "Throttling",
        "ec2": "RequestLimitExceeded",
        "iam": "Throttling",
        "s3": "SlowDown",
        "lambda": "TooManyRequestsException",
    },
    LOST: {
        "": "InternalFailure",
        "cloudhsm": "CloudHsmInternalFailureException",
        "ec2": "InternalError",
        "kms": "KMSInternalException",
        "lambda": "ServiceException",
        "s3": "InternalError",
        "secretsmanager": "InternalServiceError",
        "ssm": "InternalServerError",
    },
    DENIED: {
        "": "AccessDeniedException",
        "cloudformation": "AccessDenied",
        "cloudhsm": "CloudHsmAccessDeniedException",
        "ec2": "UnauthorizedOperation",
        "iam": "AccessDenied",
        "s3": "AccessDenied",
    },
    INVALID: {
        "": "ValidationException",
        "cloudformation": "ValidationError",
        "cloudhsm": "CloudHsmInvalidRequestException",
        "ec2": "InvalidParameterValue",
        "iam": "ValidationError",
        "lambda": "InvalidRequestContentException",
        "s3": "InvalidRequest",
        "secretsmanager": "InvalidParameterException",
    },
}
_STATUSES = {THROTTLED: 400, LOST: 500, DENIED: 400, INVALID: 400}
_PLAIN_HTTP = {THROTTLED: 503, DENIED: 403}


def kinds_of(call: Call) -> Iterator[str]:
    """The kinds of faults that this call can have."""
    if call.kind == API:
        yield from (THROTTLED, LOST, KILLED)
        if call.operation in LATE_OPERATIONS:
            yield from LATE
        yield from (DENIED, INVALID)
    elif call.kind == STEP:
        yield from (DIES, TIMES_OUT)
    elif call.kind == TASK:
        yield from (THROTTLED, LOST, DENIED, INVALID)
    elif call.kind == COMMAND:
        yield from (FAILS, KILLED, FAILS_FOR_GOOD)


def code_of(call: Call, kind: str) -> str:
    """AWS's code for this failure; empty if it has none."""
    codes = _CODES.get(kind, {})
    return codes.get(call.service, codes.get("", ""))


def fault_of(call: Call, kind: str) -> Json:
    """The fault as the admin API takes it."""
    lasting = {"times": FOR_GOOD} if kind in LASTING else {}
    match call.kind:
        case "step":
            die = "timeout" if kind == TIMES_OUT else "before"
            return {"lambda": f"-{call.actor}", "step": call.step, "die": die}
        case "task":
            when = {"when": "after"} if kind == LOST else {}
            code = code_of(call, kind)
            return {"task": call.step, "machine": call.actor, "code": code, **when, **lasting}
        case "command":
            return {
                "command": call.operation,
                "document": call.actor,
                **({"kill": True} if kind == KILLED else _command_failure(call)),
                **lasting,
            }
        case _:
            return {**_api_fault(call, kind), **lasting}


def _api_fault(call: Call, kind: str) -> Json:
    by = {} if call.operation == RESPONSE else {"function": f"-{call.actor}", "step": call.step}
    if kind in LATE:
        return {"late": call.operation, "seconds": LATE[kind], **by}
    if kind == KILLED:
        return {"operation": call.operation, "kill": True, **by}
    status = _PLAIN_HTTP.get(kind) if call.operation == RESPONSE else None
    return {
        "operation": call.operation,
        "code": code_of(call, kind),
        "status": status or _STATUSES[kind],
        **({"when": "after"} if kind == LOST else {}),
        **by,
    }


def _command_failure(call: Call) -> Json:
    if call.operation.startswith("cloudhsm-cli"):
        # F3.12: errors are JSON on standard output.
        return {"exit": 1, "stdout": '{"error_code": 1, "data": "an HSM failed"}\n'}
    return {"exit": 1, "stderr": f"{call.operation}: failed by injection\n"}
