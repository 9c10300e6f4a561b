"""Runs the fake command that the first argument names; command.sh starts it."""

from __future__ import annotations

import importlib
import os
import sys

# Commands whose module has another name.
MODULES = {"configure": "configure_sdk3"}


def main(name: str, arguments: list[str]) -> int:
    """Run a fake command; its exit code."""
    module = MODULES.get(name, name.replace("-", "_"))
    return int(importlib.import_module(f"fake_bin.{module}").main(arguments))


if __name__ == "__main__":
    # fake_bin is a package of its own here: nothing else of this repository is in the sandbox.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # The packages jq and botocore; the standard library comes first.
    sys.path.append(os.environ["LOCALAWS_SITE_PACKAGES"])
    sys.exit(main(sys.argv[1], sys.argv[2:]))
