"""Templates, state machines and functions agree on handlers, steps, events and environment."""

from __future__ import annotations

import ast
import re

from hsm_lifecycle import errors
from tests.support import step_source
from tests.support.calls import CALLS, WORKERS, Step, handler, steps
from tests.support.state_machines import MACHINES
from tests.templates.template import TEMPLATES

# Errors of Step Functions and Lambda.
NOT_OURS = ("States.", "StepFunctions.", "Lambda.", "Sandbox.", "Runtime.")
# Run before there is a resource whose ID could end the failure message.
WITHOUT_ID = {
    "CheckBackupSecrets",
    "CheckCreation",
    "CreateCluster",
    "FindCluster",
    "FindKeyStore",
}
# The worker itself reads the step's name, and the ID for a failure message.
READ_BY_WORKER = step_source.Reads(required=frozenset({"Step"})) | step_source.reads(
    step_source.function("dispatch", "failure_message")
)
# The worker looks whether the execution is late; only a machine's first task gives it the input.
INPUT = "Input"
ENVIRONMENTS = {
    str(template): template.resources["rRequestFunction"]["Properties"]["Environment"]["Variables"]
    for template in TEMPLATES
}


def read_by(step: Step | None) -> step_source.Reads:
    assert step is not None
    return step_source.reads(step_source.of(step))


# ---- handlers and steps


def test_functions_and_handlers_have_the_same_names() -> None:
    named = {}
    for template in TEMPLATES:
        for logical_id, function in template.of_type("AWS::Lambda::Function").items():
            assert callable(handler(template, logical_id))
            stem = logical_id.removeprefix("r").removesuffix("Function")
            name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", stem).lower()
            named[function["Handler"]] = f"hsm_lifecycle.handlers.{name}"
    assert list(named) == list(named.values())
    assert {f"hsm_lifecycle.handlers.{name}" for name in WORKERS} <= set(named)


def test_every_called_step_exists_in_its_function() -> None:
    assert [str(call) for call in CALLS if call.step is None] == []


def test_every_step_is_called() -> None:
    called = [call.step for call in CALLS]
    offered = {name: step for worker in WORKERS.values() for name, step in steps(worker).items()}
    assert [name for name, step in offered.items() if step not in called] == []


def test_every_step_belongs_to_one_worker() -> None:
    offered = [step for worker in WORKERS.values() for step in steps(worker)]
    assert sorted(offered) == sorted(set(offered))


# ---- events


def test_every_step_is_given_the_fields_it_reads() -> None:
    # A worker puts its own stack's ID into every event.
    missing = {str(call): read_by(call.step).required - call.given - {"StackId"} for call in CALLS}
    assert {call: fields for call, fields in missing.items() if fields} == {}


def test_every_step_reads_the_fields_it_is_given() -> None:
    unread = {}
    for call in CALLS:
        read = read_by(call.step) | READ_BY_WORKER
        unread[str(call)] = call.given - read.required - read.optional - {INPUT}
    assert {call: fields for call, fields in unread.items() if fields} == {}


def test_every_optional_field_is_given_to_a_step_that_reads_it() -> None:
    optional = {key for call in CALLS for key in read_by(call.step).optional}
    used = {key for call in CALLS for key in read_by(call.step).optional & call.given}
    assert optional - used == set()


def test_every_step_is_given_the_id_for_its_failure_message() -> None:
    missing = [
        str(call)
        for call in CALLS
        if call.name not in WITHOUT_ID and not call.given & READ_BY_WORKER.optional
    ]
    assert missing == []


