"""cloudhsm-cli of Client SDK 5 in single-command mode (F3.10 to F3.16): JSON, and an exit code.

The HSMs' side of it is the model's (hsm/data_plane.py), reached through the admin API.
"""

from __future__ import annotations

import argparse
import json
import os

from .admin import Json, post
from .packages import installed

CONFIGURATION = "/opt/cloudhsm/etc/cloudhsm-cli.cfg"


class RefusedError(Exception):
    """What the command answers as `data` beside an error_code that is not 0."""


def main(arguments: list[str]) -> int:
    """One command; --help, the interactive mode and key operations are not rehearsed."""
    if arguments in (["--version"], ["-V"]):
        print(f"CloudHSM CLI {installed()['cloudhsm-cli'].version}")
        return 0
    options = _parser().parse_args(arguments)
    try:
        answer = _run(options)
    except RefusedError as refusal:
        answer = {"error_code": 1, "data": str(refusal)}
    print(json.dumps(answer, indent=2))
    return 1 if answer["error_code"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("cloudhsm-cli", allow_abbrev=False)
    nouns = parser.add_subparsers(dest="noun", required=True)
    cluster = nouns.add_parser("cluster").add_subparsers(dest="verb", required=True)
    cluster.add_parser("activate", allow_abbrev=False).add_argument("--password")
    cluster.add_parser("hsm-info")
    user = nouns.add_parser("user").add_subparsers(dest="verb", required=True)
    user.add_parser("list")
    for verb in ("create", "change-password", "delete"):
        one = user.add_parser(verb, allow_abbrev=False)
        one.add_argument("--username", required=True)
        one.add_argument("--role", required=True, choices=("admin", "crypto-user"))
        one.add_argument("--approval")
        if verb != "delete":
            one.add_argument("--password")
    return parser


def _run(options: argparse.Namespace) -> Json:
    command = (options.noun, options.verb)
    if command == ("cluster", "activate"):
        return _ask("activate", {"password": _password(options)})
    if command == ("cluster", "hsm-info"):
        return _ask("hsm-info", {})
    if command == ("user", "list"):
        return _ask("user-list", {})
    wanted = {"new_username": options.username, "role": options.role}
    if options.verb != "delete":
        wanted["new_password"] = _password(options)
    return _ask(f"user-{options.verb}", {**_login(), **wanted})


def _password(options: argparse.Namespace) -> str:
    if options.password is None:
        # It would be asked for on the terminal, twice; a script has none.
        raise RefusedError("Unable to read the password: no terminal is attached")
    return str(options.password)


def _login() -> dict[str, str]:
    """F3.15: role and user:password, split at the first colon."""
    role, pin = os.environ.get("CLOUDHSM_ROLE"), os.environ.get("CLOUDHSM_PIN", "")
    username, colon, password = pin.partition(":")
    if not role or not colon:
        raise RefusedError(
            "This command needs a login: set the variables CLOUDHSM_ROLE and CLOUDHSM_PIN"
        )
    return {"login_role": role, "username": username, "password": password}


def _ask(operation: str, parameters: dict[str, str]) -> Json:
    addresses, ca = _configuration()
    refusal = "no HSM is configured"
    for address in addresses:
        answer = post(
            "/hsm",
            {
                "op": operation,
                "params": {
                    **parameters,
                    "ip": address,
                    "ca": ca,
                    "instance_id": os.environ["EC2_INSTANCE_ID"],
                },
            },
        )
        if "error" not in answer:
            return answer
        refusal = f"{answer['message']}"
        if answer["error"] != "Unreachable":
            break
    raise RefusedError(refusal)


def _configuration() -> tuple[list[str], str]:
    """The HSMs' addresses and the text of the CA certificate, as configure-cli left them."""
    try:
        with open(CONFIGURATION) as file:
            cluster = json.load(file)["clusters"][0]["cluster"]
    except (OSError, IndexError):
        raise RefusedError(
            f"The configuration file {CONFIGURATION} names no cluster: run configure-cli first"
        ) from None
    try:
        with open(cluster["hsm_ca_file"]) as file:
            ca = file.read()
    except OSError as error:
        raise RefusedError(
            f"The CA certificate {cluster['hsm_ca_file']} cannot be read: {error.strerror}"
        ) from None
    return [server["hostname"] for server in cluster["servers"]], ca
