"""Wrong inputs, each with the answer of CloudFormation, of make deploy or of a workflow, verbatim.

IDs are replaced by labels in braces. `tests/unit/test_wrong_inputs.py` gets the
answers of make and the workflows, `tests/scenarios/test_bad_parameters.py` those of CloudFormation.
"""

from __future__ import annotations

from typing import NamedTuple

CLUSTER, KEY_STORE = "cloudhsm.yml", "cloudhsm-key-store.yml"


class Refused(NamedTuple):
    """What CloudFormation says to a stack with these parameters."""

    template: str
    parameters: dict[str, str]
    answer: str


def _must(template: str, name: str, value: str, must: str) -> Refused:
    return Refused(template, {name: value}, f"Parameter '{name}' must be {must}")


def _allowed(template: str, name: str, value: str, *values: str) -> Refused:
    return Refused(
        template,
        {name: value},
        f"Parameter '{name}' value '{value}' is not in AllowedValues: {[*values]}",
    )


REFUSED_BY_CLOUDFORMATION = [
    _must(
        CLUSTER,
        "pSystem",
        "CloudHSM",
        "1 to 20 lowercase letters, digits and hyphens, starting with a letter.",
    ),
    _must(CLUSTER, "pEnvPurpose", "Production", "1 to 12 lowercase letters, digits and hyphens."),
    _must(CLUSTER, "pHsmsPerSubnet", "29", "0 to 28."),
    _must(CLUSTER, "pHsmType", "hsm2m", "an HSM type such as hsm2m.medium."),
    _allowed(CLUSTER, "pMode", "fips", "FIPS", "NON_FIPS"),
    _allowed(CLUSTER, "pNetworkType", "IPV6", "IPV4", "DUALSTACK"),
    _must(CLUSTER, "pBackupRetentionDays", "6", "7 to 379."),
    _must(CLUSTER, "pBackupId", "backup", "the ID (backup-...) or ARN of a backup, or empty."),
    _must(
        CLUSTER, "pBackupCaCertSecretName", "my ca", "the name of a secret, not its ARN, or empty."
    ),
    _must(
        CLUSTER,
        "pBackupAdminPasswordSecretName",
        "my password",
        "the name of a secret, not its ARN, or empty.",
    ),
    _allowed(CLUSTER, "pUseExternalPkiProcess", "yes", "true", "false"),
    _allowed(CLUSTER, "pExternallyProvidedCertsReady", "yes", "true", "false"),
    _allowed(CLUSTER, "pHsmIdentity", "TRUST", "VERIFY", "REQUIRE"),
    _must(
        CLUSTER,
        "pManufacturerRootSpki",
        "MIIB",
        "public keys in base64, separated by commas, or empty.",
    ),
    _must(CLUSTER, "pClientType", "t3a", "an instance type such as t3a.small."),
    _must(CLUSTER, "pClientAmiId", "ami-latest", "the ID of an AMI (ami-...), or empty."),
    _allowed(CLUSTER, "pClientPkg", "cloudhsm", "cloudhsm-cli", "cloudhsm-client"),
    _must(
        CLUSTER,
        "pClientPkgUrl",
        "http://example.com/cli.rpm",
        "an https or s3 URL ending in .rpm, or empty.",
    ),
    _must(CLUSTER, "pClientPkgSha256", "ABCDEF", "64 lowercase hexadecimal digits, or empty."),
    _allowed(CLUSTER, "pCloudHsmIamScope", "ALL", "TAG", "ANY"),
    _must(CLUSTER, "pReconcile", "{{resolve:ssm:x}}", "any text without braces."),
    _must(
        KEY_STORE,
        "pSystem",
        "CloudHSM",
        "1 to 20 lowercase letters, digits and hyphens, starting with a letter.",
    ),
    _must(KEY_STORE, "pEnvPurpose", "Production", "1 to 12 lowercase letters, digits and hyphens."),
    _must(
        KEY_STORE,
        "pKeyStoreName",
        "k",
        "2 to 256 letters, digits, spaces, hyphens and underscores, no space at either end.",
    ),
    _must(KEY_STORE, "pExistingKeyStoreId", "keys", "empty or the ID of a key store (cks-...)."),
    _allowed(KEY_STORE, "pDeleteKeyStoreUponStackDeletion", "yes", "true", "false"),
    _must(
        KEY_STORE, "pCloudHsmClusterId", "my-cluster", "the ID of a CloudHSM cluster (cluster-...)."
    ),
    _must(
        KEY_STORE,
        "pCloudHsmAdminPasswordSecretName",
        "my admin",
        "the name of a secret, not its ARN.",
    ),
    _must(
        KEY_STORE, "pCloudHsmCustCaCertSecretName", "my ca", "the name of a secret, not its ARN."
    ),
    _must(KEY_STORE, "pReconcile", "{{resolve:ssm:x}}", "any text without braces."),
    Refused(
        CLUSTER,
        {"pExternallyProvidedCertsReady": "true"},
        "pExternallyProvidedCertsReady=true requires pUseExternalPkiProcess=true.",
    ),
    Refused(
        CLUSTER,
        {"pBackupId": "backup-aaaaaaaaaaa", "pUseExternalPkiProcess": "true"},
        "pBackupId requires pUseExternalPkiProcess=false; a restored cluster retains its"
        " certificate.",
    ),
    Refused(
        CLUSTER,
        {
            "pClientPkg": "cloudhsm-client",
            "pClientPkgUrl": "https://example.com/a.rpm",
            "pClientPkgSha256": "0" * 64,
        },
        "pClientPkg=cloudhsm-client (Client SDK 3) requires pHsmType=hsm1.medium.",
    ),
    Refused(
        CLUSTER,
        {"pClientPkg": "cloudhsm-client", "pHsmType": "hsm1.medium"},
        "pClientPkg=cloudhsm-client has no built-in URL; set pClientPkgUrl.",
    ),
    Refused(
        CLUSTER,
        {"pClientPkgUrl": "https://example.com/a.rpm"},
        "pClientPkgUrl requires pClientPkgSha256.",
    ),
    Refused(CLUSTER, {"pClientPkgSha256": "0" * 64}, "pClientPkgSha256 requires pClientPkgUrl."),
]

