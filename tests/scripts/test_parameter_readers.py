from __future__ import annotations

from typing import Any

from scripts import statemachines, templates
from scripts.parameter_readers import Source, readers

PROPERTIES = """
class ClusterProperties:
    @property
    def backup_id(self):
        return self.backup.rpartition("/")[2]

    @classmethod
    def parse(cls, given):
        return cls(
            mode=given["Mode"],
            count=number(given, "Count"),
            backup=given["BackupId"],
            ready=given["Ready"] == "true",
        )
"""
STEPS = """
def create_cluster(event):
    found, wanted = find(event), ClusterProperties.parse(event["ResourceProperties"])
    aws.create(Mode=wanted.mode)
    _restore(wanted)
    return found.ready

def _restore(properties: ClusterProperties):
    return properties.backup_id

def align_hsms(event):
    return _count(event)

def _count(event):
    return ClusterProperties.parse(event["ResourceProperties"]).count

def unrelated(event):
    return other(found)

def other(wanted: ClusterProperties):
    return wanted.ready
"""
SOURCE = Source([PROPERTIES, STEPS])

ALL_PROPERTIES = {"ResourceProperties.$": "$.ResourceProperties"}
MACHINES: dict[str, Any] = {
    "create-cluster": {
        "States": {
            "CreateCluster": {"Parameters": {"Step": "CreateCluster", **ALL_PROPERTIES}},
            "IsReady": {"Choices": [{"Variable": "$.ResourceProperties.Ready"}]},
            "Activate": {"Parameters": {"Input": {"Url.$": "$.ResourceProperties.Package.Url"}}},
            "Elsewhere": {"Parameters": ALL_PROPERTIES},
        }
    },
    "update-cluster": {
        "States": {"IsReady": {"Choices": [{"Variable": "$.ResourceProperties.Ready"}]}}
    },
    "of-another-template": {
        "States": {"Other": {"Choices": [{"Variable": "$.ResourceProperties.Ready"}]}}
    },
}
TEMPLATE: dict[str, Any] = {
    "Parameters": dict.fromkeys(["pMode", "pReady", "pUrl", "pBackupId", "pName", "pReconcile"]),
    "Rules": {"OnlyOne": {"Assertions": [{"Assert": {"Ref": "pUrl"}}]}},
    "Conditions": {
        "cHasBackup": {"Fn::Not": [{"Fn::Equals": [{"Ref": "pBackupId"}, ""]}]},
        "cHasUrl": {"Fn::And": [{"Condition": "cHasBackup"}, {"Ref": "pUrl"}]},
    },
    "Resources": {
        "rCustom": {
            "Type": "Custom::Cluster",
            "Properties": {
                "Mode": {"Ref": "pMode"},
                "Ready": {"Ref": "pReady"},
                "Package": {"Url": {"Fn::If": ["cHasUrl", {"Ref": "pUrl"}, ""]}},
                "BackupId": {"Ref": "pBackupId"},
                "Reconcile": {"Ref": "pReconcile"},
            },
        },
        "rCreate": {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {"DefinitionS3Location": "../x/create-cluster.asl.json"},
        },
        "rUpdate": {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {"DefinitionS3Location": "../x/update-cluster.asl.json"},
        },
        "rRole": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "Name": {"Fn::Sub": "${pName}-${AWS::Region}"},
                "Policies": [{"Fn::If": ["cHasBackup", "a", "b"]}],
            },
        },
    },
}


def test_resources_read_parameters_by_reference_and_through_conditions() -> None:
    found = readers(TEMPLATE, MACHINES, SOURCE)
    assert {name: each.resources for name, each in found.items() if each.resources} == {
        "pName": ("rRole",),
        "pBackupId": ("rRole",),
    }


def test_rules_read_the_parameters_that_they_check() -> None:
    found = readers(TEMPLATE, MACHINES, SOURCE)
    assert {name: each.rules for name, each in found.items() if each.rules} == {
        "pUrl": ("OnlyOne",)
    }


def test_states_read_parameters_through_properties_of_the_custom_resource() -> None:
    found = readers(TEMPLATE, MACHINES, SOURCE)
    assert {name: each.states for name, each in found.items()} == {
        "pMode": ("CreateCluster",),
        "pReady": ("IsReady",),
        "pUrl": ("Activate",),
        "pBackupId": ("CreateCluster", "Activate"),  # the latter through cHasUrl
        "pName": (),
        "pReconcile": (),
    }


def test_a_step_reads_properties_itself_and_through_helpers() -> None:
    assert SOURCE.properties_of("CreateCluster") == {"Mode", "BackupId"}
    assert SOURCE.properties_of("AlignHsms") == {"Count"}
    assert SOURCE.properties_of("Unrelated") == set()


def test_every_parameter_of_the_repository_is_read_except_reconcile() -> None:
    unread = [
        (template, name)
        for template, body in templates.load_all().items()
        for name, each in readers(body, statemachines.load_all(), Source.read()).items()
        if not each.resources and not each.states
    ]
    assert unread == [("cloudhsm.yml", "pReconcile"), ("cloudhsm-key-store.yml", "pReconcile")]
