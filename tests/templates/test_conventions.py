"""Conventions of every template: names, order, parameters, functions and deletion order."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

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
PREFIXES = {"Parameters": "p", "Conditions": "c", "Resources": "r", "Outputs": "o", "Mappings": "m"}
BANNERS = ["Custom resource", "Request handler", "Workflows", "Workers", "Client"]

# The suffix of a logical ID, by resource type.
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
    "AWS::SecretsManager::Secret": "Secret",
    "AWS::StepFunctions::StateMachine": "StateMachine",
}
REQUEST_HANDLER = {"Request", "Response", "NoResponse"}
PHYSICAL_NAMES = {
    "AWS::EC2::SecurityGroup": "GroupName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::StepFunctions::StateMachine": "StateMachineName",
}
UNNAMED = ("RoleName", "ManagedPolicyName", "InstanceProfileName", "PolicyDocumentName")


def stem(template: Template, logical_id: str) -> str:
    """A logical ID without its prefix and its suffix."""
    return logical_id[1:].removesuffix(KINDS[template.resources[logical_id]["Type"]])


def parameters() -> list[tuple[str, dict[str, Any]]]:
    """Every parameter of every template, labelled."""
    return [
        (f"{template} {name}", parameter)
        for template in TEMPLATES
        for name, parameter in template.parameters.items()
    ]


def resources(kind: str) -> list[tuple[Template, str, dict[str, Any]]]:
    """The Properties of every resource of a type, with template and logical ID."""
    return [
        (template, logical_id, properties)
        for template in TEMPLATES
        for logical_id, properties in template.of_type(kind).items()
    ]


# ---- sections and banners


def test_sections_are_in_order() -> None:
    wrong = [
        template
        for template in TEMPLATES
        if list(template.body) != [name for name in SECTIONS if name in template.body]
    ]
    assert wrong == []


def test_resources_are_grouped_under_the_same_banners_in_order() -> None:
    assert [list(template.banners()) for template in TEMPLATES] == [BANNERS] * len(TEMPLATES)


def test_a_banner_is_one_line_with_a_title_and_a_summary() -> None:
    wrong = [
        (template, line)
        for template in TEMPLATES
        for line in template.text.splitlines()
        if re.search(r"# ?-{2,}", line) and not re.fullmatch(r"  # --- [^:]+: .+ ---", line)
    ]
    assert wrong == []


def test_every_resource_is_under_its_banner() -> None:
    def expected(template: Template, logical_id: str) -> str:
        kind = template.resources[logical_id]["Type"]
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

    wrong = []
    for template in TEMPLATES:
        found = {
            match.group(1): banner
            for banner, lines in template.banners().items()
            for line in lines
            if (match := re.fullmatch(r"  (r\w+):", line))
        }
        assert set(found) == set(template.resources)
        wrong += [(template, name) for name in found if found[name] != expected(template, name)]
    assert wrong == []


def test_the_request_handlers_differ_only_in_machines_and_attributes() -> None:
    names = r"^ *[A-Z]+: .*-(cluster|store)|ATTRIBUTES:"
    arns = r"StateMachine\b|:stateMachine:|:execution:"

    def shared(template: Template) -> list[str]:
        lines = template.banners()["Request handler"]
        return [line for line in lines if not re.search(f"{arns}|{names}", line)]

    first, second = TEMPLATES
    assert shared(first) == shared(second)


# ---- syntax


def test_names_have_the_prefix_of_their_section() -> None:
    wrong = [
        (template, name)
        for template in TEMPLATES
        for section, prefix in PREFIXES.items()
        for name in template.body.get(section, {})
        if not re.fullmatch(f"{prefix}[A-Z][A-Za-z0-9]*", name)
    ]
    assert wrong == []


def test_every_parameter_and_condition_is_used_by_a_resource() -> None:
    unused = []
    for template in TEMPLATES:
        conditions = template.body.get("Conditions", {})
        used = references(template.resources) | references(conditions)
        # The condition of an !If is a plain string.
        used |= {value for _, value in walk(template.resources) if isinstance(value, str)}
        unused += [(template, name) for name in {*template.parameters, *conditions} - used]
    assert unused == []


def test_functions_are_in_short_form_and_none_is_a_join() -> None:
    wrong = [
        (template, found)
        for template in TEMPLATES
        for found in re.findall(r"Fn::\w+|^\s*Ref:.*|!Join\b.*", template.text, re.MULTILINE)
    ]
    assert wrong == []


def test_nesting_including_sequences_is_indented_by_two_spaces() -> None:
    wrong = []
    for template in TEMPLATES:
        lines = template.text.splitlines()
        for number, (line, following) in enumerate(itertools.pairwise(lines), 1):
            indent, next_indent = (len(text) - len(text.lstrip(" ")) for text in (line, following))
            is_key = re.fullmatch(r" *[\w:'-]+:( &[\w-]+)?( #.*)?", line)
            if is_key and following.lstrip().startswith("- ") and next_indent != indent + 2:
                wrong.append((template, number + 1))
        wrong += [(template, number) for number, line in enumerate(lines, 1) if "\t" in line]
    assert wrong == []


def test_no_value_hard_codes_a_partition() -> None:
    wrong = []
    for template in TEMPLATES:
        patterns = {
            parameter.get("AllowedPattern")
            for parameter in template.parameters.values()  # a pattern for ARNs has to
        }
        wrong += [
            (template, path)
            for path, value in walk(template.body)
            if isinstance(value, str)
            and re.search(r"arn:aws|amazonaws\.com\.cn|aws-cn", value)
            and value not in patterns
        ]
    assert wrong == []


def test_resources_that_nobody_looks_up_by_name_have_generated_names() -> None:
    wrong = [
        (template, path)
        for template in TEMPLATES
        for path, _ in walk(template.resources)
        if path and path[-1] in UNNAMED
    ]
    assert wrong == []


def test_resources_that_operators_look_up_are_named_after_their_logical_id() -> None:
    wrong = [
        (template, logical_id)
        for kind, attribute in PHYSICAL_NAMES.items()
        for template, logical_id, properties in resources(kind)
        if properties[attribute]
        != {"Fn::Sub": f"${{pSystem}}-${{pEnvPurpose}}-{kebab(stem(template, logical_id))}"}
    ]
    assert wrong == []


# ---- parameters


def test_every_parameter_and_output_has_a_description() -> None:
    missing = [label for label, parameter in parameters() if not parameter.get("Description")]
    missing += [
        f"{template} {name}"
        for template in TEMPLATES
        for name, output in template.outputs.items()
        if not output.get("Description")
    ]
    assert missing == []


def test_descriptions_are_within_the_limits_of_cloudformation() -> None:
    # 1,024 bytes for the template, 4,000 characters for a parameter, 1,024 bytes for an output.
    wrong = [label for label, each in parameters() if len(each["Description"]) > 4000]
    for template in TEMPLATES:
        texts = [template.body["Description"]]
        texts += [output["Description"] for output in template.outputs.values()]
        wrong += [text for text in texts if len(text.encode()) > 1024]
    assert wrong == []


def test_a_pattern_is_anchored_and_a_constraint_has_a_description() -> None:
    wrong = []
    for label, parameter in parameters():
        pattern = parameter.get("AllowedPattern")
        is_constrained = bool({"AllowedPattern", "MinValue"} & parameter.keys())
        if is_constrained != ("ConstraintDescription" in parameter):
            wrong.append(label)
        elif pattern is not None:
            re.compile(pattern)
            if not (pattern.startswith("^") and pattern.endswith("$")):
                wrong.append(label)
    assert wrong == []


def test_a_constraint_description_reads_on_from_the_parameter() -> None:
    """CloudFormation reports "Parameter 'pSystem' must be 1 to 20 ..."."""
    texts = {label: each.get("ConstraintDescription") for label, each in parameters()}
    assert [
        f"{label}: {text}" for label, text in texts.items() if text and text[:8] != "must be "
    ] == []


def test_every_default_satisfies_the_constraints_of_its_parameter() -> None:
    wrong = []
    for label, parameter in parameters():
        default = parameter.get("Default")
        if "AllowedPattern" in parameter and default is not None:
            if not re.fullmatch(parameter["AllowedPattern"], default):
                wrong.append(label)
        elif "AllowedValues" in parameter and default not in parameter["AllowedValues"]:
            wrong.append(label)
    assert wrong == []


def test_every_string_parameter_is_constrained() -> None:
    free = [
        label
        for label, parameter in parameters()
        if parameter["Type"] == "String"
        and not {"AllowedValues", "AllowedPattern"} & set(parameter)
    ]
    assert free == []


def test_boolean_parameters_are_the_strings_true_and_false() -> None:
    wrong = []
    for label, parameter in parameters():
        allowed = parameter.get("AllowedValues", [])
        has_bool = any(isinstance(value, bool) for value in [parameter.get("Default"), *allowed])
        if has_bool or (set(allowed) & {"true", "false"} and allowed != ["true", "false"]):
            wrong.append(label)
    assert wrong == []


def test_the_console_groups_and_labels_every_parameter_once() -> None:
    wrong = []
    for template in TEMPLATES:
        interface = template.body["Metadata"]["AWS::CloudFormation::Interface"]
        grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
        if (
            not sorted(grouped)
            == sorted(interface["ParameterLabels"])
            == sorted(template.parameters)
        ):
            wrong.append(template)
    assert wrong == []


def test_the_description_of_an_assertion_names_every_parameter_it_checks() -> None:
    wrong = [
        (template, rule, parameter)
        for template in TEMPLATES
        for rule, body in template.body.get("Rules", {}).items()
        for assertion in body["Assertions"]
        for parameter in references(assertion["Assert"])
        if parameter not in assertion["AssertDescription"]
    ]
    assert wrong == []


# ---- resources


def test_a_logical_id_ends_with_the_kind_of_its_resource() -> None:
    wrong = [
        (template, logical_id)
        for template in TEMPLATES
        for logical_id, resource in template.resources.items()
        if not resource["Type"].startswith("Custom::")
        and not logical_id.endswith(KINDS[resource["Type"]])
    ]
    assert wrong == []


def test_a_function_its_role_and_its_log_group_share_a_stem() -> None:
    wrong = []
    for template, logical_id, function in resources("AWS::Lambda::Function"):
        name = stem(template, logical_id)
        group = template.resources[f"r{name}LogGroup"]["Properties"]["LogGroupName"]
        if (
            function["Role"] != {"Fn::GetAtt": [f"r{name}Role", "Arn"]}
            or function["LoggingConfig"]["LogGroup"] != {"Ref": f"r{name}LogGroup"}
            or group != {"Fn::Sub": f"/aws/lambda/{function['FunctionName']['Fn::Sub']}"}
        ):
            wrong.append((template, logical_id))
    assert wrong == []


def test_a_dependent_resource_is_named_after_the_resource_it_serves() -> None:
    # The workflows of a template share the role and the log group StateMachine.
    serves = {
        "AWS::IAM::Role": ("Function", ""),
        "AWS::Logs::LogGroup": ("Function", ""),
        "AWS::IAM::InstanceProfile": ("Instance",),
        "AWS::Lambda::EventInvokeConfig": ("Function",),
        "AWS::Lambda::Permission": ("Rule",),
    }
    wrong = []
    for kind, suffixes in serves.items():
        for template, logical_id, _ in resources(kind):
            name = stem(template, logical_id)
            served = {f"r{name}{suffix}" for suffix in suffixes} & set(template.resources)
            if name != "StateMachine" and not served:
                wrong.append((template, logical_id))
    assert wrong == []


def test_all_workflows_log_everything_to_one_group_under_vendedlogs_and_share_a_role() -> None:
    wrong = []
    for template, logical_id, machine in resources("AWS::StepFunctions::StateMachine"):
        logging = machine["LoggingConfiguration"]
        group = {"LogGroupArn": {"Fn::GetAtt": ["rStateMachineLogGroup", "Arn"]}}
        if (
            machine["RoleArn"] != {"Fn::GetAtt": ["rStateMachineRole", "Arn"]}
            or logging["Destinations"] != [{"CloudWatchLogsLogGroup": group}]
            or logging["Level"] != "ALL"
        ):
            wrong.append((template, logical_id))
    # Other prefixes use up the account's resource policy for log delivery.
    name = {"Fn::Sub": "/aws/vendedlogs/states/${pSystem}-${pEnvPurpose}"}
    wrong += [
        (template, "rStateMachineLogGroup")
        for template in TEMPLATES
        if template.resources["rStateMachineLogGroup"]["Properties"]["LogGroupName"] != name
    ]
    assert wrong == []


def test_a_state_machine_is_named_after_its_definition_file() -> None:
    wrong = []
    for template in TEMPLATES:
        for file_stem, logical_id in template.machines().items():
            location = template.resources[logical_id]["Properties"]["DefinitionS3Location"]
            if (
                kebab(stem(template, logical_id)) != file_stem
                or location != f"../statemachines/{file_stem}.asl.json"
                or not (template.path.parent / location).is_file()
            ):
                wrong.append((template, logical_id))
    assert wrong == []


def test_a_state_machine_does_not_wait_for_what_it_runs() -> None:
    # CloudFormation makes functions and state machines one after another if they refer to each
    # other: a creation would take 10 to 14 seconds longer.
    assert [
        f"{template} {logical_id} {name}"
        for template, logical_id, machine in resources("AWS::StepFunctions::StateMachine")
        for name, value in machine["DefinitionSubstitutions"].items()
        if name.endswith("Arn") and references(value) & {*template.resources}
    ] == []


def test_log_groups_expire_and_are_deleted_with_the_stack() -> None:
    wrong = []
    for template, logical_id, properties in resources("AWS::Logs::LogGroup"):
        resource = template.resources[logical_id]
        policies = {resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy")}
        if not properties.get("RetentionInDays", 0) > 0 or policies != {"Delete"}:
            wrong.append((template, logical_id))
    assert wrong == []


def test_all_functions_share_zip_runtime_architecture_and_log_format() -> None:
    wrong = []
    for template, logical_id, function in resources("AWS::Lambda::Function"):
        if (
            function["Code"] != "../build/functions.zip"
            or function["Runtime"] != "python3.13"
            or function["Architectures"] != ["x86_64"]
            or function["LoggingConfig"]["LogFormat"] != "JSON"
            or not function["Description"].endswith(".")
            or "VpcConfig" in function
        ):
            wrong.append((template, logical_id))
    assert wrong == []


def test_a_function_times_out_before_the_task_that_invokes_it() -> None:
    compared, wrong = 0, []
    for template in TEMPLATES:
        for file_stem in template.machines():
            text = (ROOT / f"statemachines/{file_stem}.asl.json").read_text(encoding="utf-8")
            for name, state in json.loads(text)["States"].items():
                found = re.fullmatch(r"\$\{(\w+FunctionArn)\}", state.get("Resource", ""))
                if found and found.group(1) in template.substitutions(file_stem):
                    function = template.resources[template.supplier(file_stem, found.group(1))]
                    compared += 1
                    if function["Properties"]["Timeout"] >= state["TimeoutSeconds"]:
                        wrong.append((template, file_stem, name))
    assert wrong == []
    assert compared > 0


def test_lambda_does_not_retry_requests() -> None:
    # A retry minutes later would repeat a request that the stack has moved past.
    expected = {
        "FunctionName": {"Ref": "rRequestFunction"},
        "Qualifier": "$LATEST",
        "MaximumRetryAttempts": 0,
        "DestinationConfig": {
            "OnFailure": {"Destination": {"Fn::GetAtt": ["rResponseFunction", "Arn"]}}
        },
        "MaximumEventAgeInSeconds": 300,
    }
    found = [config for _, _, config in resources("AWS::Lambda::EventInvokeConfig")]
    assert found == [expected] * len(TEMPLATES)


def test_the_client_is_encrypted_and_requires_imdsv2_without_key_pair_or_user_data() -> None:
    wrong = [
        (template, logical_id)
        for template, logical_id, instance in resources("AWS::EC2::Instance")
        if instance["MetadataOptions"]["HttpTokens"] != "required"
        or not all(device["Ebs"]["Encrypted"] for device in instance["BlockDeviceMappings"])
        or {"KeyName", "UserData"} & set(instance)
    ]
    assert wrong == []


def test_security_groups_allow_no_inbound_access_and_outbound_only_https() -> None:
    wrong = [
        (template, logical_id)
        for template, logical_id, group in resources("AWS::EC2::SecurityGroup")
        if "SecurityGroupIngress" in group
        or [(rule["FromPort"], rule["ToPort"]) for rule in group["SecurityGroupEgress"]]
        != [(443, 443)]
    ]
    assert wrong == []


# ---- the custom resource


def test_every_resource_is_deleted_after_the_custom_resource() -> None:
    # CloudFormation deletes a resource before those that it refers to or depends on, directly or
    # transitively: a role and a log group through their function, a rule through its permission.
    # A deletion needs the request handler, every workflow and its workers, but not the client: that
    # is launched and terminated beside the cluster.
    beside = {"rClientInstance", "rClientInstanceProfile", "rClientInstanceRole"}
    earlier = []
    for template in TEMPLATES:
        reached: set[str] = set()
        pending = [template.custom_resource]
        while pending:
            logical_id = pending.pop()
            reached.add(logical_id)
            resource = template.resources[logical_id]
            needed = set(resource.get("DependsOn", []))
            needed |= references(resource.get("Properties", {})) & set(template.resources)
            pending.extend(needed - reached)
        earlier += [(template, name) for name in set(template.resources) - reached - beside]
    assert earlier == []


def test_depends_on_is_a_sorted_list_without_duplicates() -> None:
    wrong = [
        (template, logical_id)
        for template in TEMPLATES
        for logical_id, resource in template.resources.items()
        if (depends := resource.get("DependsOn", [])) != sorted(set(depends))
    ]
    assert wrong == []


def test_properties_of_the_custom_resource_are_in_pascal_case() -> None:
    wrong = [
        (template, name)
        for template in TEMPLATES
        for name in template.resources[template.custom_resource]["Properties"]
        if not re.fullmatch(r"([A-Z][a-z0-9]*)+", name)
    ]
    assert wrong == []


def test_cloudformation_waits_one_hour_for_a_response_which_is_its_maximum() -> None:
    timeouts = [
        template.resources[template.custom_resource]["Properties"]["ServiceTimeout"]
        for template in TEMPLATES
    ]
    assert timeouts == [3600] * len(TEMPLATES)


def test_a_rule_sends_the_response_if_handle_request_does_not() -> None:
    rules = [
        {key: value for key, value in rule.items() if key != "Description"}
        for _, _, rule in resources("AWS::Events::Rule")
    ]
    expected_rule = {
        "EventPattern": {
            "source": ["aws.states"],
            "detail-type": ["Step Functions Execution Status Change"],
            "detail": {
                "stateMachineArn": [{"Ref": "rHandleRequestStateMachine"}],
                "status": ["FAILED", "TIMED_OUT", "ABORTED"],
            },
        },
        "Targets": [{"Id": "response", "Arn": {"Fn::GetAtt": ["rResponseFunction", "Arn"]}}],
    }
    permissions = [permission for _, _, permission in resources("AWS::Lambda::Permission")]
    expected_permission = {
        "FunctionName": {"Ref": "rResponseFunction"},
        "Action": "lambda:InvokeFunction",
        "Principal": "events.amazonaws.com",
        "SourceArn": {"Fn::GetAtt": ["rNoResponseRule", "Arn"]},
    }
    assert rules == [expected_rule] * len(TEMPLATES)
    assert permissions == [expected_permission] * len(TEMPLATES)
