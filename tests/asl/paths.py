"""The ways through every state machine, one row each: what each state is answered, how it ends."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

CLUSTER, KEY_STORE, CLIENT = "cluster-2example3id", "cks-1234567890abcdef0", "i-0123456789abcdef0"
STACK = "arn:aws:cloudformation:us-east-1:123456789012:stack/hsm/5b4c7a10-7a35-11ef-8f77-0e0b0c0d"
SAID = "it said so"

Answer = dict[str, Any]


def ok(**result: Any) -> Answer:
    """A task that succeeds."""
    return {"result": result}


def fails(error: str, cause: str = f"It went wrong. [{CLUSTER}]") -> Answer:
    """A task that fails."""
    return {"error": error, "cause": cause}


def takes(seconds: int) -> Answer:
    """A task that succeeds after a while."""
    return {"seconds": seconds, "result": {}}


def forever(answer: Answer) -> Answer:
    """The same answer, however often it is asked."""
    return {"forever": answer}


# What a step is answered unless a row says otherwise.
USUAL: dict[str, Answer] = {
    "ActivateCluster": ok(),
    "AdmitClient": ok(),
    "AdoptSecrets": ok(),
    "AlignHsms": ok(),
    "SendResponse": {"result": None},
    "CheckBackupSecrets": ok(),
    "CheckCertificates": ok(),
    "CheckCluster": ok(IpAddresses="10.0.1.10 10.0.2.10"),
    "CheckCreation": ok(BackupSecrets={}),
    "CheckDeletion": ok(),
    "CheckKeyStoreUpdate": ok(
        IsChangeable=True, NeedsRename=False, NeedsMove=False, Rollback=False, Warnings="none"
    ),
    "CheckSecrets": ok(),
    "CheckUpdate": ok(State="ACTIVE", IsChangeable=True, Rollback=False, Warnings="none"),
    "ClaimKeyStore": ok(),
    "CompleteClaim": ok(),
    "ConfigureClient": ok(),
    "ConnectKeyStore": ok(),
    "CreateCluster": ok(Id=CLUSTER, State="CREATE_IN_PROGRESS", NotListed=0),
    "CreateFirstHsm": ok(State="CREATE_IN_PROGRESS", Tried=["us-east-1a"], Message="", NotListed=0),
    "CreateHsm": ok(Next="CREATE", Created=[], Replaced=[], Deleted=[]),
    "CreateKeyStore": ok(Id=KEY_STORE),
    "CreateKmsUser": ok(),
    "CreatePassword": ok(),
    "CreateSecrets": ok(),
    "DeleteCluster": ok(Attempt=1),
    "DeleteFirstHsm": ok(State="DEGRADED", Tried=["us-east-1a"], Message=SAID, NotListed=0),
    "DeleteHsm": ok(Next="DELETE", Created=[], Replaced=[], Deleted=[]),
    "DeleteKeyStore": ok(IsRetained=False),
    "DeleteSecrets": ok(),
    "DescribeAgent": ok(PingStatus="Online", Attempts=1),
    "DescribeClient": ok(State="running"),
    "DescribeCommand": ok(Id="c-1", Job="InstallPackage", Status="Success", Message="done"),
    "DisconnectKeyStore": ok(),
    "DropClaim": ok(),
    "DropPassword": ok(),
    "FindCluster": ok(Id=CLUSTER, State="ACTIVE", LastKnownId=CLUSTER, HasBackups=True, Attempts=1),
    "FindKeyStore": ok(
        Id=KEY_STORE, State="CONNECTED", IsIncomplete=False, IsStale=False, Attempts=1
    ),
    "InitializeCluster": ok(),
    "InstallPackage": ok(),
    "IssueCertificate": ok(),
    "RetainKeyStore": ok(Kept=f"The key store {KEY_STORE} is kept, disconnected."),
    "ModifyCluster": ok(),
    "MoveKeyStore": ok(),
    "RenameKeyStore": ok(),
    "ReportCluster": ok(PhysicalResourceId=CLUSTER, Data={"ClusterId": CLUSTER}),
    "ReportKeyStore": ok(PhysicalResourceId=KEY_STORE, Data={"KeyStoreId": KEY_STORE}),
    "RevokeClient": ok(),
    "RunLifecycle": ok(Output={"PhysicalResourceId": CLUSTER, "Data": {}}, Status="SUCCEEDED"),
    "SendCommand": ok(Id="c-1"),
    "StartClient": ok(),
    "StopClient": ok(),
    "StoreCsr": ok(),
    "TagCluster": ok(),
    "UpdatePassword": ok(),
}

PACKAGE = {"Name": "cloudhsm-cli", "Url": "", "Sha256": ""}
CLUSTER_REQUEST: dict[str, Any] = {
    "StackId": STACK,
    "LogicalResourceId": "rCloudHsmCluster",
    "PhysicalResourceId": CLUSTER,
    "ResourceProperties": {
        "System": "cloudhsm",
        "HsmsPerSubnet": "1",
        "HsmType": "hsm2m.medium",
        "BackupId": "",
        "UseExternalPkiProcess": "false",
        "ExternallyProvidedCertsReady": "false",
        "ClientInstanceId": CLIENT,
        "ClientSecurityGroupId": "sg-0123456789abcdef0",
        "ClientPackage": PACKAGE,
        "ActivationPackage": PACKAGE,
    },
}
KEY_STORE_REQUEST: dict[str, Any] = {
    "StackId": STACK,
    "LogicalResourceId": "rCloudHsmKeyStore",
    "PhysicalResourceId": KEY_STORE,
    "ResourceProperties": {
        "KeyStoreName": "keys",
        "DeleteKeyStoreUponStackDeletion": "false",
        "CloudHsmClusterId": CLUSTER,
        "CloudHsmAdminPasswordSecretName": "/cloudhsm/admin",
        "CloudHsmCustCaCertSecretName": "/cloudhsm/ca",
        "PasswordSecretName": "/cloudhsm-ks/1/kmsuser-password",
        "Claim": "/hsm-lifecycle/cloudhsm-ks-1/key-store",
        "ClientInstanceId": CLIENT,
    },
}
ON_CLUSTER = {
    "StartTime": "2026-11-23T12:00:00.000Z",
    "ClusterId": CLUSTER,
    "StackId": STACK,
    "System": "cloudhsm",
    "InstanceId": CLIENT,
    "ClientPackage": PACKAGE,
    "ActivationPackage": PACKAGE,
}
ON_KEY_STORE = {
    "KeyStoreId": KEY_STORE,
    "ClusterId": CLUSTER,
    "StackId": STACK,
    "InstanceId": CLIENT,
    "CloudHsmAdminPasswordSecretName": "/cloudhsm/admin",
    "CloudHsmCustCaCertSecretName": "/cloudhsm/ca",
    "PasswordSecretName": "/cloudhsm-ks/1/kmsuser-password",
}
INPUTS: dict[str, dict[str, Any]] = {
    "handle-request": {
        "LifecycleArn": "arn:aws:states:us-east-1:123456789012:stateMachine:hsm-1-create-cluster",
        "Request": CLUSTER_REQUEST,
        "ResponseURL": "https://example.com/answer",
    },
    "create-cluster": CLUSTER_REQUEST,
    "update-cluster": CLUSTER_REQUEST,
    "delete-cluster": CLUSTER_REQUEST,
    "create-first-hsm": {
        **ON_CLUSTER,
        "ResourceProperties": CLUSTER_REQUEST["ResourceProperties"],
        "FirstHsm": {"Tried": [], "Message": "", "NotListed": 0},
    },
    "activate-cluster": ON_CLUSTER,
    "align-hsms": {
        **ON_CLUSTER,
        "HsmsPerSubnet": "1",
        "Hsms": {"Created": [], "Replaced": [], "Deleted": []},
    },
    "run-on-client": {
        "ClusterId": CLUSTER,
        "InstanceId": CLIENT,
        "DocumentName": "InstallPackage",
        "Parameters": {},
    },
    "create-key-store": KEY_STORE_REQUEST,
    "update-key-store": KEY_STORE_REQUEST,
    "delete-key-store": KEY_STORE_REQUEST,
    "create-kms-user": ON_KEY_STORE,
    "connect-key-store": ON_KEY_STORE,
    "disconnect-key-store": {"KeyStoreId": KEY_STORE},
}


@dataclass(frozen=True)
class Path:
    """One way through a machine."""

    machine: str
    name: str
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)  # that differ from the usual request
    given: dict[str, Any] = field(default_factory=dict)  # that differs from the usual input
    status: str = "SUCCEEDED"
    error: str | None = None
    cause: tuple[str, ...] = ()  # each of which stands in the cause
    output: dict[str, Any] = field(default_factory=dict)  # that is in the output
    through: tuple[str, ...] = ()  # in this order, other states between them
    without: tuple[str, ...] = ()
    seconds: int | None = None

    def __str__(self) -> str:
        return f"{self.machine}: {self.name}"

    @property
    def input(self) -> dict[str, Any]:
        """What the execution is started with."""
        usual = {**INPUTS[self.machine], **self.given}
        if self.properties:
            usual["ResourceProperties"] = {**usual["ResourceProperties"], **self.properties}
        return usual

    def answered(self, state: str, *answers: Answer) -> Path:
        """The same way, but that a state is answered this."""
        return replace(self, answers={**self.answers, state: list(answers)})


def cluster(*states: str, **more: Any) -> list[Answer]:
    """One answer of DescribeCluster for each state."""
    return [
        ok(
            Id=CLUSTER,
            State=state,
            StateMessage=SAID,
            HsmType=more.get("hsm_type", "hsm2m.medium"),
            HsmIpAddresses="10.0.1.10",
            Attempts=more.get("looks", 1),
            NotListed=0,
        )
        for state in states
    ]


def found(*states: str, known_as: str = CLUSTER) -> list[Answer]:
    """One answer of FindCluster for each state."""
    return [
        ok(
            Id="" if state == "NOT_FOUND" else CLUSTER,
            State=state,
            LastKnownId=known_as if state == "NOT_FOUND" else CLUSTER,
            HasBackups=False,
            Attempts=look,
        )
        for look, state in enumerate(states, 1)
    ]


def first_hsm(*states: str) -> list[Answer]:
    """One answer of DescribeFirstHsm for each state."""
    return [
        ok(
            State=state,
            Tried=["us-east-1a"],
            Message=SAID if state != "ACTIVE" else "",
            NotListed=0,
        )
        for state in states
    ]


def hsms(*decisions: str, addresses: str = "10.0.1.10") -> list[Answer]:
    """One answer of DescribeHsms for each decision."""
    return [
        ok(
            Next=decision,
            Zone="us-east-1a",
            EniId="eni-1",
            Message="hsm-1 in us-east-1a is DEGRADED like the one before: it said so.",
            Created=[],
            Replaced=[],
            Deleted=[],
            IpAddresses=addresses,
        )
        for decision in decisions
    ]


def agent(*statuses: str) -> list[Answer]:
    """One answer of DescribeAgent for each status."""
    return [ok(PingStatus=status, Attempts=look) for look, status in enumerate(statuses, 1)]


def command(*statuses: str) -> list[Answer]:
    """One answer of DescribeCommand for each status."""
    return [ok(Id="c-1", Job="InstallPackage", Status=status, Message=SAID) for status in statuses]


def key_store(*states: str, code: str = "", seconds: float = 0) -> list[Answer]:
    """One answer of DescribeKeyStore for each state."""
    return [
        ok(State=state, ErrorCode=code if state == "FAILED" else "", Seconds=seconds)
        for state in states
    ]


def connection(*numbers: int) -> list[Answer]:
    """One answer of ConnectKeyStore, in connect-key-store, for each time it was asked."""
    return [ok(Number=number, IsRepaired=number > 1) for number in numbers]


def diagnosis(decision: str) -> Answer:
    """An answer of DiagnoseConnection."""
    return ok(Next=decision, Message="USER_NOT_FOUND. kmsuser is not on every HSM.")


def checked(**more: Any) -> list[Answer]:
    """An answer of CheckUpdate."""
    usual = {"State": "ACTIVE", "IsChangeable": True, "Rollback": False, "Warnings": "none"}
    return [ok(**usual | more)]


def store_checked(**more: Any) -> list[Answer]:
    """An answer of CheckKeyStoreUpdate."""
    return [ok(**USUAL["CheckKeyStoreUpdate"]["result"] | more)]


HANDLE_REQUEST = [
    Path("handle-request", "a lifecycle that succeeds is answered"),
    Path(
        "handle-request",
        "a lifecycle that fails is answered too",
        {"RunLifecycle": [fails("States.TaskFailed", "{}")]},
    ),
    Path(
        "handle-request",
        "a lifecycle that never ends is answered before CloudFormation gives up",
        {"RunLifecycle": [takes(5000)]},
        seconds=3320,
    ),
    Path(
        "handle-request",
        "an answer that does not arrive is repeated, whatever the reason",
        {"SendResponse": [fails("HTTPError"), fails("URLError"), {"result": None}]},
    ),
    Path(
        "handle-request",
        "an answer that never arrives is left to the net",
        {"SendResponse": [fails("HTTPError", "503")] * 7},
        status="FAILED",
        error="HTTPError",
        cause=("503",),
    ),
]

CREATE_CLUSTER = [
    Path(
        "create-cluster",
        "a cluster with a certificate of its own",
        {"DescribeCluster": cluster("CREATE_IN_PROGRESS", "UNINITIALIZED")},
        output={"PhysicalResourceId": CLUSTER, "Data": {"ClusterId": CLUSTER}},
        through=(
            "CheckCreation",
            "CreateCluster",
            "WaitForCluster",
            "CreateSecrets",
            "AdmitClient",
            "CreateFirstHsm",
            "StoreCsr",
            "IssueCertificate",
            "ActivateCluster",
            "AlignHsms",
            "ReportCluster",
        ),
        without=("CheckBackupSecrets", "AdoptSecrets"),
        seconds=15,
    ),
    Path(
        "create-cluster",
        "a cluster that waits for the certificate of somebody's own PKI",
        {"DescribeCluster": cluster("UNINITIALIZED")},
        properties={"UseExternalPkiProcess": "true"},
        through=("StoreCsr", "ReportCluster"),
        without=("IssueCertificate", "ActivateCluster", "AlignHsms"),
    ),
    Path(
        "create-cluster",
        "a cluster from a backup",
        {
            "CheckCreation": [ok(BackupSecrets={"CaCertificate": "/a", "Password": "/b"})],
            "DescribeCluster": cluster("CREATE_IN_PROGRESS", "ACTIVE"),
        },
        properties={"BackupId": "backup-2example3id"},
        through=("CheckBackupSecrets", "CreateCluster", "AdoptSecrets", "AdmitClient", "AlignHsms"),
        without=("CreateSecrets", "CreateFirstHsm", "IssueCertificate", "ActivateCluster"),
    ),
    Path(
        "create-cluster",
        "nothing is made when the creation is refused",
        {"CheckCreation": [fails("ParameterError", "pSubnets: no.")]},
        status="FAILED",
        error="ParameterError",
        cause=("pSubnets: no.",),
        without=("CreateCluster",),
    ),
    Path(
        "create-cluster",
        "nothing is made when nobody knows the secrets of the backup",
        {"CheckBackupSecrets": [fails("ParameterError", "pBackupCaCertSecretName: no.")]},
        properties={"BackupId": "backup-2example3id"},
        status="FAILED",
        error="ParameterError",
        without=("CreateCluster",),
    ),
    Path(
        "create-cluster",
        "a cluster that does not come into being",
        {"DescribeCluster": cluster("CREATE_IN_PROGRESS", "DEGRADED")},
        status="FAILED",
        error="ClusterUnhealthy",
        cause=("The new cluster is DEGRADED: it said so. ",),
    ),
    Path(
        "create-cluster",
        "a cluster that a former try had initialized is gone on with",
        {"DescribeCluster": cluster("INITIALIZED")},
        through=("ActivateCluster", "AlignHsms", "ReportCluster"),
    ),
    Path(
        "create-cluster",
        "a cluster that a former try had activated is gone on with",
        {"DescribeCluster": cluster("ACTIVE")},
        through=("AlignHsms", "ReportCluster"),
        without=("AdoptSecrets",),
    ),
    Path(
        "create-cluster",
        "a cluster that is created for ever",
        {"DescribeCluster": [forever(cluster("CREATE_IN_PROGRESS")[0])]},
        status="TIMED_OUT",
        error="States.Timeout",
        seconds=3300,
    ),
]

CREATE_FIRST_HSM = [
    Path(
        "create-first-hsm",
        "an HSM that comes up",
        {"DescribeFirstHsm": first_hsm("CREATE_IN_PROGRESS", "ACTIVE")},
        output={"State": "ACTIVE"},
        seconds=15,
    ),
    Path(
        "create-first-hsm",
        "an HSM that comes up DEGRADED gives way to another",
        {
            "CreateFirstHsm": [USUAL["CreateFirstHsm"]] * 2,
            "DescribeFirstHsm": first_hsm(
                "CREATE_IN_PROGRESS",
                "DEGRADED",
                "DELETE_IN_PROGRESS",
                "NOT_FOUND",
                "CREATE_IN_PROGRESS",
                "ACTIVE",
            ),
        },
        through=("CreateFirstHsm", "DeleteFirstHsm", "WaitForFirstHsm", "CreateFirstHsm"),
    ),
    Path(
        "create-first-hsm",
        "no HSM in any subnet",
        {
            "CreateFirstHsm": [
                USUAL["CreateFirstHsm"],
                fails("HsmNotCreatedError", f"CreateHsm gave no HSM in us-east-1a. [{CLUSTER}]"),
            ],
            "DescribeFirstHsm": first_hsm("DEGRADED", "NOT_FOUND"),
        },
        status="FAILED",
        error="HsmNotCreatedError",
    ),
    Path(
        "create-first-hsm",
        "an HSM in a state that nobody knows",
        {"DescribeFirstHsm": first_hsm("ASLEEP")},
        status="FAILED",
        error="FirstHsmUnhealthy",
        cause=("The first HSM is ASLEEP: it said so. ",),
    ),
    Path(
        "create-first-hsm",
        "an HSM that is created for ever",
        {"DescribeFirstHsm": [forever(first_hsm("CREATE_IN_PROGRESS")[0])]},
        status="TIMED_OUT",
        error="States.Timeout",
        seconds=3200,
    ),
]

_IN_A_ROLLBACK = {"CheckUpdate": checked(Rollback=True)}
_NOT_RESTORED = "The rollback could not restore the cluster"
UPDATE_CLUSTER = [
    Path(
        "update-cluster",
        "an active cluster is brought in line",
        {"DescribeCluster": cluster("ACTIVE")},
        output={"PhysicalResourceId": CLUSTER},
        through=(
            "CheckUpdate",
            "AdmitClient",
            "ModifyCluster",
            "CheckSecrets",
            "AlignHsms",
            "TagCluster",
            "ReportCluster",
        ),
        seconds=0,
    ),
    Path(
        "update-cluster",
        "a degraded cluster is repaired",
        {"DescribeCluster": cluster("DEGRADED")},
        through=("AlignHsms", "ReportCluster"),
    ),
    Path(
        "update-cluster",
        "a change of the HSM type is waited for",
        {"DescribeCluster": cluster("MODIFY_IN_PROGRESS", "ACTIVE")},
        through=("ModifyCluster", "WaitForCluster", "AlignHsms"),
        seconds=15,
    ),
    Path(
        "update-cluster",
        "a change of the HSM type that AWS takes back",
        {"DescribeCluster": cluster("MODIFY_IN_PROGRESS", "ROLLBACK_IN_PROGRESS")},
        status="FAILED",
        error="ModificationFailed",
        cause=(
            "AWS did not change the HSM type to hsm2m.medium (pHsmType)",
            "the cluster is ROLLBACK_IN_PROGRESS with hsm2m.medium: it said so",
        ),
        seconds=15,
    ),
    Path(
        "update-cluster",
        "a change of the HSM type that AWS has taken back",
        {"DescribeCluster": cluster("ACTIVE", hsm_type="hsm1.medium")},
        status="FAILED",
        error="ModificationFailed",
        cause=("the cluster is ACTIVE with hsm1.medium: it said so",),
    ),
    Path(
        "update-cluster",
        "the way back to the former HSM type is waited for",
        {
            "DescribeCluster": [
                *cluster("ROLLBACK_IN_PROGRESS"),
                *cluster("ACTIVE", hsm_type="hsm1.medium"),
            ]
        },
        properties={"HsmType": "hsm1.medium"},
        through=("WaitForCluster", "AlignHsms", "ReportCluster"),
        seconds=15,
    ),
    Path(
        "update-cluster",
        "a rollback does not wait for ever",
        {
            **_IN_A_ROLLBACK,
            "DescribeCluster": [
                *cluster("MODIFY_IN_PROGRESS", looks=20),
                *cluster("MODIFY_IN_PROGRESS", looks=21),
            ],
        },
        through=(
            "WaitForCluster",
            "RecordModificationFailure",
            "SetRollbackWarning",
            "ReportCluster",
        ),
        seconds=15,
    ),
    *[
        Path(
            "update-cluster",
            f"the client is {state}",
            {"DescribeClient": [ok(State=state)]},
            status="FAILED",
            error="ClientTerminated",
            cause=(f"{CLIENT} is {state}; nothing was changed.", "pClientAmiId"),
            without=("AdmitClient",),
        )
        for state in ("terminated", "shutting-down")
    ],
    Path(
        "update-cluster",
        "no HSM and so no client is needed",
        {"DescribeCluster": cluster("ACTIVE")},
        properties={"HsmsPerSubnet": "0"},
        through=("IsClientNeeded", "AdmitClient", "AlignHsms"),
        without=("DescribeClient",),
    ),
    Path(
        "update-cluster",
        "a rollback does what it can without asking for the client",
        {**_IN_A_ROLLBACK, "DescribeCluster": cluster("ACTIVE")},
        through=("IsClientNeeded", "AdmitClient", "AlignHsms"),
        without=("DescribeClient", "TagCluster"),
    ),
    Path(
        "update-cluster",
        "a change of the HSM type that fails does not stop a rollback",
        {**_IN_A_ROLLBACK, "DescribeCluster": cluster("ACTIVE", hsm_type="hsm1.medium")},
        through=("RecordModificationFailure", "AlignHsms", "SetRollbackWarning", "ReportCluster"),
    ),
    *[
        Path(
            "update-cluster",
            f"a rollback does without {state} what it still can, and says so",
            {
                "CheckUpdate": checked(Rollback=True, State=was),
                "DescribeCluster": cluster("ACTIVE"),
                state: [fails("RefusedError")],
            },
            through=(state, "AlignHsms", "SetRollbackWarning", "ReportCluster"),
            without=("UpdateFailed",),
        )
        for state, was in (
            ("AdmitClient", "ACTIVE"),
            ("ModifyCluster", "ACTIVE"),
            ("DescribeCluster", "DEGRADED"),
            ("CheckSecrets", "ACTIVE"),
        )
    ],
    Path(
        "update-cluster",
        "a rollback of which several steps fail tries each",
        {
            **_IN_A_ROLLBACK,
            "AdmitClient": [fails("RefusedError")],
            "ModifyCluster": [fails("RefusedError")],
            "DescribeCluster": [fails("RefusedError")],
            "CheckSecrets": [fails("RefusedError")],
            "AlignHsms": [fails("States.TaskFailed")],
        },
        through=("AdmitClient", "ModifyCluster", "AlignHsms", "ReportCluster"),
    ),
    Path(
        "update-cluster",
        "a rollback makes no HSMs for a cluster that takes none yet, as far as anybody knows",
        {
            "CheckUpdate": checked(Rollback=True, State="UNINITIALIZED"),
            "DescribeCluster": [fails("RefusedError")],
        },
        through=("DescribeCluster", "SetRollbackWarning", "ReportCluster"),
        without=("CreateFirstHsm", "AlignHsms"),
    ),
    Path(
        "update-cluster",
        "what AWS cannot change is refused before anything is touched",
        {"CheckUpdate": [fails("ParameterError", f"pMode: no. [{CLUSTER}]")]},
        status="FAILED",
        error="ParameterError",
        cause=("pMode: no.",),
        without=("AdmitClient",),
    ),
    Path(
        "update-cluster",
        "a rollback passes without a cluster",
        {
            "FindCluster": found("NOT_FOUND"),
            "CheckUpdate": checked(State="NOT_FOUND", IsChangeable=False, Rollback=True),
        },
        through=("CheckUpdate", "ReportCluster"),
        without=("AdmitClient", "TagCluster"),
    ),
    Path(
        "update-cluster",
        "a cluster that still waits for its certificate",
        {"DescribeCluster": cluster("UNINITIALIZED")},
        properties={"UseExternalPkiProcess": "true"},
        through=("CreateFirstHsm", "CreateSecrets", "StoreCsr", "ReportCluster"),
        without=("IssueCertificate", "ActivateCluster", "AlignHsms"),
    ),
    Path(
        "update-cluster",
        "a cluster whose certificate of somebody's own PKI is there",
        {"DescribeCluster": cluster("UNINITIALIZED")},
        properties={"UseExternalPkiProcess": "true", "ExternallyProvidedCertsReady": "true"},
        through=("CreateFirstHsm", "StoreCsr", "ActivateCluster", "AlignHsms", "ReportCluster"),
        without=("IssueCertificate",),
    ),
    Path(
        "update-cluster",
        "a cluster whose activation had failed",
        {"DescribeCluster": cluster("INITIALIZED")},
        through=("CreateFirstHsm", "IssueCertificate", "ActivateCluster", "AlignHsms"),
    ),
    Path(
        "update-cluster",
        "a cluster that is modified for ever",
        {"DescribeCluster": [forever(cluster("MODIFY_IN_PROGRESS")[0])]},
        status="TIMED_OUT",
        error="States.Timeout",
        seconds=3300,
    ),
]

_DELETED = ("ACTIVE", "DELETE_IN_PROGRESS", "DELETED")
DELETE_CLUSTER = [
    *[
        Path(
            "delete-cluster",
            f"a cluster that is {state}",
            {"DescribeCluster": cluster(state, "DELETE_IN_PROGRESS", "DELETED")},
            output={"PhysicalResourceId": CLUSTER, "Data": {}},
            through=(
                "CheckDeletion",
                "AlignHsms",
                "RevokeClient",
                "DeleteCluster",
                "WaitForCluster",
                "DeleteSecrets",
                "ReportDeletion",
            ),
            seconds=30,
        )
        for state in ("UNINITIALIZED", "INITIALIZED", "ACTIVE", "DEGRADED")
    ],
    Path(
        "delete-cluster",
        "a cluster that is still being created",
        {"DescribeCluster": cluster("CREATE_IN_PROGRESS", "UNINITIALIZED", *_DELETED[1:])},
        through=("WaitForCluster", "AlignHsms", "DeleteCluster", "DeleteSecrets"),
    ),
    Path(
        "delete-cluster",
        "a cluster that is being deleted already",
        {"DescribeCluster": cluster("DELETE_IN_PROGRESS", "DELETED")},
        without=("AlignHsms", "DeleteCluster"),
        through=("WaitForCluster", "DeleteSecrets"),
    ),
    Path(
        "delete-cluster",
        "a cluster that AWS does not delete at the first time of asking",
        {
            "DescribeCluster": cluster("ACTIVE", *_DELETED),
            "DeleteCluster": [ok(Attempt=1, Accepted=0), ok(Attempt=2, Accepted=1)],
        },
        through=("DeleteCluster", "WaitForCluster", "DeleteCluster", "DeleteSecrets"),
    ),
    Path(
        "delete-cluster",
        "a cluster that AWS refuses to delete",
        {
            "DescribeCluster": cluster("ACTIVE"),
            "DeleteCluster": [fails("ClusterNotDeletedError", f"AWS refused. [{CLUSTER}]")],
        },
        status="FAILED",
        error="ClusterNotDeletedError",
        without=("DeleteSecrets",),
    ),
    Path(
        "delete-cluster",
        "a cluster that never was",
        {"FindCluster": found("NOT_FOUND", "NOT_FOUND", known_as="")},
        through=("WaitForLateCluster", "ReportDeletion"),
        without=("CheckDeletion", "DeleteSecrets"),
        seconds=60,
    ),
    Path(
        "delete-cluster",
        "a cluster that was deleted behind our back",
        {"FindCluster": found("NOT_FOUND", "NOT_FOUND")},
        through=("WaitForLateCluster", "DeleteSecrets", "ReportDeletion"),
        without=("CheckDeletion",),
    ),
    Path(
        "delete-cluster",
        "a cluster that shows late",
        {
            "FindCluster": found("NOT_FOUND", "CREATE_IN_PROGRESS"),
            "DescribeCluster": cluster(*_DELETED),
        },
        through=("WaitForLateCluster", "CheckDeletion", "DeleteCluster"),
    ),
    Path(
        "delete-cluster",
        "a cluster under a key store",
        {"CheckDeletion": [fails("ClusterInUseError", f"KMS key store cks-1. [{CLUSTER}]")]},
        status="FAILED",
        error="ClusterInUseError",
        without=("AlignHsms", "DeleteCluster", "DeleteSecrets"),
    ),
    Path(
        "delete-cluster",
        "a cluster in a state that nobody knows",
        {"DescribeCluster": cluster("ASLEEP")},
        status="FAILED",
        error="ClusterUnhealthy",
        cause=("The cluster is ASLEEP: it said so. ",),
    ),
    Path(
        "delete-cluster",
        "a cluster that is deleted for ever",
        {
            "DescribeCluster": [
                *cluster("ACTIVE"),
                forever(cluster("DELETE_IN_PROGRESS")[0]),
            ]
        },
        status="TIMED_OUT",
        error="States.Timeout",
        seconds=3300,
        without=("DeleteSecrets",),
    ),
]

ACTIVATE_CLUSTER = [
    Path(
        "activate-cluster",
        "the whole way",
        {
            "DescribeCluster": cluster(
                "UNINITIALIZED",
                "UNINITIALIZED",
                "INITIALIZE_IN_PROGRESS",
                "INITIALIZED",
                "INITIALIZED",
                "ACTIVE",
            )
        },
        output={"State": "ACTIVE"},
        through=(
            "InstallPackage",
            "CheckCertificates",
            "InitializeCluster",
            "WaitForCluster",
            "ConfigureClient",
            "ActivateCluster",
            "WaitForCluster",
            "ReportActivation",
        ),
    ),
    Path(
        "activate-cluster",
        "a cluster that is initialized, from a client that may be new",
        {"DescribeCluster": cluster("INITIALIZED", "ACTIVE")},
        through=("InstallPackage", "ConfigureClient", "ActivateCluster", "ReportActivation"),
        without=("InitializeCluster",),
    ),
    Path(
        "activate-cluster",
        "a cluster that is active",
        {"DescribeCluster": cluster("ACTIVE")},
        without=("InitializeCluster", "ActivateCluster"),
    ),
    Path(
        "activate-cluster",
        "a cluster that is degraded",
        {"DescribeCluster": cluster("DEGRADED")},
        status="FAILED",
        error="ClusterUnhealthy",
        cause=("The cluster is DEGRADED: it said so. ",),
    ),
    Path(
        "activate-cluster",
        "certificates that will not do",
        {
            "DescribeCluster": cluster("UNINITIALIZED"),
            "CheckCertificates": [fails("CertificateError")],
        },
        status="FAILED",
        error="CertificateError",
        without=("InitializeCluster",),
    ),
    Path(
        "activate-cluster",
        "a cluster that never becomes active",
        {"DescribeCluster": [forever(cluster("INITIALIZED")[0])]},
        status="TIMED_OUT",
        error="States.Timeout",
        seconds=3200,
        through=("ActivateCluster", "WaitForCluster"),
    ),
]

ALIGN_HSMS = [
    Path(
        "align-hsms",
        "HSMs that are as they should be",
        {"DescribeHsms": hsms("ALIGNED")},
        output={"IpAddresses": "10.0.1.10"},
        through=("InstallPackage", "ConfigureClient", "ReportHsms"),
        without=("CreateHsm", "DeleteHsm"),
        seconds=0,
    ),
    Path(
        "align-hsms",
        "HSMs that are too few are created at once and waited for together",
        {
            "DescribeHsms": hsms("CREATE", "CREATE", "WAIT", "WAIT", "ALIGNED"),
            "CreateHsm": [USUAL["CreateHsm"]] * 2,
        },
        through=("CreateHsm", "CreateHsm", "WaitForHsms", "ConfigureClient"),
        seconds=30,
    ),
    Path(
        "align-hsms",
        "an HSM that is too many is deleted",
        {"DescribeHsms": hsms("DELETE", "WAIT", "ALIGNED")},
        through=("DeleteHsm", "WaitForHsms", "ConfigureClient"),
    ),
    Path(
        "align-hsms",
        "a creation that is refused while another HSM arrives is tried again",
        {
            "DescribeHsms": hsms("CREATE", "CREATE", "ALIGNED"),
            "CreateHsm": [fails("HsmBusyError"), USUAL["CreateHsm"]],
        },
        through=("CreateHsm", "WaitForHsms", "CreateHsm", "ConfigureClient"),
    ),
    Path(
        "align-hsms",
        "a deletion that is refused while another HSM leaves is tried again",
        {
            "DescribeHsms": hsms("DELETE", "DELETE", "ALIGNED"),
            "DeleteHsm": [fails("HsmBusyError"), USUAL["DeleteHsm"]],
        },
        through=("DeleteHsm", "WaitForHsms", "DeleteHsm", "ConfigureClient"),
    ),
    Path(
        "align-hsms",
        "an HSM that comes up DEGRADED twice",
        {"DescribeHsms": hsms("UNHEALTHY")},
        status="FAILED",
        error="HsmsUnhealthy",
        cause=("hsm-1 in us-east-1a is DEGRADED like the one before: it said so. Set pReconcile",),
    ),
    Path(
        "align-hsms",
        "no HSM at all leaves the client alone",
        {"DescribeHsms": hsms("ALIGNED", addresses="")},
        given={"HsmsPerSubnet": "0"},
        without=("InstallPackage", "ConfigureClient"),
    ),
    Path(
        "align-hsms",
        "HSMs that never arrive",
        {"DescribeHsms": [forever(hsms("WAIT")[0])]},
        status="TIMED_OUT",
        error="States.Timeout",
        seconds=3200,
    ),
]

RUN_ON_CLIENT = [
    Path(
        "run-on-client",
        "a client that is ready",
        {"DescribeCommand": command("Running", "Success")},
        output={"Status": "Success"},
        through=("DescribeAgent", "SendCommand", "WaitForCommand", "ReportCommand"),
        without=("StartClient", "StopClient"),
        seconds=15,
    ),
    Path(
        "run-on-client",
        "a client that is booting",
        {
            "DescribeClient": [ok(State="pending"), ok(State="running")],
            "DescribeAgent": agent("Absent", "ConnectionLost", "Online"),
        },
        through=("WaitForClient", "WaitForAgent", "SendCommand", "ReportCommand"),
        seconds=45,
    ),
    Path(
        "run-on-client",
        "a client that its owner has stopped is left stopped",
        {
            "DescribeClient": [
                ok(State=state) for state in ("stopping", "stopped", "pending", "running")
            ]
        },
        through=("WaitForClient", "StartClient", "SendCommand", "StopClient", "ReportCommand"),
    ),
    Path(
        "run-on-client",
        "a client that is gone",
        {"DescribeClient": [ok(State="terminated")]},
        status="FAILED",
        error="ClientTerminated",
        cause=(f"The client instance {CLIENT} is terminated.", "pClientAmiId"),
    ),
    Path(
        "run-on-client",
        "a client whose agent never comes",
        {"DescribeAgent": agent(*["Absent"] * 40)},
        status="FAILED",
        error="AgentNotOnline",
        cause=(f"The SSM agent of {CLIENT} is Absent after 10 minutes.",),
        seconds=585,
    ),
    Path(
        "run-on-client",
        "a document that fails",
        {"DescribeCommand": command("Running", "Failed")},
        status="FAILED",
        error="CommandFailed",
        cause=(f"InstallPackage on {CLIENT} ended with status Failed: it said so ",),
        without=("StopClient",),
    ),
    Path(
        "run-on-client",
        "a document that fails on a client that was stopped",
        {
            "DescribeClient": [ok(State=state) for state in ("stopped", "running")],
            "DescribeCommand": command("TimedOut"),
        },
        status="FAILED",
        error="CommandFailed",
        cause=("ended with status TimedOut",),
        through=("StartClient", "SendCommand", "StopClient"),
    ),
    *[
        Path(
            "run-on-client",
            f"{state} is refused, and a client that was stopped is left stopped",
            {
                "DescribeClient": [ok(State=state) for state in ("stopped", "running")],
                state: answers,
            },
            status="FAILED",
            error="RefusedError",
            cause=("It went wrong.",),
            through=("StartClient", state, "StopClient"),
        )
        for state, answers in (
            ("DescribeClient", [ok(State="stopped"), fails("RefusedError")]),
            ("DescribeAgent", [fails("RefusedError")]),
            ("SendCommand", [fails("RefusedError")]),
            ("DescribeCommand", [fails("RefusedError")]),
        )
    ],
    Path(
        "run-on-client",
        "a client whose start nobody can tell of is left stopped",
        {"DescribeClient": [ok(State="stopped")], "StartClient": [fails("RefusedError")]},
        status="FAILED",
        error="RefusedError",
        through=("StartClient", "StopClient"),
        without=("SendCommand",),
    ),
    Path(
        "run-on-client",
        "what failed first is told, even if the client cannot be stopped",
        {
            "DescribeClient": [ok(State=state) for state in ("stopped", "running")],
            "SendCommand": [fails("RefusedError", f"The document is gone. [{CLUSTER}]")],
            "StopClient": [fails("RefusedError")],
        },
        status="FAILED",
        error="RefusedError",
        cause=("The document is gone.",),
    ),
    Path(
        "run-on-client",
        "a client that cannot be stopped again is told of",
        {
            "DescribeClient": [ok(State=state) for state in ("stopped", "running")],
            "StopClient": [fails("RefusedError")],
        },
        status="FAILED",
        error="ClientNotStopped",
        cause=(f"The client instance {CLIENT} was found stopped and could not be stopped again.",),
    ),
    Path(
        "run-on-client",
        "a document that runs for ever",
        {"DescribeCommand": [forever(command("Running")[0])]},
        status="TIMED_OUT",
        error="States.Timeout",
        seconds=1260,
    ),
]

_FOUND = ok(Id=KEY_STORE, State="CONNECTED", IsIncomplete=False, IsStale=False, Attempts=1)
_ABSENT = {"Id": "", "State": "NOT_FOUND", "IsIncomplete": False, "IsStale": False}
_NEW = {"FindKeyStore": [ok(**_ABSENT, Attempts=1)]}
_FORMER = [ok(Id=KEY_STORE, State="FAILED", IsIncomplete=True, IsStale=False, Attempts=1)]
CREATE_KEY_STORE = [
    Path(
        "create-key-store",
        "a key store that connects",
        _NEW,
        output={"PhysicalResourceId": KEY_STORE},
        through=(
            "FindKeyStore",
            "CheckCluster",
            "ClaimKeyStore",
            "CreateKmsUser",
            "CreateKeyStore",
            "ConnectKeyStore",
            "DropPassword",
            "CompleteClaim",
            "ReportKeyStore",
        ),
        without=("DisconnectKeyStore", "DeleteKeyStore"),
    ),
    Path(
        "create-key-store",
        "what a failed creation has left goes first",
        {"FindKeyStore": _FORMER},
        output={"PhysicalResourceId": KEY_STORE},
        through=("DisconnectKeyStore", "DeleteKeyStore", "CheckCluster", "CreateKeyStore"),
    ),
    Path(
        "create-key-store",
        "what a failed creation has left may show late",
        {"FindKeyStore": [ok(**_ABSENT | {"IsIncomplete": True}, Attempts=1), *_FORMER]},
        through=("WaitForLateKeyStore", "DisconnectKeyStore", "DeleteKeyStore", "CreateKeyStore"),
        seconds=60,
    ),
    Path(
        "create-key-store",
        "what a failed creation has left is not replaced if it holds keys",
        {"FindKeyStore": _FORMER, "DeleteKeyStore": [ok(IsRetained=True)]},
        status="FAILED",
        error="KeyStoreHasKeys",
        cause=("left a key store that now contains keys", "connect-custom-key-store"),
        without=("CheckCluster", "CreateKeyStore"),
    ),
    Path(
        "create-key-store",
        "nothing is made on a cluster that KMS would not take",
        {**_NEW, "CheckCluster": [fails("ParameterError", f"pCloudHsmClusterId: no. [{CLUSTER}]")]},
        status="FAILED",
        error="ParameterError",
        without=("ClaimKeyStore", "CreateKmsUser", "CreateKeyStore"),
    ),
    Path(
        "create-key-store",
        "nothing is made under a name that is taken",
        {**_NEW, "ClaimKeyStore": [fails("ParameterError", "pKeyStoreName: no.")]},
        status="FAILED",
        error="ParameterError",
        without=("CreateKmsUser", "CreateKeyStore"),
    ),
]

CREATE_KMS_USER = [
    Path(
        "create-kms-user",
        "a kmsuser on every HSM",
        output={"ClusterId": CLUSTER},
        through=("CheckCluster", "CreatePassword", "ConfigureClient", "CreateKmsUser"),
    ),
]

CONNECT_KEY_STORE = [
    Path(
        "connect-key-store",
        "a key store that connects",
        {
            "DescribeKeyStore": key_store("DISCONNECTED", "CONNECTING", "CONNECTED"),
            "ConnectKeyStore": connection(1),
        },
        output={"State": "CONNECTED"},
        through=("ConnectKeyStore", "WaitForKeyStore", "ReportConnection"),
        seconds=30,
    ),
    Path(
        "connect-key-store",
        "a key store that is connected",
        {"DescribeKeyStore": key_store("CONNECTED")},
        without=("ConnectKeyStore",),
    ),
    Path(
        "connect-key-store",
        "a key store that is being disconnected",
        {
            "DescribeKeyStore": key_store("DISCONNECTING", "DISCONNECTED", "CONNECTED"),
            "ConnectKeyStore": connection(1),
        },
        through=("WaitForKeyStore", "ConnectKeyStore", "ReportConnection"),
    ),
    Path(
        "connect-key-store",
        "a key store that fails for kmsuser's sake is repaired",
        {
            "DescribeKeyStore": key_store(
                "DISCONNECTED", "FAILED", "CONNECTED", code="USER_NOT_FOUND"
            ),
            "ConnectKeyStore": connection(1, 2),
            "DiagnoseConnection": [diagnosis("REPAIR")],
        },
        through=(
            "ConnectKeyStore",
            "DiagnoseConnection",
            "DisconnectKeyStore",
            "CreateKmsUser",
            "UpdatePassword",
            "RecordRepair",
            "ConnectKeyStore",
            "ReportConnection",
        ),
    ),
    Path(
        "connect-key-store",
        "a key store that was found FAILED is connected once more",
        {
            "DescribeKeyStore": key_store("FAILED", "CONNECTED", code="NETWORK_ERRORS"),
            "ConnectKeyStore": connection(1),
            "DiagnoseConnection": [diagnosis("CONNECT")],
        },
        through=("DiagnoseConnection", "DisconnectKeyStore", "ConnectKeyStore"),
        without=("CreateKmsUser",),
    ),
    Path(
        "connect-key-store",
        "a key store that cannot be connected",
        {
            "DescribeKeyStore": key_store("DISCONNECTED", "FAILED", code="USER_NOT_FOUND"),
            "ConnectKeyStore": connection(1),
            "DiagnoseConnection": [diagnosis("FAIL")],
        },
        status="FAILED",
        error="ConnectionFailed",
        cause=("KMS could not connect the key store: USER_NOT_FOUND. kmsuser is not",),
        through=("DiagnoseConnection", "DisconnectKeyStore", "ConnectionFailed"),
    ),
    Path(
        "connect-key-store",
        "a key store that stays DISCONNECTED",
        {
            "DescribeKeyStore": key_store("DISCONNECTED", "DISCONNECTED"),
            "ConnectKeyStore": connection(1),
        },
        status="FAILED",
        error="KeyStoreNotConnected",
        cause=("The key store is DISCONNECTED after",),
    ),
    Path(
        "connect-key-store",
        "a key store that is not connected in time",
        {"DescribeKeyStore": key_store("CONNECTING", seconds=2641)},
        status="FAILED",
        error="KeyStoreStuck",
        cause=("The key store is still CONNECTING after 44 minutes", "pReconcile"),
        through=("DescribeKeyStore", "KeyStoreStuck"),
    ),
    Path(
        "connect-key-store",
        "a key store that connects for ever",
        {
            "DescribeKeyStore": [
                *key_store("DISCONNECTED"),
                forever(key_store("CONNECTING")[0]),
            ],
            "ConnectKeyStore": connection(1),
        },
        status="TIMED_OUT",
        error="States.Timeout",
        seconds=2700,
    ),
]

DISCONNECT_KEY_STORE = [
    *[
        Path(
            "disconnect-key-store",
            f"a key store that is {state}",
            {"DescribeKeyStore": key_store(state, "DISCONNECTING", "DISCONNECTED")},
            output={"State": "DISCONNECTED"},
            through=("DisconnectKeyStore", "WaitForKeyStore", "ReportDisconnection"),
            seconds=30,
        )
        for state in ("CONNECTED", "CONNECTING", "FAILED")
    ],
    *[
        Path(
            "disconnect-key-store",
            f"a key store that is {state}",
            {"DescribeKeyStore": key_store(state)},
            output={"State": state},
            without=("DisconnectKeyStore",),
        )
        for state in ("DISCONNECTED", "NOT_FOUND")
    ],
    Path(
        "disconnect-key-store",
        "a key store in a state that nobody knows",
        {"DescribeKeyStore": key_store("ASLEEP")},
        status="FAILED",
        error="KeyStoreUnknown",
        cause=("The key store is ASLEEP, a state unknown to this workflow.",),
    ),
    Path(
        "disconnect-key-store",
        "a key store that is not disconnected in time",
        {"DescribeKeyStore": key_store("DISCONNECTING", seconds=841)},
        status="FAILED",
        error="KeyStoreStuck",
        cause=("The key store is still DISCONNECTING after 14 minutes",),
    ),
    Path(
        "disconnect-key-store",
        "a key store that disconnects for ever",
        {"DescribeKeyStore": [forever(key_store("DISCONNECTING")[0])]},
        status="TIMED_OUT",
        error="States.Timeout",
        seconds=900,
    ),
]

UPDATE_KEY_STORE = [
    Path(
        "update-key-store",
        "nothing but a new connection",
        output={"PhysicalResourceId": KEY_STORE},
        through=("ConnectKeyStore", "DropPassword", "CompleteClaim", "ReportKeyStore"),
        without=("RenameKeyStore", "MoveKeyStore"),
    ),
    Path(
        "update-key-store",
        "another name",
        {"CheckKeyStoreUpdate": store_checked(NeedsRename=True)},
        through=("RenameKeyStore", "ConnectKeyStore", "ReportKeyStore"),
        without=("DisconnectKeyStore",),
    ),
    Path(
        "update-key-store",
        "another cluster",
        {"CheckKeyStoreUpdate": store_checked(NeedsMove=True)},
        through=("CreateKmsUser", "DisconnectKeyStore", "MoveKeyStore", "ConnectKeyStore"),
    ),
    Path(
        "update-key-store",
        "another name and another cluster, which is checked before anything changes",
        {"CheckKeyStoreUpdate": store_checked(NeedsRename=True, NeedsMove=True)},
        through=("CreateKmsUser", "MoveKeyStore", "RenameKeyStore", "ConnectKeyStore"),
    ),
    Path(
        "update-key-store",
        "another name, and another cluster that will not do",
        {
            "CheckKeyStoreUpdate": store_checked(NeedsRename=True, NeedsMove=True),
            "CreateKmsUser": [fails("ParameterError", f"pCloudHsmClusterId: no. [{KEY_STORE}]")],
        },
        status="FAILED",
        error="ParameterError",
        cause=("pCloudHsmClusterId: no.",),
        without=("RenameKeyStore", "DisconnectKeyStore"),
    ),
    Path(
        "update-key-store",
        "a key store that is gone",
        {"CheckKeyStoreUpdate": [fails("KeyStoreNotFoundError")]},
        status="FAILED",
        error="KeyStoreNotFoundError",
        without=("ConnectKeyStore",),
    ),
    Path(
        "update-key-store",
        "a rollback passes without a key store",
        {
            **_NEW,
            "CheckKeyStoreUpdate": store_checked(IsChangeable=False, Rollback=True),
        },
        through=("CheckKeyStoreUpdate", "ReportKeyStore"),
        without=("ConnectKeyStore",),
    ),
    *[
        Path(
            "update-key-store",
            f"a rollback does without {state} what it still can, and says so",
            {
                "CheckKeyStoreUpdate": store_checked(
                    Rollback=True, NeedsRename=True, NeedsMove=state != "RenameKeyStore"
                ),
                state: [fails("RefusedError")],
            },
            through=(state, *then, "SetRollbackWarning", "ReportKeyStore"),
            without=("UpdateFailed", *without),
        )
        for state, then, without in (
            ("CreateKmsUser", ("RenameKeyStore", "ConnectKeyStore"), ("DisconnectKeyStore",)),
            ("DisconnectKeyStore", ("RenameKeyStore", "ConnectKeyStore"), ("MoveKeyStore",)),
            ("MoveKeyStore", ("RenameKeyStore", "ConnectKeyStore", "DropPassword"), ()),
            ("RenameKeyStore", ("ConnectKeyStore", "DropPassword"), ()),
            ("ConnectKeyStore", (), ("DropPassword", "CompleteClaim")),
            ("DropPassword", ("CompleteClaim",), ()),
            ("CompleteClaim", (), ()),
        )
    ],
]

DELETE_KEY_STORE = [
    Path(
        "delete-key-store",
        "a key store that is to be kept",
        {"FindKeyStore": [_FOUND]},
        output={"PhysicalResourceId": KEY_STORE},
        through=(
            "DisconnectKeyStore",
            "RetainKeyStore",
            "DropPassword",
            "DropClaim",
            "ReportRetained",
        ),
        without=("DeleteKeyStore",),
    ),
    Path(
        "delete-key-store",
        "a key store that is to be deleted",
        {"FindKeyStore": [_FOUND]},
        properties={"DeleteKeyStoreUponStackDeletion": "true"},
        through=("DisconnectKeyStore", "DeleteKeyStore", "DropPassword", "ReportDeletion"),
        without=("RetainKeyStore",),
    ),
    Path(
        "delete-key-store",
        "a key store that is to be deleted and holds keys",
        {"FindKeyStore": [_FOUND], "DeleteKeyStore": [ok(IsRetained=True)]},
        properties={"DeleteKeyStoreUponStackDeletion": "true"},
        through=("DeleteKeyStore", "RetainKeyStore", "DropPassword", "ReportRetained"),
    ),
    Path(
        "delete-key-store",
        "a key store that a failed creation has left",
        {"FindKeyStore": _FORMER},
        through=("DisconnectKeyStore", "DeleteKeyStore", "ReportDeletion"),
        without=("RetainKeyStore",),
    ),
    Path(
        "delete-key-store",
        "a key store that is gone",
        {"FindKeyStore": [ok(**_ABSENT, Attempts=1), ok(**_ABSENT, Attempts=2)]},
        through=("WaitForLateKeyStore", "DropPassword", "DropClaim", "ReportDeletion"),
        without=("DisconnectKeyStore", "DeleteKeyStore"),
        seconds=60,
    ),
    Path(
        "delete-key-store",
        "a request about what was replaced long ago",
        {"FindKeyStore": [ok(**_ABSENT | {"IsStale": True}, Attempts=1)]},
        output={"PhysicalResourceId": KEY_STORE},
        through=("FindKeyStore", "ReportDeletion"),
        without=("WaitForLateKeyStore", "DropPassword", "DropClaim"),
    ),
    Path(
        "delete-key-store",
        "a key store that shows late",
        {
            "FindKeyStore": [
                ok(**_ABSENT, Attempts=1),
                ok(
                    Id=KEY_STORE, State="DISCONNECTED", IsIncomplete=True, IsStale=False, Attempts=2
                ),
            ]
        },
        through=("WaitForLateKeyStore", "DisconnectKeyStore", "DeleteKeyStore"),
    ),
]

PATHS = [
    *HANDLE_REQUEST,
    *CREATE_CLUSTER,
    *CREATE_FIRST_HSM,
    *UPDATE_CLUSTER,
    *DELETE_CLUSTER,
    *ACTIVATE_CLUSTER,
    *ALIGN_HSMS,
    *RUN_ON_CLIENT,
    *CREATE_KEY_STORE,
    *CREATE_KMS_USER,
    *CONNECT_KEY_STORE,
    *DISCONNECT_KEY_STORE,
    *UPDATE_KEY_STORE,
    *DELETE_KEY_STORE,
]
