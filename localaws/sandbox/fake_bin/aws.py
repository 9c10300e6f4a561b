"""aws: the only operation that scripts use, with the exit codes of AWS CLI version 2.

A stub: Amazon Linux has version 2, which is not on PyPI, and starting version 1 takes more
processor time than everything else that a script does.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from .sigv4 import sign
from .sockets import send
from .usage import unsupported

# https://docs.aws.amazon.com/cli/latest/userguide/cli-usage-returncodes.html
CONFIGURATION_ERROR, SERVICE_ERROR, OTHER_ERROR = 253, 254, 255
OUTPUTS = (["--output", "json"], ["--query", "SecretString", "--output", "text"])


class CliError(Exception):
    """An exit code and the message on standard error."""


def main(arguments: list[str]) -> int:
    """`aws secretsmanager get-secret-value --region REGION --secret-id ID [--version-id V]` OUTPUT.

    OUTPUT is `--output json` or `--query SecretString --output text`.
    """
    match arguments[:2], arguments[2:]:
        case (
            ["secretsmanager", "get-secret-value"],
            ["--region", region, "--secret-id", secret_id, "--version-id", version_id, *output],
        ) if output in OUTPUTS:
            wanted = {"SecretId": secret_id, "VersionId": version_id}
            return _print_secret(region, wanted, "json" in output)
        case (
            ["secretsmanager", "get-secret-value"],
            ["--region", region, "--secret-id", secret_id, *output],
        ) if output in OUTPUTS:
            return _print_secret(region, {"SecretId": secret_id}, "json" in output)
    return unsupported("aws", arguments)


def _print_secret(region: str, wanted: dict[str, str], as_json: bool) -> int:
    try:
        secret = _get_secret_value(region, wanted)
    except CliError as error:
        code, message = error.args
        print(f"\n{message}", file=sys.stderr)
        return int(code)
    print(json.dumps(secret, indent=4) if as_json else secret["SecretString"])
    return 0


def _get_secret_value(region: str, wanted: dict[str, str]) -> Any:
    body = json.dumps(wanted)
    try:
        status, text = send("aws", "POST", "/", body, _signed_headers(region, body))
    except OSError as error:
        raise CliError(OTHER_ERROR, f"Could not connect to the endpoint URL: {error}") from error
    response = json.loads(text)
    if status < 400:
        return response
    code = response["__type"].rpartition("#")[2]
    reason = response.get("message") or response.get("Message")
    raise CliError(
        SERVICE_ERROR,
        f"An error occurred ({code}) when calling the GetSecretValue operation: {reason}",
    )


def _signed_headers(region: str, body: str) -> dict[str, str]:
    key_id = os.environ.get("AWS_ACCESS_KEY_ID")
    secret_key = os.environ.get("AWS_SECRET_ACCESS_KEY")
    if not key_id or not secret_key:
        raise CliError(CONFIGURATION_ERROR, "Unable to locate credentials.")
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        # The socket leads to AWS, whatever its name.
        "Host": "localhost",
        "X-Amz-Target": "secretsmanager.GetSecretValue",
    }
    if token := os.environ.get("AWS_SESSION_TOKEN"):
        headers["X-Amz-Security-Token"] = token
    return sign(headers, body, "secretsmanager", region, key_id, secret_key)
