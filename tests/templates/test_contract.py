"""What people have in their deployment commands, parameter files and runbooks, and so must stay.

A new parameter, output or default is a decision: it is written down here as well.
"""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import pytest

from hsm_lifecycle.steps import secrets as secret_store
from tests.templates.template import TEMPLATES, Template

BOOLEAN = ["true", "false"]
SECRET = {"Type": "String", "AllowedPattern": "^[A-Za-z0-9/_+=.@-]{1,512}$"}
SECRET_OR_NONE = {
    "Type": "String",
    "Default": "",
    "AllowedPattern": "^$|^[A-Za-z0-9/_+=.@-]{1,512}$",
}

# Each parameter with what constrains it; its Description and ConstraintDescription may be reworded.
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
        "pClientVpcId": {"Type": "AWS::EC2::VPC::Id"},
        "pClientSubnet": {"Type": "AWS::EC2::Subnet::Id"},
        "pClientType": {"Type": "String", "Default": "t3a.small"},
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
            "AllowedPattern": r"^$|^https://[A-Za-z0-9._~/%+-]+\.rpm$",
        },
        "pClientPkgSha256": {
            "Type": "String",
            "Default": "",
            "AllowedPattern": "^$|^[0-9a-f]{64}$",
        },
        "pReconcile": {"Type": "String", "Default": ""},
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
        "pReconcile": {"Type": "String", "Default": ""},
    },
}

CUSTOM_RESOURCES = {
    "cloudhsm.yml": ("rCloudHsmCluster", "Custom::CloudHsmCluster"),
    "cloudhsm-key-store.yml": ("rCloudHsmKeyStore", "Custom::CloudHsmKeyStore"),
}

# Each output with the attribute or resource that it shows.
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
        "oNextStep": {"Fn::GetAtt": ["rCloudHsmCluster", "NextStep"]},
        "oWarnings": {"Fn::GetAtt": ["rCloudHsmCluster", "Warnings"]},
    },
    "cloudhsm-key-store.yml": {
        "oCloudHsmKeyStoreId": {"Fn::GetAtt": ["rCloudHsmKeyStore", "KeyStoreId"]},
        "oKeyStoreState": {"Fn::GetAtt": ["rCloudHsmKeyStore", "State"]},
        "oWarnings": {"Fn::GetAtt": ["rCloudHsmKeyStore", "Warnings"]},
    },
}

_WORDS = ("Description", "ConstraintDescription")


def test_every_template_has_a_contract() -> None:
    names = {template.name for template in TEMPLATES}
    assert names == set(PARAMETERS) == set(CUSTOM_RESOURCES) == set(OUTPUTS)


@pytest.mark.parametrize("template", TEMPLATES, ids=repr)
def test_parameters_keep_their_names_and_their_order(template: Template) -> None:
    assert list(template.parameters) == list(PARAMETERS[template.name])


@pytest.mark.parametrize(
    ("template", "parameter"),
    [(template, name) for template in TEMPLATES for name in PARAMETERS.get(template.name, {})],
    ids=str,
)
def test_a_parameter_keeps_its_type_its_default_and_its_limits(
    template: Template, parameter: str
) -> None:
    written = template.parameters[parameter]
    assert {k: v for k, v in written.items() if k not in _WORDS} == PARAMETERS[template.name][
        parameter
    ]


@pytest.mark.parametrize("template", TEMPLATES, ids=repr)
def test_the_custom_resource_keeps_its_name_and_its_type(template: Template) -> None:
    logical_id, kind = CUSTOM_RESOURCES[template.name]
    assert template.custom_resource == logical_id
    assert template.resources[logical_id]["Type"] == kind


@pytest.mark.parametrize("template", TEMPLATES, ids=repr)
def test_the_token_of_the_custom_resource_is_the_front_door(template: Template) -> None:
    # CloudFormation refuses to change it (F6.11), so it is part of the contract as well.
    token = template.resources[template.custom_resource]["Properties"]["ServiceToken"]
    assert token == {"Fn::GetAtt": ["rRequestFunction", "Arn"]}


@pytest.mark.parametrize("template", TEMPLATES, ids=repr)
def test_outputs_keep_their_names_and_what_they_show(template: Template) -> None:
    shown = {name: output["Value"] for name, output in template.outputs.items()}
    assert shown == OUTPUTS[template.name]


def test_secrets_keep_their_paths() -> None:
    # So the reference's backups can be restored by us: their secrets are found under these names.
    names = secret_store.names("cloudhsm", "cluster-2example3id")
    assert astuple(names) == (
        "/cloudhsm/cluster-2example3id/cluster-csr",
        "/cloudhsm/cluster-2example3id/cluster-cert",
        "/cloudhsm/cluster-2example3id/customer-ca-cert",
        "/cloudhsm/cluster-2example3id/initial-crypto-officer-password",
    )
