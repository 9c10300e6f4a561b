"""aws: the only operations that scripts use, with the exit codes of AWS CLI version 2.

A stub: Amazon Linux has version 2, which is not on PyPI, and starting version 1 takes more
processor time than everything else that a script does.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from .durations import DOWNLOAD, pass_time
from .routes import reaches
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

    OUTPUT is `--output json` or `--query SecretString --output text`. And `aws s3 cp
    --only-show-errors --region REGION s3://BUCKET/KEY FILE`.
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
        case (["s3", "cp"], ["--only-show-errors", "--region", region, source, file]) if (
            source.startswith("s3://") and not file.startswith("-")
        ):
            return _copy(region, source, file)
    return unsupported("aws", arguments)


def _print_secret(region: str, wanted: dict[str, str], as_json: bool) -> int:
    try:
        secret = call("secretsmanager", region, "secretsmanager.GetSecretValue", wanted)
    except CliError as error:
        code, message = error.args
        print(f"\n{message}", file=sys.stderr)
        return int(code)
    print(json.dumps(secret, indent=4) if as_json else secret["SecretString"])
    return 0


def _copy(region: str, source: str, file: str) -> int:
    """Download an object with the caller's permissions, as the instance's other downloads go."""
    path = "/" + source.removeprefix("s3://")
    pass_time(DOWNLOAD)
    fault = os.environ.get("LOCALAWS_DOWNLOAD")
    try:
        _check_route("s3", region)
        headers = _signed_headers("s3", region, "", "", method="GET", path=path)
        status, content = send("aws", "GET", path, "", headers)
    except (CliError, OSError) as error:
        print(f"fatal error: {error.args[-1]}", file=sys.stderr)
        return 1
    if fault == "missing":
        status = 404
    if status >= 400:
        # The command's own request is HeadObject, whose errors have no body.
        name = {403: "Forbidden", 404: "Not Found"}.get(status, "Unknown")
        print(
            f"fatal error: An error occurred ({status}) when calling the HeadObject operation: "
            f"{name}",
            file=sys.stderr,
        )
        return 1
    with open(file, "wb") as output:
        output.write(content[: len(content) // 2] if fault == "corrupt" else content)
    return 0


def call(service: str, region: str, target: str, wanted: dict[str, Any]) -> Any:
    """The response of a JSON API, or CliError."""
    body = json.dumps(wanted)
    _check_route({"cloudhsm": "cloudhsmv2"}.get(service, service), region)
    try:
        headers = _signed_headers(service, region, target, body)
        status, text = send("aws", "POST", "/", body, headers)
    except OSError as error:
        raise CliError(OTHER_ERROR, f"Could not connect to the endpoint URL: {error}") from error
    response = json.loads(text)
    if status < 400:
        return response
    code = response["__type"].rpartition("#")[2]
    reason = response.get("message") or response.get("Message")
    operation = target.rpartition(".")[2]
    raise CliError(
        SERVICE_ERROR,
        f"An error occurred ({code}) when calling the {operation} operation: {reason}",
    )


def _check_route(service: str, region: str) -> None:
    if not reaches(service, region):
        url = f"https://{service}.{region}.amazonaws.com/"
        raise CliError(OTHER_ERROR, f'Connect timeout on endpoint URL: "{url}"')


def _signed_headers(
    service: str, region: str, target: str, body: str, *, method: str = "POST", path: str = "/"
) -> dict[str, str]:
    key_id = os.environ.get("AWS_ACCESS_KEY_ID")
    secret_key = os.environ.get("AWS_SECRET_ACCESS_KEY")
    if not key_id or not secret_key:
        raise CliError(CONFIGURATION_ERROR, "Unable to locate credentials.")
    # The socket leads to AWS, whatever its name.
    headers = {"Host": "localhost"}
    if target:
        headers.update({"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target})
    if token := os.environ.get("AWS_SESSION_TOKEN"):
        headers["X-Amz-Security-Token"] = token
    return sign(headers, body, service, region, key_id, secret_key, f"{method}\n{path}")
