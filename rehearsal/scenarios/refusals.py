"""Refused by the parameter's name, before anything is touched."""

from __future__ import annotations