ANSWERS: dict[str, str] = {
    "a parameter is misspelled": (
        "PARAMS: the template has no parameter pHsmPerSubnet. Did you mean pHsmsPerSubnet?"
    ),
    "a parameter is unlike any other": (
        "PARAMS: the template has no parameter xyz. See docs/parameters.md."
    ),
    "required parameters are missing": (
        "PARAMS: a new stack requires pClientSubnet, pClientVpcId, pSubnets. Nothing was created."
    ),
    "a parameter is given twice": "PARAMS: pMode is given twice. Give it once.",
    "a value with spaces is not quoted": (
        "PARAMS: 'b' is not NAME=value. Quote a value with spaces: PARAMS=\"name='a b'\"."
    ),
    "a quotation is not closed": 'PARAMS: No closing quotation in "pReconcile=\'a b". Close it.',
    "a property is missing": (
        "pClientInstanceId: the property ClientInstanceId is missing; deploy the template as it is."
    ),
    "a property is a list": (
        "pKeyStoreName: ['keys'] is not a text; see the parameter's description."
    ),
    "a property is injected": (
        "pClientInstanceId: 'i-1; rm -rf /' is not allowed; see the parameter's description."
    ),
    "no HSMs": (
        "CheckCreation: pHsmsPerSubnet: a new cluster needs at least one HSM per subnet,"
        " because the first HSM issues its certificate signing request. Create it with 1, then"
        " update to 0."
    ),
    "too many HSMs": (
        "CheckCreation: pHsmsPerSubnet: 10 in each of 3 subnets exceeds the limit of 28 HSMs"
        " per cluster. Lower it."
    ),
    "a number is none": "CheckCreation: pHsmsPerSubnet: 'many' is not a whole number from 0 to 28.",
    "certificates before there is a CSR": (
        "CheckCreation: pExternallyProvidedCertsReady: a new cluster has no certificates yet."
        " Create it with false, sign the request in its secret cluster-csr, then update to"
        " true."
    ),
    "a subnet twice": "CheckCreation: pSubnets: {subnet} is listed twice. List it once.",
    "two subnets in a zone": (
        "CheckCreation: pSubnets: {subnet} and {twin} are both in us-east-1a. Choose one subnet"
        " per Availability Zone."
    ),
    "a backup that does not exist": (
        "CheckCreation: pBackupId: backup backup-aaaaaaaaaaa does not exist in this Region and"
        " account. For a backup shared by another account, give its ARN."
    ),
    "too many tags": (
        "Stack tags: the cluster would have 52 tags (0 added by this template); CloudHSM allows"
        " 50. Use at most 50 stack tags, and untag the cluster of others."
    ),
    "other subnets": (
        "pSubnets: the cluster has {subnet},{subnet},{subnet}, which AWS cannot change to"
        " {subnet}. Create a new stack, from a backup to keep the keys."
    ),
    "another mode": (
        "pMode: the cluster has FIPS, which AWS cannot change to NON_FIPS. Create a new stack,"
        " from a backup to keep the keys."
    ),
    "another network type": (
        "pNetworkType: the cluster has IPV4, which AWS cannot change to DUALSTACK. Create a new"
        " stack, from a backup to keep the keys."
    ),
    "another backup": (
        "pBackupId: the cluster has {backup}, which AWS cannot change to backup-aaaaaaaaaaa."
        " Create a new stack, from a backup to keep the keys."
    ),
    "the cluster does not exist": (
        "CheckCluster: pCloudHsmClusterId: cluster cluster-aaaaaaaaaaa does not exist here. Use"
        " the output oClusterId of its stack. [cluster-aaaaaaaaaaa]"
    ),
    "the cluster has a key store": (
        "CheckCluster: pCloudHsmClusterId: {cluster} already has the key store {store} (store,"
        " DISCONNECTED). Choose a cluster without one, or take this one with"
        " pExistingKeyStoreId. [{cluster}]"
    ),
    "the cluster is degraded": (
        "pCloudHsmClusterId: {cluster} is DEGRADED; KMS requires an ACTIVE cluster. Retry when"
        " it is, or choose another one."
    ),
    "the cluster has IPv6": (
        "pCloudHsmClusterId: {cluster} is DUALSTACK; KMS cannot reach HSMs over IPv6. Use a"
        " cluster with pNetworkType=IPV4."
    ),
    "the cluster has HSMs in one zone": (
        "pCloudHsmClusterId: {cluster} has ACTIVE HSMs in 1 of the two Availability Zones that KMS"
        " requires. In the cluster's stack, set pHsmsPerSubnet to 1 or more, or pReconcile to a new"
        " value; if its pSubnets has one subnet, choose another cluster."
    ),
    "the CA's secret does not exist": (
        "CheckCluster: pCloudHsmCustCaCertSecretName: The secret /no/ca does not exist or has"
        " no text value. Name the secret with the cluster's CA. [{store}]"
    ),
    "the CA's secret has no certificate": (
        "CheckCluster: pCloudHsmCustCaCertSecretName: the secret /try/junk is not a PEM"
        " certificate. Name the secret with the cluster's CA. [{store}]"
    ),
    "the CA is another cluster's": (
        "CheckCluster: pCloudHsmCustCaCertSecretName: the secret /try/other-ca does not contain"
        " the CA of the cluster's certificate. Store customerCA.crt of a client that connects."
        " [{store}]"
    ),
    "the admin's secret does not exist": (
        "pCloudHsmAdminPasswordSecretName: the secret /no/admin does not exist. Name the one"
        " with the admin's user name and password."
    ),
    "the client is terminated": (
        "pClientInstanceId: i-00000000000000000 is terminated. Name an instance with the"
        " CloudHSM CLI."
    ),
    "the client has no instance profile": (
        "pClientInstanceId: {instance} has no instance profile, so it cannot read secrets."
        " Attach one."
    ),
    "the name is taken": (
        "ClaimKeyStore: pKeyStoreName: a key store named store already exists ({store},"
        " DISCONNECTED) and was not changed. Choose another name. [{cluster}]"
    ),
    "a key store that does not exist": (
        "AdoptKeyStore: pExistingKeyStoreId: cks-0123456789abcdef0 does not exist here. Choose"
        " one of: aws kms describe-custom-key-stores [{cluster}]"
    ),
    "a key store with another name": (
        "AdoptKeyStore: pKeyStoreName: {store} has another name. Set pKeyStoreName to store; a"
        " later update can rename it. [{cluster}]"
    ),
    "a key store of an unrelated cluster": (
        "AdoptKeyStore: pCloudHsmClusterId: {store} is of {cluster}. Choose that, or a cluster"
        " restored from its backup. [{other}]"
    ),
    "a key store in use": (
        "pExistingKeyStoreId: {store} is CONNECTED. Disconnect it first: aws kms"
        " disconnect-custom-key-store --custom-key-store-id {store}"
    ),
    "a move to an unrelated cluster": (
        "CheckKeyStoreUpdate: pCloudHsmClusterId: the key store can only move from {cluster} to"
        " a cluster restored from its backup; {other} has a different certificate. Choose"
        " another. [{store}]"
    ),
    "an update that takes a key store": (
        "CheckKeyStoreUpdate: pExistingKeyStoreId: only a new stack can take an existing key"
        " store. Set it back to an empty text, or create another stack. [{store}]"
    ),
}
