from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from typing import Any

import pytest

from hsm_lifecycle import key_stores, secret_store
from hsm_lifecycle.custom_resource import failure_reason
from hsm_lifecycle.errors import (
    ClusterInUseError,
    ClusterNotDeletedError,
    NotOwnedError,
    RefusedError,
    TransientError,
)
from hsm_lifecycle.steps import cluster as cluster_steps
from hsm_lifecycle.steps import secrets
from localaws.services.cloudhsmv2.settings import Quotas
from tests.support.account import (
    GONE,
    LOGICAL_ID,
    OTHER_STACK_ID,
    STACK_ID,
    SYSTEM,
    TIMINGS,
    ZONES,
    Account,
    Json,
)
from tests.support.step_events import NO_IDS, UNKNOWN, make_store, moment, of_cluster, of_stack

# ---- find_cluster


def looked_for(physical_id: str | None, seconds: float = 0) -> Json:
    return of_stack(PhysicalResourceId=physical_id, StartTime=moment(), EnteredTime=moment(seconds))


def settled_at(account: Account, cluster_id: str) -> str:
    """Six minutes after the creation, as state machines write times."""
    settled = account.cluster(cluster_id)["CreateTimestamp"] + datetime.timedelta(minutes=6)
    return f"{settled.astimezone(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"


def test_find_cluster_uses_the_physical_id(account: Account) -> None:
    cluster_id = account.uninitialized()
    assert account.run(cluster_steps.find_cluster, **looked_for(cluster_id)) == {
        "Id": cluster_id,
        "State": "UNINITIALIZED",
        "LastKnownId": cluster_id,
        "HasBackups": False,
        "SettledAt": settled_at(account, cluster_id),
        "Seconds": 0,
    }


def test_find_cluster_uses_the_tags_without_a_cluster_id(account: Account) -> None:
    cluster_id = account.uninitialized()
    for physical_id in (*NO_IDS, None):
        found = account.run(cluster_steps.find_cluster, **looked_for(physical_id))
        assert (found["Id"], found["LastKnownId"]) == (cluster_id, cluster_id), physical_id


def test_find_cluster_prefers_the_physical_id_to_the_tags(account: Account) -> None:
    account.uninitialized()
    second = account.uninitialized()
    assert account.run(cluster_steps.find_cluster, **looked_for(second))["Id"] == second


def test_find_cluster_ignores_another_stacks_cluster(account: Account) -> None:
    account.uninitialized(OTHER_STACK_ID)
    assert account.run(cluster_steps.find_cluster, **looked_for("")) == {
        "Id": "",
        "State": "NOT_FOUND",
        "LastKnownId": "",
        "HasBackups": False,
        "SettledAt": "1970-01-01T00:00:00Z",
        "Seconds": 0,
    }


def test_find_cluster_remembers_the_id_of_a_deleted_cluster(account: Account) -> None:
    cluster_id = account.uninitialized()
    account.hsm.delete_cluster(ClusterId=cluster_id)
    account.wait(TIMINGS.delete_cluster)
    found = account.run(cluster_steps.find_cluster, **looked_for(cluster_id, seconds=60))
    assert found == {
        "Id": "",
        "State": "NOT_FOUND",
        "LastKnownId": cluster_id,
        "HasBackups": False,
        "SettledAt": "1970-01-01T00:00:00Z",
        "Seconds": 60,
    }


def has_backups(account: Account, physical_id: str) -> bool:
    return bool(account.run(cluster_steps.find_cluster, **looked_for(physical_id))["HasBackups"])


def test_find_cluster_finds_backups_before_and_after_the_deletion(account: Account) -> None:
    cluster_id = account.active()
    assert has_backups(account, cluster_id)
    account.hsm.delete_hsm(ClusterId=cluster_id, HsmId=account.listed(cluster_id)[0]["HsmId"])
    account.wait(GONE)
    account.hsm.delete_cluster(ClusterId=cluster_id)
    account.wait(TIMINGS.delete_cluster + TIMINGS.deleted_visible)
    assert has_backups(account, cluster_id)


