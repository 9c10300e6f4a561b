"""Failed logins of the admin are remembered in a tag of its secret."""

from __future__ import annotations

import json

import pytest

from hsm_lifecycle.custom_resource import failure_reason
from hsm_lifecycle.errors import ParameterError, TransientError
from hsm_lifecycle.steps import admin_login
from tests.support.account import Account, Json

SECRET = "/cloudhsm/admin"
CLUSTER = "cluster-aaaaaaaaaaa"
OTHER_CLUSTER = "cluster-bbbbbbbbbbb"
TAG = f"hsm-lifecycle:admin-logins:{CLUSTER}"
PARAMETER = "pCloudHsmAdminPasswordSecretName: "


@pytest.fixture(autouse=True)
def _secret(account: Account) -> None:
    account.put(SECRET, "the first")


def of(execution: str, cluster: str = CLUSTER, **more: object) -> Json:
    return {
        "ClusterId": cluster,
        "CloudHsmAdminPasswordSecretName": SECRET,
        "ExecutionId": f"arn:aws:states:us-east-1:123456789012:execution:m:{execution}",
        **more,
    }


def checked(account: Account, execution: str, cluster: str = CLUSTER) -> str:
    """The version for which a login of this execution is recorded."""
    result = account.run(admin_login.check_login, **of(execution, cluster))
    assert result.keys() == {"VersionId"}
    return str(result["VersionId"])


def failed(account: Account, execution: str, error: str, cluster: str = CLUSTER) -> None:
    """A login of this execution fails with an error of run-on-client."""
    version = checked(account, execution, cluster)
    arn = "arn:aws:states:us-east-1:123456789012:execution:hsm-1-run-on-client:e"
    cause = json.dumps({"ExecutionArn": arn, "Error": error, "Cause": "why", "Status": "FAILED"})
    failure = {"Error": "States.TaskFailed", "Cause": cause}
    event = of(execution, cluster, VersionId=version, Outcome=failure)
    assert account.run(admin_login.record_login, **event) == {}


def tags(account: Account) -> dict[str, str]:
    secret = account.secrets.describe_secret(SecretId=SECRET)
    return {tag["Key"]: tag["Value"] for tag in secret.get("Tags", [])}


def test_a_refused_version_is_not_used_again(account: Account) -> None:
    failed(account, "a", "LoginRefused")
    for execution in ("a", "b"):
        with pytest.raises(ParameterError, match=rf"{PARAMETER}the HSMs refused .* of {SECRET}\."):
            checked(account, execution)


def test_a_new_version_may_be_used(account: Account) -> None:
    failed(account, "a", "LoginRefused")
    account.secrets.put_secret_value(SecretId=SECRET, SecretString="the first")
    version = checked(account, "b")
    assert tags(account)[TAG].split()[0] == version
    assert "refused" not in tags(account)[TAG]


def new_version(account: Account) -> None:
    account.secrets.put_secret_value(SecretId=SECRET, SecretString="another")


def test_new_versions_do_not_lock_the_admin(account: Account) -> None:
    for execution in ("a", "b", "c"):
        failed(account, execution, "LoginRefused")
        new_version(account)
    with pytest.raises(ParameterError, match=f"{PARAMETER}3 logins .* tag {TAG}") as failure:
        checked(account, "e")
    # The stack event has the tag in full.
    reason = failure_reason.of({"Error": "ParameterError", "Cause": str(failure.value)})
    assert reason == f"ParameterError: {failure.value}"
    account.secrets.untag_resource(SecretId=SECRET, TagKeys=[TAG])
    checked(account, "e")


def test_a_successful_login_forgets_those_of_earlier_versions(account: Account) -> None:
    failed(account, "a", "LoginFailed")
    new_version(account)
    event = of("d", VersionId=checked(account, "d"), Outcome={"Status": "SUCCEEDED"})
    account.run(admin_login.record_login, **event)
    assert tags(account) == {}


def test_earlier_versions_count_even_if_the_next_one_is_not_used(account: Account) -> None:
    failed(account, "a", "LoginRefused")
    new_version(account)
    failed(account, "b", "CommandFailed")
    assert tags(account)[TAG].split()[1:] == ["1"]


