"""Describes in Markdown how a stack update handles a new value of each parameter.

Rejected and in-place changes follow from the functions' constants, replaced resources from
CloudFormation's schemas, and ServiceToken changes from the template. EFFECTS states the rest.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from scripts.markdown import section, table
from scripts.templates import Template, references

PROPERTIES = Path("functions") / "hsm_lifecycle" / "properties.py"
# The schemas of the resource types in use are the same in every Region.
REGION = "us-east-1"

_NAMING = (
    "Rejected by CloudFormation, because the Lambda functions are named after it. It replaces other"
    " resources first and then rolls back."
)
_FIXED = "Rejected: AWS cannot change it. Create a new stack, from a backup to retain the keys."
_MODIFIED = "Changed in place."
# By template: what the workflows do, and details to add to the derived effects.
EFFECTS: dict[str, dict[str, str]] = {
    "cloudhsm.yml": {
        "pHsmsPerSubnet": "Adds or removes HSMs. While the cluster waits for certificates, applies"
        " after activation.",
        "pHsmType": "AWS takes about half an hour per HSM, and CloudFormation times out after one"
        " hour. A longer change continues after the update, as `oWarnings` says.",
        "pBackupCaCertSecretName": "No effect: read only at creation.",
        "pBackupAdminPasswordSecretName": "No effect: read only at creation.",
        "pUseExternalPkiProcess": "No effect, unless the cluster still waits for certificates:"
        " `false` then issues them.",
        "pExternallyProvidedCertsReady": "`true` checks the certificates, initializes and activates"
        " the cluster and adds HSMs. No effect on an active cluster.",
        "pHsmIdentity": "Applies until the cluster is initialized; verifies the HSM again.",
        "pManufacturerRootSpki": "Same as `pHsmIdentity`.",
        "pClientVpcId": "Requires a `pClientSubnet` in the new VPC.",
        "pClientType": "Restarts the client with the new instance type.",
        "pClientPkg": "Replaces the package on the client and configures it.",
        "pClientPkgUrl": "Installs that package after verifying its checksum.",
        "pClientPkgSha256": "Same as `pClientPkgUrl`.",
        "pCloudHsmIamScope": "Changes permissions only.",
        "pReconcile": "Compares cluster, HSMs, client and tags with the stack and repairs drift.",
    },
    "cloudhsm-key-store.yml": {
        "pKeyStoreName": "Renames the key store.",
        "pExistingKeyStoreId": "Rejected, unless empty or this stack's key store: read only at"
        " creation.",
        "pDeleteKeyStoreUponStackDeletion": "Applies when the stack is deleted.",
        "pCloudHsmClusterId": "Moves the key store to that cluster, which must have the same"
        " certificate.",
        "pCloudHsmAdminPasswordSecretName": "Its existence is checked at once; the"
        " password is used by the next repair or move.",
        "pCloudHsmCustCaCertSecretName": "Checked at once; installed the next time the"
        " client is configured.",
        "pClientInstanceId": "Checked at once; used for all later commands.",
        "pReconcile": "Reconnects a key store that is FAILED or DISCONNECTED.",
    },
}


def updates(templates: dict[str, Template], source: str) -> str:
    """A table for each template: each parameter and the effect of a new value."""
    return "\n\n".join(
        section(
            name,
            table(
                ("Parameter", "Effect of a new value"),
                (
                    (f"`{parameter}`", effect)
                    for parameter, effect in effects(template, source, EFFECTS[name]).items()
                ),
            ),
        )
        for name, template in templates.items()
    )


def effects(template: Template, source: str, stated: dict[str, str]) -> dict[str, str]:
    """The effect of a new value of each parameter. Raises ValueError if one has none."""
    found: dict[str, list[str]] = {name: [] for name in template["Parameters"]}
    for parameters, effect in (
        (_in_service_token(template), _NAMING),
        (constant(source, "FIXED"), _FIXED),
        (constant(source, "MODIFIABLE"), _MODIFIED),
    ):
        for name in set(parameters) & set(found):
            found[name].append(effect)
    for resource, parameters in _replaced(template):
        for name in sorted(parameters & set(found)):
            found[name].append(f"Replaces `{resource}`.")
    for name, effect in stated.items():
        found[name].append(effect)
    unknown = [name for name, sentences in found.items() if not sentences]
    if unknown:
        raise ValueError(f"no known effect of an update of {', '.join(unknown)}: see EFFECTS")
    return {name: " ".join(sentences) for name, sentences in found.items()}


def constant(source: str, name: str) -> tuple[str, ...]:
    """The value of a constant in Python source. Raises ValueError if it is missing."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            return tuple(ast.literal_eval(node.value))
    raise ValueError(f"{name} is not defined")


def _in_service_token(template: Template) -> set[str]:
    """The parameters in the function name that is a custom resource's ServiceToken."""
    resources, found = template["Resources"], set()
    for resource in resources.values():
        token = resource.get("Properties", {}).get("ServiceToken")
        if token:
            found |= references(resources[token["Fn::GetAtt"][0]]["Properties"]["FunctionName"])
    return found


def _replaced(template: Template) -> Iterator[tuple[str, set[str]]]:
    """Each EC2 resource, with the parameters whose change replaces it."""
    for logical_id, resource in template["Resources"].items():
        if resource["Type"].startswith("AWS::EC2::"):
            schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, resource["Type"]).schema
            fixed = {path.rpartition("/")[2] for path in schema["createOnlyProperties"]}
            given = {key: value for key, value in resource["Properties"].items() if key in fixed}
            yield logical_id, references(given) - _in_service_token(template)
