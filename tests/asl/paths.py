"""The paths through every state machine: what the tasks return, and how the execution ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any

from tests.support.resource_properties import resource_properties

CLUSTER, KEY_STORE, CLIENT = "cluster-2example3id", "cks-1234567890abcdef0", "i-0123456789abcdef0"
STACK = "arn:aws:cloudformation:us-east-1:123456789012:stack/hsm/5b4c7a10-7a35-11ef-8f77-0e0b0c0d"
BACKUP = "backup-2example3id"
NOON = "2026-11-23T12:00:00.000Z"

Outcome = dict[str, Any]


def returns(**result: Any) -> Outcome:
    """The task succeeds with this result."""
    return {"result": result}


def fails(error: str, cause: str = f"It failed. [{CLUSTER}]") -> Outcome:
    """The task fails."""
    return {"error": error, "cause": cause}


def takes(seconds: int) -> Outcome:
    """The task succeeds with an empty result after some time."""
    return {"seconds": seconds, "result": {}}


def always(outcome: Outcome) -> Outcome:
    """The outcome of this and every further call."""
    return {"always": outcome}


# What a task returns unless a path says otherwise; a task that is not listed returns {}.
_CLIENT = {
    **resource_properties("cloudhsm.yml")["Client"],
    "IsNew": True,
}
_RESULTS: dict[str, dict[str, Any]] = {
    "AlignHsms": {"Output": {"Warnings": "none"}, "Status": "SUCCEEDED"},
    "CheckCluster": {"IpAddresses": "10.0.1.10 10.0.2.10", "ClusterCertificate": "MIIB"},
    "CheckCreation": {"BackupSecrets": {}, "Client": _CLIENT},
    "CheckKeyStoreUpdate": {
        "IsChangeable": True,
        "NeedsRename": False,
        "NeedsMove": False,
        "NeedsConnection": True,
        "Rollback": False,
        "Warnings": "none",
    },
    "CheckUpdate": {
        "State": "ACTIVE",
        "IsChangeable": True,
        "Rollback": False,
        "NeedsClient": True,
        "NeedsModification": True,
        "NeedsTags": True,
        "Client": {**_CLIENT, "IsNew": False},
        "Warnings": "none",
        "SettledAt": "",
    },
    "ConnectKeyStore": {"Number": 1, "IsRepaired": False},
    "CreateCluster": {"Id": CLUSTER, "State": "CREATE_IN_PROGRESS", "NotListedSince": ""},
    "CreateFirstHsm": {
        "State": "CREATE_IN_PROGRESS",
        "Tried": ["us-east-1a"],
        "Message": "",
        "NotListedSince": "",
        "SettledAt": "",
        "Wait": 5,
    },
    "CreateHsm": {"Next": "CREATE", "Created": [], "Replaced": [], "Deleted": []},
    "CreateKeyStore": {"Id": KEY_STORE},
    "VerifyHsmIdentity": {"VerifiedCsr": "0123"},
    "DeleteCluster": {"IsRequested": True, "Since": NOON, "Accepted": 1},
    "DeleteFirstHsm": {
        "State": "DEGRADED",
        "Tried": ["us-east-1a"],
        "Message": "the reason",
        "NotListedSince": "",
        "SettledAt": "",
        "Wait": 5,
    },
    "DeleteHsm": {"Next": "DELETE", "Created": [], "Replaced": [], "Deleted": []},
    "DeleteKeyStore": {"IsRetained": False},
    "DescribeAgent": {"PingStatus": "Online", "Seconds": 5},
    "CheckLogin": {"VersionId": "v-1"},
    "DescribeClient": {
        "Id": CLIENT,
        "State": "running",
        "Reason": "Client.InternalError: Client error on launch",
        "LaunchTime": "2026-11-23T12:00:00+00:00",
        "PingStatus": "Absent",
    },
    "DescribeCluster": {
        "Id": CLUSTER,
        "State": "ACTIVE",
        "StateMessage": "the reason",
        "HsmType": "hsm2m.medium",
        "HsmIpAddresses": "10.0.1.10",
        "ClusterCertificate": "MIIB",
        "SettledAt": "2026-11-23T12:06:00Z",
        "NotListedSince": "",
        "Since": NOON,
        "Seconds": 0,
        "OutOfTime": False,
        "Wait": 5,
    },
    "DescribeCommand": {
        "Id": "c-1",
        "SentAt": NOON,
        "Wait": 5,
        "Status": "Success",
        "Error": "CommandFailed",
        "Summary": "InstallPackage on i-1 ended with status Failed: the output",
    },
    "DescribeFirstHsm": {
        "State": "ACTIVE",
        "Tried": ["us-east-1a"],
        "Message": "the reason",
        "NotListedSince": "",
        "SettledAt": "",
        "Wait": 5,
    },
    "DescribeHsms": {
        "Next": "ALIGNED",
        "Zones": ["us-east-1a"],
        "Zone": "us-east-1a",
        "EniId": "eni-1",
        "Message": "hsm-1 in us-east-1a is DEGRADED.",
        "Created": [],
        "Replaced": [],
        "Deleted": [],
        "HsmType": "",
        "DetachedName": "update-1-detached",
        "IpAddresses": "10.0.1.10",
        "ClusterCertificate": "MIIB",
        "Wait": 5,
    },
    "DescribeKeyStore": {"State": "CONNECTED", "ErrorCode": "", "Seconds": 0, "Wait": 5},
    "DiagnoseConnection": {"Next": "FAIL", "Message": "USER_NOT_FOUND. kmsuser is missing."},
    "FindCluster": {
        "Id": CLUSTER,
        "State": "ACTIVE",
        "LastKnownId": CLUSTER,
        "HasBackups": True,
        "SettledAt": "2026-11-23T12:06:00Z",
        "Seconds": 0,
    },
    "FindDuplicates": {"Next": "NONE", "Warnings": "none", "Since": NOON},
    "FindKeyStore": {
        "Id": KEY_STORE,
        "State": "CONNECTED",
        "IsIncomplete": False,
        "IsAdopted": False,
        "IsStale": False,
        "IsSettled": True,
        "Seconds": 0,
    },
    "AdoptKeyStore": {"Id": KEY_STORE, "NeedsMove": False},
    "ReleaseKeyStore": {"Retained": KEY_STORE},
    "ReportCluster": {"PhysicalResourceId": CLUSTER, "Data": {"ClusterId": CLUSTER}},
    "ReportKeyStore": {"PhysicalResourceId": KEY_STORE, "Data": {"KeyStoreId": KEY_STORE}},
    "RerunLifecycle": {
        "Output": {"PhysicalResourceId": CLUSTER, "Data": {}},
        "Status": "SUCCEEDED",
    },
    "RetainKeyStore": {"Retained": KEY_STORE},
    "RunLifecycle": {
        "Output": {"PhysicalResourceId": CLUSTER, "Data": {}},
        "Status": "SUCCEEDED",
    },
    "SendCommand": {"Id": "c-1", "SentAt": NOON, "Wait": 3},
}
# The field that a path gives of a result; the others are those above.
_FIELDS = {"DescribeAgent": "PingStatus", "DescribeCommand": "Status"} | dict.fromkeys(
    ("DescribeHsms", "DiagnoseConnection", "FindDuplicates"), "Next"
)


def results(task: str, values: str = "", **changes: Any) -> list[Outcome]:
    """One outcome for each value of the task's main field, in most results its State.

    A search takes a minute, which its result counts. Without values: the usual result, once.
    """
    usual = _RESULTS.get(task, {})
    if not values:
        return [returns(**usual | changes)]
    outcomes = []
    for number, value in enumerate(values.split()):
        result = usual | {_FIELDS.get(task, "State"): value}
        if task in ("FindCluster", "FindKeyStore"):
            result["Seconds"] = 60 * number
        if task.startswith("Find") and value == "NOT_FOUND":
            result["Id"] = ""
        outcomes.append(returns(**result | changes))
    return outcomes


def returns_after(seconds: int, state: str) -> Outcome:
    """What a poll of the cluster returns after this many seconds."""
    return returns(**_RESULTS["DescribeCluster"] | {"State": state, "Seconds": seconds})


def usual_outcome(task: str) -> Outcome:
    """What a task does whenever it is called, unless a path says otherwise."""
    return always(returns(**_RESULTS.get(task, {})))


def _request(template: str, resource: str, id_: str, **properties: Any) -> dict[str, Any]:
    return {
        "StackId": STACK,
        "LogicalResourceId": resource,
        "PhysicalResourceId": id_,
        "ResourceProperties": resource_properties(template, **properties),
    }


def _without_id(request: Mapping[str, Any]) -> dict[str, Any]:
    """A request to create, which has no PhysicalResourceId."""
    return {key: value for key, value in request.items() if key != "PhysicalResourceId"}


_ON_CLUSTER = _request("cloudhsm.yml", "rCloudHsmCluster", CLUSTER)
_ON_KEY_STORE = _request(
    "cloudhsm-key-store.yml", "rCloudHsmKeyStore", KEY_STORE, pCloudHsmClusterId=CLUSTER
)
_FROM_REQUEST = {"ClusterId": CLUSTER, "StackId": STACK, "StartTime": NOON}
_KMS_USER = {
    "KeyStoreId": KEY_STORE,
    "ClusterId": CLUSTER,
    "StackId": STACK,
    "InstanceId": CLIENT,
    **{
        key: _ON_KEY_STORE["ResourceProperties"][key]
        for key in (
            "CloudHsmAdminPasswordSecretName",
            "CloudHsmCustCaCertSecretName",
            "PasswordSecretName",
        )
    },
}
# The input of each machine. For a machine that others run: what they pass in Parameters.Input.
INPUTS: dict[str, dict[str, Any]] = {
    "handle-request": {
        "LifecycleArn": "arn:aws:states:us-east-1:123456789012:stateMachine:hsm-1-create-cluster",
        "Request": _without_id(_ON_CLUSTER),
        "SealedResponseURL": {"KeyVersion": "v1", "Text": "encrypted"},
    },
    "create-cluster": _without_id(_ON_CLUSTER),
    "update-cluster": {
        **_ON_CLUSTER,
        "OldResourceProperties": _ON_CLUSTER["ResourceProperties"],
    },
    "delete-cluster": _ON_CLUSTER,
    "create-first-hsm": {
        **_FROM_REQUEST,
        "ResourceProperties": _ON_CLUSTER["ResourceProperties"],
        "Client": _CLIENT,
        "FirstHsm": {"Tried": [], "Message": "", "NotListedSince": ""},
    },
    "activate-cluster": {
        **_FROM_REQUEST,
        "System": _ON_CLUSTER["ResourceProperties"]["System"],
        "Client": _CLIENT,
    },
    "align-hsms": {
        **_FROM_REQUEST,
        "System": _ON_CLUSTER["ResourceProperties"]["System"],
        "Client": _CLIENT,
        "ClientPackage": _ON_CLUSTER["ResourceProperties"]["ClientPackage"],
        "InstalledPackage": "",
        "HsmsPerSubnet": _ON_CLUSTER["ResourceProperties"]["HsmsPerSubnet"],
        "Hsms": {"Created": [], "Replaced": [], "Deleted": []},
        "LifecycleInput": _ON_CLUSTER,
    },
    "run-on-client": {
        "ClusterId": CLUSTER,
        "Client": _CLIENT,
        "DocumentName": "InstallPackage",
        "Parameters": {},
    },
    "create-key-store": _without_id(_ON_KEY_STORE),
    "update-key-store": {
        **_ON_KEY_STORE,
        "OldResourceProperties": _ON_KEY_STORE["ResourceProperties"],
    },
    "delete-key-store": _ON_KEY_STORE,
    "create-kms-user": _KMS_USER,
    "connect-key-store": _KMS_USER,
    "disconnect-key-store": {"KeyStoreId": KEY_STORE},
}


@dataclass(frozen=True)
class Path:
    """One path through a machine.

    `outcomes` has the tasks whose outcome is not the usual one: values for `results` ("A B"; "A B
    ..." repeats the last one), a number of usual results, or the outcomes themselves.
    Once these are used up the task must not be called again, and all of them must be used. Any
    other task but a poll is called once at most, or as often as `through` names it.
    """

    name: str
    outcomes: Mapping[str, str | int | list[Outcome]] = field(default_factory=dict)
    through: str = ""  # states in this order, with or without others in between
    _: KW_ONLY
    without: str = ""  # states that must not be entered
    properties: Mapping[str, Any] = field(default_factory=dict)  # of the request, if not usual
    input_fields: Mapping[str, Any] = field(default_factory=dict)  # of the input, if not usual
    failure: str = ""  # "Error: cause", where " … " stands for any text
    times_out: bool = False
    seconds: int | None = None
    output: Mapping[str, Any] = field(default_factory=dict)  # fields that the output must have
    # For each call of a task, some of the parameters (or fields of the input) that it must pass.
    passes: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)

    def input(self, machine: str) -> dict[str, Any]:
        """The input of the execution."""
        input_ = {**INPUTS[machine], **self.input_fields}
        if self.properties:
            input_["ResourceProperties"] = {**input_["ResourceProperties"], **self.properties}
        return input_

    def script(self) -> dict[str, list[Outcome]]:
        """The outcomes in the order of calls, by task."""
        return {task: _outcomes(task, many) for task, many in self.outcomes.items()}

    def with_outcomes(self, task: str, *outcomes: Outcome) -> Path:
        """The same path, except for the outcomes of one task."""
        return replace(self, outcomes={**self.outcomes, task: list(outcomes)})


def _outcomes(task: str, many: str | int | list[Outcome]) -> list[Outcome]:
    if isinstance(many, int):
        return results(task) * many
    if isinstance(many, list):
        return many
    *first, last = results(task, many.removesuffix("..."))
    return [*first, always(last) if many.endswith("...") else last]


_HANDLE_REQUEST = [
    Path(
        "runs a lifecycle again that ended before a retry of its start",
        {"RunLifecycle": [fails("StepFunctions.ExecutionAlreadyExistsException")]},
        "RunLifecycle RerunLifecycle SendResponse",
    ),
    Path(
        "sends the response when the lifecycle that was run again fails",
        {
            "RunLifecycle": [fails("StepFunctions.ExecutionAlreadyExistsException")],
            "RerunLifecycle": [fails("States.TaskFailed", "{}")],
        },
        "RunLifecycle RerunLifecycle SendResponse",
    ),
    Path("sends the response when the lifecycle succeeds", {}, "RunLifecycle SendResponse"),
    Path(
        "sends the response when the lifecycle fails",
        {"RunLifecycle": [fails("States.TaskFailed", "{}")]},
    ),
    Path(
        "sends the response of a lifecycle that never ends before CloudFormation times out",
        {"RunLifecycle": [takes(5000)]},
        seconds=3320,
    ),
    Path(
        "retries the response after any error",
        {"SendResponse": [fails("HTTPError"), fails("URLError"), returns()]},
    ),
    Path(
        "fails when the response can never be sent",
        {"SendResponse": [fails("HTTPError", "503")] * 7},
        failure="HTTPError: 503",
    ),
]

_CREATE_CLUSTER = [
    Path(
        "issues the certificate itself",
        {"DescribeCluster": "CREATE_IN_PROGRESS UNINITIALIZED"},
        "CheckCreation CreateCluster WaitForCluster CreateSecrets AdmitClient CreateFirstHsm"
        " StoreCsr VerifyHsmIdentity IssueCertificate ActivateCluster AlignHsms ReportCluster",
        without="CheckBackupSecrets AdoptSecrets",
        output={"PhysicalResourceId": CLUSTER, "Data": {"ClusterId": CLUSTER}},
        seconds=5,
        passes={
            "IssueCertificate": [{"VerifiedCsr": "0123"}],
            "CreateFirstHsm": [{"FirstHsm": {"Tried": [], "Message": "", "NotListedSince": ""}}],
            "AlignHsms": [
                {
                    "InstalledPackage": "cloudhsm-cli",
                    "HsmsPerSubnet": "1",
                    "Hsms": {"Created": [], "Replaced": [], "Deleted": []},
                }
            ],
        },
    ),
    Path(
        "stops before activation if an external PKI signs the CSR",
        {"DescribeCluster": "UNINITIALIZED"},
        "StoreCsr VerifyHsmIdentity ReportCluster",
        without="IssueCertificate ActivateCluster AlignHsms",
        properties={"UseExternalPkiProcess": "true"},
    ),
    Path(
        "restores a backup",
        {
            "CheckCreation": results(
                "CheckCreation", BackupSecrets={"CaCertificate": "/a", "Password": "/b"}
            ),
            "DescribeCluster": "CREATE_IN_PROGRESS ACTIVE",
        },
        "CheckBackupSecrets CreateCluster AdoptSecrets AdmitClient AlignHsms CheckAdminLogin"
        " ReportCluster",
        without="CreateSecrets CreateFirstHsm IssueCertificate ActivateCluster",
        properties={"BackupId": BACKUP},
    ),
    Path(
        "does not test the admin's password before the client is configured",
        {
            "CheckCreation": results(
                "CheckCreation", BackupSecrets={"CaCertificate": "/a", "Password": "/b"}
            ),
            "DescribeCluster": "ACTIVE",
            "AlignHsms": [returns(Output={"Warnings": "1 of 2 HSMs ACTIVE"})],
        },
        "AlignHsms ReportCluster",
        without="CheckAdminLogin",
        properties={"BackupId": BACKUP},
        passes={"ReportCluster": [{"Warnings": "none", "AlignedWarnings": "1 of 2 HSMs ACTIVE"}]},
    ),
    Path(
        "does not test the admin's password without the CLI",
        {
            "CheckCreation": results(
                "CheckCreation", BackupSecrets={"CaCertificate": "/a", "Password": "/b"}
            ),
            "DescribeCluster": "ACTIVE",
        },
        "AlignHsms ReportCluster",
        without="CheckAdminLogin",
        properties={"BackupId": BACKUP, "ClientPackage": {"Name": "cloudhsm-client"}},
    ),
    Path(
        "creates nothing if a check fails",
        {"CheckCreation": [fails("ParameterError", "pSubnets: no.")]},
        without="CreateCluster",
        failure="ParameterError: pSubnets: no.",
    ),
    Path(
        "creates nothing if the secrets of the backup are unknown",
        {"CheckBackupSecrets": [fails("ParameterError", "pBackupCaCertSecretName: no.")]},
        without="CreateCluster",
        properties={"BackupId": BACKUP},
        failure="ParameterError",
    ),
    Path(
        "fails if the new cluster is degraded",
        {"DescribeCluster": "CREATE_IN_PROGRESS DEGRADED"},
        failure="ClusterUnhealthy: The new cluster is DEGRADED: the reason. ",
    ),
    Path(
        "continues with a cluster that an earlier attempt initialized",
        {"DescribeCluster": "INITIALIZED"},
        "ActivateCluster AlignHsms ReportCluster",
    ),
    Path(
        "continues with a cluster that an earlier attempt activated",
        {"DescribeCluster": "ACTIVE"},
        "AlignHsms ReportCluster",
        without="AdoptSecrets",
    ),
    Path(
        "deletes clusters of calls that took effect late",
        {
            "DescribeCluster": "UNINITIALIZED",
            "FindDuplicates": "WAIT DELETE WAIT RETAIN",
        },
        "AlignHsms WaitForLateDuplicates DeleteDuplicates WaitForLateDuplicates ReportCluster",
        seconds=180,
        passes={
            "ReportCluster": [{"Warnings": "none"}],
        },
    ),
    Path(
        "times out if the cluster stays in creation",
        {"DescribeCluster": "CREATE_IN_PROGRESS ..."},
        times_out=True,
        seconds=3300,
    ),
]

_CREATE_FIRST_HSM = [
    Path(
        "waits for the HSM, and installs the package meanwhile",
        {"DescribeFirstHsm": "CREATE_IN_PROGRESS ACTIVE"},
        "CreateFirstHsm InstallPackage DescribeFirstHsm WaitForFirstHsm ReportFirstHsm",
        output={"State": "ACTIVE"},
        seconds=5,
    ),
    Path(
        "installs no package while an external PKI has to sign the CSR",
        {},
        "CreateFirstHsm ReportFirstHsm",
        without="InstallPackage",
        input_fields={
            "ResourceProperties": _ON_CLUSTER["ResourceProperties"]
            | {"UseExternalPkiProcess": "true", "ExternallyProvidedCertsReady": "false"}
        },
    ),
    Path(
        "fails while AWS creates the HSM if the package cannot be installed",
        {"InstallPackage": [fails("States.TaskFailed", f"It failed. [{CLUSTER}]")]},
        without="DescribeFirstHsm",
        failure="States.TaskFailed: It failed.",
    ),
    Path(
        "replaces an HSM that comes up degraded",
        {
            "CreateFirstHsm": 2,
            "DescribeFirstHsm": "CREATE_IN_PROGRESS DEGRADED DELETE_IN_PROGRESS NOT_FOUND"
            " CREATE_IN_PROGRESS ACTIVE",
        },
        "CreateFirstHsm DeleteFirstHsm WaitForFirstHsm CreateFirstHsm",
    ),
    Path(
        "fails if no subnet is left",
        {
            "CreateFirstHsm": [
                *results("CreateFirstHsm"),
                fails("HsmNotCreatedError", f"No working HSM in us-east-1a. [{CLUSTER}]"),
            ],
            "DescribeFirstHsm": "DEGRADED NOT_FOUND",
        },
        failure="HsmNotCreatedError",
    ),
    Path(
        "fails in an unknown state",
        {"DescribeFirstHsm": "ASLEEP"},
        failure="FirstHsmUnhealthy: The first HSM is ASLEEP: the reason. ",
    ),
    Path(
        "times out if the HSM stays in creation",
        {"DescribeFirstHsm": "CREATE_IN_PROGRESS ..."},
        times_out=True,
        seconds=3200,
    ),
]

_ROLLBACK = {"CheckUpdate": results("CheckUpdate", Rollback=True)}
_UPDATE_CLUSTER = [
    Path(
        "aligns an active cluster",
        {"DescribeCluster": "ACTIVE"},
        "CheckUpdate AdmitClient ModifyCluster CheckSecrets AlignHsms TagCluster ReportCluster",
        output={"PhysicalResourceId": CLUSTER},
        seconds=0,
        passes={
            "AlignHsms": [
                {
                    "InstalledPackage": "",
                    "HsmsPerSubnet": "1",
                    "Hsms": {"Created": [], "Replaced": [], "Deleted": [], "SettledAt": ""},
                }
            ],
            "ReportCluster": [{"Warnings": "none", "AlignedWarnings": "none"}],
        },
    ),
    Path(
        "looks at the cluster itself and its tags only if they change",
        {"CheckUpdate": results("CheckUpdate", NeedsModification=False, NeedsTags=False)},
        "AdmitClient CheckSecrets AlignHsms ReportCluster",
        without="ModifyCluster DescribeCluster TagCluster",
    ),
    Path(
        "reports what align-hsms still does when the request ends",
        {"AlignHsms": [returns(Output={"Warnings": "1 of 2 HSMs ACTIVE"})]},
        "AlignHsms TagCluster ReportCluster",
        passes={"ReportCluster": [{"Warnings": "none", "AlignedWarnings": "1 of 2 HSMs ACTIVE"}]},
    ),
    Path(
        "leaves a change of the HSM type to align-hsms when the request's time is over",
        {
            "DescribeCluster": [
                *results("DescribeCluster", "MODIFY_IN_PROGRESS"),
                *results("DescribeCluster", "MODIFY_IN_PROGRESS", OutOfTime=True),
            ]
        },
        "WaitForCluster CheckSecrets AlignHsms TagCluster ReportCluster",
    ),
    Path("repairs a degraded cluster", {"DescribeCluster": "DEGRADED"}, "AlignHsms ReportCluster"),
    Path(
        "waits until the HSM type has changed",
        {"DescribeCluster": "MODIFY_IN_PROGRESS ACTIVE"},
        "ModifyCluster WaitForCluster AlignHsms",
        seconds=5,
    ),
    Path(
        "fails while AWS rolls back the change of the HSM type",
        {"DescribeCluster": "MODIFY_IN_PROGRESS ROLLBACK_IN_PROGRESS"},
        failure="ModificationFailed: AWS did not change the HSM type to hsm2m.medium (pHsmType)"
        " … the cluster is ROLLBACK_IN_PROGRESS with hsm2m.medium: the reason",
        seconds=5,
    ),
    Path(
        "fails if AWS has rolled back the change of the HSM type",
        {"DescribeCluster": results("DescribeCluster", HsmType="hsm1.medium")},
        failure="ModificationFailed: … the cluster is ACTIVE with hsm1.medium: the reason",
    ),
    Path(
        "waits until AWS has rolled back to the requested HSM type",
        {
            "DescribeCluster": [
                *results("DescribeCluster", "ROLLBACK_IN_PROGRESS"),
                *results("DescribeCluster", "ACTIVE", HsmType="hsm1.medium"),
            ]
        },
        "WaitForCluster AlignHsms ReportCluster",
        properties={"HsmType": "hsm1.medium"},
        seconds=5,
    ),
    Path(
        "stops waiting for a modification during a rollback",
        {
            **_ROLLBACK,
            "DescribeCluster": [
                *results("DescribeCluster", "MODIFY_IN_PROGRESS", Seconds=299),
                *results("DescribeCluster", "MODIFY_IN_PROGRESS", Seconds=300),
            ],
        },
        "WaitForCluster RecordModificationFailure SetRollbackWarning ReportCluster",
        seconds=5,
    ),
    *[
        Path(
            f"changes nothing if the client is {state}",
            {"DescribeClient": state},
            without="AdmitClient",
            failure=f"ClientTerminated: {CLIENT} is {state}; nothing was changed. … pClientAmiId",
        )
        for state in ("terminated", "shutting-down")
    ],
    Path(
        "needs no client for a cluster without HSMs",
        {"DescribeCluster": "ACTIVE"},
        "IsClientNeeded AdmitClient AlignHsms",
        without="DescribeClient",
        properties={"HsmsPerSubnet": "0"},
    ),
    *[
        Path(
            f"does not use the client {when} if it concerns neither HSMs nor client",
            {"CheckUpdate": results("CheckUpdate", NeedsClient=False, Rollback=rollback)},
            "AdmitClient ModifyCluster ReportCluster",
            without=f"DescribeClient CheckSecrets AlignHsms {without}".strip(),
        )
        for when, rollback, without in (
            ("in an update", False, ""),
            ("in a rollback", True, "TagCluster"),
        )
    ],
    Path(
        "does not check the client or set tags during a rollback",
        {**_ROLLBACK, "DescribeCluster": "ACTIVE"},
        "IsClientNeeded AdmitClient AlignHsms",
        without="DescribeClient TagCluster",
    ),
    Path(
        "continues a rollback without the HSM type",
        {**_ROLLBACK, "DescribeCluster": results("DescribeCluster", HsmType="hsm1.medium")},
        "RecordModificationFailure AlignHsms SetRollbackWarning ReportCluster",
    ),
    *[
        Path(
            f"continues a rollback when {task} fails",
            {
                "CheckUpdate": results("CheckUpdate", state, Rollback=True),
                "DescribeCluster": "ACTIVE",
                task: [fails("RefusedError")],
            },
            f"{task} AlignHsms SetRollbackWarning ReportCluster",
            without="UpdateFailed",
        )
        for task, state in (
            ("AdmitClient", "ACTIVE"),
            ("ModifyCluster", "ACTIVE"),
            ("DescribeCluster", "DEGRADED"),
            ("CheckSecrets", "ACTIVE"),
        )
    ],
    Path(
        "continues a rollback when several steps fail",
        {
            **_ROLLBACK,
            "AdmitClient": [fails("RefusedError")],
            "ModifyCluster": [fails("RefusedError")],
            "DescribeCluster": [fails("RefusedError")],
            "CheckSecrets": [fails("RefusedError")],
            "AlignHsms": [fails("States.TaskFailed")],
        },
        "AdmitClient ModifyCluster AlignHsms ReportCluster",
    ),
    Path(
        "creates no HSMs in a rollback if the cluster was not active when last described",
        {
            "CheckUpdate": results("CheckUpdate", "UNINITIALIZED", Rollback=True),
            "DescribeCluster": [fails("RefusedError")],
        },
        "DescribeCluster SetRollbackWarning ReportCluster",
        without="CreateFirstHsm AlignHsms",
    ),
    Path(
        "changes nothing if AWS cannot make the change",
        {"CheckUpdate": [fails("ParameterError", f"pMode: no. [{CLUSTER}]")]},
        without="AdmitClient",
        failure="ParameterError: pMode: no.",
    ),
    Path(
        "completes a rollback without a cluster",
        {
            "FindCluster": "NOT_FOUND",
            "CheckUpdate": results("CheckUpdate", "NOT_FOUND", IsChangeable=False, Rollback=True),
        },
        "CheckUpdate ReportCluster",
        without="AdmitClient TagCluster",
    ),
    Path(
        "waits for another update if the external PKI has not signed the CSR",
        {"DescribeCluster": "UNINITIALIZED"},
        "CreateFirstHsm CreateSecrets StoreCsr VerifyHsmIdentity ReportCluster",
        without="IssueCertificate ActivateCluster AlignHsms",
        properties={"UseExternalPkiProcess": "true"},
    ),
    Path(
        "activates the cluster with the certificate of the external PKI",
        {"DescribeCluster": "UNINITIALIZED"},
        "CreateFirstHsm StoreCsr VerifyHsmIdentity ActivateCluster AlignHsms ReportCluster",
        without="IssueCertificate",
        properties={"UseExternalPkiProcess": "true", "ExternallyProvidedCertsReady": "true"},
    ),
    Path(
        "activates a cluster whose activation failed",
        {"DescribeCluster": "INITIALIZED"},
        "CreateFirstHsm VerifyHsmIdentity IssueCertificate ActivateCluster AlignHsms",
        passes={
            "IssueCertificate": [{"VerifiedCsr": "0123"}],
            "CreateFirstHsm": [{"FirstHsm": {"Tried": [], "Message": "", "NotListedSince": ""}}],
        },
    ),
    Path(
        "times out if the cluster stays in modification",
        {"DescribeCluster": "MODIFY_IN_PROGRESS ..."},
        times_out=True,
        seconds=3300,
    ),
]


def _requested(**changes: Any) -> Outcome:
    return returns(**_RESULTS["DeleteCluster"] | changes)


_DELETE_CLUSTER = [
    *[
        Path(
            f"deletes a cluster that is {state}",
            {"DescribeCluster": f"{state} DELETE_IN_PROGRESS DELETED"},
            "CheckDeletion AlignHsms RevokeClient DeleteCluster WaitForCluster DeleteSecrets"
            " ReportDeletion",
            output={"PhysicalResourceId": CLUSTER, "Data": {}},
            seconds=10,
            passes={
                "AlignHsms": [
                    {"HsmsPerSubnet": "0", "Hsms": {"Created": [], "Replaced": [], "Deleted": []}}
                ]
            },
        )
        for state in ("UNINITIALIZED", "INITIALIZED", "ACTIVE", "DEGRADED")
    ],
    Path(
        "waits for a cluster in creation",
        {"DescribeCluster": "CREATE_IN_PROGRESS UNINITIALIZED DELETE_IN_PROGRESS DELETED"},
        "WaitForCluster AlignHsms DeleteCluster DeleteSecrets",
    ),
    Path(
        "waits for a deletion in progress",
        {"DescribeCluster": "DELETE_IN_PROGRESS DELETED"},
        "WaitForCluster DeleteSecrets",
        without="AlignHsms DeleteCluster",
    ),
    Path(
        "retries a deletion that AWS refuses",
        {
            "DescribeCluster": "ACTIVE ACTIVE DELETE_IN_PROGRESS DELETED",
            "DeleteCluster": [_requested(Accepted=0), _requested(Accepted=1)],
        },
        "DeleteCluster WaitForCluster DeleteCluster DeleteSecrets",
        passes={"DeleteCluster": [{"Accepted": 0}, {"Accepted": 0, "Since": NOON}]},
    ),
    Path(
        "deletes an HSM that shows late",
        {
            "DescribeCluster": "ACTIVE ACTIVE DELETE_IN_PROGRESS DELETED",
            "DeleteCluster": [_requested(IsRequested=False, Accepted=0), _requested(Accepted=1)],
        },
        "AlignHsms RevokeClient DeleteCluster WaitForCluster AlignHsms RevokeClient DeleteCluster"
        " DeleteSecrets ReportDeletion",
    ),
    Path(
        "fails if AWS keeps refusing the deletion",
        {
            "DescribeCluster": "ACTIVE",
            "DeleteCluster": [fails("ClusterNotDeletedError", f"AWS refused. [{CLUSTER}]")],
        },
        without="DeleteSecrets",
        failure="ClusterNotDeletedError",
    ),
    Path(
        "succeeds if no cluster appears within five minutes",
        {"FindCluster": results("FindCluster", "NOT_FOUND " * 6, LastKnownId="")},
        "WaitForLateCluster ReportDeletion",
        without="CheckDeletion DeleteSecrets",
        seconds=300,
    ),
    Path(
        "succeeds at once if the creation was refused",
        {"FindCluster": results("FindCluster", "NOT_FOUND", LastKnownId="")},
        "ReportDeletion",
        input_fields={"PhysicalResourceId": "nothing-created"},
        without="CheckDeletion DeleteSecrets",
        seconds=0,
    ),
    Path(
        "deletes the clusters of all calls that took effect late",
        {
            "FindCluster": 2,
            "CheckDeletion": 2,
            "DescribeCluster": "UNINITIALIZED DELETE_IN_PROGRESS DELETED"
            " UNINITIALIZED DELETE_IN_PROGRESS DELETED",
            "FindDuplicates": "WAIT DELETE NONE",
        },
        "AlignHsms RevokeClient DeleteCluster DeleteSecrets ResetDeletion FindCluster"
        " AlignHsms RevokeClient DeleteCluster DeleteSecrets ReportDeletion",
        seconds=85,
    ),
    Path(
        "deletes the secrets of a cluster that was deleted outside the stack",
        {"FindCluster": "NOT_FOUND NOT_FOUND"},
        "WaitForLateCluster DeleteSecrets ReportDeletion",
        without="CheckDeletion",
    ),
    Path(
        "deletes a cluster that is listed late",
        {
            "FindCluster": "NOT_FOUND CREATE_IN_PROGRESS",
            "DescribeCluster": "ACTIVE DELETE_IN_PROGRESS DELETED",
        },
        "WaitForLateCluster CheckDeletion DeleteCluster",
    ),
    Path(
        "deletes nothing while a key store uses the cluster",
        {"CheckDeletion": [fails("ClusterInUseError", f"KMS key store cks-1. [{CLUSTER}]")]},
        without="AlignHsms DeleteCluster DeleteSecrets",
        failure="ClusterInUseError",
    ),
    Path(
        "fails in an unknown state",
        {"DescribeCluster": "ASLEEP"},
        failure="ClusterUnhealthy: The cluster is ASLEEP: the reason. ",
    ),
    Path(
        "times out if the cluster stays in deletion",
        {"DescribeCluster": "ACTIVE DELETE_IN_PROGRESS ..."},
        without="DeleteSecrets",
        times_out=True,
        seconds=3300,
    ),
]

_ACTIVATE_CLUSTER = [
    Path(
        "initializes and activates the cluster",
        {
            "DescribeCluster": "UNINITIALIZED UNINITIALIZED INITIALIZE_IN_PROGRESS INITIALIZED"
            " INITIALIZED ACTIVE"
        },
        "CheckCertificates InitializeCluster ConfigureClientMeanwhile WaitForCluster"
        " ActivateCluster WaitForCluster ReportActivation",
        without="ConfigureClient",
        output={"State": "ACTIVE"},
    ),
    Path(
        "configures the client again if that failed during the initialization",
        {
            "DescribeCluster": "UNINITIALIZED INITIALIZE_IN_PROGRESS INITIALIZED ACTIVE",
            "ConfigureClientMeanwhile": [fails("States.TaskFailed")],
        },
        "InitializeCluster ConfigureClientMeanwhile WaitForCluster ConfigureClient ActivateCluster",
        output={"State": "ACTIVE"},
    ),
    Path(
        "activates an initialized cluster",
        {"DescribeCluster": "INITIALIZED ACTIVE"},
        "ConfigureClient ActivateCluster ReportActivation",
        without="InitializeCluster",
    ),
    Path(
        "leaves an active cluster alone",
        {"DescribeCluster": "ACTIVE"},
        without="InitializeCluster ActivateCluster",
    ),
    Path(
        "fails if the cluster is degraded",
        {"DescribeCluster": "DEGRADED"},
        failure="ClusterUnhealthy: The cluster is DEGRADED: the reason. ",
    ),
    Path(
        "does not initialize the cluster with invalid certificates",
        {"DescribeCluster": "UNINITIALIZED", "CheckCertificates": [fails("CertificateError")]},
        without="InitializeCluster",
        failure="CertificateError",
    ),
    Path(
        "keeps a cluster that becomes active although the activation's result was lost",
        {
            "DescribeCluster": [
                *results("DescribeCluster", "INITIALIZED"),
                *(returns_after(seconds, "INITIALIZED") for seconds in range(5, 421, 5)),
                *results("DescribeCluster", "ACTIVE"),
            ],
            "ActivateCluster": [fails("States.TaskFailed")],
        },
        "ActivateCluster InitVerification WaitForCluster ReportActivation",
        output={"State": "ACTIVE"},
        seconds=425,
    ),
    Path(
        "keeps a cluster that becomes active although its activation ran out of time",
        {
            "DescribeCluster": "INITIALIZED INITIALIZED ACTIVE",
            "ActivateCluster": [fails("States.TaskFailed", '{"Status": "TIMED_OUT"}')],
        },
        "ActivateCluster InitVerification WaitForCluster ReportActivation",
    ),
    Path(
        "fails for good seven minutes after a lost result",
        {
            "DescribeCluster": [
                *results("DescribeCluster", "INITIALIZED"),
                *(returns_after(seconds, "INITIALIZED") for seconds in range(5, 426, 5)),
            ],
            "ActivateCluster": [fails("Runtime.ExitError")],
        },
        failure="Runtime.ExitError",
        seconds=425,
    ),
    Path(
        "fails for good at the next look if the activation could not be started",
        {
            "DescribeCluster": "INITIALIZED INITIALIZED",
            "ActivateCluster": [fails("StepFunctions.ValidationException")],
        },
        failure="StepFunctions.ValidationException",
        seconds=5,
    ),
    *[
        Path(
            f"fails for good two minutes after {error}",
            {
                "DescribeCluster": [
                    *results("DescribeCluster", "INITIALIZED"),
                    *(returns_after(seconds, "INITIALIZED") for seconds in range(5, 126, 5)),
                ],
                "ActivateCluster": [fails("States.TaskFailed", f"{error}: It failed. [{CLUSTER}]")],
            },
            failure=f"States.TaskFailed: {error}",
            seconds=125,
        )
        for error in (
            "CommandFailed",
            "AgentNotOnline",
            "ClientNotLaunched",
            "ClientStopped",
            "ClientTerminated",
        )
    ],
    Path(
        "times out if the cluster never becomes active",
        {"DescribeCluster": "INITIALIZED ..."},
        "ActivateCluster WaitForCluster",
        times_out=True,
        seconds=3200,
    ),
]

_ALIGN_HSMS = [
    Path(
        "configures the client for aligned HSMs",
        {"DescribeHsms": "ALIGNED ALIGNED"},
        "HasHsms InstallPackage ConfigureClient ReportHsms",
        without="CreateHsm DeleteHsm",
        output={"IpAddresses": "10.0.1.10"},
        seconds=0,
    ),
    Path(
        "creates all missing HSMs, and installs the package while it waits for them",
        {"DescribeHsms": "CREATE CREATE WAIT WAIT WAIT ALIGNED", "CreateHsm": 2},
        "CreateHsm CreateHsm NeedsPackage InstallPackage DescribeHsms WaitForHsms ConfigureClient",
        seconds=10,
    ),
    Path(
        "does not install a package twice",
        {"DescribeHsms": "WAIT ALIGNED"},
        "NeedsPackage WaitForHsms HasHsms ConfigureClient",
        without="InstallPackage",
        input_fields={"InstalledPackage": "cloudhsm-cli"},
        seconds=5,
    ),
    Path(
        "aligns the HSMs before it reports that the package could not be installed",
        {
            "DescribeHsms": "WAIT WAIT DELETE WAIT ALIGNED",
            "InstallPackage": [fails("States.TaskFailed", f"It failed. [{CLUSTER}]")],
        },
        "InstallPackage WaitForHsms DeleteHsm WaitForHsms HasHsms PackageNotInstalled",
        without="ConfigureClient",
        failure="States.TaskFailed: It failed.",
    ),
    Path(
        "deletes a surplus HSM",
        {"DescribeHsms": "DELETE WAIT WAIT ALIGNED"},
        "DeleteHsm InstallPackage WaitForHsms ConfigureClient",
    ),
    *[
        Path(
            f"retries {task} if AWS is busy with another HSM",
            {
                "DescribeHsms": f"{decision} {decision} {decision} ALIGNED",
                task: [fails("HsmBusyError"), fails("HsmBusyError"), *results(task)],
            },
            f"{task} InstallPackage {task} WaitForHsms {task} ConfigureClient",
        )
        for task, decision in (("CreateHsm", "CREATE"), ("DeleteHsm", "DELETE"))
    ],
    Path(
        "fails if a replacement is degraded too",
        {"DescribeHsms": "UNHEALTHY"},
        failure="HsmsUnhealthy: hsm-1 in us-east-1a is DEGRADED. Set pReconcile",
    ),
    Path(
        "leaves the client alone without HSMs",
        {
            "DescribeHsms": [
                *results("DescribeHsms", "DELETE WAIT"),
                *results("DescribeHsms", IpAddresses=""),
            ]
        },
        "DeleteHsm NeedsPackage WaitForHsms ReportHsms",
        without="InstallPackage ConfigureClient",
        input_fields={"HsmsPerSubnet": "0"},
    ),
    Path(
        "times out if the HSMs never arrive, before its history is full",
        {"DescribeHsms": [always(*results("DescribeHsms", "WAIT", Wait=60))]},
        times_out=True,
        seconds=90000,
    ),
    Path(
        "starts a detached execution when the request's time is over",
        {"DescribeHsms": "WAIT WAIT DETACH"},
        "WaitForHsms ContinueDetached WaitForListing ReportDetached",
        output={"Warnings": "hsm-1 in us-east-1a is DEGRADED."},
        without="ConfigureClient",
        passes={
            "ContinueDetached": [
                {
                    "Name": "update-1-detached",
                    "Detached": True,
                    "HsmsPerSubnet": "1",
                    "LifecycleInput": _ON_CLUSTER,
                }
            ]
        },
    ),
    *[
        Path(
            f"configures the client for existing HSMs if it is detached, {how}",
            {"DescribeHsms": looks},
            f"{install} ConfigureClientMeanwhile WaitForHsms WaitForHsms ConfigureClient",
            input_fields={"Detached": True, "InstalledPackage": installed},
        )
        for how, looks, install, installed in (
            ("with the package", "WAIT WAIT ALIGNED", "NeedsPackage", "cloudhsm-cli"),
            ("after it has installed it", "WAIT WAIT WAIT ALIGNED", "InstallPackage", ""),
        )
    ],
    Path(
        "starts no second detached execution if the response to the start was lost",
        {
            "DescribeHsms": "DETACH",
            "ContinueDetached": [fails("StepFunctions.ExecutionAlreadyExistsException")],
        },
        "ContinueDetached WaitForListing ReportDetached",
    ),
    Path(
        "fails instead of starting a detached execution if the package could not be installed",
        {
            "DescribeHsms": "WAIT DETACH",
            "InstallPackage": [fails("States.TaskFailed", f"It failed. [{CLUSTER}]")],
        },
        "InstallPackage HasInstallationFailed PackageNotInstalled",
        without="ContinueDetached",
        failure="States.TaskFailed: It failed.",
    ),
]

_RUN_ON_CLIENT = [
    Path(
        "runs a document on a running client",
        {"DescribeCommand": "Running Success"},
        "DescribeAgent SendCommand WaitForCommand DescribeCommand WaitForCommand ReportCommand",
        without="StartClient StopClient",
        output={"Status": "Success"},
        seconds=8,
    ),
    Path(
        "sends the command at once if the agent is online",
        {"DescribeClient": results("DescribeClient", "running", PingStatus="Online")},
        "DescribeClient SendCommand WaitForCommand ReportCommand",
        without="DescribeAgent",
        seconds=3,
    ),
    Path(
        "waits for a client that is booting",
        {"DescribeClient": "pending running", "DescribeAgent": "Absent ConnectionLost Online"},
        "WaitForClient WaitForAgent SendCommand ReportCommand",
        seconds=18,
    ),
    Path(
        "stops a client again that was found stopped",
        {"DescribeClient": "stopping stopped pending running"},
        "WaitForClient StartClient SendCommand StopClient ReportCommand",
    ),
    Path(
        "fails at once if a started client stops again",
        {"DescribeClient": "stopped pending stopped"},
        "StartClient WaitForClient RecordStartFailure StopClient ClientFailed",
        without="SendCommand",
        failure=f"ClientStopped: The client instance {CLIENT} was started and stopped again:"
        " Client.InternalError: Client error on launch. … KMS key",
        seconds=10,
    ),
    Path(
        "fails with the error of the document",
        {"DescribeCommand": results("DescribeCommand", "Failed", Error="LoginRefused")},
        failure="LoginRefused: InstallPackage on i-1 ended with status Failed: the output",
    ),
    Path(
        "fails if the client is terminated",
        {"DescribeClient": "terminated"},
        failure=f"ClientTerminated: The client instance {CLIENT} is terminated. … pClientAmiId",
    ),
    Path(
        "waits for a client that is being launched",
        {"DescribeClient": "pending pending running"},
        "WaitForClient WaitForClient SendCommand",
        seconds=13,
    ),
    Path(
        "fails if the client is never launched",
        {"DescribeClient": results("DescribeClient", "NOT_FOUND", Reason="The stack has none")},
        failure="ClientNotLaunched: The stack has none after 7 minutes. … rClientInstance",
    ),
    Path(
        "fails if the SSM agent never comes online",
        {
            "DescribeAgent": [
                *results("DescribeAgent", "Absent", Seconds=599),
                *results("DescribeAgent", "Absent", Seconds=600),
            ]
        },
        failure=f"AgentNotOnline: The SSM agent of {CLIENT} is Absent after 10 minutes.",
        seconds=5,
    ),
    Path(
        "fails if the document fails",
        {"DescribeCommand": results("DescribeCommand", "Running Failed", Summary="Why it failed.")},
        without="StopClient",
        failure="CommandFailed: Why it failed. ",
    ),
    Path(
        "stops a client again whose document failed",
        {"DescribeClient": "stopped running", "DescribeCommand": "TimedOut"},
        "StartClient SendCommand StopClient",
        failure="CommandFailed: InstallPackage",
    ),
    *[
        Path(
            f"stops a client again when {task} fails",
            {"DescribeClient": "stopped running", task: outcomes},
            f"StartClient {task} StopClient",
            failure="RefusedError: It failed.",
        )
        for task, outcomes in (
            ("DescribeClient", [*results("DescribeClient", "stopped"), fails("RefusedError")]),
            ("DescribeAgent", [fails("RefusedError")]),
            ("SendCommand", [fails("RefusedError")]),
            ("DescribeCommand", [fails("RefusedError")]),
        )
    ],
    Path(
        "stops a client that may have started although StartClient failed",
        {"DescribeClient": "stopped", "StartClient": [fails("RefusedError")]},
        "StartClient StopClient",
        without="SendCommand",
        failure="RefusedError",
    ),
    Path(
        "reports the first failure if StopClient fails too",
        {
            "DescribeClient": "stopped running",
            "SendCommand": [fails("RefusedError", f"The document is gone. [{CLUSTER}]")],
            "StopClient": [fails("RefusedError")],
        },
        failure="RefusedError: The document is gone.",
    ),
    Path(
        "reports a client that could not be stopped again",
        {"DescribeClient": "stopped running", "StopClient": [fails("RefusedError")]},
        failure="RefusedError: It failed.",
    ),
    Path(
        "times out if the document never ends",
        {"DescribeCommand": "Running ..."},
        times_out=True,
        seconds=1260,
    ),
]

_NO_KEY_STORE = {"FindKeyStore": "NOT_FOUND"}
_LEFTOVER = results("FindKeyStore", "FAILED", IsIncomplete=True)
_CREATE_KEY_STORE = [
    Path(
        "creates and connects the key store",
        _NO_KEY_STORE,
        "FindKeyStore CheckCluster ClaimKeyStore CreateKmsUser CreateKeyStore ConnectKeyStore"
        " DropPassword CompleteClaim ReportKeyStore",
        without="DisconnectKeyStore DeleteKeyStore",
        output={"PhysicalResourceId": KEY_STORE},
        passes={"CheckCluster": [{"KeyStoreId": ""}], "CreateKmsUser": [{"KeyStoreId": ""}]},
    ),
    Path(
        "deletes what a failed creation left",
        {"FindKeyStore": _LEFTOVER},
        "DisconnectKeyStore DeleteKeyStore CheckCluster CreateKeyStore",
        output={"PhysicalResourceId": KEY_STORE},
    ),
    Path(
        "waits for what a lost call may still create",
        {"FindKeyStore": [*results("FindKeyStore", "NOT_FOUND", IsIncomplete=True), *_LEFTOVER]},
        "WaitForLateKeyStore DisconnectKeyStore DeleteKeyStore CreateKeyStore",
        seconds=60,
        passes={
            "FindKeyStore": [
                {"PhysicalResourceId": ""},
                {"PhysicalResourceId": ""},
            ]
        },
    ),
    Path(
        "takes an existing key store",
        {"FindKeyStore": _LEFTOVER},
        "FindKeyStore AdoptKeyStore ConnectKeyStore DropPassword CompleteClaim ReportKeyStore",
        without="DisconnectKeyStore DeleteKeyStore CheckCluster ClaimKeyStore CreateKmsUser"
        " CreateKeyStore",
        properties={"ExistingKeyStoreId": KEY_STORE},
        output={"PhysicalResourceId": KEY_STORE},
    ),
    Path(
        "moves an existing key store to a related cluster",
        {
            **_NO_KEY_STORE,
            "AdoptKeyStore": [returns(Id=KEY_STORE, NeedsMove=True)],
        },
        "AdoptKeyStore CreateKmsUser DisconnectKeyStore MoveKeyStore ConnectKeyStore",
        without="ClaimKeyStore CreateKeyStore DeleteKeyStore",
        properties={"ExistingKeyStoreId": KEY_STORE},
    ),
    Path(
        "changes no key store that cannot be taken",
        {
            **_NO_KEY_STORE,
            "AdoptKeyStore": [fails("ParameterError", f"pExistingKeyStoreId: no. [{CLUSTER}]")],
        },
        without="CreateKmsUser ConnectKeyStore CreateKeyStore",
        properties={"ExistingKeyStoreId": KEY_STORE},
        failure="ParameterError",
    ),
    Path(
        "does not replace a key store that contains keys",
        {"FindKeyStore": _LEFTOVER, "DeleteKeyStore": [returns(IsRetained=True)]},
        without="CheckCluster CreateKeyStore",
        failure="KeyStoreHasKeys: left a key store that now contains keys"
        " … connect-custom-key-store",
    ),
    Path(
        "creates nothing on an unfit cluster",
        {
            **_NO_KEY_STORE,
            "CheckCluster": [fails("ParameterError", f"pCloudHsmClusterId: no. [{CLUSTER}]")],
        },
        without="ClaimKeyStore CreateKmsUser CreateKeyStore",
        failure="ParameterError",
    ),
    Path(
        "creates nothing if the name is taken",
        {**_NO_KEY_STORE, "ClaimKeyStore": [fails("ParameterError", "pKeyStoreName: no.")]},
        without="CreateKmsUser CreateKeyStore",
        failure="ParameterError",
    ),
]

_CREATE_KMS_USER = [
    Path(
        "creates kmsuser on every HSM",
        {},
        "CheckCluster CreatePassword ConfigureClient CheckLogin CreateKmsUser RecordLogin",
        output={"ClusterId": CLUSTER},
    ),
    Path(
        "records a login that failed, and reports it",
        {"CreateKmsUser": [fails("States.TaskFailed", f"It failed. [{CLUSTER}]")]},
        "CheckLogin CreateKmsUser RecordLogin KmsUserFailed",
        failure="States.TaskFailed: It failed.",
        passes={
            "RecordLogin": [
                {
                    "VersionId": "v-1",
                    "Outcome": {"Error": "States.TaskFailed", "Cause": f"It failed. [{CLUSTER}]"},
                }
            ]
        },
    ),
    Path(
        "goes on if a successful login cannot be recorded",
        {"RecordLogin": [fails("RefusedError")]},
        output={"ClusterId": CLUSTER},
    ),
    Path(
        "reports a login that failed although it cannot be recorded",
        {
            "CreateKmsUser": [fails("States.TaskFailed", f"It failed. [{CLUSTER}]")],
            "RecordLogin": [fails("RefusedError")],
        },
        failure="States.TaskFailed: It failed.",
    ),
]

_CONNECT_KEY_STORE = [
    Path(
        "connects a disconnected key store",
        {"DescribeKeyStore": "DISCONNECTED CONNECTING CONNECTED", "ConnectKeyStore": 1},
        "ConnectKeyStore WaitForKeyStore ReportConnection",
        output={"State": "CONNECTED"},
        seconds=10,
    ),
    Path(
        "leaves a connected key store alone",
        {"DescribeKeyStore": "CONNECTED"},
        without="ConnectKeyStore",
    ),
    Path(
        "waits for a disconnection in progress",
        {"DescribeKeyStore": "DISCONNECTING DISCONNECTED CONNECTED", "ConnectKeyStore": 1},
        "WaitForKeyStore ConnectKeyStore ReportConnection",
    ),
    Path(
        "repairs kmsuser",
        {
            "DescribeKeyStore": "DISCONNECTED FAILED CONNECTED",
            "ConnectKeyStore": [
                returns(Number=1, IsRepaired=False),
                returns(Number=2, IsRepaired=True),
            ],
            "DiagnoseConnection": "REPAIR",
        },
        "ConnectKeyStore DiagnoseConnection DisconnectKeyStore CreateKmsUser UpdatePassword"
        " RecordRepair ConnectKeyStore ReportConnection",
        passes={
            "ConnectKeyStore": [
                {"Connection": {"Number": 0, "IsRepaired": False}},
                {"Connection": {"Number": 1, "IsRepaired": True}},
            ]
        },
    ),
    Path(
        "connects a key store again that was found FAILED",
        {
            "DescribeKeyStore": "FAILED CONNECTED",
            "ConnectKeyStore": 1,
            "DiagnoseConnection": "CONNECT",
        },
        "DiagnoseConnection DisconnectKeyStore ConnectKeyStore",
        without="CreateKmsUser",
    ),
    Path(
        "disconnects a key store that cannot be connected and fails",
        {
            "DescribeKeyStore": "DISCONNECTED FAILED",
            "ConnectKeyStore": 1,
            "DiagnoseConnection": "FAIL",
        },
        "DiagnoseConnection DisconnectKeyStore ConnectionFailed",
        failure="ConnectionFailed: KMS could not connect the key store: USER_NOT_FOUND. kmsuser is",
    ),
    Path(
        "fails if the key store stays disconnected",
        {"DescribeKeyStore": "DISCONNECTED DISCONNECTED", "ConnectKeyStore": 1},
        failure="KeyStoreNotConnected: The key store is DISCONNECTED after",
    ),
    Path(
        "waits for a connection for 44 minutes",
        {
            "DescribeKeyStore": [
                *results("DescribeKeyStore", "CONNECTING", Seconds=2640),
                *results("DescribeKeyStore", "CONNECTING", Seconds=2641),
            ]
        },
        "WaitForKeyStore DescribeKeyStore KeyStoreStuck",
        failure="KeyStoreStuck: The key store is still CONNECTING after 44 minutes … pReconcile",
    ),
    Path(
        "times out if the key store stays in connection",
        {"DescribeKeyStore": "DISCONNECTED CONNECTING ...", "ConnectKeyStore": 1},
        times_out=True,
        seconds=2700,
    ),
]

_DISCONNECT_KEY_STORE = [
    *[
        Path(
            f"disconnects a key store that is {state}",
            {"DescribeKeyStore": f"{state} DISCONNECTING DISCONNECTED"},
            "DisconnectKeyStore WaitForKeyStore ReportDisconnection",
            output={"State": "DISCONNECTED"},
            seconds=10,
        )
        for state in ("CONNECTED", "CONNECTING", "FAILED")
    ],
    *[
        Path(
            f"leaves a key store alone that is {state}",
            {"DescribeKeyStore": state},
            without="DisconnectKeyStore",
            output={"State": state},
        )
        for state in ("DISCONNECTED", "NOT_FOUND")
    ],
    Path(
        "fails in an unknown state",
        {"DescribeKeyStore": "ASLEEP"},
        failure="KeyStoreUnknown: The key store is ASLEEP, a state unknown to this workflow.",
    ),
    Path(
        "waits for a disconnection for 14 minutes",
        {
            "DescribeKeyStore": [
                *results("DescribeKeyStore", "DISCONNECTING", Seconds=840),
                *results("DescribeKeyStore", "DISCONNECTING", Seconds=841),
            ]
        },
        "WaitForKeyStore DescribeKeyStore KeyStoreStuck",
        failure="KeyStoreStuck: The key store is still DISCONNECTING after 14 minutes",
    ),
    Path(
        "times out if the key store stays in disconnection",
        {"DescribeKeyStore": "DISCONNECTING ..."},
        times_out=True,
        seconds=900,
    ),
]


def _key_store_changes(**changes: bool) -> dict[str, list[Outcome]]:
    return {"CheckKeyStoreUpdate": results("CheckKeyStoreUpdate", "", **changes)}


_UPDATE_KEY_STORE = [
    Path(
        "reconnects the key store",
        {},
        "ConnectKeyStore DropPassword CompleteClaim ReportKeyStore",
        without="RenameKeyStore MoveKeyStore",
        output={"PhysicalResourceId": KEY_STORE},
        passes={"ReportKeyStore": [{"Warnings": "none"}]},
    ),
    Path(
        "leaves the connection as it is if the update does not concern it",
        _key_store_changes(NeedsConnection=False),
        "CheckKeyStoreUpdate ReportKeyStore",
        without="ConnectKeyStore CompleteClaim",
        passes={"ReportKeyStore": [{"Warnings": "none"}]},
    ),
    Path(
        "renames the key store",
        _key_store_changes(NeedsRename=True),
        "RenameKeyStore ConnectKeyStore ReportKeyStore",
        without="DisconnectKeyStore",
    ),
    Path(
        "moves the key store",
        _key_store_changes(NeedsMove=True),
        "CreateKmsUser DisconnectKeyStore MoveKeyStore ConnectKeyStore",
    ),
    Path(
        "moves the key store before it renames it",
        _key_store_changes(NeedsRename=True, NeedsMove=True),
        "CreateKmsUser MoveKeyStore RenameKeyStore ConnectKeyStore",
    ),
    Path(
        "changes nothing if the new cluster is unfit",
        {
            **_key_store_changes(NeedsRename=True, NeedsMove=True),
            "CreateKmsUser": [fails("ParameterError", f"pCloudHsmClusterId: no. [{KEY_STORE}]")],
        },
        without="RenameKeyStore DisconnectKeyStore",
        failure="ParameterError: pCloudHsmClusterId: no.",
    ),
    Path(
        "fails if the key store does not exist",
        {"CheckKeyStoreUpdate": [fails("KeyStoreNotFoundError")]},
        without="ConnectKeyStore",
        failure="KeyStoreNotFoundError",
    ),
    Path(
        "completes a rollback without a key store",
        {**_NO_KEY_STORE, **_key_store_changes(IsChangeable=False, Rollback=True)},
        "CheckKeyStoreUpdate ReportKeyStore",
        without="ConnectKeyStore",
    ),
    *[
        Path(
            f"continues a rollback when {task} fails",
            {
                **_key_store_changes(
                    Rollback=True, NeedsRename=True, NeedsMove=task != "RenameKeyStore"
                ),
                task: [fails("RefusedError")],
            },
            f"{task} {then} SetRollbackWarning ReportKeyStore",
            without=f"UpdateFailed {without}",
        )
        for task, then, without in (
            ("CreateKmsUser", "RenameKeyStore ConnectKeyStore", "DisconnectKeyStore"),
            ("DisconnectKeyStore", "RenameKeyStore ConnectKeyStore", "MoveKeyStore"),
            ("MoveKeyStore", "RenameKeyStore ConnectKeyStore DropPassword", ""),
            ("RenameKeyStore", "ConnectKeyStore DropPassword", ""),
            ("ConnectKeyStore", "", "DropPassword CompleteClaim"),
            ("DropPassword", "CompleteClaim", ""),
            ("CompleteClaim", "", ""),
        )
    ],
]

_DELETE_KEY_STORE = [
    Path(
        "retains the key store",
        {"FindKeyStore": 1},
        "DisconnectKeyStore RetainKeyStore DropPassword DropClaim ReportRetained",
        without="DeleteKeyStore",
        output={"PhysicalResourceId": KEY_STORE, "Data": {"Retained": KEY_STORE}},
    ),
    Path(
        "deletes the key store",
        {"FindKeyStore": 1},
        "DisconnectKeyStore DeleteKeyStore DropPassword ReportDeletion",
        without="RetainKeyStore",
        properties={"DeleteKeyStoreUponStackDeletion": "true"},
    ),
    Path(
        "retains a key store that contains keys",
        {"FindKeyStore": 1, "DeleteKeyStore": [returns(IsRetained=True)]},
        "DeleteKeyStore RetainKeyStore DropPassword ReportRetained",
        properties={"DeleteKeyStoreUponStackDeletion": "true"},
    ),
    Path(
        "deletes what a failed creation left",
        {"FindKeyStore": _LEFTOVER},
        "DisconnectKeyStore DeleteKeyStore ReportDeletion",
        without="RetainKeyStore",
    ),
    Path(
        "releases a key store that existed before a failed creation",
        {"FindKeyStore": results("FindKeyStore", "CONNECTED", IsIncomplete=True, IsAdopted=True)},
        "DisconnectKeyStore ReleaseKeyStore DropPassword DropClaim ReportRetained",
        without="DeleteKeyStore RetainKeyStore",
        properties={"DeleteKeyStoreUponStackDeletion": "true"},
    ),
    Path(
        "succeeds if there is no key store",
        {"FindKeyStore": "NOT_FOUND NOT_FOUND"},
        "WaitForLateKeyStore DropPassword DropClaim ReportDeletion",
        without="DisconnectKeyStore DeleteKeyStore",
        seconds=60,
    ),
    Path(
        "leaves everything alone after a replacement",
        {"FindKeyStore": results("FindKeyStore", "NOT_FOUND", IsStale=True)},
        "FindKeyStore ReportDeletion",
        without="WaitForLateKeyStore DropPassword DropClaim",
        output={"PhysicalResourceId": KEY_STORE},
    ),
    Path(
        "deletes a key store that is listed late",
        {
            "FindKeyStore": [
                *results("FindKeyStore", "NOT_FOUND"),
                *results("FindKeyStore", "DISCONNECTED", IsIncomplete=True, Seconds=60),
            ]
        },
        "WaitForLateKeyStore DisconnectKeyStore DeleteKeyStore",
    ),
    Path(
        "deletes nothing while a lost call could create it again",
        {
            "FindKeyStore": [
                *results("FindKeyStore", "CONNECTED", IsSettled=False),
                *results("FindKeyStore", "CONNECTED", Attempts=2),
            ]
        },
        "WaitForLateKeyStore DisconnectKeyStore",
    ),
]

PATHS = {
    "handle-request": _HANDLE_REQUEST,
    "create-cluster": _CREATE_CLUSTER,
    "create-first-hsm": _CREATE_FIRST_HSM,
    "update-cluster": _UPDATE_CLUSTER,
    "delete-cluster": _DELETE_CLUSTER,
    "activate-cluster": _ACTIVATE_CLUSTER,
    "align-hsms": _ALIGN_HSMS,
    "run-on-client": _RUN_ON_CLIENT,
    "create-key-store": _CREATE_KEY_STORE,
    "create-kms-user": _CREATE_KMS_USER,
    "connect-key-store": _CONNECT_KEY_STORE,
    "disconnect-key-store": _DISCONNECT_KEY_STORE,
    "update-key-store": _UPDATE_KEY_STORE,
    "delete-key-store": _DELETE_KEY_STORE,
}