def test_find_cluster_finds_no_backups_of_other_clusters(account: Account) -> None:
    account.active(stack_id=OTHER_STACK_ID)
    for physical_id in (*NO_IDS, UNKNOWN):
        assert not has_backups(account, physical_id)
    assert not has_backups(account, account.uninitialized())


def test_find_cluster_expects_a_backup_of_an_active_cluster(
    account: Account,
) -> None:
    cluster_id = account.restored(ZONES[0])
    names = secret_store.names(SYSTEM, cluster_id)
    account.put(names.ca_certificate, "certificate")
    account.put(names.password, "password")
    found = account.run(cluster_steps.find_cluster, **looked_for(cluster_id))
    account.hsm.delete_hsm(ClusterId=cluster_id, HsmId=account.listed(cluster_id)[0]["HsmId"])
    account.wait(GONE)
    account.hsm.delete_cluster(ClusterId=cluster_id)
    account.wait(TIMINGS.delete_cluster)
    assert has_backups(account, cluster_id)
    account.run(
        secrets.delete_secrets,
        System=SYSTEM,
        ClusterId=found["LastKnownId"],
        HasBackups=found["HasBackups"],
    )
    assert account.secret_names() == [names.ca_certificate, names.password]


# ---- create_cluster


def created(account: Account, **overrides: Any) -> Json:
    event = of_stack(ResourceProperties=account.properties(**overrides))
    return account.run(cluster_steps.create_cluster, **event)


def test_create_cluster_follows_the_properties(account: Account) -> None:
    result = created(account, Mode="NON_FIPS", NetworkType="DUALSTACK", BackupRetentionDays="7")
    assert result["State"] == "CREATE_IN_PROGRESS"
    cluster = account.cluster(result["Id"])
    assert cluster["HsmType"] == "hsm2m.medium"
    assert cluster["Mode"] == "NON_FIPS"
    assert cluster["NetworkType"] == "DUALSTACK"
    assert cluster["BackupRetentionPolicy"] == {"Type": "DAYS", "Value": "7"}
    assert cluster["SubnetMapping"] == dict(zip(ZONES, account.subnets, strict=True))
    assert "SourceBackupId" not in cluster


def test_create_cluster_sets_the_stacks_tags(
    account: Account,
) -> None:
    account.stack_tags = {"Team": "keys", "cost-center": "42"}
    assert account.tags(created(account)["Id"]) == {
        "Team": "keys",
        "cost-center": "42",
        "hsm-lifecycle:stack-tag-keys": "Team cost-center",
        "hsm-lifecycle:stack-id": STACK_ID,
        "hsm-lifecycle:logical-id": LOGICAL_ID,
    }


def test_create_cluster_restores_a_backup(account: Account) -> None:
    shared = account.hsms.provider().share_backup("Password1")
    result = created(account, BackupId=shared["BackupArn"])
    assert account.cluster(result["Id"])["SourceBackupId"] in shared["BackupArn"]
    account.wait(TIMINGS.create_cluster)
    assert account.cluster(result["Id"])["State"] == "ACTIVE"


def test_create_cluster_is_idempotent(account: Account) -> None:
    first = created(account)
    account.wait(TIMINGS.create_cluster)
    assert created(account) == {"Id": first["Id"], "State": "UNINITIALIZED", "NotListedSince": ""}
    assert account.changes == []
    assert len(account.cluster_ids()) == 1


def test_create_cluster_survives_a_lost_response(account: Account) -> None:
    account.faults.inject({"operation": "CreateCluster", "code": "ConnectionLost", "when": "after"})
    with pytest.raises(TransientError, match="CreateCluster: ConnectionClosedError"):
        created(account)
    assert account.changes == ["CreateCluster"]
    (cluster_id,) = account.cluster_ids()
    assert created(account)["Id"] == cluster_id
    assert account.cluster_ids() == [cluster_id]


