"""cloudhsm-cli interactive (F3.32): commands from a terminal, with one login for all of them."""

from __future__ import annotations

import argparse
import getpass
import os
import shlex
import sys
from collections.abc import Callable


class NoTerminalError(Exception):
    """There is no terminal to ask for a password."""


PROMPT = "aws-cloudhsm > "
Login = dict[str, str]


def ask_password(*, twice: bool) -> str:
    """A password from the terminal, never from standard input (F3.17); or NoTerminalError.

    The prompts are those of the User Guide's examples.
    """
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError as error:
        raise NoTerminalError from error
    password = getpass.getpass("Enter password: ")
    if twice and getpass.getpass("Confirm password: ") != password:
        raise ValueError("The passwords do not match")
    return password


def interact(run: Callable[[list[str], Login], Login]) -> int:
    """Run commands until `quit`; each returns the login for the next one."""
    login: Login = {}
    if not sys.stdin.isatty():
        print("cloudhsm-cli: interactive mode needs a terminal here", file=sys.stderr)
        return 2
    while True:
        try:
            words = shlex.split(input(PROMPT))
            if words == ["quit"]:
                return 0
            if words:
                login = run(words, login)
        except EOFError:
            return 0
        except (ValueError, argparse.ArgumentError) as error:
            print(f"error: {error}", file=sys.stderr)
        except SystemExit:  # argparse has reported a command that it does not know
            continue
