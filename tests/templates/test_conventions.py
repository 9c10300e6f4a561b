"""How every template is written: names, order, parameters, functions, and what outlives what."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest

from tests.templates.template import ROOT, TEMPLATES, Template, kebab, references, walk

SECTIONS = [
    "AWSTemplateFormatVersion",
    "Description",
    "Metadata",
    "Parameters",
    "Mappings",
    "Rules",
    "Conditions",
    "Resources",
    "Outputs",
]
BANNERS = ["Custom resource", "Request handler", "Workflows", "Workers", "Client"]

# What the logical id of each type of resource ends in, and so says what it is.
KINDS = {
    "AWS::EC2::Instance": "Instance",
    "AWS::EC2::SecurityGroup": "SecurityGroup",
    "AWS::EC2::SecurityGroupEgress": "SecurityGroupEgress",
    "AWS::EC2::SecurityGroupIngress": "SecurityGroupIngress",
    "AWS::Events::Rule": "Rule",
    "AWS::IAM::InstanceProfile": "InstanceProfile",
    "AWS::IAM::Role": "Role",
    "AWS::Lambda::EventInvokeConfig": "InvokeConfig",
    "AWS::Lambda::Function": "Function",
    "AWS::Lambda::Permission": "Permission",
    "AWS::Logs::LogGroup": "LogGroup",
    "AWS::SSM::Document": "Document",
    "AWS::SecretsManager::ResourcePolicy": "ResourcePolicy",
    "AWS::StepFunctions::StateMachine": "StateMachine",
}
REQUEST_HANDLER = {"Request", "Response", "NoResponse"}
PHYSICAL_NAMES = {
    "AWS::EC2::SecurityGroup": "GroupName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::StepFunctions::StateMachine": "StateMachineName",
}
NEVER_NAMED = (
    "RoleName",
    "ManagedPolicyName",
    "InstanceProfileName",
    "PolicyDocumentName",
)
# A String that is neither an enum nor matched with a pattern.
FREE_TEXT = {
    "pReconcile": "any text at all, only compared with the text before",
    "pClientType": "EC2 knows its types and refuses another before there is a cluster",
    "pKeyStoreName": "KMS takes any 1 to 256 characters (F4.1)",
}

in_every_template = pytest.mark.parametrize("template", TEMPLATES, ids=repr)


def stem(template: Template, logical_id: str) -> str:
    """A logical id without its prefix and its kind."""
    kind = KINDS[template.resources[logical_id]["Type"]]
    assert logical_id.endswith(kind)
    return logical_id[1 : -len(kind)]


# ---- sections and banners


@in_every_template
def test_sections_stand_in_their_order(template: Template) -> None:
    assert list(template.body) == [name for name in SECTIONS if name in template.body]


@in_every_template
def test_resources_stand_under_their_banners_in_the_order_of_a_request(template: Template) -> None:
    assert list(template.banners()) == BANNERS


@in_every_template
def test_a_banner_is_one_line_with_a_title_and_what_it_is_about(template: Template) -> None:
    banners = [line for line in template.text.splitlines() if re.search(r"# ?-{2,}", line)]
    assert [line for line in banners if not re.fullmatch(r"  # --- [^:]+: .+ ---", line)] == []


@in_every_template
def test_each_resource_stands_under_the_banner_it_belongs_to(template: Template) -> None:
    def belongs(logical_id: str, resource: dict[str, Any]) -> str:
        kind = resource["Type"]
        if kind.startswith("Custom::"):
            return "Custom resource"
        if kind.startswith(("AWS::EC2::", "AWS::SSM::")) or kind == "AWS::IAM::InstanceProfile":
            return "Client"
        name = stem(template, logical_id)
        if name in REQUEST_HANDLER:
            return "Request handler"
        if kind == "AWS::StepFunctions::StateMachine" or name == "StateMachine":
            return "Workflows"
        return "Client" if f"r{name}" in template.resources else "Workers"

    written = {
        match.group(1): banner
        for banner, lines in template.banners().items()
        for line in lines
        if (match := re.fullmatch(r"  (r\w+):", line))
    }
    assert written == {
        logical_id: belongs(logical_id, resource)
        for logical_id, resource in template.resources.items()
    }


def test_the_front_doors_are_the_same_but_for_the_machines_and_the_client_behind() -> None:
    def front_door(template: Template) -> list[str]:
        text = "\n".join(template.banners()["Request handler"])
        return [
            line
            for line in text.splitlines()
            if not re.search(
                r"StateMachine\b|:stateMachine:|:execution:|(CLIENT_INSTANCE|ATTRIBUTES):", line
            )
        ]

    first, *others = TEMPLATES
    for other in others:
        assert front_door(other) == front_door(first)


# ---- how it is written


@in_every_template
def test_names_carry_the_prefix_of_what_they_are(template: Template) -> None:
    prefixes = {
        "Parameters": "p",
        "Conditions": "c",
        "Resources": "r",
        "Outputs": "o",
        "Mappings": "m",
    }
    wrong = [
        name
        for section, prefix in prefixes.items()
        for name in template.body.get(section, {})
        if not re.fullmatch(f"{prefix}[A-Z][A-Za-z0-9]*", name)
    ]
    assert wrong == []


@in_every_template
def test_every_parameter_and_condition_makes_a_difference_to_a_resource(template: Template) -> None:
    conditions = template.body.get("Conditions", {})
    used = references(template.resources) | references(conditions)
    used |= {value for _, value in walk(template.resources) if isinstance(value, str)}  # of !If
    assert {*template.parameters, *conditions} - used == set()


@in_every_template
def test_functions_are_written_in_their_short_form(template: Template) -> None:
    assert re.findall(r"Fn::\w+|^\s*Ref:.*", template.text, re.MULTILINE) == []
    assert re.findall(r"!Join\b.*", template.text) == []


@in_every_template
def test_two_spaces_indent_and_sequences_are_indented_too(template: Template) -> None:
    lines = template.text.splitlines()
    wrong = []
    for number, (line, following) in enumerate(itertools.pairwise(lines), 1):
        indent, next_indent = (len(text) - len(text.lstrip(" ")) for text in (line, following))
        is_key = re.fullmatch(r" *[\w:'-]+:( &[\w-]+)?( #.*)?", line)
        if is_key and following.lstrip().startswith("- ") and next_indent != indent + 2:
            wrong.append(number + 1)
    assert wrong == []
    assert "\t" not in template.text


@in_every_template
def test_no_partition_is_written_out(template: Template) -> None:
    patterns = {
        parameter.get("AllowedPattern")
        for parameter in template.parameters.values()  # these have to name what they allow
    }
    written = [
        value
        for _, value in walk(template.body)
        if isinstance(value, str) and re.search(r"arn:aws|amazonaws\.com\.cn|aws-cn", value)
    ]
    assert [value for value in written if value not in patterns] == []


@in_every_template
def test_nothing_is_named_that_nobody_looks_for_by_name(template: Template) -> None:
    named = [path for path, _ in walk(template.resources) if path and path[-1] in NEVER_NAMED]
    assert named == []


@in_every_template
def test_what_an_operator_looks_for_is_named_after_its_logical_id(template: Template) -> None:
    for kind, attribute in PHYSICAL_NAMES.items():
        for logical_id, properties in template.of_type(kind).items():
            wanted = f"${{pSystem}}-${{pEnvPurpose}}-{kebab(stem(template, logical_id))}"
            assert properties[attribute] == {"Fn::Sub": wanted}


# ---- parameters


@in_every_template
def test_every_parameter_says_what_it_is(template: Template) -> None:
    assert [name for name, it in template.parameters.items() if not it.get("Description")] == []


@in_every_template
def test_a_pattern_is_anchored_and_explained(template: Template) -> None:
    for name, parameter in template.parameters.items():
        pattern = parameter.get("AllowedPattern")
        assert ("ConstraintDescription" in parameter) == (pattern is not None), name
        if pattern is not None:
            re.compile(pattern)
            assert pattern.startswith("^"), name
            assert pattern.endswith("$"), name


@in_every_template
def test_a_default_is_allowed(template: Template) -> None:
    for name, parameter in template.parameters.items():
        if "AllowedPattern" in parameter and "Default" in parameter:
            assert re.fullmatch(parameter["AllowedPattern"], parameter["Default"]), name
        if "AllowedValues" in parameter:
            assert parameter["Default"] in parameter["AllowedValues"], name


@in_every_template
def test_every_text_is_an_enum_or_has_a_pattern_or_is_free_for_a_reason(template: Template) -> None:
    free = {
        name
        for name, parameter in template.parameters.items()
        if parameter["Type"] == "String"
        and not {"AllowedValues", "AllowedPattern"} & set(parameter)
    }
    assert free - set(FREE_TEXT) == set()


@in_every_template
def test_booleans_are_quoted(template: Template) -> None:
    for name, parameter in template.parameters.items():
        for value in [parameter.get("Default", ""), *parameter.get("AllowedValues", [])]:
            assert not isinstance(value, bool), name
        if set(parameter.get("AllowedValues", [])) & {"true", "false"}:
            assert parameter["AllowedValues"] == ["true", "false"], name


@in_every_template
def test_the_console_groups_and_labels_every_parameter(template: Template) -> None:
    interface = template.body["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(template.parameters)
    assert sorted(interface["ParameterLabels"]) == sorted(template.parameters)


@in_every_template
def test_a_rule_names_the_parameters_it_is_about(template: Template) -> None:
    for name, rule in template.body.get("Rules", {}).items():
        for assertion in rule["Assertions"]:
            for parameter in references(assertion["Assert"]):
                assert parameter in assertion["AssertDescription"], name


# ---- resources


@in_every_template
def test_the_kind_of_a_resource_stands_last_in_its_name(template: Template) -> None:
    wrong = [
        logical_id
        for logical_id, resource in template.resources.items()
        if not resource["Type"].startswith("Custom::")
        and not logical_id.endswith(KINDS[resource["Type"]])
    ]
    assert wrong == []


@in_every_template
def test_a_function_its_role_and_its_log_group_share_a_stem(template: Template) -> None:
    for logical_id, function in template.of_type("AWS::Lambda::Function").items():
        name = stem(template, logical_id)
        assert function["Role"] == {"Fn::GetAtt": [f"r{name}Role", "Arn"]}
        assert function["LoggingConfig"]["LogGroup"] == {"Ref": f"r{name}LogGroup"}
        group = template.resources[f"r{name}LogGroup"]["Properties"]["LogGroupName"]
        assert group == {"Fn::Sub": f"/aws/lambda/{function['FunctionName']['Fn::Sub']}"}


@in_every_template
def test_what_serves_something_is_named_after_it(template: Template) -> None:
    served = {
        "AWS::IAM::Role": ("Function", ""),
        "AWS::Logs::LogGroup": ("Function", ""),
        "AWS::IAM::InstanceProfile": ("Instance",),
        "AWS::Lambda::EventInvokeConfig": ("Function",),
        "AWS::Lambda::Permission": ("Rule",),
    }
    for kind, kinds in served.items():
        for logical_id in template.of_type(kind):
            name = stem(template, logical_id)
            names = {f"r{name}{what}" for what in kinds}
            # One role and one log group serve all the workflows of a template.
            assert name == "StateMachine" or names & set(template.resources), logical_id


@in_every_template
def test_all_workflows_share_one_role_and_one_log_group_under_vendedlogs(
    template: Template,
) -> None:
    for machine in template.of_type("AWS::StepFunctions::StateMachine").values():
        assert machine["RoleArn"] == {"Fn::GetAtt": ["rStateMachineRole", "Arn"]}
        (destination,) = machine["LoggingConfiguration"]["Destinations"]
        group = destination["CloudWatchLogsLogGroup"]["LogGroupArn"]
        assert group == {"Fn::GetAtt": ["rStateMachineLogGroup", "Arn"]}
        assert machine["LoggingConfiguration"]["Level"] == "ALL"
    group = template.resources["rStateMachineLogGroup"]["Properties"]["LogGroupName"]
    # Other names use up the account's resource policy for log delivery (CASES.md, rank 17).
    assert group == {"Fn::Sub": "/aws/vendedlogs/states/${pSystem}-${pEnvPurpose}"}


@in_every_template
def test_a_state_machine_is_named_after_its_file(template: Template) -> None:
    for file_stem, logical_id in template.machines().items():
        assert kebab(stem(template, logical_id)) == file_stem
        location = template.resources[logical_id]["Properties"]["DefinitionS3Location"]
        assert location == f"../statemachines/{file_stem}.asl.json"
        assert (template.path.parent / location).is_file()


@in_every_template
def test_log_groups_expire_and_go_with_the_stack(template: Template) -> None:
    for logical_id, resource in template.resources.items():
        if resource["Type"] == "AWS::Logs::LogGroup":
            assert resource["Properties"]["RetentionInDays"] > 0, logical_id
            assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Delete"


@in_every_template
def test_all_functions_are_of_one_zip_one_runtime_and_one_architecture(template: Template) -> None:
    for logical_id, function in template.of_type("AWS::Lambda::Function").items():
        assert function["Code"] == "../build/functions.zip", logical_id
        assert function["Runtime"] == "python3.13", logical_id
        assert function["Architectures"] == ["x86_64"], logical_id
        assert function["LoggingConfig"]["LogFormat"] == "JSON", logical_id
        assert function["Description"].endswith("."), logical_id
        assert "VpcConfig" not in function, logical_id


@in_every_template
def test_a_worker_loses_patience_before_the_task_that_waits_for_it(template: Template) -> None:
    for file_stem in template.machines():
        text = (ROOT / f"statemachines/{file_stem}.asl.json").read_text(encoding="utf-8")
        for name, state in json.loads(text)["States"].items():
            found = re.fullmatch(r"\$\{(\w+FunctionArn)\}", state.get("Resource", ""))
            if found and found.group(1) in template.substitutions(file_stem):
                function = template.resources[template.supplier(file_stem, found.group(1))]
                limit = function["Properties"]["Timeout"]
                assert limit < state["TimeoutSeconds"], (file_stem, name)


@in_every_template
def test_no_request_is_repeated_by_lambda_itself(template: Template) -> None:
    # A repetition minutes later would find a stack that has long gone on.
    config = template.resources["rRequestInvokeConfig"]["Properties"]
    assert config["FunctionName"] == {"Ref": "rRequestFunction"}
    assert config["MaximumRetryAttempts"] == 0
    assert config["MaximumEventAgeInSeconds"] == 300


@in_every_template
def test_the_client_is_closed_encrypted_and_speaks_imdsv2_only(template: Template) -> None:
    for instance in template.of_type("AWS::EC2::Instance").values():
        assert instance["MetadataOptions"]["HttpTokens"] == "required"
        assert all(device["Ebs"]["Encrypted"] for device in instance["BlockDeviceMappings"])
        assert "KeyName" not in instance
        assert "UserData" not in instance
    for group in template.of_type("AWS::EC2::SecurityGroup").values():
        assert "SecurityGroupIngress" not in group
        assert [rule["FromPort"] for rule in group["SecurityGroupEgress"]] == [443]
        assert [rule["ToPort"] for rule in group["SecurityGroupEgress"]] == [443]


# ---- the custom resource


@in_every_template
def test_all_that_a_deletion_needs_outlives_the_custom_resource(template: Template) -> None:
    # CloudFormation deletes a resource before those that it refers to or depends on, directly or
    # through others: a role and a log group through their function, a rule through its permission.
    # A deletion runs everything there is: the front door, the answer and the net under it, the
    # machines, their workers, and documents on the client. So nothing at all may go before.
    reached: set[str] = set()
    pending = [template.custom_resource]
    while pending:
        logical_id = pending.pop()
        reached.add(logical_id)
        resource = template.resources[logical_id]
        depends = resource.get("DependsOn", [])
        needed = {depends} if isinstance(depends, str) else set(depends)
        needed |= references(resource.get("Properties", {})) & set(template.resources)
        pending.extend(needed - reached)
    assert set(template.resources) - reached == set()


@in_every_template
def test_depends_on_is_sorted_and_names_each_once(template: Template) -> None:
    for logical_id, resource in template.resources.items():
        if isinstance(depends := resource.get("DependsOn", []), list):
            assert depends == sorted(set(depends)), logical_id


@in_every_template
def test_properties_of_the_custom_resource_are_pascal_case(template: Template) -> None:
    properties = template.resources[template.custom_resource]["Properties"]
    assert [name for name in properties if not re.fullmatch(r"([A-Z][a-z0-9]*)+", name)] == []


@in_every_template
def test_cloudformation_waits_as_long_as_it_can(template: Template) -> None:
    properties = template.resources[template.custom_resource]["Properties"]
    assert properties["ServiceTimeout"] == 3600


@in_every_template
def test_a_net_is_under_handle_request(template: Template) -> None:
    rule = template.resources["rNoResponseRule"]["Properties"]
    assert rule["EventPattern"] == {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {
            "stateMachineArn": [{"Ref": "rHandleRequestStateMachine"}],
            "status": ["FAILED", "TIMED_OUT", "ABORTED"],
        },
    }
    assert [target["Arn"] for target in rule["Targets"]] == [
        {"Fn::GetAtt": ["rResponseFunction", "Arn"]}
    ]
    permission = template.resources["rNoResponsePermission"]["Properties"]
    assert permission["SourceArn"] == {"Fn::GetAtt": ["rNoResponseRule", "Arn"]}
    assert permission["FunctionName"] == {"Ref": "rResponseFunction"}
