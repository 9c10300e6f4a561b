"""Runs the fake command that the first argument names; command.sh starts it."""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from typing import Any

# Commands whose module has another name.
MODULES = {
    "configure": "configure_sdk3",
    "configure-jce": "configure_cli",
    "configure-openssl-provider": "configure_cli",
    "configure-pkcs11": "configure_cli",
}


def main(name: str, arguments: list[str]) -> int:
    """Run a fake command; its exit code."""
    fault = _fault(name, arguments)
    if fault and not fault.get("kill"):
        print(fault.get("stdout", ""), end="")
        print(fault.get("stderr", ""), end="", file=sys.stderr)
        return int(fault.get("exit", 1))
    module = MODULES.get(name, name.replace("-", "_"))
    code = int(importlib.import_module(f"fake_bin.{module}").main(arguments))
    if fault:
        # The script's whole process group.
        os.kill(0, signal.SIGKILL)
    return code


def _fault(name: str, arguments: list[str]) -> Any:
    """The fault that is injected into this command, if any."""
    if not os.environ.get("LOCALAWS_FAULTS"):
        return None
    command, document = " ".join([name, *arguments]), os.environ.get("LOCALAWS_DOCUMENT", "")
    request = json.dumps({"command": command, "document": document})
    sockets = importlib.import_module("fake_bin.sockets")  # slow
    return json.loads(sockets.send("commands", "POST", "/command", request)[1])["fault"]


if __name__ == "__main__":
    # fake_bin is a package of its own here: nothing else of this repository is in the sandbox.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # The packages jq and botocore; the standard library comes first.
    sys.path.append(os.environ["LOCALAWS_SITE_PACKAGES"])
    sys.exit(main(sys.argv[1], sys.argv[2:]))
