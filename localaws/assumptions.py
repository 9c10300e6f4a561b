"""What AWS's documents leave open: one row per question, with both readings.

`make docs` prints the rows into docs/not-proven.md. `python -m localaws --assume ID=READING`
switches a row that the model can take either way; `--assume harsher` switches all of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from localaws.services.cloudhsmv2.settings import Assumptions

HARSHER = "harsher"


@dataclass(frozen=True)
class Assumption:
    """An open question about AWS, and how the templates cope with either answer."""

    id: str
    question: str
    handling: str
    # The readings by name, the one that the model takes by default first; the value is that of the
    # setting, if the model can take each.
    readings: Mapping[str, Any]
    harsher: str
    # A fact of docs/aws-behaviour.md; empty if there is none.
    source: str
    evidence: str
    # The field of Assumptions that holds the reading; empty if the model has the first one only.
    setting: str = field(default="", kw_only=True)
    # Why the model has one reading only; empty if it can take each.
    fixed: str = field(default="", kw_only=True)

    def replace(self, assumptions: Assumptions, reading: str) -> Assumptions:
        """The assumptions with this row's reading. Raises ValueError for an unknown reading."""
        if not self.setting or reading not in self.readings:
            raise ValueError(
                f"{self.id}={reading}: expected one of {', '.join(self.readings)}"
                if self.setting
                else f"{self.id} cannot be switched: {self.fixed}"
            )
        return dataclasses.replace(assumptions, **{self.setting: self.readings[reading]})


