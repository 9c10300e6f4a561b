"""Data on its way: properties to states and steps, parameters to documents, reports to outputs."""

from __future__ import annotations

import ast
import re
from typing import Any

from hsm_lifecycle import properties
from tests.support import step_source
from tests.support.calls import CALLS
from tests.support.state_machines import MACHINES, PLACEHOLDER, Machine, child
from tests.templates.template import TEMPLATES, Template, branches

# A new value of Reconcile or TemplateVersion makes CloudFormation send a request (F6.12); no step
# reads it. The response function reports TemplateVersion.
NEVER_READ = {"Reconcile", "ServiceToken", "ServiceTimeout", "TemplateVersion"}
# Read if an update to this version is rolled back.
OF_EARLIER_VERSIONS = {"ClientInstanceId"}


# ---- nested machines


def test_every_machine_is_given_the_input_it_reads() -> None:
    wrong = {}
    for machine in MACHINES.values():
        for name, state in machine.nested_tasks().items():
            if stem := child(state):
                given = {key.removesuffix(".$") for key in state["Parameters"]["Input"]}
                given -= {"AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"}
                # Only align-hsms starts itself as detached, and no deletion lets it.
                needless = {"Detached"}
                needless |= {"LifecycleInput"} if machine.stem == "delete-cluster" else set()
                wrong[f"{machine} {name}"] = given ^ (inputs(MACHINES[stem]) - needless)
    assert {name: fields for name, fields in wrong.items() if fields} == {}


def inputs(machine: Machine) -> set[str]:
    """The fields of its input that a machine reads: those that none of its states writes."""
    results = {
        path.removeprefix("$.").split(".")[0]
        for state in machine.states.values()
        for path in (
            state.get("ResultPath"),
            *(catcher["ResultPath"] for catcher in state.get("Catch", [])),
        )
        if path
    }
    read = set(re.findall(r"(?<!\$)\$\.([A-Za-z]+)", machine.text))
    first = machine.states[machine.body["StartAt"]]
    read_first = set(re.findall(r"(?<!\$)\$\.([A-Za-z]+)", str(first.get("Parameters", ""))))
    return (read - results) | (read_first & read)


# ---- the custom resource


def test_every_property_exists_and_is_read() -> None:
    for template in TEMPLATES:
        read = read_by_steps(template)
        for stem in template.machines():
            read |= set(re.findall(r"\$\.ResourceProperties\.(\w+)", MACHINES[stem].text))
        written = set(template.resources[template.custom_resource]["Properties"])
        assert read - written - OF_EARLIER_VERSIONS == set()
        assert written - read - NEVER_READ == set()


def read_by_steps(template: Template) -> set[str]:
    """The properties that steps read from a class of properties.py."""
    read: set[str] = set()
    for call in CALLS:
        if call.template is not template or call.step is None:
            continue
        for function in step_source.reached(step_source.of(call.step)):
            for node in ast.walk(function.definition):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                    "Properties.parse"
                ):
                    parse = step_source.resolved(function.module, node.func)
                    assert parse is not None
                    reads = step_source.reads(parse, "given")
                    read |= reads.required | reads.optional
    return read


def test_every_class_of_properties_is_parsed() -> None:
    parsed = [
        name
        for name in step_source.classes(properties)
        if step_source.function("properties", f"{name}.parse")
    ]
    assert parsed == step_source.classes(properties)


def test_every_attribute_of_an_output_is_reported() -> None:
    for template in TEMPLATES:
        shown = {
            value["Fn::GetAtt"][1]
            for output in template.outputs.values()
            for value in branches(output["Value"])
            if isinstance(value, dict)
            and value.get("Fn::GetAtt", [None])[0] == template.custom_resource
        }
        reported = {"TemplateVersion"}
        for call in CALLS:
            if call.template is template and call.name.startswith("Report") and call.step:
                reported |= step_source.keys_made(call.step)
        assert shown - reported == set()


# ---- documents


def documents_run(template: Template) -> list[tuple[str, set[str]]]:
    """The documents that machines run, each with the parameters it is given."""
    runs = []
    for stem in template.machines():
        for state in MACHINES[stem].nested_tasks().values():
            input_ = state["Parameters"].get("Input", {})
            if isinstance(input_, dict) and "DocumentName" in input_:
                document = template.supplier(stem, PLACEHOLDER.findall(input_["DocumentName"])[0])
                runs += [(document, names) for names in parameters(template, stem, input_)]
    return runs


def parameters(template: Template, stem: str, input_: dict[str, Any]) -> list[set[str]]:
    """The parameters that a document is given: from the machine itself, or from a property."""
    if "Parameters" in input_:
        return [{key.removesuffix(".$") for key in input_["Parameters"]}]
    field = input_["Parameters.$"].removeprefix("$.")
    custom = template.resources[template.custom_resource]["Properties"]
    if field.startswith("ResourceProperties."):
        return [set(custom[field.removeprefix("ResourceProperties.")])]
    return [
        set(custom[state["Parameters"]["Input"][f"{field}.$"].rpartition(".")[2]])
        for caller in template.machines()
        for state in MACHINES[caller].nested_tasks().values()
        if child(state) == stem
    ]


def test_every_document_is_given_the_parameters_it_declares() -> None:
    for template in TEMPLATES:
        documents = template.of_type("AWS::SSM::Document")
        runs = documents_run(template)
        for document, passed in runs:
            declared = documents[document]["Content"].get("parameters", {})
            needed = {key for key, value in declared.items() if "default" not in value}
            assert needed <= passed <= set(declared), document
        assert {document for document, _ in runs} == set(documents)


def test_every_parameter_of_a_document_is_given_by_a_machine() -> None:
    for template in TEMPLATES:
        for document, resource in template.of_type("AWS::SSM::Document").items():
            passed = {
                name for run, names in documents_run(template) if run == document for name in names
            }
            assert passed == set(resource["Content"].get("parameters", {})), document
