"""How every state machine is written: names, time limits, errors, loops and data.

Each test is one rule and lists every state machine or state that breaks it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hsm_lifecycle import polling
from hsm_lifecycle.steps import client
from scripts.format_statemachines import formatted
from tests.support.state_machines import (
    MACHINES,
    Machine,
    State,
    child,
    is_detached,
    is_nested,
    transitions,
)
from tests.templates.template import ROOT, TEMPLATES, Template, words

# Retry of every task that calls a function.
STANDARD_RETRY = {
    "ErrorEquals": [
        "Lambda.ClientExecutionTimeoutException",
        "Lambda.AWSLambdaException",
        "Lambda.Unknown",
        "Lambda.TooManyRequestsException",
        "Lambda.ServiceException",
        "Lambda.SdkClientException",
        "Sandbox.Timedout",
        "Runtime.ExitError",
        "States.Timeout",
        "TransientError",
    ],
    "IntervalSeconds": 2,
    "BackoffRate": 2,
    "MaxAttempts": 6,
}
# Retry of calls without an idempotency token (F1.6): the step looks for the resource before it
# creates one, and the effect of a lost call can show up late.
LATE_RETRY = STANDARD_RETRY | {"IntervalSeconds": 60, "BackoffRate": 1, "MaxAttempts": 3}
LATE_RETRIES = {"CreateCluster", "CreateFirstHsm", "CreateHsm", "CreateKeyStore"}
# Retry of every task that runs a machine: of errors of the start, by each name that AWS may give
# them (F6.70), and never of the child's failure, which is States.TaskFailed.
START_RETRY = STANDARD_RETRY | {
    "ErrorEquals": [
        "StepFunctions.ThrottlingException",
        "StepFunctions.AccessDeniedException",
        "StepFunctions.AWSStepFunctionsException",
        "StepFunctions.SdkClientException",
        "StepFunctions.ExecutionLimitExceeded",
        "StepFunctions.ExecutionLimitExceededException",
        "StepFunctions.InternalFailureException",
        "StepFunctions.InternalServerErrorException",
        "StepFunctions.ServiceUnavailableException",
    ]
}
# The response of a start was lost, and the child has ended before the retry.
ENDED_ERRORS = [
    "StepFunctions.ExecutionAlreadyExists",
    "StepFunctions.ExecutionAlreadyExistsException",
]
# The name of a child: the same for each retry of its start, which returns the running child (F6.1),
# another one when the state is entered again. 32 characters, because the names of state machine and
# execution have to fit into the comment of a command, which has 100.
CHILD_NAME = (
    "States.Hash(States.Format('{} {} {}', $$.Execution.Id, $$.State.Name, $$.State.EnteredTime),"
    " 'MD5')"
)
# CloudFormation must get a response, whatever the error.
RESPONSE_RETRY = STANDARD_RETRY | {"ErrorEquals": ["States.ALL"], "MaxDelaySeconds": 15}

# Seconds after which a task times out: one that calls a function, or runs a machine.
FUNCTION_TASK_LIMIT = 60
NESTED_TASK_LIMITS = {
    "activate-cluster": 3250,
    "align-hsms": 3250,
    "connect-key-store": 2720,
    "create-first-hsm": 3250,
    "create-kms-user": 1600,
    "disconnect-key-store": 1000,
    "run-on-client": 1300,
    None: 3320,  # the lifecycle of a request
}
# Seconds after which the execution of a machine times out.
LIFECYCLE_LIMIT = 3300
OTHER_LIMITS = {
    "activate-cluster": 3200,
    "align-hsms": 90000,  # a day, if it is detached
    "connect-key-store": 2700,
    "create-first-hsm": 3200,
    "create-kms-user": 1500,
    "disconnect-key-store": 900,
    "handle-request": 3390,
    "run-on-client": 1260,
}
SECONDS_TO_STOP = 60
# What the task that runs them may outlive: they ask at each look whether that still runs.
DETACHABLE = {"align-hsms"}

# Every Catch decides or compensates; all other failures end the execution.
CATCHES = {
    ("handle-request", "RerunLifecycle"),
    ("handle-request", "RunLifecycle"),  # CloudFormation gets a response after a failure too
    # A client that was found stopped is stopped again.
    ("run-on-client", "DescribeClient"),
    ("run-on-client", "DescribeAgent"),
    ("run-on-client", "SendCommand"),
    ("run-on-client", "DescribeCommand"),
    ("run-on-client", "StartClient"),  # the client may have started
    ("run-on-client", "StopClient"),  # an earlier failure is reported first
    ("activate-cluster", "ActivateCluster"),  # the cluster may be activated all the same
    # A failed login is remembered, and reported even if it cannot be.
    ("create-kms-user", "CreateKmsUser"),
    ("create-kms-user", "RecordLogin"),
    # Refused while another HSM is created or deleted: wait, then try again (F1.31).
    ("align-hsms", "CreateHsm"),
    ("align-hsms", "DeleteHsm"),
    # HSMs are aligned without the client too; the failure is reported after that.
    ("align-hsms", "InstallPackage"),
    ("activate-cluster", "ConfigureClientMeanwhile"),
    ("align-hsms", "ConfigureClientMeanwhile"),
    # A rollback must succeed, so its failures become warnings.
    ("update-cluster", "ActivateCluster"),
    ("update-cluster", "AdmitClient"),
    ("update-cluster", "AlignHsms"),
    ("update-cluster", "CheckSecrets"),
    ("update-cluster", "CreateFirstHsm"),
    ("update-cluster", "CreateSecrets"),
    ("update-cluster", "DescribeCluster"),
    ("update-cluster", "IssueCertificate"),
    ("update-cluster", "ModifyCluster"),
    ("update-cluster", "StoreCsr"),
    ("update-cluster", "VerifyHsmIdentity"),
    ("update-key-store", "CompleteClaim"),
    ("update-key-store", "ConnectKeyStore"),
    ("update-key-store", "CreateKmsUser"),
    ("update-key-store", "DisconnectKeyStore"),
    ("update-key-store", "DropPassword"),
    ("update-key-store", "MoveKeyStore"),
    ("update-key-store", "RenameKeyStore"),
}

# Loops without a Wait state, each of which ends after a few iterations.
DECISION_LOOPS = {
    # One iteration for each HSM to create or delete (28 at most) and one replacement in a zone.
    # The package is installed once: $.Installed or $.Failure is present after that.
    "align-hsms": [
        {
            "DescribeHsms",
            "AreHsmsAligned",
            "CreateHsm",
            "DeleteHsm",
            "NeedsPackage",
            "HasHsms",
            "InstallPackage",
        }
    ],
    # One iteration for each subnet: the step never retries one, and fails when none is left.
    "create-first-hsm": [
        {
            "CreateFirstHsm",
            "NeedsPackage",
            "InstallPackage",
            "DescribeFirstHsm",
            "IsFirstHsmActive",
        }
    ],
    # None: with ExistingKeyStoreId, IsKeyStoreAdopted and IsKeyStoreLeftover lead to MoveKeyStore;
    # without it, to CreateKeyStore and DeleteKeyStore.
    "create-key-store": [
        {
            "CheckCluster",
            "ClaimKeyStore",
            "CreateKmsUser",
            "IsKeyStoreAdopted",
            "DisconnectKeyStore",
            "IsKeyStoreLeftover",
            "DeleteKeyStore",
            "IsKeyStoreRetained",
        }
    ],
}

# Parameters that have another name than the data they take.
RENAMED_PARAMETERS = {
    "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": {"$$.Execution.Id"},
    "AdminPasswordSecret": {"$.CloudHsmAdminPasswordSecretName"},
    "CaCertificateSecret": {"$.CloudHsmCustCaCertSecretName"},
    "ClusterId": {"$.Cluster.LastKnownId", "$.ResourceProperties.CloudHsmClusterId"},
    "Data": {"$.Outcome"},
    "Input": {"$.Request"},
    "InstanceId": {"$.Instance.Id", "$.ResourceProperties.ClientInstanceId"},
    "IpAddresses": {"$.Cluster.HsmIpAddresses"},
    "LifecycleInput": {"$$.Execution.Input"},
    "Name": {"$.Hsms.DetachedName", "$.ResourceProperties.KeyStoreName"},
    "Parameters": {"$.ClientPackage", "$.ResourceProperties.ActivationPackage"},
    "PasswordSecret": {"$.PasswordSecretName"},
    "PhysicalResourceId": {"$.KeyStore.Id"},
    "Polled": {"$.Cluster", "$.Described", "$.FirstHsm", "$.Hsms", "$.KeyStore"},
    "Report": {"$.Output"},
    "Since": {"$$.State.EnteredTime"},
    "SourceSecret": {"$.Checked.BackupSecrets.Password"},
    "StartTime": {"$$.State.EnteredTime"},
    "StateMachineArn": {"$$.StateMachine.Id", "$.LifecycleArn"},
    "Warnings": {"$.Hsms.Message"},
}

SECRET_WORDS = re.compile(r"password|passphrase|secret|pin\b|token|credential|private|key$", re.I)


def states(kind: str | None = None) -> Iterator[tuple[Machine, str, State]]:
    """Every state of all machines, or those of one type."""
    for machine in MACHINES.values():
        for name, state in machine.states.items():
            if kind in (None, state["Type"]):
                yield machine, name, state


def is_awaited(state: State) -> bool:
    """Whether a Task runs another machine and waits for its end."""
    return is_nested(state) and not is_detached(state)


def lifecycles(template: Template) -> set[str]:
    """The state machines that handle requests."""
    variables = template.resources["rRequestFunction"]["Properties"]["Environment"]["Variables"]
    return {variables[name] for name in ("CREATE", "UPDATE", "DELETE")}


LIFECYCLES = {stem for template in TEMPLATES for stem in lifecycles(template)}


# ---- the file


def test_every_file_is_a_machine_named_by_a_verb_and_a_noun() -> None:
    names = [path.name for path in (ROOT / "statemachines").iterdir()]
    assert [name for name in names if not re.fullmatch(r"[a-z]+(-[a-z]+)+\.asl\.json", name)] == []
    assert len(names) == len(MACHINES)


def test_every_file_is_formatted() -> None:
    assert [m for m in MACHINES.values() if formatted(m.text) != m.text] == []


def test_placeholders_are_names_and_arns() -> None:
    name = re.compile(r"(?![pr][A-Z])(([A-Z][a-z0-9]*)+(Arn|Document)|Partition|Region)")
    assert [
        f"{machine} ${{{text}"
        for machine in MACHINES.values()
        for text in re.findall(r"\$\{([^}]*)\}?", machine.text)
        if not name.fullmatch(text)
    ] == []


def test_every_template_substitutes_each_placeholder_and_nothing_else() -> None:
    assert [m for m in MACHINES.values() if not m.templates] == []
    assert [
        f"{template} {machine}"
        for machine in MACHINES.values()
        for template in machine.templates
        if set(template.substitutions(machine.stem)) != machine.placeholders()
    ] == []


def test_a_placeholder_is_substituted_by_what_it_names() -> None:
    def expected(name: str) -> str:
        is_pseudo = name in ("Partition", "Region")
        return f"AWS::{name}" if is_pseudo else f"r{name.removesuffix('Arn')}"

    assert [
        f"{template} {stem} {name}"
        for template in TEMPLATES
        for stem in template.machines()
        for name in template.substitutions(stem)
        if template.supplier(stem, name) != expected(name)
    ] == []


def test_a_machine_has_a_comment_and_a_time_limit() -> None:
    assert [
        machine
        for machine in MACHINES.values()
        if list(machine.body) != ["Comment", "StartAt", "TimeoutSeconds", "States"]
        or not machine.body["Comment"].endswith(".")
        or "QueryLanguage" in machine.text
    ] == []


def test_every_state_can_be_reached() -> None:
    unreachable = []
    for machine in MACHINES.values():
        graph = {
            name: [target for _, target in transitions(state)]
            for name, state in machine.states.items()
        }
        first = machine.body["StartAt"]
        unreachable += [
            f"{machine} {name}" for name in set(graph) - {first} - reachable(graph, first)
        ]
    assert unreachable == []


def reachable(graph: dict[str, list[str]], start: str) -> set[str]:
    """The nodes of a graph that can be reached from one, by one edge or more."""
    reached: set[str] = set()
    pending = [start]
    while pending:
        for target in graph.get(pending.pop(), []):
            if target in graph and target not in reached:
                reached.add(target)
                pending.append(target)
    return reached


# ---- names


def test_states_are_pascal_case() -> None:
    assert [f"{m} {name}" for m, name, _ in states() if "".join(words(name)) != name] == []


def test_a_task_has_the_name_of_what_it_runs() -> None:
    def runs(state: State) -> str:
        if not is_nested(state):
            return str(state["Parameters"]["Step"])
        if document := state["Parameters"]["Input"].get("DocumentName"):
            return str(document[2:-1].removesuffix("Document"))
        return "".join(word.capitalize() for word in str(child(state)).split("-"))

    assert [
        f"{machine} {name}"
        for machine, name, state in states("Task")
        # The input of handle-request names the machine, and SendResponse has no worker.
        if machine.stem != "handle-request" and not is_detached(state)
        if name.removesuffix("Meanwhile") != runs(state)
    ] == []


def test_a_choice_asks_a_question() -> None:
    question = re.compile(r"(Is|Are|Was|Were|Has|Have|Had|Needs|Can|May|Does)[A-Z]")
    assert [
        f"{machine} {name}"
        for machine, name, state in states("Choice")
        if not question.match(name)
        or not re.match(r"[A-Z][^?]*\?", state["Comment"])
        or "Default" not in state
    ] == []


def test_a_wait_names_what_it_waits_for() -> None:
    # What a lost call may have created is looked for again after 60 s. Steps say how long to wait
    # for what takes AWS minutes, or for a command. These have no step of their own to say so:
    short = {"WaitForAgent", "WaitForClient", "WaitForDuplicate"}

    def expected(name: str, state: State) -> Any:
        late = 60 if name.startswith("WaitForLate") else 10 if name == "WaitForListing" else None
        return late or (5 if name in short else f"{described(state)}.Wait")

    assert [
        f"{machine} {name}"
        for machine, name, state in states("Wait")
        if not re.match(r"WaitFor[A-Z]", name)
        or state.get("Seconds", state.get("SecondsPath"))
        != expected(name, machine.states[state["Next"]])
    ] == []


def described(task: State) -> str:
    """The field with the result of a task that describes something."""
    return str(task["ResultPath"])


def test_no_limit_counts_looks() -> None:
    assert [
        f"{machine} {word}"
        for machine in MACHINES.values()
        for word in re.findall(
            r"\$[\w.]*(?:Attempt|Look|(?<!Retry)Count|NotListed\b)\w*", machine.text
        )
    ] == []


# An invocation of a function (F6.90).
SECONDS_PER_LOOK = 0.5


def waits(wait: Callable[[float], int], until: float) -> list[float]:
    """When something is looked at until then, if a look at this time says how long to wait."""
    times = [0.0]
    while times[-1] < until:
        times.append(times[-1] + wait(times[-1]) + SECONDS_PER_LOOK)
    return times


def at(seconds: float) -> str:
    return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).isoformat()


def wait_for(what: str) -> Callable[[float], int]:
    """How long to wait after a look at this time."""
    polled = {**polling.begin(what, at(0)), "CheckedAt": at(0)}

    def wait(seconds: float) -> int:
        return int(polling.look({"EnteredTime": at(seconds), "Polled": polled}, what)["Wait"])

    return wait


def test_what_takes_the_usual_time_is_noticed_soon() -> None:
    """Late by 15 s at most, and between 0.6 and 1.5 times the usual time by three or 1 %."""
    late = []
    for what, typical in polling.TYPICAL.items():
        looks = waits(wait_for(what), 1.5 * typical)
        for earlier, later in pairwise(looks):
            limit = 15.0 if earlier < 0.6 * typical else max(3, typical / 100)
            if later - earlier > limit + SECONDS_PER_LOOK:
                late.append(f"{what}: not looked at from {earlier} to {later}")
    assert late == []


def test_a_wait_begins_when_something_else_is_waited_for() -> None:
    typical = polling.TYPICAL["key store CONNECTING"]
    first = polling.look({"EnteredTime": at(0), "Polled": {}}, "key store DISCONNECTED")
    then = polling.look({"EnteredTime": at(100), "Polled": first}, "key store CONNECTING")
    last = polling.look({"EnteredTime": at(100 + typical), "Polled": then}, "key store CONNECTING")
    assert [each["WaitsSince"] for each in (first, then, last)] == [at(0), at(100), at(100)]
    assert [each["Wait"] for each in (first, then, last)] == [3, 15, 2]


def test_no_operation_costs_five_cents() -> None:
    """All polls of the longest workflow, three transitions each, at AWS's price of transitions.

    https://aws.amazon.com/step-functions/pricing/: $0.025 per 1,000 state transitions.
    """

    def wait_for_command(seconds: float) -> int:
        return polling.wait_for_command(at(0), at(seconds))

    # A creation by far the longest time that a random draw of the benchmarks has.
    steps = ("cluster CREATE", "HSM CREATE", "cluster INITIALIZE", "HSM CREATE")
    creation = sum(
        len(waits(wait_for(f"{step}_IN_PROGRESS"), 1.3 * polling.TYPICAL[f"{step}_IN_PROGRESS"]))
        for step in steps
    ) + len(waits(wait_for("cluster INITIALIZED"), 90))
    # Or one thing that takes all the time.
    longest = (len(waits(wait_for(what), LIFECYCLE_LIMIT)) for what in [*polling.TYPICAL, "HSMs"])
    transitions = 3 * max(creation, *longest) + 200  # the steps between polls, and commands
    assert transitions * 0.025 / 1000 < 0.05
    assert (wait_for_command(0), wait_for_command(3)) == (3, 2)
    assert len(waits(wait_for_command, 420)) < 80


def test_an_execution_that_succeeds_ends_with_a_report() -> None:
    ends = [
        (machine.stem, name)
        for machine, name, state in states()
        if state.get("End") or state["Type"] == "Succeed"
    ]
    assert {stem for stem, _ in ends} == set(MACHINES)
    reports = [(stem, name) for stem, name in ends if re.match(r"Report[A-Z]", name)]
    assert [end for end in ends if end not in reports] == [("handle-request", "SendResponse")]


def test_a_fail_says_what_to_do_and_names_an_id() -> None:
    def is_complete(state: State) -> bool:
        cause = state.get("CausePath") or state["Cause"]
        if caught := re.fullmatch(
            r"(\$\.(?:(?:Stop)?Failure|Outcome))\.Cause", cause
        ):  # or recorded
            return bool(state["ErrorPath"] == f"{caught[1]}.Error")
        return ends_in_id(cause) and bool(re.fullmatch(r"([A-Z][a-z]+)+", state["Error"]))

    assert [
        f"{machine} {name}"
        for machine, name, state in states("Fail")
        if not state["Comment"].endswith(".") or not is_complete(state)
    ] == []


def test_a_recorded_failure_has_an_error_and_names_an_id() -> None:
    recorded = [
        (f"{machine} {name}", state["Parameters"])
        for machine, name, state in states("Pass")
        if state.get("ResultPath") == "$.Failure"
    ]
    assert recorded
    assert [
        name
        for name, failure in recorded
        if {key.removesuffix(".$") for key in failure} != {"Error", "Cause"}
        or not ends_in_id(failure["Cause.$"])
    ] == []


def ends_in_id(cause: str) -> bool:
    """Whether a cause formats text that ends in [id]."""
    return bool(re.fullmatch(r"States\.Format\('.*\[\{\}\]'(, \$[\w.]+)*, \$\.[\w.]*Id\)", cause))


def test_a_format_has_one_value_for_each_place() -> None:
    call = re.compile(r"States\.Format\('((?:[^'\\]|\\.)*)'((?:, [^)]*)?)\)")
    assert [
        f"{machine} {text}"
        for machine in MACHINES.values()
        for text, values in call.findall(machine.text)
        if text.count("{}") != values.count("$.")
    ] == []


# ---- time limits


def test_every_machine_has_its_time_limit() -> None:
    limits = {stem: machine.body["TimeoutSeconds"] for stem, machine in MACHINES.items()}
    assert limits == dict.fromkeys(LIFECYCLES, LIFECYCLE_LIMIT) | OTHER_LIMITS


def test_every_task_has_its_time_limit() -> None:
    assert [
        f"{machine} {name}"
        for machine, name, state in states("Task")
        if state["TimeoutSeconds"]
        != (NESTED_TASK_LIMITS[child(state)] if is_awaited(state) else FUNCTION_TASK_LIMIT)
    ] == []


def test_a_function_times_out_shortly_before_the_task_that_calls_it() -> None:
    # Afterwards the retry would call it while it still runs, or much later than it could.
    limits = {
        f"{template} {logical_id}": function["Timeout"]
        for template in TEMPLATES
        for logical_id, function in template.of_type("AWS::Lambda::Function").items()
        if logical_id != "rRequestFunction"  # CloudFormation calls it
    }
    assert limits
    assert [
        name for name, limit in limits.items() if not 0 < FUNCTION_TASK_LIMIT - limit <= 10
    ] == []


def test_a_nested_task_outlasts_its_machine_by_a_hundred_seconds_at_most() -> None:
    assert [
        f"{machine} {name}"
        for machine, name, state in states("Task")
        if (stem := child(state) if is_nested(state) else None)
        and stem not in DETACHABLE
        and not 0 < state["TimeoutSeconds"] - MACHINES[stem].body["TimeoutSeconds"] <= 100
    ] == []


def test_a_machine_times_out_before_the_task_that_runs_it_and_that_before_its_machine() -> None:
    def longest(state: State) -> int:
        if not is_awaited(state):
            return 0
        stems = {child(state) or ""} - {""} or LIFECYCLES
        limits = (int(MACHINES[stem].body["TimeoutSeconds"]) for stem in stems - DETACHABLE)
        return max(limits, default=0)

    assert [
        f"{machine} {name}"
        for machine, name, state in states("Task")
        if not longest(state) < state["TimeoutSeconds"] < machine.body["TimeoutSeconds"]
    ] == []


def test_run_on_client_can_end_the_longest_script_and_stop_the_client() -> None:
    machine = MACHINES["run-on-client"]
    (until_online,) = [
        choice["NumericLessThan"]
        for choice in machine.states["IsAgentOnline"]["Choices"]
        if "NumericLessThan" in choice
    ]
    until_ended = client.DELIVERY_SECONDS + max(
        int(step["inputs"]["timeoutSeconds"])
        for template in TEMPLATES
        for document in template.of_type("AWS::SSM::Document").values()
        for step in document["Content"]["mainSteps"]
    )
    assert until_online + until_ended + SECONDS_TO_STOP <= machine.body["TimeoutSeconds"]


def test_a_request_is_handled_before_cloudformation_times_out() -> None:
    machine = MACHINES["handle-request"]
    limit = machine.body["TimeoutSeconds"]
    late = []
    for template in TEMPLATES:
        custom = template.resources[template.custom_resource]["Properties"]
        # The request handler may use all of its time to stop an earlier request.
        handler = template.resources["rRequestFunction"]["Properties"]["Timeout"]
        late += [template] if handler + limit >= custom["ServiceTimeout"] else []
    assert late == []
    # RerunLifecycle replaces a lifecycle that ended at once.
    assert (
        sum(
            state["TimeoutSeconds"]
            for name, state in machine.of_type("Task").items()
            if name != "RerunLifecycle"
        )
        < limit
    )


# ---- templates


def test_a_template_has_every_machine_that_its_machines_run() -> None:
    assert [
        f"{template} {stem} {name}"
        for template in TEMPLATES
        for stem in template.machines()
        for name, state in MACHINES[stem].nested_tasks().items()
        if child(state)
        and template.supplier(stem, state["Parameters"]["StateMachineArn"][2:-1])
        != template.machines()[str(child(state))]
    ] == []


def test_a_template_deploys_machines_of_this_directory_only() -> None:
    assert [
        f"{template} {stem}"
        for template in TEMPLATES
        for stem in template.machines()
        if stem not in MACHINES
    ] == []


def test_only_handle_request_does_not_log_its_data() -> None:
    # Its input has the presigned URL of the response.
    assert [
        f"{template} {stem}"
        for template in TEMPLATES
        for stem, logical_id in template.machines().items()
        if template.resources[logical_id]["Properties"]["LoggingConfiguration"][
            "IncludeExecutionData"
        ]
        != (stem != "handle-request")
    ] == []


# ---- errors


def test_every_task_has_its_retry() -> None:
    def expected(machine: Machine, name: str, state: State) -> dict[str, Any]:
        if is_nested(state):
            return START_RETRY
        if (machine.stem, name) == ("handle-request", "SendResponse"):
            return RESPONSE_RETRY
        return LATE_RETRY if name in LATE_RETRIES else STANDARD_RETRY

    assert [
        f"{machine} {name}"
        for machine, name, state in states("Task")
        if state.get("Retry") != [expected(machine, name, state)]
    ] == []


def test_a_child_that_ended_before_a_retry_of_its_start_is_run_again() -> None:
    assert [
        f"{machine} {name}"
        for machine, name, state in states("Task")
        if is_awaited(state) and name != "RerunLifecycle"
        if state["Catch"][0]
        != {
            "ErrorEquals": ENDED_ERRORS,
            "ResultPath": "$.Ended",
            "Next": "RerunLifecycle" if machine.stem == "handle-request" else name,
        }
    ] == []


def test_only_what_decides_or_compensates_is_caught() -> None:
    assert {
        (machine.stem, name)
        for machine, name, state in states()
        for catcher in state.get("Catch", [])
        if catcher["ErrorEquals"] != ENDED_ERRORS
    } == CATCHES


def test_a_caught_error_has_a_field_of_its_own() -> None:
    assert [
        f"{machine} {name}"
        for machine, name, state in states("Task")
        for catcher in state.get("Catch", [])
        if not re.fullmatch(r"\$\.[A-Z]\w+", catcher["ResultPath"])
        or (
            catcher["ResultPath"] == state.get("ResultPath")
            # RecordLogin takes the outcome, whatever it is.
            and (machine.stem, name) != ("create-kms-user", "CreateKmsUser")
        )
    ] == []


# ---- loops


def test_every_loop_waits_or_is_a_bounded_decision() -> None:
    found = {}
    for machine in MACHINES.values():
        graph = {
            # A task that is entered again, because its child had ended, starts another child.
            name: [target for _, target in transitions(state) if target != name]
            for name, state in machine.states.items()
            if state["Type"] != "Wait"
        }
        beyond = {name: reachable(graph, name) for name in graph}
        loops = {
            frozenset({other for other in beyond[name] if name in beyond[other]})
            for name in graph
            if name in beyond[name]
        }
        if loops:
            found[machine.stem] = loops
    assert found == {stem: set(map(frozenset, loops)) for stem, loops in DECISION_LOOPS.items()}


def test_a_wait_returns_to_a_task_that_describes_or_finds() -> None:
    assert [
        f"{machine} {name}"
        for machine, name, state in states("Wait")
        if name != "WaitForListing"
        if machine.states[state["Next"]]["Type"] != "Task"
        or not re.match(r"(Describe|Find)[A-Z]", state["Next"])
    ] == []


def test_a_poll_of_the_cluster_knows_when_it_began() -> None:
    polls = ("DescribeCluster", "DescribeFirstHsm", "DescribeHsms")
    assert [
        f"{machine} {name}"
        for machine, name, state in states("Task")
        if name in polls
        and (state["Parameters"]["StartTime.$"], state["Parameters"]["EnteredTime.$"])
        != (
            "$$.Execution.StartTime" if machine.stem in LIFECYCLES else "$.StartTime",
            "$$.State.EnteredTime",
        )
    ] == []


def test_a_poll_can_go_on_wait_or_fail() -> None:
    offenders = []
    for machine, name, state in states("Choice"):
        targets = [target for _, target in transitions(state)]
        waits = set(machine.of_type("Wait"))
        is_poll = waits & set(targets) and name != "NeedsPackage"  # which precedes the wait
        if is_poll and (len(set(targets)) < 3 or state["Default"] in waits):
            offenders.append(f"{machine} {name}")
    assert offenders == []


# ---- data


def test_a_task_puts_its_result_in_a_field_of_its_own() -> None:
    assert [
        f"{machine} {name}"
        for machine, name, state in states("Task")
        if not re.fullmatch(r"None|\$\.([A-Z][a-z]+)+", str(state["ResultPath"]))
        or "InputPath" in state
    ] == []


def test_a_pass_sets_one_field_or_reports() -> None:
    assert [
        f"{machine} {name}"
        for machine, name, state in states("Pass")
        if ("Parameters" in state) == ("Result" in state)
        or not (state.get("End") or re.fullmatch(r"\$\.([A-Z][a-z]+)+", state["ResultPath"]))
    ] == []


def test_a_task_names_the_fields_that_it_passes_on() -> None:
    assert [
        f"{machine} {name}"
        for machine, name, state in states("Task")
        # The response is about the whole request.
        if ("Parameters" in state) == ((machine.stem, name) == ("handle-request", "SendResponse"))
        or "$" in state.get("Parameters", {}).values()
        or "$" in state.get("Parameters", {}).get("Input", {}).values()
    ] == []


def test_a_parameter_has_the_name_of_the_data_that_it_takes() -> None:
    def taken(node: dict[str, Any]) -> Iterator[tuple[str, str]]:
        for key, value in node.items():
            if isinstance(value, dict):
                yield from taken(value)
            elif key.endswith(".$") and value.startswith("$"):
                yield key.removesuffix(".$"), value

    def has_its_name(name: str, path: str) -> bool:
        *_, noun, field = path.split(".")  # $.Cluster.Id and $.ClusterId are a ClusterId
        return name in (field, noun + field) or path in RENAMED_PARAMETERS.get(name, ())

    assert [
        f"{machine} {state} {name}: {path}"
        for machine, state, body in states()
        for part in ("Parameters", "ResultSelector")
        for name, path in taken(body.get(part, {}))
        if not has_its_name(name, path)
    ] == []


def test_the_first_task_tells_whether_the_execution_is_late() -> None:
    def first_task(machine: Machine) -> State:
        state = machine.states[machine.body["StartAt"]]
        while state["Type"] != "Task":
            state = machine.states[state["Next"]]
        return state

    # handle-request only runs the lifecycle.
    assert [
        stem
        for stem, machine in MACHINES.items()
        if first_task(machine)["Parameters"].get("Input.$") != "$$.Execution.Input"
    ] == ["handle-request"]


def test_a_nested_execution_is_tied_to_its_parent() -> None:
    def is_tied(machine: Machine, parameters: dict[str, Any]) -> bool:
        if machine.stem == "handle-request":
            # The request handler knows by its name whether a lifecycle belongs to a request.
            return parameters["Name.$"] in (
                "$$.Execution.Name",
                "States.Format('{}-again', $$.Execution.Name)",
            )
        parent = parameters["Input"]["AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID.$"]
        return bool(parent == "$$.Execution.Id" and parameters["Name.$"] == CHILD_NAME)

    assert [
        f"{machine} {name}"
        for machine, name, state in states("Task")
        if is_awaited(state)
        and (
            state["Resource"] != "arn:${Partition}:states:::states:startExecution.sync:2"
            or not is_tied(machine, state["Parameters"])
        )
    ] == []


def test_a_detached_execution_is_started_once_of_the_same_machine_and_then_listed() -> None:
    started = [each for each in states("Task") if is_detached(each[2])]
    assert [(machine.stem, name) for machine, name, _ in started] == [
        ("align-hsms", "ContinueDetached")
    ]
    (machine, _, state) = started[0]
    given = state["Parameters"]["Input"]
    assert state["Parameters"]["StateMachineArn.$"] == "$$.StateMachine.Id"
    # The same name for every attempt of the lifecycle.
    assert state["Parameters"]["Name.$"] == "$.Hsms.DetachedName"
    assert given["Detached"] is True
    assert given["AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID.$"] == "$$.Execution.Id"
    caught = state["Catch"][0]
    assert (caught["ErrorEquals"], caught["Next"]) == (ENDED_ERRORS, state["Next"])
    # A new request stops what is listed (F6.37).
    assert machine.states[state["Next"]] == {
        "Type": "Wait",
        "Comment": "The stack's next request stops what Step Functions lists.",
        "Seconds": 10,
        "Next": "ReportDetached",
    }


def test_only_creations_and_updates_may_be_detached() -> None:
    assert [
        f"{machine} {name}"
        for machine, name, state in states("Task")
        if "LifecycleInput.$" in str(state.get("Parameters"))
    ] == ["align-hsms ContinueDetached", "create-cluster AlignHsms", "update-cluster AlignHsms"]


def test_no_secret_value_is_in_the_data() -> None:
    def names(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from node
        for value in node.values() if isinstance(node, dict) else node:
            if isinstance(value, dict | list):
                yield from names(value)

    assert [
        f"{machine} {state} {name}"
        for machine, state, body in states()
        for part in ("Parameters", "Result", "ResultSelector")
        for name in names(body.get(part, {}))
        # Names of secrets are no secret.
        if SECRET_WORDS.search(name.removesuffix(".$"))
        and not name.removesuffix(".$").endswith(("Secret", "SecretName", "Secrets"))
    ] == []


def test_only_handle_request_has_the_response_url() -> None:
    # It passes on its whole input to SendResponse.
    assert [m for m in MACHINES.values() if "ResponseURL" in m.text] == []
    assert [m.stem for m in MACHINES.values() if "$.Request" in m.text] == ["handle-request"]