def test_every_field_that_a_machine_reads_is_written_by_a_step() -> None:
    unknown = []
    for machine in MACHINES.values():
        written: dict[str, set[str]] = {}
        made = {
            call.name: step_source.keys_made(call.step)
            for call in CALLS
            if call.machine is machine and call.step
        }
        for name, state in machine.states.items():
            if state["Type"] == "Pass":
                fields = set(state.get("Result", {})) | {
                    key.removesuffix(".$") for key in state.get("Parameters", {})
                }
            elif name in made:
                fields = made[name]
            else:
                continue
            result = (state.get("ResultPath") or "").removeprefix("$.")
            written.setdefault(result, set()).update(fields)
            for catcher in state.get("Catch", []):
                caught = catcher["ResultPath"].removeprefix("$.")
                written.setdefault(caught, set()).update({"Error", "Cause"})
        unknown += [
            f"{machine}: $.{result}.{field}"
            for result, field in re.findall(r"(?<!\$)\$\.([A-Za-z]+)\.([A-Za-z]+)", machine.text)
            if result in written and field not in written[result]
        ]
    assert unknown == []


# ---- errors


def test_every_error_is_raised() -> None:
    names = step_source.classes(errors)
    assert [name for name in names if not step_source.constructed(name)] == []
    assert [name for name in names if not name.endswith("Error")] == []


def test_every_error_that_a_machine_matches_exists() -> None:
    matched = {
        error
        for machine in MACHINES.values()
        for state in machine.states.values()
        for rule in (*state.get("Retry", []), *state.get("Catch", []))
        for error in rule["ErrorEquals"]
        if not error.startswith(NOT_OURS)
    }
    assert matched - set(step_source.classes(errors)) == set()


# ---- environment


def test_functions_have_the_environment_variables_that_they_read() -> None:
    read: dict[str, set[str]] = {}
    for name, tree in step_source.MODULES.items():
        found = read.setdefault(name, set())
        for node in ast.walk(tree):
            if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
                if isinstance(node.slice, ast.Constant):
                    found.add(str(node.slice.value))
                else:
                    assert ast.unparse(node.slice) == "request['RequestType'].upper()"
                    found |= {"CREATE", "UPDATE", "DELETE"}
            elif ast.unparse(node) == "os.environ.get('CLOUDHSM_IAM_SCOPE')":
                found.add("CLOUDHSM_IAM_SCOPE")
    given = {
        logical_id: set(function.get("Environment", {}).get("Variables", {}))
        for template in TEMPLATES
        for logical_id, function in template.of_type("AWS::Lambda::Function").items()
    }
    worker, claim = {"STACK_ID"}, read.pop("steps.key_store_ownership")
    scope = read.pop("aws") - worker
    url, execution, supersede, request, unhandled = (
        read.pop(f"custom_resource.{name}")
        for name in ("response_url", "execution", "supersede", "request", "unhandled")
    )
    # Lambda itself sets these.
    url.remove("AWS_REGION")
    read["steps.client"].remove("AWS_LAMBDA_FUNCTION_NAME")
    variables = {
        "rRequestFunction": worker | url | execution | supersede | request,
        "rResponseFunction": worker | url | execution | unhandled,
        "rClusterFunction": worker | scope,
        "rCertificateFunction": worker | scope,
        "rClientFunction": worker,
        "rKeyStoreFunction": worker | claim,
    }
    assert given == {name: variables.get(name, set()) for name in given}
    assert {name for name, names in read.items() if names} == set()


def test_the_request_function_knows_every_attribute_of_an_output() -> None:
    for template in TEMPLATES:
        shown = [
            value["Fn::GetAtt"][1]
            for value in (output["Value"] for output in template.outputs.values())
            if value.get("Fn::GetAtt", [None])[0] == template.custom_resource
        ]
        assert ENVIRONMENTS[str(template)]["ATTRIBUTES"].split() == shown


def test_the_request_function_knows_every_state_machine_except_handle_request() -> None:
    for template in TEMPLATES:
        machines = set(template.machines()) - {"handle-request"}
        assert set(ENVIRONMENTS[str(template)]["MACHINES"].split()) == machines


def test_no_partition_is_hard_coded() -> None:
    hard_coded = [
        f"{name}: {node.value}"
        for name, tree in step_source.MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.search(r"\barn:aws|amazonaws\.com", node.value)
    ]
    assert hard_coded == []
