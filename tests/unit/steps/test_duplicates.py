from __future__ import annotations

from hsm_lifecycle.steps import duplicates
from tests.support.account import LOGICAL_ID, OTHER_STACK_ID, TIMINGS, Account, Json
from tests.support.step_events import moment, of_cluster


def found(account: Account, own: str, seconds: float = 0, since: float = 0) -> Json:
    return account.run(
        duplicates.find_duplicates,
        **of_cluster(
            own,
            LogicalResourceId=LOGICAL_ID,
            SettledAt=moment(),
            EnteredTime=moment(seconds),
            Since=moment(since),
        ),
    )


def deleted(account: Account, own: str) -> list[str]:
    event = of_cluster(own, LogicalResourceId=LOGICAL_ID)
    assert account.run(duplicates.delete_duplicates, **event) == {}
    return account.changes


def test_a_stack_s_only_cluster_has_no_duplicates(account: Account) -> None:
    own = account.uninitialized()
    account.uninitialized(OTHER_STACK_ID)
    assert found(account, own) == {"Next": "NONE", "Warnings": "none", "Since": moment()}
    assert deleted(account, own) == []


def test_duplicates_are_awaited_until_lost_calls_have_taken_effect(account: Account) -> None:
    own = account.uninitialized()
    assert found(account, own, seconds=-1)["Next"] == "WAIT"
    assert found(account, own, seconds=0)["Next"] == "NONE"


def test_an_empty_duplicate_is_deleted(account: Account) -> None:
    own = account.uninitialized()
    other = account.uninitialized()
    result = found(account, own)
    assert result["Next"] == "DELETE"
    assert f"{other} (UNINITIALIZED) also has this stack's tags" in result["Warnings"]
    assert deleted(account, own) == ["DeleteCluster"]
    assert account.cluster(other)["State"] == "DELETE_IN_PROGRESS"
    assert found(account, own)["Next"] == "WAIT"
    assert deleted(account, own) == []
    account.wait(TIMINGS.delete_cluster)
    assert found(account, own)["Next"] == "NONE"


def test_a_duplicate_with_hsms_or_backups_is_retained(account: Account) -> None:
    own = account.uninitialized()
    other = account.active()
    result = found(account, own)
    assert result["Next"] == "RETAIN"
    assert other in result["Warnings"]
    assert deleted(account, own) == []


def test_a_duplicate_that_aws_does_not_delete_is_a_warning(account: Account) -> None:
    own = account.uninitialized()
    other = account.uninitialized()
    account.faults.inject({"operation": "DeleteCluster", "code": "CloudHsmInvalidRequestException"})
    assert deleted(account, own) == ["DeleteCluster"]
    assert found(account, own, since=-599)["Next"] == "DELETE"
    result = found(account, own, since=-600)
    assert result["Next"] == "RETAIN"
    assert f"aws cloudhsmv2 delete-cluster --cluster-id {other}" in result["Warnings"]
