from __future__ import annotations

import json

from tests.localaws.services.ssm.conftest import Json, SystemsManager, content


def test_a_new_version_is_not_the_default(ssm: SystemsManager) -> None:
    ssm.document("echo 1")
    updated = ssm.call(
        "UpdateDocument", Name="job", Content=content("echo 2"), DocumentVersion="$LATEST"
    )
    assert updated["DocumentDescription"]["DocumentVersion"] == "2"
    described = ssm.call("DescribeDocument", Name="job")["Document"]
    assert (described["DefaultVersion"], described["LatestVersion"]) == ("1", "2")
    assert "echo 1" in ssm.call("GetDocument", Name="job")["Content"]
    ssm.call("UpdateDocumentDefaultVersion", Name="job", DocumentVersion="2")
    assert "echo 2" in ssm.call("GetDocument", Name="job")["Content"]
    assert "echo 1" in ssm.call("GetDocument", Name="job", DocumentVersion="1")["Content"]


def test_a_document_may_be_yaml(ssm: SystemsManager) -> None:
    text = "schemaVersion: '2.2'\nmainSteps:\n- action: aws:runShellScript\n  name: Job\n"
    text += "  inputs: {runCommand: [echo hello]}\n"
    ssm.call("CreateDocument", Name="job", Content=text, DocumentFormat="YAML")
    assert ssm.call("GetDocument", Name="job")["Content"] == text


def test_a_document_is_deleted_with_all_its_versions(ssm: SystemsManager) -> None:
    ssm.document("echo 1")
    ssm.call("DeleteDocument", Name="job")
    ssm.rejected("InvalidDocument", "DescribeDocument", Name="job")
    ssm.rejected("InvalidDocument", "DeleteDocument", Name="job")
    own = [{"Key": "Owner", "Values": ["Self"]}]
    assert ssm.call("ListDocuments", Filters=own)["DocumentIdentifiers"] == []


def test_documents_are_listed_by_owner_and_name(ssm: SystemsManager) -> None:
    ssm.document("true", "cloudhsm-1-a")
    ssm.document("true", "other")
    filters = [{"Key": "Owner", "Values": ["Self"]}, {"Key": "Name", "Values": ["cloudhsm-1"]}]
    listed = ssm.call("ListDocuments", Filters=filters)["DocumentIdentifiers"]
    assert [one["Name"] for one in listed] == ["cloudhsm-1-a"]
    assert ssm.provider.documents() == ["cloudhsm-1-a", "other"]


def test_a_name_in_use_is_rejected(ssm: SystemsManager) -> None:
    ssm.document("true")
    ssm.rejected("DocumentAlreadyExists", "CreateDocument", Name="job", Content=content("false"))


def test_invalid_names_are_rejected(ssm: SystemsManager) -> None:
    for name in ("ab", "a b", "aws-job", "Amazon-job", "x" * 129):
        ssm.rejected("ValidationException", "CreateDocument", Name=name, Content=content("true"))


def test_an_update_without_changes_is_rejected(ssm: SystemsManager) -> None:
    ssm.document("true")
    ssm.rejected("DuplicateDocumentContent", "UpdateDocument", Name="job", Content=content("true"))


WRONG_DEFAULT = {"type": "String", "default": "x", "allowedPattern": "^y$"}
INVALID: dict[str, Json] = {
    "one step": {"mainSteps": []},
    "aws:runPowerShellScript": {"mainSteps": [{"action": "aws:runPowerShellScript"}]},
    "String or StringList": {"parameters": {"p": {"type": "Integer"}}},
    "colour": {"parameters": {"p": {"type": "String", "colour": 1}}},
    "invalid default": {"parameters": {"p": WRONG_DEFAULT}},
    "outputs": {"outputs": []},
}


def test_invalid_content_is_rejected(ssm: SystemsManager) -> None:
    for words, change in INVALID.items():
        text = json.dumps({**json.loads(content("true")), **change})
        message = ssm.rejected("InvalidDocumentContent", "CreateDocument", Name="job", Content=text)
        assert words in message


def test_an_undeclared_parameter_is_rejected(ssm: SystemsManager) -> None:
    text = content("echo {{ who }}")
    message = ssm.rejected("InvalidDocumentContent", "CreateDocument", Name="job", Content=text)
    assert "who is not declared" in message


def test_another_schema_version_is_rejected(ssm: SystemsManager) -> None:
    text = content("true").replace("2.2", "1.2")
    ssm.rejected("InvalidDocumentSchemaVersion", "CreateDocument", Name="job", Content=text)


def test_a_pattern_must_mean_the_same_in_java_and_re2(ssm: SystemsManager) -> None:
    for pattern in ("^(?!x).*$", "(?<=a)b", "(a)\\1", "a++", "(?>a)", "^a\\Z", "["):
        text = content("true", {"p": {"type": "String", "allowedPattern": pattern}})
        message = ssm.rejected("InvalidDocumentContent", "CreateDocument", Name="job", Content=text)
        assert f"allowedPattern {pattern}:" in message
