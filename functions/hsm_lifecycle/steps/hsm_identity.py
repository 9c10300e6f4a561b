"""Steps: verify that the first HSM is genuine, while AWS still returns its certificates."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hsm_lifecycle import hsm_identity, identity_evidence, ownership, pem
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import HsmIdentityError
from hsm_lifecycle.properties import ClusterProperties
from hsm_lifecycle.steps import certificates


def verify_hsm_identity(event: Event) -> dict[str, Any]:
    """Verify the first HSM's certificates and keep them as evidence.

    VerifiedCsr: the hash of the request, the only one that may be signed; empty if the cluster is
    already initialized. HsmIdentityError: the HSM does not prove what pHsmIdentity requires.
    """
    cluster = ownership.require_owned(event)
    if cluster["State"] != "UNINITIALIZED":
        return {"VerifiedCsr": ""}
    wanted = ClusterProperties.parse(event["ResourceProperties"])
    csr = certificates.csr_of(cluster)
    shown = {name: cluster["Certificates"].get(name) for name in pem.OF_FIRST_HSM}
    presented = {name: text for name, text in shown.items() if text}
    roots = hsm_identity.pinned_roots(wanted.manufacturer_root_spki)
    finding = hsm_identity.verify(presented, roots, datetime.fromisoformat(event["EnteredTime"]))
    if wanted.hsm_identity == "REQUIRE" and finding.verdict != hsm_identity.VERIFIED:
        raise HsmIdentityError(
            f"pHsmIdentity=REQUIRE: the HSM is {finding.verdict}: {finding.detail}."
        )
    record = {
        "Verdict": finding.verdict,
        "Detail": finding.detail,
        "Keys": dict(finding.keys),
        "Time": event["EnteredTime"],
        "TemplateVersion": event["ResourceProperties"].get("TemplateVersion"),
    }
    identity_evidence.write({**event, "System": wanted.system}, record, presented)
    return {"VerifiedCsr": pem.digest(csr)}
