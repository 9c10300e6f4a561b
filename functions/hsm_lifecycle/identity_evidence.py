"""The evidence of a first HSM's identity, which AWS no longer returns after initialization.

In Parameter Store, below /<pSystem>/<cluster id>/hsm-identity: the verdict and, one in each
parameter, the certificates (docs/decisions/0023).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import aws, ownership, pem
from hsm_lifecycle.dispatch import Event

_VERDICT = "Verdict"


def path(system: str, cluster_id: str) -> str:
    """What the names of a cluster's parameters begin with."""
    return f"/{system}/{cluster_id}/hsm-identity"


def read(system: str, cluster_id: str) -> dict[str, Any] | None:
    """The verdict on a cluster, and what it is based on; None if there is none."""
    name = f"{path(system, cluster_id)}/{_VERDICT}"
    try:
        value = aws.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    except ClientError as error:
        if aws.error_code(error) != "ParameterNotFound":
            raise
        return None
    record: dict[str, Any] = json.loads(value)
    return record


def write(event: Event, record: Mapping[str, Any], certificates: Mapping[str, str]) -> None:
    """Store certificates and the verdict on them, which comes last and has their hashes.

    The same verdict on the same certificates keeps its time.
    """
    hashes = {name: pem.digest(text) for name, text in certificates.items()}
    record = {**record, "Certificates": hashes}
    present = read(event["System"], event["ClusterId"])
    if present and {**present, "Time": record["Time"]} == record:
        return
    for name, value in (*certificates.items(), (_VERDICT, json.dumps(record, sort_keys=True))):
        _put(event, name, value)


def adopt(event: Event, source: str) -> None:
    """Record that a restored cluster has no HSM to verify, and where its source's evidence is."""
    found = read(event["System"], source)
    evidence = path(event["System"], source) if found else "none was found"
    detail = f"restored from a backup of {source}, evidence of its first HSM: {evidence}"
    if found:
        detail += f" ({found['Verdict']})"
    record = {"Verdict": "RESTORED", "Detail": detail, "Time": ""}
    write(event, record, {})


def describe(system: str, cluster: Mapping[str, Any]) -> str:
    """The output about the identity of a cluster's first HSM."""
    record = read(system, cluster["ClusterId"])
    if record:
        location = path(system, cluster["ClusterId"])
        return f"{record['Verdict']}: {record['Detail']}. Evidence: {location}"
    if cluster["State"] == "UNINITIALIZED":
        return "NOT_VERIFIED: will be verified before initialization"
    if cluster.get("SourceBackupId"):
        return "NOT_VERIFIED: restored from a backup by an earlier version"
    return "NOT_VERIFIED: already initialized"


def delete(system: str, cluster_id: str) -> None:
    """Delete the evidence of a cluster; it may be incomplete or missing."""
    names = [f"{path(system, cluster_id)}/{name}" for name in (*pem.OF_FIRST_HSM, _VERDICT)]
    aws.client("ssm").delete_parameters(Names=names)


def _put(event: Event, name: str, value: str) -> None:
    """Set a parameter. It is free of charge, unless it exceeds the 4 KB of the standard tier."""
    parameter = {
        "Name": f"{path(event['System'], event['ClusterId'])}/{name}",
        "Description": "The identity of a CloudHSM cluster's first HSM.",
        "Type": "String",
        "Tier": "Intelligent-Tiering",
        "Value": value,
    }
    tags = ownership.tag_list({ownership.STACK_TAG: event["StackId"]})
    try:
        aws.client("ssm").put_parameter(**parameter, Tags=tags)
    except ClientError as error:
        if aws.error_code(error) != "ParameterAlreadyExists":
            raise
        aws.client("ssm").put_parameter(**parameter, Overwrite=True)
