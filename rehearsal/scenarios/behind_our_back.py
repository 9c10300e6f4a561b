"""Somebody, or AWS, changes things behind the stack's back; pReconcile repairs or says what."""

from __future__ import annotations
