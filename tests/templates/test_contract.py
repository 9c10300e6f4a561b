"""The public interface of each template: parameters, custom resource, outputs and secret names.

Deployment commands, parameter files and runbooks depend on it. A change here is a release decision.
"""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import pytest

from hsm_lifecycle import secret_store
from tests.templates.template import TEMPLATES

BOOLEAN = ["true", "false"]
SECRET = {"Type": "String", "AllowedPattern": "^[A-Za-z0-9/_+=.@-]{1,512}$"}
SECRET_OR_NONE = {
    "Type": "String",
    "Default": "",
    "AllowedPattern": "^$|^[A-Za-z0-9/_+=.@-]{1,512}$",
}

# The attributes of each parameter except its Description and ConstraintDescription.
PARAMETERS: dict[str, dict[str, dict[str, Any]]] = {
    "cloudhsm.yml": {
        "pSystem": {
            "Type": "String",
            "Default": "cloudhsm",
            "AllowedPattern": "^[a-z][a-z0-9-]{0,19}$",
        },
        "pEnvPurpose": {"Type": "String", "Default": "1", "AllowedPattern": "^[a-z0-9-]{1,12}$"},
        "pSubnets": {"Type": "List<AWS::EC2::Subnet::Id>"},
        "pHsmsPerSubnet": {"Type": "Number", "Default": 1, "MinValue": 0, "MaxValue": 28},
        "pHsmType": {
            "Type": "String",
            "Default": "hsm2m.medium",
            "AllowedPattern": r"^p?hsm[0-9][a-z.]*\.[a-zA-Z]+$",
        },
        "pMode": {"Type": "String", "Default": "FIPS", "AllowedValues": ["FIPS", "NON_FIPS"]},
        "pNetworkType": {
            "Type": "String",
            "Default": "IPV4",
            "AllowedValues": ["IPV4", "DUALSTACK"],
        },
        "pBackupRetentionDays": {"Type": "Number", "Default": 90, "MinValue": 7, "MaxValue": 379},
        "pBackupId": {
            "Type": "String",
            "Default": "",
            "AllowedPattern": (
                "^$|^(arn:aws(-us-gov)?:cloudhsm:[a-z0-9-]+:[0-9]{12}:backup/)?"
                "backup-[2-7a-zA-Z]{11,16}$"
            ),
        },
        "pBackupCaCertSecretName": SECRET_OR_NONE,
        "pBackupAdminPasswordSecretName": SECRET_OR_NONE,
        "pUseExternalPkiProcess": {
            "Type": "String",
            "Default": "false",
            "AllowedValues": BOOLEAN,
        },
        "pExternallyProvidedCertsReady": {
            "Type": "String",
            "Default": "false",
            "AllowedValues": BOOLEAN,
        },
        "pHsmIdentity": {
            "Type": "String",
            "Default": "VERIFY",
            "AllowedValues": ["VERIFY", "REQUIRE"],
        },
        "pManufacturerRootSpki": {
            "Type": "String",
            "Default": "",
            "AllowedPattern": "^$|^M[A-Za-z0-9+/]{79,1599}={0,2}(,M[A-Za-z0-9+/]{79,1599}={0,2})*$",
        },
        "pClientVpcId": {"Type": "AWS::EC2::VPC::Id"},
        "pClientSubnet": {"Type": "AWS::EC2::Subnet::Id"},
        "pClientType": {
            "Type": "String",
            "Default": "t3a.small",
            "AllowedPattern": r"^[a-z][a-z0-9-]{0,19}\.[a-z0-9-]{1,20}$",
        },
        "pClientAmiSsmParameter": {
            "Type": "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>",
            "Default": "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
        },
        "pClientAmiId": {
            "Type": "String",
            "Default": "",
            "AllowedPattern": "^$|^ami-[0-9a-f]{8,17}$",
        },
        "pClientPkg": {
            "Type": "String",
            "Default": "cloudhsm-cli",
            "AllowedValues": ["cloudhsm-cli", "cloudhsm-client"],
        },
        "pClientPkgUrl": {
            "Type": "String",
            "Default": "",
            "AllowedPattern": r"^$|^(https://[A-Za-z0-9._~/%+-]+"
            r"|s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[A-Za-z0-9._~/+-]+)\.rpm$",
        },
        "pClientPkgSha256": {
            "Type": "String",
            "Default": "",
            "AllowedPattern": "^$|^[0-9a-f]{64}$",
        },
        "pCloudHsmIamScope": {"Type": "String", "Default": "TAG", "AllowedValues": ["TAG", "ANY"]},
        "pReconcile": {"Type": "String", "Default": "", "AllowedPattern": r"^[^{}]*$"},
    },
    "cloudhsm-key-store.yml": {
        "pSystem": {
            "Type": "String",
            "Default": "cloudhsm-ks",
            "AllowedPattern": "^[a-z][a-z0-9-]{0,19}$",
        },
        "pEnvPurpose": {"Type": "String", "Default": "1", "AllowedPattern": "^[a-z0-9-]{1,12}$"},
        "pKeyStoreName": {
            "Type": "String",
            "AllowedPattern": "^[A-Za-z0-9_-][A-Za-z0-9 _-]{0,254}[A-Za-z0-9_-]$",
        },
        "pExistingKeyStoreId": {
            "Type": "String",
            "Default": "",
            "AllowedPattern": "^$|^cks-[0-9a-f]{8,60}$",
        },
        "pDeleteKeyStoreUponStackDeletion": {
            "Type": "String",
            "Default": "false",
            "AllowedValues": BOOLEAN,
        },
        "pCloudHsmClusterId": {
            "Type": "String",
            "AllowedPattern": "^cluster-[2-7a-zA-Z]{11,16}$",
        },
        "pCloudHsmAdminPasswordSecretName": SECRET,
        "pCloudHsmCustCaCertSecretName": SECRET,
        "pClientInstanceId": {"Type": "AWS::EC2::Instance::Id"},
        "pReconcile": {"Type": "String", "Default": "", "AllowedPattern": r"^[^{}]*$"},
    },
}