def test_a_refusal_by_one_cluster_does_not_concern_another(account: Account) -> None:
    failed(account, "a", "LoginRefused")
    failed(account, "b", "LoginRefused", OTHER_CLUSTER)
    for cluster in (CLUSTER, OTHER_CLUSTER):
        with pytest.raises(ParameterError):
            checked(account, "c", cluster)


@pytest.mark.parametrize("error", ["LoginFailed", "CommandInterrupted", "States.Timeout", ""])
def test_two_unknown_failures_stop_before_the_admin_is_locked(account: Account, error: str) -> None:
    for execution in ("a", "b"):
        failed(account, execution, error)
    with pytest.raises(ParameterError, match=f"{PARAMETER}4 logins .* tag {TAG}"):
        checked(account, "c")
    account.secrets.untag_resource(SecretId=SECRET, TagKeys=[TAG])
    checked(account, "c")


def test_a_login_counts_even_if_its_outcome_is_never_recorded(account: Account) -> None:
    for execution in ("a", "b"):
        checked(account, execution)
        checked(account, execution)
    with pytest.raises(ParameterError, match="4 logins failed or are unrecorded"):
        checked(account, "c")
    checked(account, "b")


@pytest.mark.parametrize(
    "error", ["CommandFailed", "AgentNotOnline", "ClientStopped", "ClientTerminated"]
)
def test_a_failure_without_a_login_does_not_count(account: Account, error: str) -> None:
    failed(account, "unknown", "LoginFailed")
    for execution in "abcd":
        failed(account, execution, error)
    assert len(tags(account)[TAG].split()) == 4


def test_the_tag_is_removed_when_nothing_is_left_to_remember(account: Account) -> None:
    failed(account, "a", "CommandFailed")
    assert tags(account) == {}


def test_a_successful_login_forgets_failures_and_no_other_tag(account: Account) -> None:
    account.secrets.tag_resource(SecretId=SECRET, Tags=[{"Key": "team", "Value": "crypto"}])
    failed(account, "a", "LoginFailed")
    event = of("b", VersionId=checked(account, "b"), Outcome={"Status": "SUCCEEDED"})
    for _ in range(2):
        assert account.run(admin_login.record_login, **event) == {}
    assert tags(account) == {"team": "crypto"}


def test_the_cause_of_an_unknown_failure_may_be_cut(account: Account) -> None:
    version = checked(account, "a")
    failure = {"Error": "States.TaskFailed", "Cause": '{"ExecutionArn": "arn:aws:states:us-e'}
    account.run(admin_login.record_login, **of("a", VersionId=version, Outcome=failure))
    assert len(tags(account)[TAG].split()) == 4


def test_the_record_has_nothing_of_the_password(account: Account) -> None:
    failed(account, "a", "LoginFailed")
    assert "first" not in str(tags(account))


@pytest.mark.parametrize("operation", ["DescribeSecret", "TagResource"])
def test_check_login_survives_a_lost_response(account: Account, operation: str) -> None:
    account.faults.inject({"operation": operation, "code": "ConnectionLost", "when": "after"})
    with pytest.raises(TransientError):
        checked(account, "a")
    checked(account, "a")
    assert len(tags(account)[TAG].split()) == 4


def test_a_secret_that_does_not_exist_is_named_with_its_parameter(account: Account) -> None:
    account.secrets.delete_secret(SecretId=SECRET, ForceDeleteWithoutRecovery=True)
    with pytest.raises(ParameterError, match=f"{PARAMETER}the secret {SECRET} does not exist"):
        checked(account, "a")


def test_a_secret_that_is_scheduled_for_deletion_is_to_be_restored(account: Account) -> None:
    account.secrets.delete_secret(SecretId=SECRET, RecoveryWindowInDays=7)
    advice = "is scheduled for deletion. Restore it with aws secretsmanager restore-secret."
    with pytest.raises(ParameterError, match=f"{PARAMETER}the secret {SECRET} {advice}"):
        checked(account, "a")