def test_create_cluster_ignores_another_stacks_cluster(account: Account) -> None:
    other = account.uninitialized(OTHER_STACK_ID)
    assert created(account)["Id"] != other


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ThrottlingException", 400),
        ("CloudHsmInternalFailureException", 500),
        ("SomethingNew", 503),
        ("CloudHsmAccessDeniedException", 400),
        ("ConnectionLost", 400),
    ],
)
def test_create_cluster_is_retried_on_transient_errors(
    account: Account, code: str, status: int
) -> None:
    account.faults.inject({"operation": "CreateCluster", "code": code, "status": status})
    with pytest.raises(TransientError, match=r"^CreateCluster: "):
        created(account)
    assert account.cluster_ids() == []
    assert created(account)["State"] == "CREATE_IN_PROGRESS"


def test_create_cluster_quotes_the_refusal_of_aws(make_account: Callable[..., Account]) -> None:
    account = make_account(quotas=Quotas(clusters=0))
    with pytest.raises(RefusedError) as refusal:
        created(account)
    assert str(refusal.value) == (
        "CreateCluster: CloudHsmInvalidRequestException: You have reached the limit of 0 clusters."
    )


def test_create_cluster_names_the_parameter_whose_value_aws_quotes(account: Account) -> None:
    with pytest.raises(RefusedError) as refusal:
        created(account, HsmType="hsm1.medium")
    assert str(refusal.value) == (
        "CreateCluster: pHsmType: CreateCluster: CloudHsmInvalidRequestException: hsm1.medium"
        " clusters can no longer be created."
    )


# ---- describe_cluster


def test_describe_cluster_returns_what_state_machines_read(account: Account) -> None:
    cluster_id = account.uninitialized()
    described = account.run(cluster_steps.describe_cluster, ClusterId=cluster_id)
    assert described == {
        "Id": cluster_id,
        "State": "UNINITIALIZED",
        "StateMessage": "AWS gives no reason",
        "HsmType": "hsm2m.medium",
        "HsmIpAddresses": "",
        "SettledAt": settled_at(account, cluster_id),
        "ClusterCertificate": "",
        "NotListedSince": "",
        "Since": moment(),
        "Seconds": 0,
        "OutOfTime": False,
        "WaitsFor": "cluster UNINITIALIZED",
        "WaitsSince": moment(),
        "CheckedAt": moment(),
        "Wait": 3,
    }


def test_describe_cluster_waits_for_a_new_cluster_to_be_listed(account: Account) -> None:
    with account.lagging():
        polls = [created(account)]
        for seconds in (7, 12, 66, 67):
            event = of_cluster(polls[0]["Id"], NotListedSince=polls[-1]["NotListedSince"])
            event["EnteredTime"] = moment(seconds)
            polls.append(account.run(cluster_steps.describe_cluster, **event))
    assert [poll["State"] for poll in polls] == ["CREATE_IN_PROGRESS"] * 4 + ["DELETED"]
    event = of_cluster(polls[0]["Id"], NotListedSince=moment(7), EnteredTime=moment(66))
    seen = account.run(cluster_steps.describe_cluster, **event)
    assert (seen["State"], seen["NotListedSince"]) == ("CREATE_IN_PROGRESS", "")


def test_describe_cluster_counts_the_seconds_of_its_phase(account: Account) -> None:
    event = of_cluster(account.uninitialized(), StartTime=moment(-1200), Since=moment(-90))
    described = account.run(cluster_steps.describe_cluster, **event)
    assert (described["Since"], described["Seconds"]) == (moment(-90), 90)


def test_describe_cluster_looks_densely_when_the_cluster_is_usually_created(
    account: Account,
) -> None:
    polled = {"WaitsFor": "cluster CREATE_IN_PROGRESS", "CheckedAt": moment(-20)}
    event = of_cluster(created(account)["Id"], StartTime=moment(-2400))
    assert [
        account.run(cluster_steps.describe_cluster, **event, Polled=polled | since)["Wait"]
        for since in ({"WaitsSince": moment(-seconds)} for seconds in (20, 115, 180, 1300))
    ] == [15, 5, 2, 5]