CUSTOM_RESOURCES = {
    "cloudhsm.yml": ("rCloudHsmCluster", "Custom::CloudHsmCluster"),
    "cloudhsm-key-store.yml": ("rCloudHsmKeyStore", "Custom::CloudHsmKeyStore"),
}

# The value of each output.
OUTPUTS: dict[str, dict[str, Any]] = {
    "cloudhsm.yml": {
        "oClusterId": {"Fn::GetAtt": ["rCloudHsmCluster", "ClusterId"]},
        "oClusterState": {"Fn::GetAtt": ["rCloudHsmCluster", "State"]},
        "oClusterSecurityGroupId": {"Fn::GetAtt": ["rCloudHsmCluster", "SecurityGroupId"]},
        "oHsmIpAddresses": {"Fn::GetAtt": ["rCloudHsmCluster", "HsmIpAddresses"]},
        "oClientInstanceId": {"Ref": "rClientInstance"},
        "oAdminPasswordSecretName": {"Fn::GetAtt": ["rCloudHsmCluster", "AdminPasswordSecretName"]},
        "oCustomerCaCertSecretName": {
            "Fn::GetAtt": ["rCloudHsmCluster", "CustomerCaCertSecretName"]
        },
        "oCsrSecretName": {"Fn::GetAtt": ["rCloudHsmCluster", "CsrSecretName"]},
        "oHsmIdentity": {"Fn::GetAtt": ["rCloudHsmCluster", "HsmIdentity"]},
        "oNextStep": {"Fn::GetAtt": ["rCloudHsmCluster", "NextStep"]},
        "oWarnings": {"Fn::GetAtt": ["rCloudHsmCluster", "Warnings"]},
        "oTemplateVersion": {"Fn::GetAtt": ["rCloudHsmCluster", "TemplateVersion"]},
    },
    "cloudhsm-key-store.yml": {
        "oCloudHsmKeyStoreId": {"Fn::GetAtt": ["rCloudHsmKeyStore", "KeyStoreId"]},
        "oKeyStoreState": {"Fn::GetAtt": ["rCloudHsmKeyStore", "State"]},
        "oWarnings": {"Fn::GetAtt": ["rCloudHsmKeyStore", "Warnings"]},
        "oTemplateVersion": {"Fn::GetAtt": ["rCloudHsmKeyStore", "TemplateVersion"]},
    },
}

_TEXTS = ("Description", "ConstraintDescription")


