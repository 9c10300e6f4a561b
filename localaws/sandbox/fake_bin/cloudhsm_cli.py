"""cloudhsm-cli of Client SDK 5 in single-command mode (F3.10 to F3.16): JSON and an exit code.

The HSMs' side is services/cloudhsmv2/data_plane.py, reached through a socket.
"""

from __future__ import annotations

import argparse
import json
import os

from .durations import CLI, pass_time
from .sockets import send

Json = dict[str, object]

CONFIGURATION = "/opt/cloudhsm/etc/cloudhsm-cli.cfg"


class CommandError(Exception):
    """The `data` of an output with an error_code, and the exit code."""

    def __init__(self, data: str, error_code: int = 1, exit_code: int = 1) -> None:
        super().__init__(data)
        self.error_code = error_code
        self.exit_code = exit_code


def main(arguments: list[str]) -> int:
    """`cluster activate`, `user list`, `user create` or `user change-password`."""
    options = _parser().parse_args(arguments)
    exit_code = 0
    pass_time(CLI)
    try:
        output = _run(options)
    except CommandError as error:
        output = {"error_code": error.error_code, "data": str(error)}
        exit_code = error.exit_code
    print(json.dumps(output, indent=2))
    return exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("cloudhsm-cli", allow_abbrev=False)
    nouns = parser.add_subparsers(dest="noun", required=True)
    cluster = nouns.add_parser("cluster").add_subparsers(dest="verb", required=True)
    # The CLI asks for a password that is missing on the terminal; a script has none.
    cluster.add_parser("activate", allow_abbrev=False).add_argument("--password", required=True)
    user = nouns.add_parser("user").add_subparsers(dest="verb", required=True)
    user.add_parser("list")
    for verb in ("create", "change-password"):
        one = user.add_parser(verb, allow_abbrev=False)
        one.add_argument("--username", required=True)
        one.add_argument("--role", required=True, choices=("admin", "crypto-user"))
        one.add_argument("--password", required=True)
    quorum = nouns.add_parser("quorum").add_subparsers(dest="kind", required=True)
    token_sign = quorum.add_parser("token-sign").add_subparsers(dest="verb", required=True)
    token_sign.add_parser("list")
    return parser


def _run(options: argparse.Namespace) -> Json:
    command, login = f"{options.noun} {options.verb}", _login()
    match options.noun, options.verb:
        case "cluster", "activate":
            return _send(command, "activate", {**login, "password": options.password})
        case "user", "list":
            return _send(command, "user-list", login)
        case "quorum", "list":
            return _send(command, "quorum-token-list", login)
        case _:
            if not login:
                raise CommandError(
                    "This command needs a login: set the variables CLOUDHSM_ROLE and CLOUDHSM_PIN"
                )
            parameters = {
                "new_username": options.username,
                "role": options.role,
                "new_password": options.password,
            }
            return _send(command, f"user-{options.verb}", {**login, **parameters})


def _login() -> dict[str, str]:
    """F3.15: role and user:password, split at the first colon; empty without both variables."""
    role, pin = os.environ.get("CLOUDHSM_ROLE"), os.environ.get("CLOUDHSM_PIN", "")
    username, colon, password = pin.partition(":")
    if not role or not colon:
        return {}
    return {"login_role": role, "username": username, "password": password}


def _send(command: str, operation: str, parameters: dict[str, str]) -> Json:
    """Send a request to the first HSM that is reachable."""
    addresses, ca = _configuration()
    failure = "no HSM is configured"
    for address in addresses:
        client = {"ip": address, "ca": ca, "instance_id": os.environ["EC2_INSTANCE_ID"]}
        request = {
            "operation": operation,
            "parameters": {**parameters, **client},
            "command": command,
        }
        response = json.loads(send("commands", "POST", "/data-plane", json.dumps(request))[1])
        if "injected" in response:
            raise CommandError(**response["injected"])
        if "error" not in response:
            return dict(response)
        failure = f"{response['message']}"
        if response["error"] != "Unreachable":
            break
    raise CommandError(failure)


def _configuration() -> tuple[list[str], str]:
    """The HSMs' addresses and the text of the CA certificate, as configure-cli left them."""
    try:
        with open(CONFIGURATION) as file:
            cluster = json.load(file)["clusters"][0]["cluster"]
    except (OSError, IndexError):
        raise CommandError(
            f"The configuration file {CONFIGURATION} names no cluster: run configure-cli first"
        ) from None
    try:
        with open(cluster["hsm_ca_file"]) as file:
            ca = file.read()
    except OSError as error:
        raise CommandError(
            f"The CA certificate {cluster['hsm_ca_file']} cannot be read: {error.strerror}"
        ) from None
    return [server["hostname"] for server in cluster["servers"]], ca
