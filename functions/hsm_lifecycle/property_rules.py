"""What the properties of both custom resources may be: the constraints of the parameters.

CloudFormation has checked them already. These refuse what it did not send, or sends although a
constraint was removed, before a workflow runs. tests/unit/test_property_rules.py compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from hsm_lifecycle.errors import ParameterError

CLUSTER, KEY_STORE = "rCloudHsmCluster", "rCloudHsmKeyStore"
# A pattern, a range of whole numbers, a list of what matches a pattern, or an object of rules.
Rule = Any

# Braces would be a dynamic reference, which shows a secret in the histories of executions.
_FREE_TEXT = re.compile(r"[^{}]*")
_SECRET = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")
_OPTIONAL_SECRET = re.compile(r"|[A-Za-z0-9/_+=.@-]{1,512}")
_BOOLEAN = re.compile(r"true|false")
_PACKAGE = {
    "Name": re.compile(r"cloudhsm-cli|cloudhsm-client"),
    "Url": re.compile(
        r"|(https://[A-Za-z0-9._~/%+-]+"
        r"|s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[A-Za-z0-9._~/+-]+)\.rpm"
    ),
    "Sha256": re.compile(r"|[0-9a-f]{64}"),
}
# In base64; a SubjectPublicKeyInfo begins with the byte 0x30.
_PUBLIC_KEY = "M[A-Za-z0-9+/]{79,1599}={0,2}"
_SUBNET = re.compile(r"subnet-[0-9a-f]{8,17}")
_INSTANCE = re.compile(r"i-[0-9a-f]{8,17}")
RULES: Mapping[str, Mapping[str, Rule]] = {
    CLUSTER: {
        "System": re.compile(r"[a-z][a-z0-9-]{0,19}"),
        "Subnets": [_SUBNET],
        "HsmsPerSubnet": range(29),
        "HsmType": re.compile(r"p?hsm[0-9][a-z.]*\.[a-zA-Z]+"),
        "Mode": re.compile(r"FIPS|NON_FIPS"),
        "NetworkType": re.compile(r"IPV4|DUALSTACK"),
        "BackupRetentionDays": range(7, 380),
        "BackupId": re.compile(
            r"|(arn:[a-z-]+:cloudhsm:[a-z0-9-]+:[0-9]{12}:backup/)?backup-[2-7a-zA-Z]{11,16}"
        ),
        "BackupCaCertSecretName": _OPTIONAL_SECRET,
        "BackupAdminPasswordSecretName": _OPTIONAL_SECRET,
        "UseExternalPkiProcess": _BOOLEAN,
        "ExternallyProvidedCertsReady": _BOOLEAN,
        "HsmIdentity": re.compile(r"VERIFY|REQUIRE"),
        "ManufacturerRootSpki": re.compile(rf"|{_PUBLIC_KEY}(,{_PUBLIC_KEY})*"),
        "Client": {
            "ImageId": re.compile(r"ami-[0-9a-f]{8,17}"),
            "InstanceType": re.compile(r"[a-z][a-z0-9-]{0,19}\.[a-z0-9-]{1,20}"),
            "SubnetId": _SUBNET,
        },
        "ClientSecurityGroupId": re.compile(r"sg-[0-9a-f]{8,17}"),
        "ActivationPackage": _PACKAGE,
        "ClientPackage": _PACKAGE,
        "Reconcile": _FREE_TEXT,
    },
    KEY_STORE: {
        "KeyStoreName": re.compile(r"[A-Za-z0-9_-][A-Za-z0-9 _-]{0,254}[A-Za-z0-9_-]"),
        "DeleteKeyStoreUponStackDeletion": _BOOLEAN,
        "ExistingKeyStoreId": re.compile(r"|cks-[0-9a-f]{8,60}"),
        "CloudHsmClusterId": re.compile(r"cluster-[2-7a-zA-Z]{11,16}"),
        "CloudHsmAdminPasswordSecretName": _SECRET,
        "CloudHsmCustCaCertSecretName": _SECRET,
        "PasswordSecretName": _SECRET,
        "ClientInstanceId": _INSTANCE,
        "Reconcile": _FREE_TEXT,
    },
}
# Properties that are not named after the parameter that sets them.
_PARAMETERS = {
    f"{package}{part}": f"pClientPkg{suffix}"
    for package in ("ActivationPackage", "ClientPackage")
    for part, suffix in (("", ""), (".Name", ""), (".Url", "Url"), (".Sha256", "Sha256"))
} | {
    "Client": "pClientAmiId",
    "Client.ImageId": "pClientAmiId",
    "Client.InstanceType": "pClientType",
    "Client.SubnetId": "pClientSubnet",
}
# Properties that no parameter sets, but a resource of the template.
WITHOUT_PARAMETER = {
    CLUSTER: ("ClientSecurityGroupId",),
    KEY_STORE: ("PasswordSecretName",),
}
# Properties that version 1.0.0 does not send.
_SINCE_1_1 = ("Client", "ExistingKeyStoreId", "HsmIdentity", "ManufacturerRootSpki")
_SEE = "see the parameter's description"
_MAX_SHOWN = 60  # characters of a refused value


def check(logical_id: str, properties: Mapping[str, Any], *, or_earlier: bool = False) -> None:
    """ParameterError: a property has a value that the template does not allow.

    Properties without a rule are those of another version of the template. With or_earlier, those
    of version 1.0.0 are allowed too, to which an update may be rolled back.
    """
    rules = RULES.get(logical_id)
    if rules is None:
        raise ParameterError(f"LogicalResourceId: {_shown(logical_id)} is none of this template.")
    if or_earlier and "ClientInstanceId" in properties:
        rules = {name: rule for name, rule in rules.items() if name not in _SINCE_1_1}
    for name, problem in _problems(rules, properties, ""):
        is_parameter = name not in WITHOUT_PARAMETER[logical_id]
        label = _PARAMETERS.get(name, f"p{name}") if is_parameter else name
        raise ParameterError(f"{label}: {problem}.")


def _problems(
    rules: Mapping[str, Rule], properties: Mapping[str, Any], prefix: str
) -> Iterator[tuple[str, str]]:
    """Each property that breaks its rule, and how."""
    for name, rule in rules.items():
        if name not in properties:
            yield (
                prefix + name,
                f"the property {prefix}{name} is missing; deploy the template as it is",
            )
        elif isinstance(rule, Mapping):
            value = properties[name]
            if isinstance(value, Mapping):
                yield from _problems(rule, value, f"{prefix}{name}.")
            else:
                yield prefix + name, f"{_shown(value)} is not an object"
        elif problem := _problem(rule, properties[name]):
            yield prefix + name, problem


def _problem(rule: Rule, value: Any) -> str:
    """How a value breaks a rule; empty if it does not."""
    if isinstance(rule, list):
        if not isinstance(value, list) or not value:
            return f"{_shown(value)} is not a list of texts; {_SEE}"
        return next(filter(None, (_problem(rule[0], each) for each in value)), "")
    if not isinstance(value, str):
        return f"{_shown(value)} is not a text; {_SEE}"
    if isinstance(rule, range):
        # Without leading zeros: the workflows compare texts.
        is_number = re.fullmatch(r"0|[1-9][0-9]{0,3}", value)
        if not is_number or int(value) not in rule:
            return f"{_shown(value)} is not a whole number from {rule[0]} to {rule[-1]}"
        return ""
    return "" if rule.fullmatch(value) else f"{_shown(value)} is not allowed; {_SEE}"


def _shown(value: Any) -> str:
    """A value for a message: short, in one line, without characters that hide others."""
    text = ascii(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
