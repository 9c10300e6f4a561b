from __future__ import annotations

import json
from typing import Any

import pytest

from localaws.client import LocalAws
from tests.localaws.ministack.support import Json, SampleStack, error_from, unique_name


def content(word: str = "one") -> Json:
    step = {
        "action": "aws:runShellScript",
        "name": "Run",
        "inputs": {"runCommand": [f"echo {word}"]},
    }
    return {"schemaVersion": "2.2", "description": "d", "mainSteps": [step]}


def document(word: str = "one", **more: Any) -> Json:
    properties = {"Content": content(word), "DocumentType": "Command", **more}
    return {"Document": {"Type": "AWS::SSM::Document", "Properties": properties}}


def stored(aws: LocalAws, name: str) -> tuple[str, Json]:
    """The default version of a document and its content."""
    found = aws.client("ssm").get_document(Name=name)
    return found["DocumentVersion"], json.loads(found["Content"])


# --- Documents ---


def test_a_stack_creates_and_deletes_a_document(aws: LocalAws, stack: SampleStack) -> None:
    assert stack.create(document()) == "CREATE_COMPLETE"
    name = stack.physical_id("Document")
    assert stored(aws, name) == ("1", content())
    assert stack.delete() == "DELETE_COMPLETE"
    assert error_from(aws.client("ssm").get_document, Name=name)[0] == "InvalidDocument"


def test_a_stack_with_a_missing_document_can_be_deleted(aws: LocalAws, stack: SampleStack) -> None:
    stack.create(document())
    aws.client("ssm").delete_document(Name=stack.physical_id("Document"))
    assert stack.delete() == "DELETE_COMPLETE"


def test_a_changed_document_is_replaced(aws: LocalAws, stack: SampleStack) -> None:
    stack.create(document())
    before = stack.physical_id("Document")
    assert stack.update(document("two")) == "UPDATE_COMPLETE"
    after = stack.physical_id("Document")
    assert after != before
    assert stored(aws, after) == ("1", content("two"))
    assert before not in aws.admin.inventory()["ssm"]["documents"]


def test_update_method_new_version_updates_a_document_in_place(
    aws: LocalAws, stack: SampleStack
) -> None:
    stack.create(document(UpdateMethod="NewVersion"))
    before = stack.physical_id("Document")
    assert stack.update(document("two", UpdateMethod="NewVersion")) == "UPDATE_COMPLETE"
    assert stack.physical_id("Document") == before
    assert stored(aws, before) == ("2", content("two"))


@pytest.mark.parametrize(
    ("method", "status"),
    [("Replace", "UPDATE_ROLLBACK_COMPLETE"), ("NewVersion", "UPDATE_ROLLBACK_FAILED")],
)
def test_a_document_s_previous_content_is_restored_only_if_it_was_replaced(
    aws: LocalAws, stack: SampleStack, method: str, status: str
) -> None:
    taken = unique_name("/group")
    aws.client("logs").create_log_group(logGroupName=taken)
    stack.create(document(UpdateMethod=method))
    before = stack.physical_id("Document")
    group = {
        "Type": "AWS::Logs::LogGroup",
        "DependsOn": "Document",
        "Properties": {"LogGroupName": taken},
    }
    assert stack.update({**document("two", UpdateMethod=method), "Group": group}) == status
    assert stack.physical_id("Document") == before
    if status.endswith("COMPLETE"):
        assert stored(aws, before) == ("1", content("one"))
    else:
        assert "DuplicateDocumentContent" in stack.reason("Document")


def test_a_document_with_an_explicit_name_cannot_be_replaced(stack: SampleStack) -> None:
    name = unique_name("Document")
    stack.create(document(Name=name))
    assert stack.update(document("two", Name=name)) == "UPDATE_ROLLBACK_COMPLETE"
    assert "custom-named resource requires replacing" in stack.reason("Document")


def test_a_document_with_an_existing_name_is_rejected(aws: LocalAws, stack: SampleStack) -> None:
    name = unique_name("Document")
    aws.client("ssm").create_document(
        Name=name, Content=json.dumps(content()), DocumentType="Command"
    )
    assert stack.create(document(Name=name)) == "ROLLBACK_COMPLETE"
    assert "DocumentAlreadyExists" in stack.reason("Document")
    aws.client("ssm").delete_document(Name=name)


def test_an_invalid_document_is_rejected(stack: SampleStack) -> None:
    assert stack.create(document(Content={"schemaVersion": "9"})) == "ROLLBACK_COMPLETE"
    assert "InvalidDocument" in stack.reason("Document")


# --- Log groups ---


def test_a_stack_creates_and_deletes_a_log_group(aws: LocalAws, stack: SampleStack) -> None:
    properties = {"LogGroupName": unique_name("/group"), "RetentionInDays": 30}
    group = {"Type": "AWS::Logs::LogGroup", "Properties": properties, "DeletionPolicy": "Delete"}
    assert stack.create({"Group": group}) == "CREATE_COMPLETE"
    name = properties["LogGroupName"]
    (found,) = aws.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    assert found["retentionInDays"] == 30
    assert stack.delete() == "DELETE_COMPLETE"
    assert name not in aws.admin.inventory()["logs"]


def test_a_retained_log_group_outlives_its_stack(aws: LocalAws, stack: SampleStack) -> None:
    name = unique_name("/group")
    retained = {
        "Type": "AWS::Logs::LogGroup",
        "Properties": {"LogGroupName": name},
        "DeletionPolicy": "Retain",
    }
    stack.create({"Group": retained})
    assert stack.delete() == "DELETE_COMPLETE"
    assert name in aws.admin.inventory()["logs"]
    aws.client("logs").delete_log_group(logGroupName=name)


def test_a_log_group_with_an_existing_name_is_rejected(aws: LocalAws, stack: SampleStack) -> None:
    name = unique_name("/group")
    aws.client("logs").create_log_group(logGroupName=name)
    group = {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": name}}
    assert stack.create({"Group": group}) == "ROLLBACK_COMPLETE"
    assert "already exists" in stack.reason("Group")
    assert name in aws.admin.inventory()["logs"]
    aws.client("logs").delete_log_group(logGroupName=name)
