"""Which services the instance reaches: everything, or what its VPC's endpoints serve (F6.27)."""

from __future__ import annotations

import os


def reaches(service: str, region: str = "") -> bool:
    """Whether a request to a service gets there; an endpoint serves its own Region only."""
    reached = os.environ.get("LOCALAWS_REACHED", "everything").split()
    if "everything" in reached:
        return True
    return service in reached and region in ("", os.environ.get("AWS_REGION"))
