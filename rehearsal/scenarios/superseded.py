"""One request overtakes another: CloudFormation loses patience, or the stack is deleted meanwhile."""

from __future__ import annotations
