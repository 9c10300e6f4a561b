from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from localaws.client import LocalAws, until
from tests.localaws.ministack.custom_resource_function import CustomResourceStack
from tests.localaws.ministack.support import SampleStack, error_from

BAD = {"Type": "AWS::IAM::InstanceProfile", "Properties": {"Roles": ["missing"]}}
GOOD = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "x"}}
FAILING = {"Response": {"Status": "FAILED", "Reason": "no"}}
SLOW = {"Sleep": "600"}


def create_failed(custom: CustomResourceStack) -> None:
    created = custom.stack.aws.client("cloudformation").create_stack(
        StackName=custom.stack.name,
        TemplateBody=json.dumps({"Resources": {"Good": GOOD, "Bad": BAD}}),
        Capabilities=["CAPABILITY_IAM"],
        DisableRollback=True,
    )
    custom.stack.id = created["StackId"]
    custom.stack.wait()


def create_in_progress(custom: CustomResourceStack) -> None:
    custom.stack.aws.admin.pause_after("CreateStack")
    custom.stack.create(custom.resources({"Example": {"Create": SLOW}}), wait=False)
    until(lambda: custom.invoked(), "no request was sent")


def delete_failed(custom: CustomResourceStack) -> None:
    custom.create(Delete=FAILING)
    custom.stack.delete()


def delete_in_progress(custom: CustomResourceStack) -> None:
    custom.create(Delete=SLOW)
    custom.stack.aws.admin.pause_after("DeleteStack")
    custom.stack.delete(wait=False)
    until(lambda: len(custom.invoked()) > 1, "no request was sent")


def rollback_complete(custom: CustomResourceStack) -> None:
    custom.create(Create=FAILING)


def rollback_failed(custom: CustomResourceStack) -> None:
    custom.create(Create=FAILING, Delete=FAILING)


def update_in_progress(custom: CustomResourceStack) -> None:
    custom.create(Size="1")
    custom.stack.aws.admin.pause_after("UpdateStack")
    custom.stack.update(custom.resources({"Example": {"Size": "2", "Update": SLOW}}), wait=False)
    until(lambda: len(custom.invoked()) > 1, "no request was sent")


def update_rollback_failed(custom: CustomResourceStack) -> None:
    custom.create(Size="1", Update=FAILING)
    custom.update(Size="2", Update=FAILING)


STATUSES: dict[str, Callable[[CustomResourceStack], None]] = {
    "CREATE_FAILED": create_failed,
    "CREATE_IN_PROGRESS": create_in_progress,
    "DELETE_FAILED": delete_failed,
    "DELETE_IN_PROGRESS": delete_in_progress,
    "ROLLBACK_COMPLETE": rollback_complete,
    "ROLLBACK_FAILED": rollback_failed,
    "UPDATE_IN_PROGRESS": update_in_progress,
    "UPDATE_ROLLBACK_FAILED": update_rollback_failed,
}


@pytest.fixture(name="template")
def _template(tmp_path: Path) -> Path:
    path = tmp_path / "template.json"
    path.write_text(json.dumps({"Resources": {"Good": GOOD}}))
    return path


@pytest.mark.parametrize("status", STATUSES)
def test_neither_an_update_nor_a_change_set_nor_the_cli_changes_a_stack_in_this_status(
    aws: LocalAws, custom: CustomResourceStack, template: Path, status: str
) -> None:
    STATUSES[status](custom)
    stack, client = custom.stack, aws.client("cloudformation")
    assert stack.status() == status
    request = {"StackName": stack.name, "TemplateBody": template.read_text()}
    refused = ("ValidationError", f"Stack:{stack.id} is in {status} state and can not be updated.")
    assert error_from(client.update_stack, **request) == refused
    assert error_from(client.create_change_set, ChangeSetName="c", **request) == refused
    deploy = aws.run(
        *("aws", "cloudformation", "deploy", "--stack-name", stack.name),
        *("--template-file", str(template)),
    )
    assert (deploy.returncode != 0, refused[1] in deploy.stderr) == (True, True), deploy.stderr
    assert client.list_change_sets(StackName=stack.name)["Summaries"] == []
    assert stack.status() == status


def test_a_stack_whose_creation_was_rolled_back_cannot_be_created_again(
    aws: LocalAws, stack: SampleStack, template: Path
) -> None:
    assert stack.create({"Bad": BAD}) == "ROLLBACK_COMPLETE"
    client = aws.client("cloudformation")
    request = {"StackName": stack.name, "TemplateBody": template.read_text()}
    assert error_from(client.create_stack, **request) == (
        "AlreadyExistsException",
        f"Stack [{stack.name}] already exists",
    )
    code, message = error_from(
        client.create_change_set, ChangeSetName="again", ChangeSetType="CREATE", **request
    )
    assert code == "ValidationError"
    assert message == (
        f"Stack [{stack.name}] already exists and cannot be created again with the changeSet "
        "[again]."
    )
    assert stack.delete() == "DELETE_COMPLETE"
    assert stack.create({"Good": GOOD}) == "CREATE_COMPLETE"
