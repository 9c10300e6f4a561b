"""A function imports, and creates, only what it needs: that is what its cold start takes."""

from __future__ import annotations

import functools
import json
import os
import subprocess  # nosec B404 # runs this Python
import sys

from hsm_lifecycle import handlers
from tests.support.calls import WORKERS, steps
from tests.templates.template import ROOT

# Prints the modules that are loaded once Lambda has looked up the handler. No client is created.
PROGRAM = """
import json, sys
import botocore.session
def refuse(*_, **__):
    raise AssertionError("a client is created")
botocore.session.Session.create_client = refuse
import hsm_lifecycle.handlers
getattr(hsm_lifecycle.handlers, sys.argv[1])
print(json.dumps([*sys.modules]))
"""
# What takes long to import, and the handlers that need it at once.
USERS = {
    "boto3": {"response"},  # imported by crhelper
    "crhelper": {"response"},
    "cryptography": {"certificate", "request", "response"},
}
# Steps that handlers need beyond their own: the request function cancels commands on the client.
SHARED = {"request": {"hsm_lifecycle.steps.client"}}


@functools.cache
def modules_of(handler: str) -> frozenset[str]:
    done = subprocess.run(  # nosec B603 # without a shell
        [sys.executable, "-c", PROGRAM, handler],
        env={**os.environ, "PYTHONPATH": str(ROOT / "functions")},
        text=True,
        capture_output=True,
    )
    assert not done.returncode, done.stderr
    return frozenset(json.loads(done.stdout))


def test_handlers_import_only_what_they_need() -> None:
    imported = {handler: modules_of(handler) for handler in handlers.NAMES}
    users = {
        module: {handler for handler, modules in imported.items() if module in modules}
        for module in USERS
    }
    assert users == USERS


def test_handlers_import_only_their_own_steps() -> None:
    own = {
        name: {step.__module__ for step in steps(worker).values()}
        for name, worker in WORKERS.items()
    }
    all_steps = set().union(*own.values())
    imported = {handler: modules_of(handler) & all_steps for handler in handlers.NAMES}
    assert imported == {
        handler: own.get(handler, set()) | SHARED.get(handler, set()) for handler in handlers.NAMES
    }
