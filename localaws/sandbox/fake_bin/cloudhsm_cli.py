"""cloudhsm-cli of Client SDK 5 (F3.10 to F3.16): prints JSON; in single-command mode, an exit code.

The HSMs' side is services/cloudhsmv2/data_plane.py, reached through a socket.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

from .cli_session import NoTerminalError, ask_password, interact
from .durations import CLI, pass_time
from .packages import configuration
from .sockets import send

Json = dict[str, object]

CONFIGURATION = configuration("cli")


class CommandError(Exception):
    """The `data` of an output with an error_code, and the exit code."""

    def __init__(self, data: str, error_code: int = 1, exit_code: int = 1) -> None:
        super().__init__(data)
        self.error_code = error_code
        self.exit_code = exit_code


def main(arguments: list[str]) -> int:
    """`interactive`, or one of its commands; `login` and `logout` are for interactive mode only."""
    if arguments == ["interactive"]:
        return interact(_run_interactively)
    options = _parser().parse_args(arguments)
    try:
        return _print(options, _login())
    except NoTerminalError:
        print(
            f"{' '.join(arguments)}: no --password, nor a terminal to ask for it", file=sys.stderr
        )
        return 2
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1


def _run_interactively(words: list[str], login: dict[str, str]) -> dict[str, str]:
    """Run a command of interactive mode; the login for the next one."""
    options = _parser(interactive=True).parse_args(words)
    if options.noun == "logout":
        print(json.dumps({"error_code": 0, "data": "Logout successful"}, indent=2))
        return {}
    if options.noun == "login":
        password = options.password or ask_password(twice=False)
        wanted = {
            "login_role": options.role,
            "username": options.username,
            "password": password,
        }
        return wanted if _print(options, wanted) == 0 else login
    done = _print(options, login) == 0
    if done and options.verb == "change-password" and _is_own(options, login):
        return {**login, "password": options.password}
    return login


def _is_own(options: argparse.Namespace, login: dict[str, str]) -> bool:
    return str(options.username).lower() == login.get("username", "").lower()


def _print(options: argparse.Namespace, login: dict[str, str]) -> int:
    """Run a command and print its output; the exit code."""
    if options.noun != "login" and "password" in options and options.password is None:
        options.password = ask_password(twice=True)
    exit_code = 0
    pass_time(CLI)
    try:
        output = _run(options, login)
    except CommandError as error:
        output = {"error_code": error.error_code, "data": str(error)}
        exit_code = error.exit_code
    print(json.dumps(output, indent=2))
    return exit_code


def _parser(interactive: bool = False) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("cloudhsm-cli", allow_abbrev=False)
    nouns = parser.add_subparsers(dest="noun", required=True)
    cluster = nouns.add_parser("cluster").add_subparsers(dest="verb", required=True)
    cluster.add_parser("hsm-info")
    # The CLI asks for a password that is missing on the terminal; a script has none.
    cluster.add_parser("activate", allow_abbrev=False).add_argument("--password")
    user = nouns.add_parser("user").add_subparsers(dest="verb", required=True)
    user.add_parser("list")
    for verb in ("create", "change-password"):
        _add_user(user.add_parser(verb, allow_abbrev=False)).add_argument("--password")
    _add_user(user.add_parser("delete", allow_abbrev=False))
    if interactive:
        _add_user(nouns.add_parser("login", allow_abbrev=False)).add_argument("--password")
        nouns.add_parser("logout")
    quorum = nouns.add_parser("quorum").add_subparsers(dest="kind", required=True)
    token_sign = quorum.add_parser("token-sign").add_subparsers(dest="verb", required=True)
    token_sign.add_parser("list")
    return parser


def _add_user(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--username", required=True)
    parser.add_argument("--role", required=True, choices=("admin", "crypto-user"))
    return parser


def _run(options: argparse.Namespace, login: dict[str, str]) -> Json:
    verb = getattr(options, "verb", "")
    command = f"{options.noun} {verb}".strip()
    match options.noun, verb:
        case "login", _:
            return _send(command, "login", login)
        case "cluster", "hsm-info":
            return _send(command, "hsm-info", login)
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
            parameters = {"new_username": options.username, "role": options.role}
            if verb != "delete":
                parameters["new_password"] = options.password
            return _send(command, f"user-{verb}", {**login, **parameters})


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
