"""How every state machine is written: names, time, errors, loops and data."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hsm_lifecycle.steps import client
from tests.support.state_machines import MACHINES, Machine, State, child, is_nested, transitions
from tests.templates.template import ROOT, TEMPLATES, Template, references, words

# The Retry of every task that calls a function.
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
# For what has no idempotency token (F1.6): the step looks before it makes, and what a lost call
# has made may show only after a while.
PATIENT_RETRY = STANDARD_RETRY | {"IntervalSeconds": 60, "BackoffRate": 1, "MaxAttempts": 3}
PATIENT = {"CreateCluster", "CreateFirstHsm", "CreateHsm", "CreateKeyStore"}
OTHER_RETRIES = {
    ("handle-request", "SendResponse"): "CloudFormation must get an answer, come what may",
}

LIFECYCLE_LIMIT, SHARED_LIMIT = 3300, 3200
LIMITS = {"handle-request": 3390}  # the time to answer is its own

# What run-on-client has to wait for besides: the instance itself, and that a command reaches it.
SECONDS_TO_BOOT = SECONDS_TO_STOP = 60
SECONDS_TO_DELIVER = client._SECONDS_TO_DELIVER

# Every Catch decides or compensates; all other failures end the execution.
CATCHES = {
    **{
        ("run-on-client", state): "a client that was found stopped is left stopped"
        for state in ("DescribeClient", "DescribeAgent", "SendCommand", "DescribeCommand")
    },
    ("run-on-client", "StartClient"): "it may have started though nobody said so",
    ("run-on-client", "StopClient"): "what failed before is told first",
    ("handle-request", "RunLifecycle"): "whatever becomes of the lifecycle, it is answered",
    ("align-hsms", "CreateHsm"): "refused while another HSM arrives: wait, and try again (F1.31)",
    ("align-hsms", "DeleteHsm"): "refused while another HSM leaves: wait, and try again (F1.31)",
    **{
        ("update-cluster", state): "a rollback must pass, so there a failure becomes a warning"
        for state in (
            "AdmitClient",
            "ModifyCluster",
            "DescribeCluster",
            "CheckSecrets",
            "CreateFirstHsm",
            "CreateSecrets",
            "StoreCsr",
            "IssueCertificate",
            "ActivateCluster",
            "AlignHsms",
        )
    },
    **{
        ("update-key-store", state): "a rollback must pass, so there a failure becomes a warning"
        for state in (
            "RenameKeyStore",
            "CreateKmsUser",
            "DisconnectKeyStore",
            "MoveKeyStore",
            "ConnectKeyStore",
            "DropPassword",
            "CompleteClaim",
        )
    },
}

# Cycles without a Wait state: each turn is a decision that makes or deletes one thing, and of
# those there are not many.
DECISION_LOOPS = {
    "align-hsms": [
        # One turn for each HSM to be created or deleted, 28 at most, and one replacement in a zone.
        {"DescribeHsms", "AreHsmsAligned", "CreateHsm", "DeleteHsm"},
    ],
    "create-first-hsm": [
        # One turn for each subnet: the step never tries one again, and raises when none is left.
        {"CreateFirstHsm", "DescribeFirstHsm", "IsFirstHsmActive"},
    ],
}

SECRET_WORDS = re.compile(r"password|passphrase|secret|pin\b|token|credential|private|key$", re.I)

in_every_machine = pytest.mark.parametrize("machine", MACHINES.values(), ids=repr)


def states_of(kind: str) -> pytest.MarkDecorator:
    """Every state of one type in all machines."""
    return pytest.mark.parametrize(
        ("machine", "name", "state"),
        [
            pytest.param(machine, name, state, id=f"{machine}-{name}")
            for machine in MACHINES.values()
            for name, state in machine.of_type(kind).items()
        ],
    )


def lifecycles(template: Template) -> set[str]:
    """The machines that the front door opens to: one for each type of request."""
    variables = template.resources["rRequestFunction"]["Properties"]["Environment"]["Variables"]
    by_logical_id = {logical_id: stem for stem, logical_id in template.machines().items()}
    return {
        by_logical_id[logical_id]
        for name in ("CREATE", "UPDATE", "DELETE")
        for logical_id in references(variables[name])
    }


LIFECYCLES = {stem for template in TEMPLATES for stem in lifecycles(template)}


# ---- the file


@in_every_machine
def test_a_file_is_named_by_a_verb_and_a_noun(machine: Machine) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+", machine.stem)


@in_every_machine
def test_placeholders_are_names_and_arns(machine: Machine) -> None:
    assert re.findall(r"\$\{(?!\w+\})", machine.text) == []
    for name in machine.placeholders():
        assert re.fullmatch(r"([A-Z][a-z0-9]*)+(Arn|Document)|Partition|Region", name)
        assert not name.startswith(("p", "r"))


@in_every_machine
def test_every_template_supplies_each_placeholder_and_nothing_else(machine: Machine) -> None:
    assert machine.templates
    for template in machine.templates:
        assert set(template.substitutions(machine.stem)) == machine.placeholders(), template


@pytest.mark.parametrize("template", TEMPLATES, ids=repr)
def test_a_placeholder_is_filled_with_what_its_name_says(template: Template) -> None:
    for stem in template.machines():
        for name, value in template.substitutions(stem).items():
            (what,) = references(value)
            if name in ("Partition", "Region"):
                assert what == f"AWS::{name}"
            else:
                assert what == f"r{name.removesuffix('Arn')}", (stem, name)


@in_every_machine
def test_a_machine_says_what_it_does_and_how_long_it_may_take(machine: Machine) -> None:
    assert machine.body["Comment"].endswith(".")
    assert list(machine.body) == ["Comment", "StartAt", "TimeoutSeconds", "States"]
    assert "QueryLanguage" not in machine.text


@in_every_machine
def test_every_state_can_be_reached(machine: Machine) -> None:
    reached, pending = set(), [machine.body["StartAt"]]
    while pending:
        name = pending.pop()
        reached.add(name)
        pending += [
            target for _, target in transitions(machine.states[name]) if target not in reached
        ]
    assert set(machine.states) - reached == set()


# ---- names


@in_every_machine
def test_states_are_pascal_case(machine: Machine) -> None:
    assert [name for name in machine.states if "".join(words(name)) != name] == []


@states_of("Task")
def test_a_task_is_called_like_what_it_runs(machine: Machine, name: str, state: State) -> None:
    if (machine.stem, name) in (
        ("handle-request", "RunLifecycle"),  # its input says which machine
        ("handle-request", "SendResponse"),  # it calls no worker
    ):
        return
    if not is_nested(state):
        assert state["Parameters"]["Step"] == name
        return
    stem = child(state)
    assert stem is not None
    document = state["Parameters"]["Input"].get("DocumentName", "")
    if document:
        assert name == document[2:-1].removesuffix("Document")
    else:
        assert name == "".join(word.capitalize() for word in stem.split("-"))


@states_of("Choice")
def test_a_choice_is_a_proposition_and_asks_a_question(
    machine: Machine, name: str, state: State
) -> None:
    assert re.match(r"(Is|Are|Was|Were|Has|Have|Had|Needs|Can|May|Does)[A-Z]", name)
    assert state["Comment"][0].isupper()
    assert "?" in state["Comment"]
    assert "Default" in state


@states_of("Wait")
def test_a_wait_says_what_it_waits_for(machine: Machine, name: str, state: State) -> None:
    assert re.match(r"WaitFor[A-Z]", name)
    # A poll is 15 s apart; a second look for what a lost call has made is 60 s later.
    assert state["Seconds"] in (15, 60)


@in_every_machine
def test_success_ends_in_a_report(machine: Machine) -> None:
    ends = {name for name, state in machine.states.items() if state.get("End")}
    ends |= set(machine.of_type("Succeed"))
    if machine.stem == "handle-request":
        assert ends == {"SendResponse"}
    else:
        assert ends
        assert [name for name in ends if not re.match(r"Report[A-Z]", name)] == []


@states_of("Fail")
def test_a_fail_says_what_to_do_and_of_which_id(machine: Machine, name: str, state: State) -> None:
    assert state["Comment"].endswith(".")
    cause = state.get("CausePath") or state["Cause"]
    # It is passed on from a failure that was caught or noted, or it ends in [id].
    assert cause == "$.Failure.Cause" or ends_in_an_id(cause)
    if cause == "$.Failure.Cause":
        assert state["ErrorPath"] == "$.Failure.Error"
    else:
        assert re.fullmatch(r"([A-Z][a-z]+)+", state["Error"])


@states_of("Pass")
def test_a_noted_failure_names_its_error_and_its_id(
    machine: Machine, name: str, state: State
) -> None:
    if state.get("ResultPath") == "$.Failure":
        assert set(state["Parameters"]) == {"Error", "Cause.$"}
        assert ends_in_an_id(state["Parameters"]["Cause.$"])


def ends_in_an_id(cause: str) -> bool:
    """Whether a cause is a sentence that ends in [id]."""
    return bool(re.fullmatch(r"States\.Format\('.*\[\{\}\]'(, \$[\w.]+)*, \$\.[\w.]*Id\)", cause))


@in_every_machine
def test_a_format_has_as_many_values_as_places(machine: Machine) -> None:
    for text, values in re.findall(
        r"States\.Format\('((?:[^'\\]|\\.)*)'((?:, [^)]*)?)\)", machine.text
    ):
        assert text.count("{}") == values.count("$")


# ---- time


@in_every_machine
def test_a_machine_has_the_limit_of_its_kind(machine: Machine) -> None:
    limit = machine.body["TimeoutSeconds"]
    if machine.stem in LIMITS:
        assert limit == LIMITS[machine.stem]
    elif machine.stem in LIFECYCLES:
        assert limit == LIFECYCLE_LIMIT
    else:
        assert limit <= SHARED_LIMIT


@states_of("Task")
def test_who_runs_another_waits_longer_than_it_and_less_than_itself_may_take(
    machine: Machine, name: str, state: State
) -> None:
    assert state["TimeoutSeconds"] < machine.body["TimeoutSeconds"]
    if not is_nested(state):
        return
    children = {child(state)} if child(state) else LIFECYCLES
    for stem in children:
        assert stem is not None
        assert MACHINES[stem].body["TimeoutSeconds"] < state["TimeoutSeconds"], stem


def test_a_script_that_never_ends_is_ended_while_there_is_time_to_stop_the_client() -> None:
    machine = MACHINES["run-on-client"]
    (looks,) = [
        choice["NumericLessThan"]
        for choice in machine.states["IsAgentOnline"]["Choices"]
        if "NumericLessThan" in choice
    ]
    until_online = SECONDS_TO_BOOT + looks * machine.states["WaitForAgent"]["Seconds"]
    until_ended = SECONDS_TO_DELIVER + max(
        int(step["inputs"]["timeoutSeconds"])
        for template in TEMPLATES
        for document in template.of_type("AWS::SSM::Document").values()
        for step in document["Content"]["mainSteps"]
    )
    assert until_online + until_ended + SECONDS_TO_STOP <= machine.body["TimeoutSeconds"]


@pytest.mark.parametrize("template", TEMPLATES, ids=repr)
def test_a_template_has_every_machine_that_its_machines_run(template: Template) -> None:
    for stem in template.machines():
        for name, state in MACHINES[stem].nested_tasks().items():
            if child(state):
                placeholder = state["Parameters"]["StateMachineArn"][2:-1]
                supplied = template.supplier(stem, placeholder)
                assert supplied == template.machines()[str(child(state))], name


@pytest.mark.parametrize("template", TEMPLATES, ids=repr)
def test_cloudformation_waits_longer_than_the_request_is_handled(template: Template) -> None:
    custom = template.resources[template.custom_resource]["Properties"]
    # All that making way takes, as tests/functions/test_front_door.py holds it to.
    making_way = template.resources["rRequestFunction"]["Properties"]["Timeout"]
    handling = MACHINES["handle-request"]
    assert making_way + handling.body["TimeoutSeconds"] < custom["ServiceTimeout"]
    lifecycle, answer = handling.states["RunLifecycle"], handling.states["SendResponse"]
    assert lifecycle["TimeoutSeconds"] + answer["TimeoutSeconds"] < handling.body["TimeoutSeconds"]


@pytest.mark.parametrize("template", TEMPLATES, ids=repr)
def test_every_machine_belongs_to_a_template(template: Template) -> None:
    assert set(template.machines()) <= set(MACHINES)
    assert lifecycles(template) <= set(template.machines())


# ---- errors


@states_of("Task")
def test_every_function_task_has_the_standard_retry(
    machine: Machine, name: str, state: State
) -> None:
    if name in machine.function_tasks() and (machine.stem, name) not in OTHER_RETRIES:
        assert state["Retry"] == [PATIENT_RETRY if name in PATIENT else STANDARD_RETRY]


def test_the_answer_is_repeated_whatever_went_wrong() -> None:
    (retry,) = MACHINES["handle-request"].states["SendResponse"]["Retry"]
    assert retry["ErrorEquals"] == ["States.ALL"]


def test_only_what_decides_or_compensates_is_caught() -> None:
    caught = {
        (machine.stem, name)
        for machine in MACHINES.values()
        for name, state in machine.states.items()
        if "Catch" in state
    }
    assert caught == set(CATCHES)


@states_of("Task")
def test_what_is_caught_is_kept_under_a_noun_of_its_own(
    machine: Machine, name: str, state: State
) -> None:
    for catcher in state.get("Catch", []):
        assert re.fullmatch(r"\$\.[A-Z]\w+", catcher["ResultPath"])
        assert catcher["ResultPath"] != state.get("ResultPath")


# ---- loops


@in_every_machine
def test_every_loop_waits_or_is_a_bounded_decision(machine: Machine) -> None:
    graph = {
        name: [target for _, target in transitions(state)]
        for name, state in machine.states.items()
        if state["Type"] != "Wait"
    }

    def reachable(start: str) -> set[str]:
        reached: set[str] = set()
        pending = [start]
        while pending:
            for target in graph.get(pending.pop(), []):
                if target in graph and target not in reached:
                    reached.add(target)
                    pending.append(target)
        return reached

    beyond = {name: reachable(name) for name in graph}
    loops = {
        frozenset({name} | {other for other in beyond[name] if name in beyond[other]})
        for name in graph
        if name in beyond[name]
    }
    assert loops == {frozenset(loop) for loop in DECISION_LOOPS.get(machine.stem, [])}


@states_of("Wait")
def test_a_wait_goes_back_to_a_task_that_looks(machine: Machine, name: str, state: State) -> None:
    looks = machine.states[state["Next"]]
    assert looks["Type"] == "Task"
    assert re.match(r"(Describe|Find)[A-Z]", state["Next"])


@states_of("Task")
def test_who_looks_at_the_cluster_again_and_again_knows_since_when(
    machine: Machine, name: str, state: State
) -> None:
    if name in ("DescribeCluster", "DescribeFirstHsm", "DescribeHsms"):
        own = machine.stem in LIFECYCLES
        since = "$$.Execution.StartTime" if own else "$.StartTime"
        assert state["Parameters"]["StartTime.$"] == since
        assert state["Parameters"]["EnteredTime.$"] == "$$.State.EnteredTime"


@in_every_machine
def test_a_poll_has_a_way_on_a_way_back_and_a_way_out(machine: Machine) -> None:
    waits = set(machine.of_type("Wait"))
    for name, state in machine.of_type("Choice").items():
        targets = [target for _, target in transitions(state)]
        if waits & set(targets):
            assert len(set(targets)) >= 3, name
            assert state["Default"] not in waits, name


# ---- data


@states_of("Task")
def test_a_task_puts_its_result_under_a_noun_of_its_own(
    machine: Machine, name: str, state: State
) -> None:
    assert "ResultPath" in state
    path = state["ResultPath"]
    assert path is None or re.fullmatch(r"\$\.([A-Z][a-z]+)+", path)
    assert "InputPath" not in state


@states_of("Pass")
def test_a_pass_adds_to_the_data_or_ends_with_a_report(
    machine: Machine, name: str, state: State
) -> None:
    if not state.get("End"):
        assert re.fullmatch(r"\$\.([A-Z][a-z]+)+", state["ResultPath"])
    assert ("Parameters" in state) != ("Result" in state)


@states_of("Task")
def test_the_fields_that_a_task_needs_are_named(machine: Machine, name: str, state: State) -> None:
    if (machine.stem, name) == ("handle-request", "SendResponse"):
        assert "Parameters" not in state  # the answer is to the whole request
    else:
        assert "$" not in state["Parameters"].values()
        assert "$" not in state["Parameters"].get("Input", {}).values()


@states_of("Task")
def test_a_nested_execution_is_tied_to_its_parent(
    machine: Machine, name: str, state: State
) -> None:
    if is_nested(state):
        assert state["Resource"] == "arn:${Partition}:states:::states:startExecution.sync:2"
        assert "Retry" not in state
        if machine.stem == "handle-request":
            assert state["Parameters"]["Name.$"] == "$$.Execution.Name"
        else:
            parent = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID.$"
            assert state["Parameters"]["Input"][parent] == "$$.Execution.Id"


@in_every_machine
def test_no_secret_value_is_in_the_data(machine: Machine) -> None:
    def names(node: Any) -> set[str]:
        if isinstance(node, dict):
            return set(node) | {name for value in node.values() for name in names(value)}
        return (
            {name for value in node for name in names(value)} if isinstance(node, list) else set()
        )

    for state in machine.states.values():
        for part in ("Parameters", "Result", "ResultSelector"):
            for name in names(state.get(part, {})):
                bare = name.removesuffix(".$")
                # The names of secrets are none.
                assert not SECRET_WORDS.search(bare) or bare.endswith(
                    ("Secret", "SecretName", "Secrets")
                )


@in_every_machine
def test_the_response_url_is_for_handle_request_only(machine: Machine) -> None:
    # handle-request hands on all that it was given, without naming it; the others never see it.
    assert "ResponseURL" not in machine.text
    assert "$.Request" not in machine.text or machine.stem == "handle-request"


@pytest.mark.parametrize("template", TEMPLATES, ids=repr)
def test_only_handle_request_does_not_log_its_data(template: Template) -> None:
    for stem, logical_id in template.machines().items():
        logging = template.resources[logical_id]["Properties"]["LoggingConfiguration"]
        assert logging["IncludeExecutionData"] == (stem != "handle-request"), stem


def test_every_file_is_a_machine() -> None:
    names = {path.name for path in (ROOT / "statemachines").iterdir()}
    assert names == {f"{stem}.asl.json" for stem in MACHINES}
