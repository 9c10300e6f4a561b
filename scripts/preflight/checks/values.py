"""The parameters' own constraints, the template's rules, and the workflow's of a new cluster."""

from __future__ import annotations

from collections.abc import Iterator

from hsm_lifecycle import creation_rules
from hsm_lifecycle.errors import ParameterError
from scripts.preflight.findings import Check, Finding
from scripts.preflight.subject import Subject

CHECK = Check("parameters")
# The last type of a retired HSM (F0.5).
_RETIRED = "hsm1.medium"


def new_cluster(subject: Subject) -> Iterator[Finding]:
    """Values that a cluster may have, but not a new one."""
    try:
        wanted = subject.cluster_properties
    except ParameterError as error:
        # Constraints that the template has too were checked.
        if not subject.has_broken_constraints:
            yield CHECK.error(str(error))
        return
    yield from map(CHECK.error, map(str, creation_rules.new_cluster(wanted)))
    yield from map(CHECK.error, map(str, creation_rules.repeated_subnets(wanted.subnets)))
    if wanted.hsm_type == _RETIRED:
        yield CHECK.error(
            f"pHsmType: AWS creates no clusters of type {_RETIRED} any more.",
            "Set pHsmType=hsm2m.medium.",
        )
