"""The command line: `python -m scripts.stack watch|why|deploy|destroy`, which make calls."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from scripts.stack import assignments, report, watch
from scripts.stack.account import Account, Json, OperatorError
from scripts.stack.deploy import Deployment, deploy
from scripts.stack.destroy import destroy
from scripts.stack.observer import Observer

_STOPPED = 130  # as after SIGINT


def main(arguments: list[str]) -> int:
    """Run a command; returns 0 if the request succeeded, 1 if it failed, 2 if it was refused."""
    given = _parser().parse_args(arguments)
    console = Console(highlight=False, markup=False, emoji=False)
    try:
        return 0 if _run(given, console) else 1
    except (OperatorError, BotoCoreError, ClientError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nStopped watching; the request goes on. Again: make watch STACK={given.stack}")
        return _STOPPED
    except BrokenPipeError:
        # Python would report the same once more when it flushes its output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m scripts.stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, purpose in (
        ("watch", "follow the latest request until it ends"),
        ("why", "print why the latest request failed"),
        ("destroy", "delete a stack and follow it"),
        ("deploy", "create or update a stack and follow it; parameters from the environment"),
    ):
        command = commands.add_parser(name, help=purpose)
        command.add_argument("stack", help="name or ID, also of a deleted stack")
        if name == "deploy":
            for option in ("--template", "--packaged", "--bucket", "--aws"):
                command.add_argument(option, required=True)
            command.add_argument("--protect", choices=("yes", "no"), default="yes")
    return parser


def _run(given: argparse.Namespace, console: Console) -> bool:
    account = Account()
    if given.command == "deploy":
        return deploy(
            console,
            account,
            Deployment(
                Path(given.template),
                Path(given.packaged),
                given.stack,
                given.bucket,
                given.aws,
                # Not as arguments: make and a shell would replace what has a dollar sign.
                assignments.parse("PARAMS", os.environ.get("DEPLOY_PARAMS", "")),
                assignments.parse("TAGS", os.environ.get("DEPLOY_TAGS", "")),
                given.protect == "yes",
            ),
        )
    if given.command == "destroy":
        return destroy(console, account, given.stack)
    stack = account.stack(given.stack)
    if given.command == "watch":
        return watch.follow(console, account, stack)
    _explain(console, account, stack)
    return True


def _explain(console: Console, account: Account, stack: Json) -> None:
    look = Observer(account, stack).look()
    if look is None:
        raise OperatorError(f"Nothing was requested of stack {stack['StackName']} yet.")
    if not look.request.has_ended and not look.request.failures():
        console.print(f"Nothing has failed yet: {watch.summary(look)}.", soft_wrap=True)
        return
    report.show(console, look)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
