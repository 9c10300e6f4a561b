"""HSMs that come up DEGRADED, fail later, or find no room in their zone."""

from __future__ import annotations
