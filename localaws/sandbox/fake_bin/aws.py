"""aws: the real AWS CLI, version 1."""

from __future__ import annotations

import importlib
import sys


def main(arguments: list[str]) -> int:
    """`aws SERVICE OPERATION [OPTION...]`."""
    sys.argv = ["aws", *arguments]
    return int(importlib.import_module("awscli.clidriver").main())