ROWS = (
    Assumption(
        "cloudhsm-resource-level-iam",
        "May IAM policies for CloudHSM name clusters by ARN and tag? AWS's documents disagree.",
        "By default they do; `pCloudHsmIamScope=ANY` works if they may not, and a denial names it.",
        {"supported": "supported", "arns-only": "arns-only", "not-supported": "not-supported"},
        "not-supported",
        "F5.3",
        "Create a stack with the default `TAG`; after a denial the rollback leaves nothing behind",
        setting="resource_level_iam",
    ),
    Assumption(
        "concurrent-create-hsm",
        "Does AWS accept CreateHsm while another HSM of the cluster is being created or deleted?",
        "A refused request is retried.",
        {"accepted": True, "refused": False},
        "refused",
        "F1.31",
        "`CreateHsm` events in align-hsms, with 2 HSMs per subnet",
        setting="concurrent_create",
    ),
    Assumption(
        "quota-error-code",
        "Which error does an exceeded quota return?",
        "The message is quoted in any case.",
        {
            "invalid-request": "CloudHsmInvalidRequestException",
            "limit-exceeded": "CloudHsmResourceLimitExceededException",
        },
        "invalid-request",
        "F1.5",
        "Exceed the quota of 4 clusters or 6 HSMs",
        setting="quota_code",
    ),
    Assumption(
        "rename-connected-key-store",
        "May a CONNECTED key store be renamed?",
        "If not, the update fails and says so; the key store is never disconnected to rename it.",
        {"accepted": True, "refused": False},
        "refused",
        "F4.7",
        "Change pKeyStoreName of a CONNECTED store",
        setting="rename_while_connected",
    ),
    Assumption(
        "key-store-on-dual-stack",
        "Does KMS accept a DUALSTACK cluster, which has IPv4 addresses too?",
        "The key store template refuses such a cluster by name.",
        {"refused": False, "accepted": True},
        "refused",
        "F4.30",
        "`aws kms create-custom-key-store` on a DUALSTACK cluster",
        setting="key_store_on_dual_stack",
    ),
    Assumption(
        "trust-anchor-rfc5280",
        "Does InitializeCluster refuse a CA without a subject key identifier?",
        "Certificates issued here have one; yours are checked before the call.",
        {"refused": True, "accepted": False},
        "refused",
        "F2.13",
        "Initialize a cluster with such a CA",
        setting="trust_anchor_rfc5280",
    ),
    Assumption(
        "create-duration",
        "How long does creation take?",
        "What outlasts a request is left to a detached execution, for up to a day.",
        {"as-published": None, "longer": None},
        "longer",
        "F1.32",
        "Durations in the execution history of create-cluster",
        fixed="--timings sets durations, in scenarios such as hsms-outlast-create",
    ),
    Assumption(
        "csr-of-replaced-hsm",
        "Does the CSR change when the only HSM of an uninitialized cluster is replaced?",
        "The CSR is read again before each use.",
        {"changes": None, "stays": None},
        "changes",
        "F2.9",
        "Delete that HSM before InitializeCluster",
        fixed="the model changes it, which a CSR kept too long does not survive",
    ),
    Assumption(
        "one-key-of-the-hardware",
        "Do AWS and the manufacturer certify the same key of an HSM's hardware?",
        "An HSM with two keys is refused as MISMATCH before initialization.",
        {"same": None, "two-keys": None},
        "two-keys",
        "F2.17",
        "The certificates of DescribeClusters while UNINITIALIZED",
        fixed="HsmCertificate has one signature, which both have to confirm",
    ),
    Assumption(
        "cli-exit-codes",
        "Which exit codes does the CloudHSM CLI return?",
        "Both the exit code and `error_code` must be 0.",
        {"nonzero-on-error": None, "always-zero": None},
        "always-zero",
        "F3.14",
        "Run `cloudhsm-cli` with a wrong password on a real client",
        fixed="a fault returns error_code with exit code 0",
    ),
    Assumption(
        "cli-login-without-need",
        "Does the CloudHSM CLI log in for `user list` when CLOUDHSM_ROLE and CLOUDHSM_PIN are set?",
        "The scripts set both only for commands that need a login.",
        {"logs-in": True, "ignores-both": False},
        "logs-in",
        "F3.23",
        "`user list` with a wrong password in CLOUDHSM_PIN",
        setting="every_command_logs_in",
    ),
    Assumption(
        "refused-login-wording",
        "How does the CloudHSM CLI word a refused login?",
        "A failure in unknown words counts as two possible refusals; after four, no login follows.",
        {"mentions-the-login": None, "unknown-words": None},
        "unknown-words",
        "F3.14",
        "Run `cloudhsm-cli` with a wrong password on a real client",
        fixed="a fault on a command gives the words of its failure",
    ),
    Assumption(
        "count-of-refused-logins",
        "Does a successful login reset the count of refused ones, of which five lock a user?",
        "Failed logins are forgotten after a successful one.",
        {"reset": None, "never-reset": None},
        "never-reset",
        "F3.31",
        "Five refused logins on a real client, with successful ones between them",
        fixed="the model resets it",
    ),
    Assumption(
        "client-packages-conflict",
        "Do the packages cloudhsm-cli and cloudhsm-client conflict?",
        "One transaction of dnf removes one and installs the other.",
        {"conflict": None, "coexist": None},
        "conflict",
        "F3.24",
        "Install one beside the other",
        fixed="the model has the conflict, which is the harsher reading",
    ),
    Assumption(
        "second-activate",
        "What does a second `cluster activate` return?",
        "The scripts check the list of users first.",
        {"error": None, "success": None},
        "error",
        "F3.11",
        "Run it twice",
        fixed="the model returns an error, which is the harsher reading",
    ),
    Assumption(
        "delete-cluster-while-hsms-linger",
        "Which error does DeleteCluster return while deleted HSMs linger or the security group is"
        " in use, and for how long?",
        "Any refusal is retried for a while.",
        {"refused-19-seconds": True, "accepted": False},
        "refused-19-seconds",
        "F1.29",
        "Delete right after the last HSM",
        setting="deleted_hsms_linger",
    ),
    Assumption(
        "ec2-permissions-of-the-caller",
        "Which EC2 permissions does CloudHSM require of the caller beyond those of its reference?",
        "Two for DeleteCluster and two Describe actions are granted; ec2:CreateTags and"
        " ec2:DetachNetworkInterface are not.",
        {"required": True, "not-required": False},
        "required",
        "F5.10",
        "The stack event names a denied action",
        setting="demands_disputed_ec2_actions",
    ),
    Assumption(
        "iam-propagation",
        "Does a new role or tag condition take effect at once?",
        "Access denied is retried for two minutes.",
        {"within-a-minute": None, "later": None},
        "later",
        "F5.14",
        "Retries in the first execution after a creation",
        fixed="a fault that denies a call stands for a change that is late",
    ),
    Assumption(
        "package-urls",
        "Are the pinned packages still at their URLs?",
        "pClientPkgUrl replaces them.",
        {"present": None, "removed": None},
        "removed",
        "F3.4",
        "`curl -I` of the URL in rInstallPackageDocument",
        fixed="a fault on the download lets a package be missing",
    ),
    Assumption(
        "cloudhsm-in-every-zone",
        "Does every Availability Zone offer CloudHSM?",
        "If not, the next subnet is tried.",
        {"every-zone": None, "some-zones": None},
        "some-zones",
        "",
        "Use a subnet in a zone without it",
        fixed="a fault on CreateHsm refuses a zone",
    ),
    Assumption(
        "outputs-after-rollback",
        "Does a rollback update stack outputs such as `oWarnings`?",
        "The execution's output has the same text.",
        {"not-updated": None, "updated": None},
        "not-updated",
        "F6.39",
        "Outputs after a rolled back update",
        fixed="the model does not update them, which is the harsher reading",
    ),
    Assumption(
        "resource-record",
        "Does CloudFormation record the status of a custom resource before it signs the request's"
        " ResponseURL, and leave it until the response?",
        "Five seconds of difference are tolerated. If there are more, updates are refused at once,"
        " naming the record; retries, which need it to the second, fail as without them.",
        {"before": None, "later": None},
        "later",
        "F6.83",
        "LastUpdatedTimestamp of DescribeStackResource, and X-Amz-Date, during an update",
        fixed="tests of the request function have records of other times",
    ),
    Assumption(
        "rollback-order",
        "Does the rollback of an upgrade restore functions before the custom resource that they"
        " handle, so that the previous version handles the rollback, or afterwards?",
        "Either version restores the stack.",
        {"dependencies-first": False, "custom-resources-first": True},
        "custom-resources-first",
        "F6.48",
        "The request function's log after a failed upgrade",
        setting="custom_resources_roll_back_first",
    ),
    Assumption(
        "start-error-names",
        "Under which names do Tasks report that StartExecution was throttled, denied or failed?",
        "Both names are retried.",
        {"code": "code", "sdk": "sdk"},
        "sdk",
        "F6.70",
        "Start many nested executions at once, and take states:StartExecution from a role",
        setting="unmodeled_start_errors",
    ),
    Assumption(
        "parent-stops-children",
        "Does stopping a parent execution stop its children?",
        "All are stopped explicitly.",
        {"late": True, "never": False},
        "never",
        "F6.32",
        "Cancel an update",
        setting="parents_stop_children",
    ),
    Assumption(
        "connect-errors",
        "Which messages and codes does KMS return while it connects?",
        "All documented ones are handled.",
        {"documented": None, "others": None},
        "others",
        "F4.20",
        "The first connection",
        fixed="a fault on the connection gives any code",
    ),
    Assumption(
        "key-store-trust-anchor",
        "Does KMS accept a certificate chain as trust anchor, or a NON_FIPS cluster?",
        "A refusal is quoted and names the parameter.",
        {"accepted": None, "refused": None},
        "refused",
        "F4.14",
        "Create a key store on one",
        fixed="a fault on CreateCustomKeyStore refuses it",
    ),
    Assumption(
        "launch-role-permissions",
        "Which actions does CloudFormation demand of a Service Catalog launch role?",
        "The launch roles have all that the resource schemas list for the properties in use.",
        {"all-listed": None, "others": None},
        "all-listed",
        "F7.123",
        "Launch both products; CloudTrail has the role's calls",
        fixed="the permissions of the schemas are demanded",
    ),
    Assumption(
        "service-action-target",
        "What does Service Catalog pass as the TARGET of a service action?",
        "The document expects the ARN of the secret rResponseSecret, its physical ID.",
        {"physical-id": None, "another-id": None},
        "another-id",
        "",
        "Run Reconcile-CloudHSM on a product",
        fixed="no service action is executed; a test runs the document's script",
    ),
    Assumption(
        "template-urls",
        "Which URLs of templates does CloudFormation take beyond those of the bucket's Region?",
        "`make release` prints these alone, also in its quick-create links for GovCloud.",
        {"own-region": None, "others-too": None},
        "own-region",
        "F7.202",
        "Open the links of a release in both partitions",
        fixed="all other URLs are refused",
    ),
    Assumption(
        "definitions-of-another-region",
        "Does Step Functions read definitions from another Region, as Lambda does not?",
        "`make release` wants a bucket in each Region.",
        {"refused": None, "read": None},
        "refused",
        "F7.114",
        "Create a stack whose state machines alone are in another Region's bucket",
        fixed="a release has one bucket for both, so nothing depends on it",
    ),
    Assumption(
        "govcloud",
        "Does everything work in GovCloud?",
        "Templates use the stack's partition and Region.",
        {"same": None, "different": None},
        "different",
        "",
        "Deploy there",
        fixed="--region us-gov-west-1 has its partition; what else differs is not known",
    ),
)


def take(given: Iterable[str], assumptions: Assumptions) -> Assumptions:
    """The assumptions with readings given as "ID=READING", or "harsher" for the harsher of each.

    Later ones win. Raises ValueError for an unknown id or reading.
    """
    rows = {row.id: row for row in ROWS}
    for each in given:
        name, _, reading = each.partition("=")
        if each == HARSHER:
            for row in ROWS:
                if row.setting:
                    assumptions = row.replace(assumptions, row.harsher)
        elif name in rows:
            assumptions = rows[name].replace(assumptions, reading)
        else:
            switchable = ", ".join(row.id for row in ROWS if row.setting)
            raise ValueError(
                f"unknown assumption {name}: expected {HARSHER} or one of {switchable}"
            )
    return assumptions
