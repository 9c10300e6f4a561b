"""Describes in Markdown what an update does that gives a parameter another value.

What is refused and what is changed in place is read from the workers, what CloudFormation refuses
from the template, what replaces the client from CloudFormation's schemas. The rest is said here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from scripts.templates import Template

PROPERTIES = Path("functions") / "hsm_lifecycle" / "properties.py"
# Where the schemas are asked for; they are the same everywhere, of what the templates use.
REGION = "us-east-1"

_NAMED = "Refused by CloudFormation, because the functions are named after it."
_FIXED = (
    "Refused, because AWS cannot change it. Create a new stack, from a backup to keep the keys."
)
_MODIFIED = "Changed in place."
# By template: what the workflows do, or what is to be said beside what follows from the code.
SAID: dict[str, dict[str, str]] = {
    "cloudhsm.yml": {
        "pHsmsPerSubnet": "HSMs are added or removed; if the cluster waits for its certificates,"
        " once they are there.",
        "pHsmType": "AWS takes half an hour for each HSM and CloudFormation waits for one hour; a"
        " longer change goes on without it, and the same update passes when it is over.",
        "pBackupCaCertSecretName": "Nothing: it is read at creation only.",
        "pBackupAdminPasswordSecretName": "Nothing: it is read at creation only.",
        "pUseExternalPkiProcess": "Nothing, unless the cluster still waits for its certificates:"
        " then `false` issues them.",
        "pExternallyProvidedCertsReady": "`true`: the certificates are checked, and the cluster is"
        " initialized, activated and filled. Nothing, if it is.",
        "pClientVpcId": "Goes with another `pClientSubnet`.",
        "pClientType": "The client is restarted as another type.",
        "pClientPkg": "The package on the client is exchanged, and configured.",
        "pClientPkgUrl": "That package is installed instead, if its checksum is right.",
        "pClientPkgSha256": "As with `pClientPkgUrl`.",
        "pReconcile": "Cluster, HSMs, client and tags are compared with the stack, and repaired.",
    },
    "cloudhsm-key-store.yml": {
        "pKeyStoreName": "Renamed.",
        "pDeleteKeyStoreUponStackDeletion": "Remembered.",
        "pCloudHsmClusterId": "Moved to that cluster, if it holds the same certificate.",
        "pCloudHsmAdminPasswordSecretName": "Read when `kmsuser` is needed the next time.",
        "pCloudHsmCustCaCertSecretName": "Read when the client is configured the next time.",
        "pClientInstanceId": "Used from then on.",
        "pReconcile": "A store found FAILED or DISCONNECTED is connected again.",
    },
}


def changes(found: dict[str, Template], source: str) -> str:
    """A table for each template: each parameter, and what an update of it does."""
    return "\n\n".join(
        "\n".join(
            [
                f"**templates/{name}**",
                "",
                "| Parameter | An update that gives it another value |",
                "| --- | --- |",
                *(
                    f"| `{parameter}` | {effect} |"
                    for parameter, effect in effects(template, source, SAID[name]).items()
                ),
            ]
        )
        for name, template in found.items()
    )


def effects(template: Template, source: str, said: dict[str, str]) -> dict[str, str]:
    """What an update of each parameter does; raises ValueError if nobody knows it of one."""
    known: dict[str, list[str]] = {name: [] for name in template["Parameters"]}
    for parameters, effect in (
        (_named_after(template), _NAMED),
        (constant(source, "FIXED"), _FIXED),
        (constant(source, "MODIFIABLE"), _MODIFIED),
    ):
        for name in set(parameters) & set(known):
            known[name].append(effect)
    for resource, parameters in _replaced(template):
        for name in sorted(parameters & set(known)):
            known[name].append(f"`{resource}` is replaced.")
    for name, sentence in said.items():
        known[name].append(sentence)
    unknown = [name for name, sentences in known.items() if not sentences]
    if unknown:
        raise ValueError(f"what does an update of {', '.join(unknown)} do?")
    return {name: " ".join(sentences) for name, sentences in known.items()}


def constant(source: str, name: str) -> tuple[str, ...]:
    """The value of a constant in this Python source."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            return tuple(ast.literal_eval(node.value))
    raise ValueError(f"there is no {name}")


def _named_after(template: Template) -> set[str]:
    """The parameters in the name of a function that a custom resource's ServiceToken is."""
    resources, found = template["Resources"], set()
    for resource in resources.values():
        token = resource.get("Properties", {}).get("ServiceToken")
        if token:
            found |= _parameters(resources[token["Fn::GetAtt"][0]]["Properties"]["FunctionName"])
    return found


def _replaced(template: Template) -> Iterator[tuple[str, set[str]]]:
    """Each resource of EC2, and the parameters in what cannot change without replacing it."""
    for logical_id, resource in template["Resources"].items():
        if resource["Type"].startswith("AWS::EC2::"):
            schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, resource["Type"]).schema
            fixed = {path.rpartition("/")[2] for path in schema["createOnlyProperties"]}
            given = {key: value for key, value in resource["Properties"].items() if key in fixed}
            # Those in its name do not change at all.
            yield logical_id, _parameters(given) - _named_after(template)


def _parameters(value: Any) -> set[str]:
    """Every name that a value of a template refers to."""
    if isinstance(value, dict):
        if "Ref" in value:
            return {value["Ref"]}
        return set().union(*map(_parameters, value.values()))
    if isinstance(value, list):
        return set().union(*map(_parameters, value))
    return set(re.findall(r"\$\{(\w+)\}", value)) if isinstance(value, str) else set()