def test_describe_cluster_returns_the_state_message(account: Account) -> None:
    cluster_id = created(account)["Id"]
    described = account.run(cluster_steps.describe_cluster, ClusterId=cluster_id)
    assert described["State"] == "CREATE_IN_PROGRESS"
    assert described["StateMessage"] == "Cluster creation in progress."


def test_describe_cluster_returns_addresses_of_active_hsms_only(account: Account) -> None:
    cluster_id = account.restored(ZONES[0], ZONES[1])
    addresses = sorted(hsm["EniIp"] for hsm in account.listed(cluster_id))
    account.hsm.create_hsm(ClusterId=cluster_id, AvailabilityZone=ZONES[2])
    described = account.run(cluster_steps.describe_cluster, ClusterId=cluster_id)
    assert described["HsmIpAddresses"] == " ".join(addresses)
    certificate = account.cluster(cluster_id)["Certificates"]["ClusterCertificate"]
    assert len(described["ClusterCertificate"]) > 500
    assert described["ClusterCertificate"] in certificate.replace("\n", "")


def test_describe_cluster_returns_deleted_for_a_missing_cluster(account: Account) -> None:
    described = account.run(cluster_steps.describe_cluster, ClusterId=UNKNOWN)
    assert described == {
        "Id": UNKNOWN,
        "State": "DELETED",
        "StateMessage": "AWS gives no reason",
        "HsmType": "none",
        "HsmIpAddresses": "",
        "SettledAt": "1970-01-01T00:00:00Z",
        "ClusterCertificate": "",
        "NotListedSince": moment(),
        "Since": moment(),
        "Seconds": 0,
        "OutOfTime": False,
        "WaitsFor": "cluster DELETED",
        "WaitsSince": moment(),
        "CheckedAt": moment(),
        "Wait": 3,
    }


# ---- check_deletion


def test_check_deletion_accepts_an_unused_cluster(account: Account) -> None:
    make_store(account, account.restored(*ZONES[:2], stack_id=OTHER_STACK_ID), "DISCONNECTED")
    cluster_id = account.uninitialized()
    assert key_stores.on_cluster(cluster_id) == []
    assert account.run(cluster_steps.check_deletion, ClusterId=cluster_id) == {}


@pytest.mark.parametrize(
    ("state", "way"),
    [
        ("DISCONNECTED", ", its KMS keys, then: aws kms delete"),
        ("DISCONNECTING", ", its KMS keys, then: aws kms delete"),
        ("CONNECTED", ": aws kms disconnect"),
        ("CONNECTING", ": aws kms disconnect"),
        ("FAILED", ": aws kms disconnect"),
    ],
)
def test_check_deletion_refuses_a_cluster_that_a_key_store_uses(
    account: Account, state: str, way: str
) -> None:
    cluster_id = account.restored(ZONES[0], ZONES[1])
    store_id = make_store(account, cluster_id, state)
    (store,) = key_stores.on_cluster(cluster_id)
    assert store["CustomKeyStoreId"] == store_id
    with pytest.raises(ClusterInUseError) as refusal:
        account.run(cluster_steps.check_deletion, ClusterId=cluster_id)
    assert str(refusal.value) == (
        f"CheckDeletion: A {state} KMS key store uses the cluster. Delete its stack or, without"
        f" one{way}-custom-key-store --custom-key-store-id {store_id} [{cluster_id}]"
    )
    # The stack event has the command in full.
    failure = {"Error": "ClusterInUseError", "Cause": str(refusal.value)}
    assert failure_reason.of(failure) == f"ClusterInUseError: {refusal.value}"


# ---- delete_cluster


