"""aws: the real AWS CLI, version 1."""

from __future__ import annotations

import functools
import importlib
from typing import Any


@functools.cache
def driver() -> Any:
    """What the CLI's own program runs; it takes long to make."""
    return importlib.import_module("awscli.clidriver").create_clidriver()


def main(arguments: list[str]) -> int:
    """`aws SERVICE OPERATION [OPTION...]`."""
    return int(driver().main(arguments))
