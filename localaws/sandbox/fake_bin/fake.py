"""Where command.sh enters: runs the fake command of the command named by the first argument."""

from __future__ import annotations

import gc
import importlib
import os
import sys

# Commands whose module is named otherwise.
MODULES = {"configure": "configure_sdk3", "yum": "dnf"}


def main(name: str, arguments: list[str]) -> int:
    """Run a command's fake command; its exit code."""
    module = MODULES.get(name, name.replace("-", "_"))
    return int(importlib.import_module(f"fake_bin.{module}").main(arguments))


if __name__ == "__main__":
    # It lives for a moment: the collector would only look at what has just been imported.
    gc.disable()
    # Found as a package of its own, so that no other module of the rehearsal is needed in the sandbox.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # The packages of this Python, for jq and aws; the standard library comes first.
    sys.path.append(os.environ["REHEARSAL_SITE_PACKAGES"])
    sys.exit(main(sys.argv[1], sys.argv[2:]))