def deleted(account: Account, cluster_id: str, before: Json | None = None) -> Json:
    # The clock of the account, as the time of a state machine.
    now = datetime.datetime.fromtimestamp(account.clock.now(), datetime.UTC).isoformat()
    event = of_cluster(cluster_id, **{"Since": now, "Accepted": 0, **(before or {})})
    return account.run(cluster_steps.delete_cluster, **event, EnteredTime=now)


def test_delete_cluster_deletes_an_empty_cluster(account: Account) -> None:
    cluster_id = account.uninitialized()
    assert deleted(account, cluster_id)["IsRequested"]
    assert account.cluster(cluster_id)["State"] == "DELETE_IN_PROGRESS"


def test_delete_cluster_is_idempotent(account: Account) -> None:
    cluster_id = account.uninitialized()
    result = deleted(account, cluster_id)
    for seconds in (0, TIMINGS.delete_cluster, TIMINGS.deleted_visible):
        account.wait(seconds)
        result = deleted(account, cluster_id, result)
        assert account.changes == []
    assert (result["IsRequested"], result["Accepted"]) == (True, 1)


def test_delete_cluster_survives_a_lost_response(account: Account) -> None:
    cluster_id = account.uninitialized()
    account.faults.inject({"operation": "DeleteCluster", "code": "ConnectionLost", "when": "after"})
    with pytest.raises(TransientError, match=rf"\[{cluster_id}\]$"):
        deleted(account, cluster_id)
    assert deleted(account, cluster_id)["IsRequested"]
    account.wait(TIMINGS.delete_cluster)
    assert account.cluster_ids() == []


def test_delete_cluster_goes_back_for_an_hsm_that_shows_late(account: Account) -> None:
    cluster_id = account.with_csr()
    result = deleted(account, cluster_id, {"Since": moment(), "Accepted": 1})
    assert result == {"IsRequested": False, "Since": moment(), "Accepted": 1}
    assert account.changes == []


def test_delete_cluster_is_repeated_while_deleted_hsms_remain(account: Account) -> None:
    cluster_id = account.with_csr()
    account.hsm.delete_hsm(ClusterId=cluster_id, HsmId=account.listed(cluster_id)[0]["HsmId"])
    account.wait(TIMINGS.delete_hsm + TIMINGS.deleted_hsm_visible)
    assert account.listed(cluster_id) == []
    result = deleted(account, cluster_id)
    assert (result["IsRequested"], result["Accepted"]) == (True, 0)
    assert account.cluster(cluster_id)["State"] == "UNINITIALIZED"
    account.wait(TIMINGS.deleted_hsm_lingers)
    assert deleted(account, cluster_id, result)["Accepted"] == 1
    assert account.cluster(cluster_id)["State"] == "DELETE_IN_PROGRESS"


def test_delete_cluster_gives_up_after_ten_minutes(account: Account) -> None:
    cluster_id = account.uninitialized()
    refusal = {"code": "CloudHsmInvalidRequestException", "message": "It contains HSMs."}
    account.faults.inject({"operation": "DeleteCluster", "times": 41, **refusal})
    with pytest.raises(ClusterNotDeletedError, match=r"refused for 10 minutes: It contains HSMs"):
        delete_until(account, cluster_id, seconds=3300)


def test_delete_cluster_gives_up_when_aws_reverses_it(
    account: Account,
) -> None:
    cluster_id = account.uninitialized()
    # A reference to the security group makes AWS start the deletion and reverse it.
    forgotten = account.group("forgotten")
    group = account.cluster(cluster_id)["SecurityGroup"]
    ports = {"IpProtocol": "tcp", "FromPort": 2223, "ToPort": 2225}
    account.ec2.authorize_security_group_egress(
        GroupId=forgotten,
        IpPermissions=[{**ports, "UserIdGroupPairs": [{"GroupId": group}]}],
    )
    with pytest.raises(ClusterNotDeletedError, match=f"{group} is in use"):
        delete_until(account, cluster_id, seconds=3300)


