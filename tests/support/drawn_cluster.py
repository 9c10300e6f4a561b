"""A cluster as DescribeClusters returns it, drawn as "zone:states zone:states".

"a:AC b:" has an ACTIVE and a CREATE_IN_PROGRESS HSM in zone-a and none in zone-b.
"""

from __future__ import annotations

from typing import Any

CLUSTER_ID = "cluster-bbbbbbbbbbb"
STATES = {
    "A": "ACTIVE",
    "C": "CREATE_IN_PROGRESS",
    "D": "DEGRADED",
    "G": "DELETE_IN_PROGRESS",
    "X": "DELETED",
}


def drawn_cluster(drawn: str, state: str = "ACTIVE") -> dict[str, Any]:
    """The cluster; a lower-case letter is an HSM without a network interface."""
    hsms, mapping = [], {}
    for zone, letters in (part.split(":") for part in drawn.split()):
        mapping[f"zone-{zone}"] = f"subnet-{zone}"
        for number, letter in enumerate(letters, 1):
            hsm = {
                "HsmId": f"hsm-{zone}{number}",
                "EniId": f"eni-{zone}{number}",
                "EniIp": f"10.0.{ord(zone)}.{number}",
                "AvailabilityZone": f"zone-{zone}",
                "State": STATES[letter.upper()],
            }
            if letter.islower():
                del hsm["EniId"], hsm["EniIp"]
            hsms.append(hsm)
    return {"ClusterId": CLUSTER_ID, "State": state, "SubnetMapping": mapping, "Hsms": hsms}
