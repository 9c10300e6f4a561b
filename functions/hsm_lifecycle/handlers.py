"""Every Lambda entry point, imported when Lambda looks it up.

A function imports its own handler only: Lambda keeps no byte code of what is in the zip, so that
imports are most of a cold start (docs/benchmarks.md).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

Handler = Callable[[Any, Any], Any]

_PLACES = {
    "certificate": ("workers.certificate", "handle"),
    "client": ("workers.client", "handle"),
    "cluster": ("workers.cluster", "handle"),
    "key_store": ("workers.key_store", "handle"),
    "request": ("custom_resource.request", "take"),
    "response": ("custom_resource.response", "respond"),
}
NAMES = (*_PLACES,)


def __getattr__(name: str) -> Handler:
    """The handler of that name. https://docs.python.org/3/reference/datamodel.html#module.__getattr__"""
    if name not in _PLACES:
        raise AttributeError(f"There is no handler {name}.")
    module, attribute = _PLACES[name]
    found: Handler = getattr(importlib.import_module(f"hsm_lifecycle.{module}"), attribute)
    return found
