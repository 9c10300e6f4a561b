"""Template, state machines and functions name each other rightly, both ways."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Callable
from typing import Any

import pytest

from hsm_lifecycle import errors, handlers, properties
from tests.support import step_source
from tests.support.state_machines import MACHINES, PLACEHOLDER, Machine, State, child
from tests.templates.template import TEMPLATES, Template, branches, references

Step = Callable[..., Any]

# The change of it alone makes CloudFormation ask again (F6.12), so nobody reads it.
NEVER_READ = {"Reconcile", "ServiceToken", "ServiceTimeout"}
# What Step Functions and Lambda call their own failures.
NOT_OURS = ("States.", "Lambda.", "Sandbox.", "Runtime.")
# They come before there is anything whose id could be named.
WITHOUT_ID = {
    "CheckBackupSecrets",
    "CheckCreation",
    "CreateCluster",
    "FindCluster",
    "FindKeyStore",
}

CALLS = [
    pytest.param(template, machine, name, state, id=f"{template}-{machine}-{name}")
    for template in TEMPLATES
    for machine in (MACHINES[stem] for stem in template.machines())
    for name, state in machine.function_tasks().items()
    if "Parameters" in state
]
in_every_call = pytest.mark.parametrize(("template", "machine", "name", "state"), CALLS)
in_every_template = pytest.mark.parametrize("template", TEMPLATES, ids=repr)
in_every_machine = pytest.mark.parametrize("machine", MACHINES.values(), ids=repr)


def handler(template: Template, function: str) -> Any:
    """What Lambda calls for a function."""
    module, _, name = template.resources[function]["Properties"]["Handler"].rpartition(".")
    return getattr(importlib.import_module(module), name)


def steps(worker: Any) -> dict[str, Step]:
    """The steps of a worker by the names that state machines give them."""
    offered: dict[str, Step] = worker.steps
    return offered


def called(template: Template, machine: Machine, state: State) -> Step:
    """The step that a task calls, in the function that the template wires to its placeholder."""
    (placeholder,) = PLACEHOLDER.findall(state["Resource"])
    worker = handler(template, template.supplier(machine.stem, placeholder))
    return steps(worker)[state["Parameters"]["Step"]]


def given(state: State) -> set[str]:
    """The fields that a task gives to its step."""
    return {key.removesuffix(".$") for key in state["Parameters"]}


# A worker itself reads the step's name, and whose failure it is if it fails.
DISPATCHED = step_source.Reads(required=frozenset({"Step"})) | step_source.reads(
    step_source.function("dispatch", "failure_message")
)
WORKERS = {name: worker for name, worker in vars(handlers).items() if hasattr(worker, "steps")}


# ---- functions and steps


@in_every_template
def test_every_handler_exists(template: Template) -> None:
    for logical_id in template.of_type("AWS::Lambda::Function"):
        assert callable(handler(template, logical_id)), logical_id


def test_every_worker_is_a_function_of_some_template() -> None:
    handlers = {
        function["Handler"]
        for template in TEMPLATES
        for function in template.of_type("AWS::Lambda::Function").values()
    }
    assert {f"hsm_lifecycle.handlers.{name}" for name in WORKERS} <= handlers


@in_every_template
def test_a_worker_is_named_after_its_function(template: Template) -> None:
    for logical_id, function in template.of_type("AWS::Lambda::Function").items():
        name = function["Handler"].rpartition(".")[2]
        stem = logical_id[1:].removesuffix("Function")
        if logical_id in ("rRequestFunction", "rResponseFunction"):
            assert function["Handler"] == f"hsm_lifecycle.handlers.{stem.lower()}"
        else:
            assert "".join(word.capitalize() for word in name.split("_")) == stem


@in_every_call
def test_a_task_calls_a_step_that_its_function_offers(
    template: Template, machine: Machine, name: str, state: State
) -> None:
    assert callable(called(template, machine, state))


@pytest.mark.parametrize(
    ("worker", "step"),
    [(name, step) for name, worker in WORKERS.items() for step in steps(worker)],
)
def test_every_step_that_is_offered_is_called(worker: str, step: str) -> None:
    callers = [
        f"{template} {machine} {name}"
        for template, machine, name, state in (call.values for call in CALLS)
        if called(template, machine, state) is steps(WORKERS[worker])[step]  # type: ignore[arg-type]  # pytest types the values of a parameter set as object
    ]
    assert callers


def test_a_step_is_offered_by_one_worker_only() -> None:
    offered = [step for worker in WORKERS.values() for step in steps(worker)]
    assert sorted(offered) == sorted(set(offered))


# ---- what a step is given


@in_every_call
def test_a_step_is_given_what_it_reads(
    template: Template, machine: Machine, name: str, state: State
) -> None:
    read = step_source.reads(step_source.of(called(template, machine, state)))
    assert read.required - given(state) == set()


@in_every_call
def test_a_step_reads_what_it_is_given(
    template: Template, machine: Machine, name: str, state: State
) -> None:
    read = step_source.reads(step_source.of(called(template, machine, state))) | DISPATCHED
    assert given(state) - read.required - read.optional == set()


def test_what_a_step_may_be_given_is_given_to_some_step() -> None:
    # Steps share the functions that read it, so one of them is enough.
    given_to: dict[str, set[str]] = {}
    for machine in MACHINES.values():
        for name, state in machine.function_tasks().items():
            given_to.setdefault(name, set()).update(given(state) if "Parameters" in state else ())
    offered = {name: step for worker in WORKERS.values() for name, step in steps(worker).items()}
    optional = {
        name: step_source.reads(step_source.of(step)).optional for name, step in offered.items()
    }
    used = {key for name, keys in optional.items() for key in keys & given_to.get(name, set())}
    assert {key for keys in optional.values() for key in keys} - used == set()


@in_every_call
def test_a_task_says_what_it_is_about_so_that_its_failure_names_it(
    template: Template, machine: Machine, name: str, state: State
) -> None:
    if name not in WITHOUT_ID:
        assert given(state) & DISPATCHED.optional


@in_every_machine
def test_every_field_that_a_machine_looks_at_is_written_by_some_step(machine: Machine) -> None:
    written: dict[str, set[str]] = {}
    for name, state in machine.states.items():
        path = state.get("ResultPath") or ""
        noun = path.removeprefix("$.")
        if state["Type"] == "Pass":
            fields = set(state.get("Result", {})) | {
                key.removesuffix(".$") for key in state.get("Parameters", {})
            }
        elif name in machine.function_tasks() and "Parameters" in state:
            fields = set()
            for template in machine.templates:
                fields |= step_source.keys_made(called(template, machine, state))
        else:
            continue
        written.setdefault(noun, set()).update(fields)
        for catcher in state.get("Catch", []):
            written.setdefault(catcher["ResultPath"].removeprefix("$."), set()).update(
                {"Error", "Cause"}
            )
    looked_at = set(re.findall(r"(?<!\$)\$\.([A-Za-z]+)\.([A-Za-z]+)", machine.text))
    unknown = {
        f"$.{noun}.{field}"
        for noun, field in looked_at
        if noun in written and field not in written[noun]
    }
    assert unknown == set()


# ---- nested machines


@in_every_machine
def test_a_machine_is_given_what_it_and_its_children_look_at(machine: Machine) -> None:
    for name, state in machine.nested_tasks().items():
        stem = child(state)
        if stem is None:
            continue
        input_ = {key.removesuffix(".$") for key in state["Parameters"]["Input"]}
        wanted = inputs(MACHINES[stem])
        assert input_ - {"AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"} == wanted, name


def inputs(machine: Machine) -> set[str]:
    """The fields of its input that a machine looks at: those that none of its states writes."""
    results = {
        path.removeprefix("$.").split(".")[0]
        for state in machine.states.values()
        for path in (
            state.get("ResultPath"),
            *(catcher["ResultPath"] for catcher in state.get("Catch", [])),
        )
        if path
    }
    looked_at = set(re.findall(r"(?<!\$)\$\.([A-Za-z]+)", machine.text))
    first = machine.states[machine.body["StartAt"]]
    begun_with = set(re.findall(r"(?<!\$)\$\.([A-Za-z]+)", str(first.get("Parameters", ""))))
    return (looked_at - results) | (begun_with & looked_at)


# ---- properties of the custom resource


@in_every_template
def test_properties_are_read_and_exist(template: Template) -> None:
    stems = list(template.machines())
    read = set()
    for stem in stems:
        read |= set(re.findall(r"\$\.ResourceProperties\.(\w+)", MACHINES[stem].text))
    calls = [call.values for call in CALLS if call.values[0] is template]
    for _, machine, _, state in calls:
        step = called(template, machine, state)  # type: ignore[arg-type]  # see above
        for function in step_source.reached(step_source.of(step)):
            for node in ast.walk(function.definition):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                    "Properties.parse"
                ):
                    parse = step_source.resolved(function.module, node.func)
                    assert parse is not None
                    reads = step_source.reads(parse, "given")
                    read |= reads.required | reads.optional
    written = set(template.resources[template.custom_resource]["Properties"])
    assert read - written == set()
    assert written - read - NEVER_READ == set()


def test_every_class_of_properties_is_parsed() -> None:
    for name in step_source.classes(properties):
        assert step_source.function("properties", f"{name}.parse")


@in_every_template
def test_attributes_that_are_shown_are_reported(template: Template) -> None:
    shown = {
        value["Fn::GetAtt"][1]
        for output in template.outputs.values()
        for value in branches(output["Value"])
        if isinstance(value, dict)
        and value.get("Fn::GetAtt", [None])[0] == template.custom_resource
    }
    reported: set[str] = set()
    for template_, machine, name, state in (call.values for call in CALLS):
        if template_ is template and str(name).startswith("Report"):
            reported |= step_source.keys_made(called(template, machine, state))  # type: ignore[arg-type]  # see above
    assert shown - reported == set()


# ---- errors


@pytest.mark.parametrize("name", step_source.classes(errors))
def test_every_error_is_raised_somewhere(name: str) -> None:
    assert step_source.constructed(name)
    assert name.endswith("Error")


@in_every_machine
def test_every_error_that_a_machine_matches_exists(machine: Machine) -> None:
    matched = {
        error
        for state in machine.states.values()
        for rule in (*state.get("Retry", []), *state.get("Catch", []))
        for error in rule["ErrorEquals"]
    }
    ours = {error for error in matched if not error.startswith(NOT_OURS)}
    assert ours - set(step_source.classes(errors)) == set()


# ---- documents


def documents_run(template: Template) -> list[tuple[str, set[str]]]:
    """Each time that a machine runs a document: the document, and the parameters it is given."""
    runs = []
    for stem in template.machines():
        for state in MACHINES[stem].nested_tasks().values():
            input_ = state["Parameters"].get("Input", {})
            if isinstance(input_, dict) and "DocumentName" in input_:
                document = template.supplier(stem, PLACEHOLDER.findall(input_["DocumentName"])[0])
                runs += [(document, names) for names in parameters(template, stem, input_)]
    return runs


def parameters(template: Template, stem: str, input_: dict[str, Any]) -> list[set[str]]:
    """The names of the parameters that a document is given: written here, or a property."""
    if "Parameters" in input_:
        return [{key.removesuffix(".$") for key in input_["Parameters"]}]
    field = input_["Parameters.$"].removeprefix("$.")
    custom = template.resources[template.custom_resource]["Properties"]
    return [
        set(custom[state["Parameters"]["Input"][f"{field}.$"].rpartition(".")[2]])
        for caller in template.machines()
        for state in MACHINES[caller].nested_tasks().values()
        if child(state) == stem
    ]


@in_every_template
def test_a_document_is_given_the_parameters_that_it_declares(template: Template) -> None:
    documents = template.of_type("AWS::SSM::Document")
    runs = documents_run(template)
    for document, passed in runs:
        declared = documents[document]["Content"].get("parameters", {})
        needed = {key for key, value in declared.items() if "default" not in value}
        assert needed <= passed <= set(declared), document
    assert {document for document, _ in runs} == set(documents)


@in_every_template
def test_what_a_document_may_be_given_is_given_somewhere(template: Template) -> None:
    for document, properties_ in template.of_type("AWS::SSM::Document").items():
        passed = {
            name for run, names in documents_run(template) if run == document for name in names
        }
        assert passed == set(properties_["Content"].get("parameters", {})), document


# ---- environment


@in_every_template
def test_functions_are_given_the_environment_that_they_read(template: Template) -> None:
    read: set[str] = set()
    modules = [tree for name, tree in step_source.MODULES.items() if "custom_resource" in name]
    for node in (node for tree in modules for node in ast.walk(tree)):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            if isinstance(node.slice, ast.Constant):
                read.add(str(node.slice.value))
            else:
                assert ast.unparse(node.slice) == "request['RequestType'].upper()"
                read |= {"CREATE", "UPDATE", "DELETE"}
    for logical_id, function in template.of_type("AWS::Lambda::Function").items():
        variables = set(function.get("Environment", {}).get("Variables", {}))
        assert variables == (read if logical_id == "rRequestFunction" else set()), logical_id


@in_every_template
def test_the_front_door_knows_every_attribute_that_an_output_shows(template: Template) -> None:
    variables = template.resources["rRequestFunction"]["Properties"]["Environment"]["Variables"]
    shown = [
        value["Fn::GetAtt"][1]
        for value in (output["Value"] for output in template.outputs.values())
        if value.get("Fn::GetAtt", [None])[0] == template.custom_resource
    ]
    assert variables["ATTRIBUTES"].split() == shown


@pytest.mark.parametrize("module", step_source.MODULES)
def test_no_partition_is_written_out(module: str) -> None:
    written = [
        node.value
        for node in ast.walk(step_source.MODULES[module])
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.search(r"\barn:aws|amazonaws\.com", node.value)
    ]
    assert written == []


def test_no_worker_reads_the_environment() -> None:
    for name, tree in step_source.MODULES.items():
        if not name.startswith("custom_resource."):
            assert "os.environ" not in ast.unparse(tree), name


@in_every_template
def test_the_front_door_knows_every_machine_but_handle_request(template: Template) -> None:
    variables = template.resources["rRequestFunction"]["Properties"]["Environment"]["Variables"]
    machines = {f"r{''.join(w.capitalize() for w in s.split('-'))}StateMachine" for s in MACHINES}
    known = references(variables["MACHINES"])
    assert known == (machines & set(template.resources)) - {"rHandleRequestStateMachine"}