def delete_until(account: Account, cluster_id: str, seconds: float) -> None:
    """Run the loop of delete-cluster until its time limit."""
    end, result = account.clock.now() + seconds, None
    while account.clock.now() < end:
        result = deleted(account, cluster_id, result)
        account.wait(15)
        while account.cluster(cluster_id)["State"].endswith("_IN_PROGRESS"):
            account.wait(15)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("ThrottlingException", TransientError),
        ("CloudHsmAccessDeniedException", TransientError),
        ("CloudHsmTagException", RefusedError),
    ],
)
def test_delete_cluster_fails_at_once_on_other_errors(
    account: Account, code: str, error: type[Exception]
) -> None:
    cluster_id = account.uninitialized()
    account.faults.inject({"operation": "DeleteCluster", "code": code})
    with pytest.raises(error, match=rf"DeleteCluster: {code}.*\[{cluster_id}\]$"):
        deleted(account, cluster_id)


def test_delete_cluster_refuses_another_stacks_cluster(account: Account) -> None:
    cluster_id = account.uninitialized(OTHER_STACK_ID)
    with pytest.raises(NotOwnedError):
        deleted(account, cluster_id)
    assert account.changes == []


# ---- report_cluster


def reported(account: Account, cluster_id: str, **more: Any) -> Json:
    return account.run(cluster_steps.report_cluster, ClusterId=cluster_id, System=SYSTEM, **more)


def test_report_cluster_returns_all_attributes(account: Account) -> None:
    cluster_id = account.active(ZONES[1])
    addresses = sorted(hsm["EniIp"] for hsm in account.listed(cluster_id))
    assert reported(account, cluster_id) == {
        "PhysicalResourceId": cluster_id,
        "Data": {
            "ClusterId": cluster_id,
            "State": "ACTIVE",
            "SecurityGroupId": account.cluster(cluster_id)["SecurityGroup"],
            "HsmIpAddresses": ",".join(addresses),
            "AdminPasswordSecretName": f"/cloudhsm/{cluster_id}/initial-crypto-officer-password",
            "CustomerCaCertSecretName": f"/cloudhsm/{cluster_id}/customer-ca-cert",
            "CsrSecretName": f"/cloudhsm/{cluster_id}/cluster-csr",
            "HsmIdentity": "NOT_VERIFIED: already initialized",
            "NextStep": "none",
            "Warnings": "none",
        },
    }


def test_report_cluster_names_no_csr_secret_for_a_restored_cluster(account: Account) -> None:
    data = reported(account, account.restored(ZONES[0], ZONES[1]))["Data"]
    assert data["CsrSecretName"] == "none"
    assert data["CustomerCaCertSecretName"] != "none"


def test_report_cluster_tells_the_next_step_of_an_external_pki(
    account: Account,
) -> None:
    cluster_id = account.with_csr()
    data = reported(account, cluster_id)["Data"]
    assert data["State"] == "UNINITIALIZED"
    assert data["NextStep"] == (
        f"Sign the request in /cloudhsm/{cluster_id}/cluster-csr, store the certificate in"
        f" /cloudhsm/{cluster_id}/cluster-cert and the CA's in"
        f" /cloudhsm/{cluster_id}/customer-ca-cert, then update with"
        " pExternallyProvidedCertsReady=true."
    )


@pytest.mark.parametrize("cluster_id", ["", UNKNOWN])
def test_report_cluster_accepts_a_missing_cluster(account: Account, cluster_id: str) -> None:
    report = reported(account, cluster_id, Warnings="gone")
    assert report["PhysicalResourceId"] == cluster_id
    assert report["Data"]["State"] == "NOT_FOUND"
    assert report["Data"]["Warnings"] == "gone"
    assert report["Data"]["SecurityGroupId"] == "none"


def test_report_cluster_returns_nonempty_strings(account: Account) -> None:
    for cluster_id in ("", UNKNOWN, account.uninitialized(), account.restored(*ZONES)):
        data = reported(account, cluster_id)["Data"]
        assert all(isinstance(value, str) and value for value in data.values())
        assert len(json.dumps(data)) < 3000