def test_every_template_has_a_contract() -> None:
    names = {template.name for template in TEMPLATES}
    assert names == set(PARAMETERS) == set(CUSTOM_RESOURCES) == set(OUTPUTS)


def test_parameters_match_the_contract_in_name_and_order() -> None:
    found = {template.name: list(template.parameters) for template in TEMPLATES}
    assert found == {name: list(parameters) for name, parameters in PARAMETERS.items()}


def test_parameters_match_the_contract_in_type_default_and_constraints() -> None:
    found = {
        template.name: {
            name: {key: value for key, value in parameter.items() if key not in _TEXTS}
            for name, parameter in template.parameters.items()
        }
        for template in TEMPLATES
    }
    assert found == PARAMETERS


def holds(condition: Any, values: dict[str, Any]) -> bool:
    """The value of a condition of Rules; `values` has the parameters."""
    ((function, arguments),) = condition.items()
    if function == "Fn::Not":
        return not holds(arguments[0], values)
    assert function == "Fn::Equals"
    left, right = (values[one["Ref"]] if isinstance(one, dict) else one for one in arguments)
    return bool(left == right)


PKI = {"pUseExternalPkiProcess": "true"}
READY = {"pExternallyProvidedCertsReady": "true"}
BACKUP = {"pBackupId": "backup-222222222222"}
SDK3 = {"pClientPkg": "cloudhsm-client"}
HSM1 = {"pHsmType": "hsm1.medium"}
URL = {"pClientPkgUrl": "https://example.com/client.rpm"}
SHA256 = {"pClientPkgSha256": "0" * 64}


@pytest.mark.parametrize(
    ("parameters", "failed"),
    [
        ({}, []),
        (PKI | READY, []),
        (READY, ["CertificatesReadyRequiresExternalPki"]),
        (BACKUP, []),
        (BACKUP | PKI, ["BackupExcludesExternalPki"]),
        (SDK3 | HSM1 | URL | SHA256, []),
        (SDK3 | HSM1, ["ClientSdk3RequiresHsm1AndUrl"]),
        (SDK3 | URL | SHA256, ["ClientSdk3RequiresHsm1AndUrl"]),
        (URL | SHA256, []),
        (URL, ["PackageUrlRequiresSha256"]),
        (SHA256, ["PackageSha256RequiresUrl"]),
    ],
)
def test_rules_reject_parameters_that_exclude_each_other(
    parameters: dict[str, str], failed: list[str]
) -> None:
    (template,) = (one for one in TEMPLATES if one.name == "cloudhsm.yml")
    defaults = {name: one.get("Default") for name, one in template.parameters.items()}
    values = {**defaults, **parameters}
    assert [
        rule
        for rule, body in template.body["Rules"].items()
        if holds(body["RuleCondition"], values)
        for assertion in body["Assertions"]
        if not holds(assertion["Assert"], values)
    ] == failed


def test_the_custom_resource_matches_the_contract_in_name_and_type() -> None:
    found = {
        template.name: (
            template.custom_resource,
            template.resources[template.custom_resource]["Type"],
        )
        for template in TEMPLATES
    }
    assert found == CUSTOM_RESOURCES


def test_the_service_token_is_the_request_function() -> None:
    # CloudFormation rejects a changed ServiceToken (F6.11), so it is part of the contract.
    tokens = [
        template.resources[template.custom_resource]["Properties"]["ServiceToken"]
        for template in TEMPLATES
    ]
    assert tokens == [{"Fn::GetAtt": ["rRequestFunction", "Arn"]}] * len(TEMPLATES)


def test_outputs_match_the_contract_in_name_and_value() -> None:
    found = {
        template.name: {name: output["Value"] for name, output in template.outputs.items()}
        for template in TEMPLATES
    }
    assert found == OUTPUTS


def test_secret_names_match_those_of_the_reference_template() -> None:
    # Stacks restore backups of the reference template's clusters by finding these secrets.
    names = secret_store.names("cloudhsm", "cluster-2example3id")
    assert astuple(names) == (
        "/cloudhsm/cluster-2example3id/cluster-csr",
        "/cloudhsm/cluster-2example3id/cluster-cert",
        "/cloudhsm/cluster-2example3id/customer-ca-cert",
        "/cloudhsm/cluster-2example3id/initial-crypto-officer-password",
    )
