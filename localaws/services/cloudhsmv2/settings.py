"""What an emulator may set: timings, quotas, and assumptions about what AWS leaves open."""

from __future__ import annotations

from dataclasses import dataclass

# F5.3: ARNs and tags of the resource (Service Authorization Reference); ARNs and the request's tags
# only; or neither, which leaves the resource "*" (User Guide).
RESOURCE_LEVEL_IAM = ("supported", "arns-only", "not-supported")
UNMODELED_START_ERRORS = ("code", "sdk")


@dataclass
class Timings:
    """Virtual seconds, like the real services (F1.32, F1.33); no multiples of poll intervals."""

    create_cluster: float = 193
    create_hsm: float = 467
    initialize: float = 251
    activate: float = 41
    delete_hsm: float = 283
    delete_cluster: float = 137
    # F1.28: how long a deleted cluster is still described as DELETED.
    deleted_visible: float = 3600
    # F1.28, F1.29: how long a deleted HSM is listed as DELETED, and how long it then still blocks
    # DeleteCluster.
    deleted_hsm_visible: float = 11
    deleted_hsm_lingers: float = 19
    create_backup: float = 103
    # F1.43: per HSM.
    change_hsm_type: float = 1787
    connect: float = 871
    disconnect: float = 97
    instance_running: float = 38
    ssm_online: float = 71
    # F6.62: how long CloudFormation takes to create these.
    create_role: float = 17
    create_policy: float = 16
    create_instance_profile: float = 121
    create_function: float = 6
    create_state_machine: float = 2
    # An update of a Lambda function's code or configuration by CloudFormation.
    function_update: float = 7
    # F6.47: how long an updated state machine still starts with its previous definition.
    state_machine_update: float = 5
    # F6.37: how long ListExecutions does not list a new execution.
    execution_listed: float = 0
    # F6.72: how long reads do not show a new secret, or a secret's new version.
    secret_readable: float = 0
    # F6.90: an invocation of a function, and a transition of a state machine. Each is a jump of the
    # clock that costs real time, and polling hides them: only the benchmarks charge them.
    invoke_function: float = 0
    state_transition: float = 0
    # Run Command with a script, which takes no time but for what it sleeps and the commands below.
    run_command: float = 3
    # F6.90: each download of a script, package that it installs, and command of cloudhsm-cli.
    download: float = 5
    install_package: float = 10
    cloudhsm_cli: float = 2


@dataclass
class Quotas:
    """Per account and Region (F1.35, F4.3) unless named otherwise."""

    clusters: int = 4
    hsms: int = 6
    hsms_per_cluster: int = 28
    users_per_cluster: int = 1024
    key_stores: int = 10


@dataclass(frozen=True)
class Assumptions:
    """How the model resolves what AWS documents ambiguously or not at all."""

    # hsm1.medium clusters could be created until 2024 (F0.5).
    year: int = 2026
    # F1.31: whether CreateHsm is accepted while another HSM of the cluster is in progress.
    concurrent_create: bool = True
    # F1.5: the code of an exceeded quota. The default is the harsher one: a caller can tell only
    # CloudHsmResourceLimitExceededException from other invalid requests.
    quota_code: str = "CloudHsmInvalidRequestException"
    # F4.7: the API Reference lets a CONNECTED key store be renamed, the Developer Guide does not.
    rename_while_connected: bool = True
    # F4.30: whether KMS accepts a DUALSTACK cluster.
    key_store_on_dual_stack: bool = False
    # F2.13: whether InitializeCluster rejects a CA without a subject key identifier.
    trust_anchor_rfc5280: bool = True
    # F5.3: what CloudHSM's IAM evaluates; one of RESOURCE_LEVEL_IAM.
    resource_level_iam: str = "supported"
    # F1.29: whether DeleteCluster is refused for a while after the last HSM has left the list.
    deleted_hsms_linger: bool = True
    # F6.32: whether the children of an execution stop soon after it is stopped.
    parents_stop_children: bool = True
    # F6.48: whether the rollback of an update restores custom resources before what they depend on.
    custom_resources_roll_back_first: bool = False
    # F5.10: whether CloudHSM demands the EC2 actions that only the User Guide lists.
    demands_disputed_ec2_actions: bool = True
    # F3.23: whether cloudhsm-cli logs in for every command when CLOUDHSM_ROLE and CLOUDHSM_PIN are
    # set, also for those that need no login. The default is the harsher one.
    every_command_logs_in: bool = True
    # F6.70: the names of errors of StartExecution that its model lacks, such as throttling; one of
    # UNMODELED_START_ERRORS.
    unmodeled_start_errors: str = "code"
