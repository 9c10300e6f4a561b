from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from hsm_lifecycle import key_stores, ownership, secret_store
from hsm_lifecycle.errors import (
    ClusterInUseError,
    ClusterNotDeletedError,
    ClusterNotFoundError,
    NotOwnedError,
    ParameterError,
    RefusedError,
    TransientError,
)
from hsm_lifecycle.steps import cluster as cluster_steps
from hsm_lifecycle.steps import cluster_update, preflight, secrets
from localaws.services.cloudhsmv2.settings import Assumptions, Quotas
from tests.support.account import (
    GONE,
    LOGICAL_ID,
    OTHER_STACK_ID,
    STACK_ID,
    SYSTEM,
    TIMINGS,
    ZONES,
    EmulatorState,
    Json,
)

UNKNOWN = "cluster-aaaaaaaaaaa"
# What CloudFormation or crhelper makes up when a creation gave no id, and other things that are no
# ids of clusters.
NO_IDS = (
    "",
    "rCloudHsmCluster",
    "cluster-rCloudHsmCluster-1QX8Z2L9V5K3N",
    "2026/01/31/[$LATEST]0123456789abcdef",
    "cluster-short",
    "cluster-" + "a" * 17,
    "cluster-aaaaaaaaaa1",
    "xcluster-aaaaaaaaaaa",
)


def of_stack(**more: Any) -> Json:
    """What most states hand to a step of this stack."""
    return {"StackId": STACK_ID, "LogicalResourceId": LOGICAL_ID, **more}


def of_cluster(cluster_id: str, **more: Any) -> Json:
    """What most states hand to a step that is about a cluster."""
    return {"ClusterId": cluster_id, "StackId": STACK_ID, **more}


# ---- find, find_by_tag, own


def test_a_cluster_is_found_by_its_id(world: EmulatorState) -> None:
    cluster_id = world.uninitialized()
    found = ownership.find(cluster_id)
    assert found is not None
    assert found["ClusterId"] == cluster_id


@pytest.mark.parametrize("cluster_id", [*NO_IDS, UNKNOWN])
def test_there_is_no_cluster_of_an_id_that_aws_did_not_give(
    world: EmulatorState, cluster_id: str
) -> None:
    world.uninitialized()
    assert ownership.find(cluster_id) is None


def test_a_deleted_cluster_is_gone_while_aws_still_describes_it_and_after(
    world: EmulatorState,
) -> None:
    cluster_id = world.uninitialized()
    world.hsm.delete_cluster(ClusterId=cluster_id)
    world.wait(TIMINGS.delete_cluster)
    assert world.cluster(cluster_id)["State"] == "DELETED"
    assert ownership.find(cluster_id) is None
    assert ownership.find_by_tags(STACK_ID, LOGICAL_ID) is None
    world.wait(TIMINGS.deleted_visible)
    assert ownership.find(cluster_id) is None


def test_a_cluster_is_found_by_the_tags_of_its_stack_and_resource(world: EmulatorState) -> None:
    world.uninitialized(OTHER_STACK_ID)
    cluster_id = world.uninitialized()
    found = ownership.find_by_tags(STACK_ID, LOGICAL_ID)
    assert found is not None
    assert found["ClusterId"] == cluster_id
    assert ownership.find_by_tags(STACK_ID, "rOtherCluster") is None
    assert ownership.find_by_tags(STACK_ID[:-1] + "3", LOGICAL_ID) is None


def test_a_cluster_is_found_by_its_tags_on_whatever_page(
    make_world: Callable[..., EmulatorState],
) -> None:
    world = make_world(quotas=Quotas(clusters=40))
    for _ in range(30):
        world.hsm.create_cluster(HsmType="hsm2m.medium", Mode="FIPS", SubnetIds=world.subnets)
    cluster_id = world.uninitialized()
    found = ownership.find_by_tags(STACK_ID, LOGICAL_ID)
    assert found is not None
    assert found["ClusterId"] == cluster_id


def test_a_step_gets_the_cluster_that_carries_the_stacks_tag(world: EmulatorState) -> None:
    cluster_id = world.uninitialized()
    assert ownership.require_owned(of_cluster(cluster_id))["ClusterId"] == cluster_id


@pytest.mark.parametrize("stack_id", [OTHER_STACK_ID, "", None])
def test_a_cluster_without_the_stacks_tag_is_foreign(
    world: EmulatorState, stack_id: str | None
) -> None:
    cluster_id = world.uninitialized(
        TagList=[{"Key": ownership.STACK_TAG, "Value": stack_id}]
        if stack_id is not None
        else [{"Key": "Name", "Value": "mine"}]
    )
    assert not ownership.is_owned(world.cluster(cluster_id), of_cluster(cluster_id))
    with pytest.raises(NotOwnedError, match=r"hsm-lifecycle:stack-id .* put the tag back"):
        ownership.require_owned(of_cluster(cluster_id))


def test_a_cluster_that_is_gone_is_nobodys(world: EmulatorState) -> None:
    with pytest.raises(ClusterNotFoundError, match="no longer exists"):
        ownership.require_owned(of_cluster(UNKNOWN))


def test_a_cluster_without_tags_has_none() -> None:
    assert ownership.tags_of({}) == {}
    assert ownership.tags_of({"TagList": None}) == {}


# ---- has_backups


def test_an_activated_cluster_has_backups_also_when_it_is_gone(world: EmulatorState) -> None:
    cluster_id = world.active()
    assert cluster_steps._has_backups(cluster_id)
    world.hsm.delete_hsm(ClusterId=cluster_id, HsmId=world.listed(cluster_id)[0]["HsmId"])
    world.wait(GONE)
    world.hsm.delete_cluster(ClusterId=cluster_id)
    world.wait(TIMINGS.delete_cluster + TIMINGS.deleted_visible)
    assert cluster_steps._has_backups(cluster_id)


def test_a_cluster_that_was_never_activated_has_no_backups(world: EmulatorState) -> None:
    world.active()
    assert not cluster_steps._has_backups(world.uninitialized())
    assert not cluster_steps._has_backups(UNKNOWN)


@pytest.mark.parametrize("cluster_id", NO_IDS)
def test_what_is_no_cluster_has_no_backups(world: EmulatorState, cluster_id: str) -> None:
    world.active()
    assert not cluster_steps._has_backups(cluster_id)


# ---- find_cluster


def looked_for(physical_id: str | None, looks: int = 0) -> Json:
    return of_stack(PhysicalResourceId=physical_id, Attempts=looks)


def test_the_cluster_is_looked_for_by_its_physical_id(world: EmulatorState) -> None:
    cluster_id = world.uninitialized()
    assert world.run(cluster_steps.find_cluster, **looked_for(cluster_id)) == {
        "Id": cluster_id,
        "State": "UNINITIALIZED",
        "LastKnownId": cluster_id,
        "HasBackups": False,
        "Attempts": 1,
    }


@pytest.mark.parametrize("physical_id", [*NO_IDS, None])
def test_the_cluster_of_a_creation_that_gave_no_id_is_found_by_its_tags(
    world: EmulatorState, physical_id: str | None
) -> None:
    cluster_id = world.uninitialized()
    found = world.run(cluster_steps.find_cluster, **looked_for(physical_id))
    assert (found["Id"], found["LastKnownId"]) == (cluster_id, cluster_id)


def test_the_physical_id_goes_before_the_tags(world: EmulatorState) -> None:
    world.uninitialized()
    second = world.uninitialized()
    assert world.run(cluster_steps.find_cluster, **looked_for(second))["Id"] == second


def test_another_stacks_cluster_is_not_found_by_tags(world: EmulatorState) -> None:
    world.uninitialized(OTHER_STACK_ID)
    assert world.run(cluster_steps.find_cluster, **looked_for("")) == {
        "Id": "",
        "State": "NOT_FOUND",
        "LastKnownId": "",
        "HasBackups": False,
        "Attempts": 1,
    }


def test_a_cluster_that_is_gone_is_still_known_by_its_id(world: EmulatorState) -> None:
    cluster_id = world.uninitialized()
    world.hsm.delete_cluster(ClusterId=cluster_id)
    world.wait(TIMINGS.delete_cluster)
    found = world.run(cluster_steps.find_cluster, **looked_for(cluster_id, looks=1))
    assert found == {
        "Id": "",
        "State": "NOT_FOUND",
        "LastKnownId": cluster_id,
        "HasBackups": False,
        "Attempts": 2,
    }


def test_a_cluster_with_backups_is_found_to_have_them(world: EmulatorState) -> None:
    cluster_id = world.active()
    assert world.run(cluster_steps.find_cluster, **looked_for(cluster_id))["HasBackups"] is True


def test_the_secrets_of_an_active_cluster_are_kept_though_its_first_backup_is_yet_to_come(
    world: EmulatorState,
) -> None:
    cluster_id = world.restored(ZONES[0])
    names = secret_store.names(SYSTEM, cluster_id)
    world.put(names.ca_certificate, "certificate")
    world.put(names.password, "password")
    found = world.run(cluster_steps.find_cluster, **looked_for(cluster_id))
    world.hsm.delete_hsm(ClusterId=cluster_id, HsmId=world.listed(cluster_id)[0]["HsmId"])
    world.wait(GONE)
    world.hsm.delete_cluster(ClusterId=cluster_id)
    world.wait(TIMINGS.delete_cluster)
    assert cluster_steps._has_backups(cluster_id)
    world.run(
        secrets.delete_secrets,
        System=SYSTEM,
        ClusterId=found["LastKnownId"],
        HasBackups=found["HasBackups"],
    )
    assert world.secret_names() == [names.ca_certificate, names.password]


# ---- check_creation


def test_a_creation_that_can_end_well_passes(world: EmulatorState) -> None:
    event = of_stack(ResourceProperties=world.properties())
    assert world.run(preflight.check_creation, **event) == {"BackupSecrets": {}}
    assert world.changes == []


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"HsmsPerSubnet": "0"}, "pHsmsPerSubnet: .* at least one HSM .* update to 0"),
        ({"HsmsPerSubnet": "10"}, "pHsmsPerSubnet: 10 in each of 3"),
        (
            {"ExternallyProvidedCertsReady": "true"},
            "pExternallyProvidedCertsReady: .* no certificates yet",
        ),
    ],
)
def test_a_creation_that_asks_for_what_cannot_be_is_refused_before_anything_is_made(
    world: EmulatorState, overrides: Json, words: str
) -> None:
    with pytest.raises(ParameterError, match=words):
        world.run(
            preflight.check_creation, **of_stack(ResourceProperties=world.properties(**overrides))
        )
    assert world.changes == []


def test_two_subnets_in_one_zone_are_refused(world: EmulatorState) -> None:
    second = world.subnet(ZONES[0], 9)
    with pytest.raises(ParameterError, match=r"^pSubnets: .* are both in us-east-1a") as refusal:
        preflight._check_subnets((world.subnets[0], world.subnets[1], second))
    assert world.subnets[0] in str(refusal.value)
    assert second in str(refusal.value)


def test_subnets_of_two_vpcs_are_refused(world: EmulatorState) -> None:
    other = world.ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnet = world.ec2.create_subnet(
        VpcId=other, CidrBlock="10.1.0.0/24", AvailabilityZone=ZONES[1]
    )["Subnet"]["SubnetId"]
    with pytest.raises(ParameterError, match=r"^pSubnets: .* more than one VPC"):
        preflight._check_subnets((world.subnets[0], subnet))


def test_one_subnet_is_enough(world: EmulatorState) -> None:
    preflight._check_subnets((world.subnets[0],))


def test_a_subnet_that_is_given_twice_is_refused(world: EmulatorState) -> None:
    first, second, _ = world.subnets
    with pytest.raises(ParameterError, match=rf"^pSubnets: {second} is given twice\.$"):
        preflight._check_subnets((first, second, second))


def test_a_subnet_that_does_not_exist_is_refused_in_the_words_of_aws(world: EmulatorState) -> None:
    properties = world.properties(Subnets=["subnet-00000000"])
    with pytest.raises(RefusedError, match=r"pSubnets: DescribeSubnets: .*subnet-00000000"):
        world.run(preflight.check_creation, **of_stack(ResourceProperties=properties))


def test_more_tags_than_a_cluster_can_have_are_refused_before_anything_is_made(
    world: EmulatorState,
) -> None:
    event = of_stack(ResourceProperties=world.properties())
    world.stack_tags = {f"key-{number}": "" for number in range(47)}
    world.run(preflight.check_creation, **event)
    world.stack_tags["one-more"] = ""
    with pytest.raises(ParameterError, match=r"Tags of the stack: .* 51 tags, 3 of which"):
        world.run(preflight.check_creation, **event)
    assert world.changes == []


# ---- check_creation from a backup


def make_backup(world: EmulatorState) -> Json:
    """A backup of a cluster of this account, just begun."""
    cluster_id = world.restored(ZONES[0], ZONES[1])
    world.hsm.delete_hsm(ClusterId=cluster_id, HsmId=world.listed(cluster_id)[0]["HsmId"])
    (backup,) = world.hsm.describe_backups(Filters={"clusterIds": [cluster_id]})["Backups"]
    assert isinstance(backup, dict)
    return backup


def checked(world: EmulatorState, backup: str, **overrides: Any) -> Json:
    properties = world.properties(BackupId=backup, **overrides)
    return world.run(preflight.check_creation, **of_stack(ResourceProperties=properties))


def test_a_backup_needs_the_secrets_of_its_cluster(world: EmulatorState) -> None:
    backup = make_backup(world)
    world.wait(TIMINGS.create_backup)
    source = secret_store.names(SYSTEM, backup["ClusterId"])
    assert checked(world, backup["BackupId"])["BackupSecrets"] == {
        "CaCertificate": source.ca_certificate,
        "Password": source.password,
    }


def test_the_secrets_of_a_backup_can_be_named(world: EmulatorState) -> None:
    backup = make_backup(world)
    world.wait(TIMINGS.create_backup)
    source = secret_store.names(SYSTEM, backup["ClusterId"])
    answer = checked(world, backup["BackupId"], BackupCaCertSecretName="old/ca")
    assert answer["BackupSecrets"] == {"CaCertificate": "old/ca", "Password": source.password}
    answer = checked(world, backup["BackupId"], BackupAdminPasswordSecretName="old/admin")
    assert answer["BackupSecrets"] == {
        "CaCertificate": source.ca_certificate,
        "Password": "old/admin",
    }


def test_a_backup_that_another_account_shares_is_found_by_its_arn(world: EmulatorState) -> None:
    shared = world.hsms.provider().share_backup("Password1")
    (backup,) = world.hsm.describe_backups(Shared=True)["Backups"]
    source = secret_store.names(SYSTEM, backup["ClusterId"])
    assert checked(world, shared["BackupArn"])["BackupSecrets"]["Password"] == source.password


def test_a_backup_of_this_account_may_be_given_by_its_arn_as_well(world: EmulatorState) -> None:
    backup = make_backup(world)
    world.wait(TIMINGS.create_backup)
    source = secret_store.names(SYSTEM, backup["ClusterId"])
    assert checked(world, backup["BackupArn"])["BackupSecrets"]["Password"] == source.password


def test_a_shared_backup_is_not_found_by_its_id_alone(world: EmulatorState) -> None:
    shared = world.hsms.provider().share_backup("Password1")
    with pytest.raises(ParameterError, match=r"pBackupId: there is no backup .* by its ARN"):
        checked(world, shared["BackupArn"].rpartition("/")[2])


@pytest.mark.parametrize(
    "backup",
    ["backup-aaaaaaaaaaa", "arn:aws:cloudhsm:us-east-1:999999999999:backup/backup-aaaaaaaaaaa"],
)
def test_a_backup_that_does_not_exist_is_refused(world: EmulatorState, backup: str) -> None:
    world.hsms.provider().share_backup("Password1")
    with pytest.raises(ParameterError, match=f"^CheckCreation: pBackupId: there is no .*{backup}"):
        checked(world, backup)
    assert world.changes == []


def test_a_backup_that_is_still_being_made_is_refused(world: EmulatorState) -> None:
    backup = make_backup(world)
    with pytest.raises(ParameterError, match=r"pBackupId: backup-.* is CREATE_IN_PROGRESS"):
        checked(world, backup["BackupId"])


def test_a_backup_that_is_about_to_be_deleted_is_refused(world: EmulatorState) -> None:
    backup = make_backup(world)
    world.wait(TIMINGS.create_backup)
    world.hsm.delete_backup(BackupId=backup["BackupId"])
    with pytest.raises(ParameterError, match=r"pBackupId: backup-.* is PENDING_DELETION"):
        checked(world, backup["BackupId"])


def test_a_backup_of_the_other_mode_is_refused(world: EmulatorState) -> None:
    shared = world.hsms.provider().share_backup("Password1", mode="NON_FIPS")
    with pytest.raises(ParameterError, match=r"pMode: .* NON_FIPS mode, so FIPS cannot"):
        checked(world, shared["BackupArn"])
    assert checked(world, shared["BackupArn"], Mode="NON_FIPS")


# ---- create_cluster


def created(world: EmulatorState, **overrides: Any) -> Json:
    event = of_stack(ResourceProperties=world.properties(**overrides))
    return world.run(cluster_steps.create_cluster, **event)


def test_the_cluster_is_created_as_the_properties_say(world: EmulatorState) -> None:
    answer = created(world, Mode="NON_FIPS", NetworkType="DUALSTACK", BackupRetentionDays="7")
    assert answer["State"] == "CREATE_IN_PROGRESS"
    cluster = world.cluster(answer["Id"])
    assert cluster["HsmType"] == "hsm2m.medium"
    assert cluster["Mode"] == "NON_FIPS"
    assert cluster["NetworkType"] == "DUALSTACK"
    assert cluster["BackupRetentionPolicy"] == {"Type": "DAYS", "Value": "7"}
    assert cluster["SubnetMapping"] == dict(zip(ZONES, world.subnets, strict=True))
    assert "SourceBackupId" not in cluster


def test_the_cluster_carries_who_made_it_and_the_tags_of_the_stack_from_the_start(
    world: EmulatorState,
) -> None:
    world.stack_tags = {"Team": "keys", "cost-center": "42"}
    assert world.tags(created(world)["Id"]) == {
        "Team": "keys",
        "cost-center": "42",
        "hsm-lifecycle:stack-tag-keys": "Team cost-center",
        "hsm-lifecycle:stack-id": STACK_ID,
        "hsm-lifecycle:logical-id": LOGICAL_ID,
    }


def test_a_cluster_is_created_from_a_backup(world: EmulatorState) -> None:
    shared = world.hsms.provider().share_backup("Password1")
    answer = created(world, BackupId=shared["BackupArn"])
    assert world.cluster(answer["Id"])["SourceBackupId"] in shared["BackupArn"]
    world.wait(TIMINGS.create_cluster)
    assert world.cluster(answer["Id"])["State"] == "ACTIVE"


def test_to_create_twice_makes_one_cluster(world: EmulatorState) -> None:
    first = created(world)
    world.wait(TIMINGS.create_cluster)
    assert created(world) == {"Id": first["Id"], "State": "UNINITIALIZED", "NotListed": 0}
    assert world.changes == []
    assert len(world.cluster_ids()) == 1


def test_a_creation_whose_answer_was_lost_is_found_again(world: EmulatorState) -> None:
    world.faults.inject({"operation": "CreateCluster", "code": "ConnectionLost", "when": "after"})
    with pytest.raises(TransientError, match="CreateCluster: ConnectionClosedError"):
        created(world)
    assert world.changes == ["CreateCluster"]
    (cluster_id,) = world.cluster_ids()
    assert created(world)["Id"] == cluster_id
    assert world.cluster_ids() == [cluster_id]


def test_the_cluster_of_another_stack_is_not_taken_for_this_ones(world: EmulatorState) -> None:
    other = world.uninitialized(OTHER_STACK_ID)
    assert created(world)["Id"] != other


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
def test_a_creation_that_may_succeed_later_is_transient(
    world: EmulatorState, code: str, status: int
) -> None:
    world.faults.inject({"operation": "CreateCluster", "code": code, "status": status})
    with pytest.raises(TransientError, match=r"^CreateCluster: "):
        created(world)
    assert world.cluster_ids() == []
    assert created(world)["State"] == "CREATE_IN_PROGRESS"


def test_a_refusal_is_told_in_the_words_of_aws(make_world: Callable[..., EmulatorState]) -> None:
    world = make_world(quotas=Quotas(clusters=0))
    with pytest.raises(RefusedError) as refusal:
        created(world)
    assert str(refusal.value) == (
        "CreateCluster: CloudHsmInvalidRequestException: You have reached the limit of 0 clusters."
    )


# ---- wanted_tags, tag_cluster


def test_the_keys_of_the_stacks_tags_are_a_tag_themselves(world: EmulatorState) -> None:
    world.stack_tags = {"b": "2", "a": "1", "with blank": "3"}
    assert ownership.stack_tags(of_stack()) == {
        "a": "1",
        "b": "2",
        "with blank": "3",
        "hsm-lifecycle:stack-tag-keys": "a b",
    }


def test_tags_that_aws_keeps_to_itself_stay_on_the_stack(world: EmulatorState) -> None:
    world.stack_tags = {"a": "1", "aws:servicecatalog:productArn": "arn:aws:catalog:product"}
    assert ownership.stack_tags(of_stack()) == {"a": "1", "hsm-lifecycle:stack-tag-keys": "a"}


def test_a_stack_without_tags_has_no_keys(world: EmulatorState) -> None:
    assert ownership.stack_tags(of_stack()) == {"hsm-lifecycle:stack-tag-keys": ""}


def test_the_keys_of_many_tags_never_fill_more_than_a_tags_value(world: EmulatorState) -> None:
    for length in range(1, 128):
        world.stack_tags = {f"{number:02}{'k' * length}": "" for number in range(40)}
        keys = ownership.stack_tags(of_stack())[ownership.STACK_KEYS_TAG]
        assert 128 <= len(keys) <= 256 or keys.split() == sorted(world.stack_tags)
        assert set(keys.split()) <= set(world.stack_tags)


def test_the_tags_of_the_cluster_follow_those_of_the_stack(world: EmulatorState) -> None:
    world.stack_tags = {"kept": "1", "changed": "1", "dropped": "1"}
    cluster_id = created(world)["Id"]
    world.stack_tags = {"kept": "1", "changed": "2", "added": "1"}
    assert world.run(cluster_update.tag_cluster, **of_cluster(cluster_id)) == {}
    assert world.tags(cluster_id) == {
        "kept": "1",
        "changed": "2",
        "added": "1",
        "hsm-lifecycle:stack-tag-keys": "added changed kept",
        "hsm-lifecycle:stack-id": STACK_ID,
        "hsm-lifecycle:logical-id": LOGICAL_ID,
    }


def test_tags_that_the_stack_never_had_are_left_alone(world: EmulatorState) -> None:
    world.stack_tags = {"dropped": "1"}
    cluster_id = created(world)["Id"]
    by_hand = [{"Key": "backup", "Value": "weekly"}]
    world.hsm.tag_resource(ResourceId=cluster_id, TagList=by_hand)
    world.stack_tags = {}
    world.run(cluster_update.tag_cluster, **of_cluster(cluster_id))
    tags = world.tags(cluster_id)
    assert tags["backup"] == "weekly"
    assert "dropped" not in tags


def test_a_tag_removed_by_hand_comes_back(world: EmulatorState) -> None:
    world.stack_tags = {"Team": "keys"}
    cluster_id = created(world)["Id"]
    world.hsm.untag_resource(ResourceId=cluster_id, TagKeyList=["Team"])
    world.run(cluster_update.tag_cluster, **of_cluster(cluster_id))
    assert world.tags(cluster_id)["Team"] == "keys"


def test_tags_that_are_right_are_not_written_again(world: EmulatorState) -> None:
    world.stack_tags = {"Team": "keys"}
    cluster_id = created(world)["Id"]
    world.run(cluster_update.tag_cluster, **of_cluster(cluster_id))
    assert world.changes == []


@pytest.mark.parametrize("operation", ["TagResource", "UntagResource"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_the_tags_come_right_also_when_the_step_dies_in_the_middle(
    world: EmulatorState, operation: str, moment: str
) -> None:
    world.stack_tags = {"kept": "1", "dropped": "1"}
    cluster_id = created(world)["Id"]
    world.stack_tags = {"kept": "2"}
    world.faults.inject({"operation": operation, "code": "ConnectionLost", "when": moment})
    with pytest.raises(TransientError):
        world.run(cluster_update.tag_cluster, **of_cluster(cluster_id))
    world.run(cluster_update.tag_cluster, **of_cluster(cluster_id))
    tags = world.tags(cluster_id)
    assert tags["kept"] == "2"
    assert "dropped" not in tags


def test_a_foreign_cluster_is_not_tagged(world: EmulatorState) -> None:
    cluster_id = world.uninitialized(OTHER_STACK_ID)
    world.stack_tags = {"Team": "keys"}
    with pytest.raises(NotOwnedError, match=rf"\[{cluster_id}\]$"):
        world.run(cluster_update.tag_cluster, **of_cluster(cluster_id))
    assert world.changes == []


# ---- describe_cluster


def test_a_cluster_is_described_by_what_the_machines_branch_on(world: EmulatorState) -> None:
    cluster_id = world.uninitialized()
    described = world.run(cluster_steps.describe_cluster, ClusterId=cluster_id, Attempts=0)
    assert described == {
        "Id": cluster_id,
        "State": "UNINITIALIZED",
        "StateMessage": "AWS gives no reason",
        "HsmType": "hsm2m.medium",
        "HsmIpAddresses": "",
        "Attempts": 1,
        "NotListed": 0,
    }


def test_a_cluster_just_created_is_believed_in_until_it_is_listed(world: EmulatorState) -> None:
    with world.lagging():
        looks = [created(world)]
        for _ in range(5):
            of_look = of_cluster(looks[0]["Id"], NotListed=looks[-1]["NotListed"])
            looks.append(world.run(cluster_steps.describe_cluster, **of_look))
    assert [look["State"] for look in looks] == ["CREATE_IN_PROGRESS"] * 5 + ["DELETED"]
    seen = world.run(cluster_steps.describe_cluster, ClusterId=looks[0]["Id"], NotListed=4)
    assert (seen["State"], seen["NotListed"]) == ("CREATE_IN_PROGRESS", 0)


def test_the_services_own_message_is_passed_on(world: EmulatorState) -> None:
    cluster_id = created(world)["Id"]
    described = world.run(cluster_steps.describe_cluster, ClusterId=cluster_id)
    assert described["State"] == "CREATE_IN_PROGRESS"
    assert described["StateMessage"] == "Cluster creation in progress."


def test_only_hsms_that_are_active_have_an_address_for_the_client(world: EmulatorState) -> None:
    cluster_id = world.restored(ZONES[0], ZONES[1])
    addresses = sorted(hsm["EniIp"] for hsm in world.listed(cluster_id))
    world.hsm.create_hsm(ClusterId=cluster_id, AvailabilityZone=ZONES[2])
    described = world.run(cluster_steps.describe_cluster, ClusterId=cluster_id)
    assert described["HsmIpAddresses"] == " ".join(addresses)


def test_a_cluster_that_is_gone_is_described_as_deleted(world: EmulatorState) -> None:
    described = world.run(cluster_steps.describe_cluster, ClusterId=UNKNOWN, Attempts=0)
    assert described == {
        "Id": UNKNOWN,
        "State": "DELETED",
        "StateMessage": "AWS gives no reason",
        "HsmType": "none",
        "HsmIpAddresses": "",
        "Attempts": 1,
        "NotListed": 5,
    }


# ---- check_update


def updated(world: EmulatorState, cluster_id: str, **overrides: Any) -> Json:
    event = of_cluster(cluster_id, ResourceProperties=world.properties(**overrides))
    return world.run(cluster_update.check_update, **event)


def test_an_update_that_aws_can_carry_out_passes(world: EmulatorState) -> None:
    world.stack_status = "UPDATE_IN_PROGRESS"
    cluster_id = world.uninitialized()
    answer = updated(
        world,
        cluster_id,
        Subnets=world.subnets[::-1],
        HsmsPerSubnet="2",
        BackupRetentionDays="8",
        HsmType="hsm3x.large",
    )
    assert answer == {
        "State": "UNINITIALIZED",
        "IsChangeable": True,
        "Rollback": False,
        "Warnings": "none",
    }
    assert world.changes == []


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"Subnets": ["subnet-1", "subnet-2"]}, "pSubnets: the cluster has subnet-.*,subnet-"),
        ({"Mode": "NON_FIPS"}, "pMode: the cluster has FIPS, .* to NON_FIPS"),
        ({"NetworkType": "DUALSTACK"}, "pNetworkType: the cluster has IPV4, .* to DUALSTACK"),
        ({"BackupId": "backup-aaaaaaaaaaa"}, "pBackupId: the cluster has none, .* to backup-aaa"),
    ],
)
def test_what_aws_cannot_change_is_refused_by_the_parameters_name(
    world: EmulatorState, overrides: Json, words: str
) -> None:
    cluster_id = world.uninitialized()
    with pytest.raises(ParameterError, match=f"^CheckUpdate: {words}") as refusal:
        updated(world, cluster_id, **overrides)
    assert str(refusal.value).endswith(f"[{cluster_id}]")
    assert world.changes == []


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"Subnets": ["subnet-1", "subnet-2"]}, ["pSubnets"]),
        ({"Mode": "NON_FIPS", "NetworkType": "DUALSTACK"}, ["pMode", "pNetworkType"]),
    ],
)
def test_in_a_rollback_what_aws_cannot_change_is_a_warning(
    world: EmulatorState, overrides: Json, words: list[str]
) -> None:
    world.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
    answer = updated(world, world.uninitialized(), **overrides)
    assert answer["Rollback"] is True
    assert answer["IsChangeable"] is True
    assert all(word in answer["Warnings"] for word in words)


def test_an_update_to_more_tags_than_a_cluster_can_have_is_refused(world: EmulatorState) -> None:
    world.stack_tags = {"dropped": ""}
    cluster_id = created(world)["Id"]
    by_hand = [{"Key": "backup", "Value": "weekly"}]
    world.hsm.tag_resource(ResourceId=cluster_id, TagList=by_hand)
    world.stack_tags = {f"key-{number}": "" for number in range(46)}
    assert updated(world, cluster_id)["Warnings"] == "none"
    world.run(cluster_update.tag_cluster, **of_cluster(cluster_id))
    assert len(world.tags(cluster_id)) == 50
    world.stack_tags["one-more"] = ""
    with pytest.raises(ParameterError, match=r"Tags of the stack: .* 51 tags, 3 of which"):
        updated(world, cluster_id)
    world.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
    assert "AWS allows 50" in updated(world, cluster_id)["Warnings"]


def test_a_restored_cluster_keeps_its_backup_by_id_or_arn(world: EmulatorState) -> None:
    shared = world.hsms.provider().share_backup("Password1")
    cluster_id = created(world, BackupId=shared["BackupArn"])["Id"]
    assert updated(world, cluster_id, BackupId=shared["BackupArn"])["Warnings"] == "none"
    backup_id = shared["BackupArn"].rpartition("/")[2]
    assert updated(world, cluster_id, BackupId=backup_id)["Warnings"] == "none"
    with pytest.raises(ParameterError, match=r"pBackupId: the cluster has backup-.* to none"):
        updated(world, cluster_id)


@pytest.mark.parametrize("cluster_id", ["", UNKNOWN])
def test_a_cluster_that_is_gone_cannot_be_updated(world: EmulatorState, cluster_id: str) -> None:
    with pytest.raises(ClusterNotFoundError, match=r"no longer exists .* create it again"):
        updated(world, cluster_id)


@pytest.mark.parametrize("cluster_id", ["", UNKNOWN])
def test_the_rollback_of_a_cluster_that_is_gone_passes(
    world: EmulatorState, cluster_id: str
) -> None:
    world.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
    answer = updated(world, cluster_id)
    assert (answer["State"], answer["IsChangeable"]) == ("NOT_FOUND", False)
    assert "no longer exists" in answer["Warnings"]


def test_a_foreign_cluster_cannot_be_updated(world: EmulatorState) -> None:
    cluster_id = world.uninitialized(OTHER_STACK_ID)
    with pytest.raises(NotOwnedError, match="put the tag back"):
        updated(world, cluster_id)
    world.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
    answer = updated(world, cluster_id)
    assert (answer["State"], answer["IsChangeable"]) == ("UNINITIALIZED", False)
    assert "hsm-lifecycle:stack-id" in answer["Warnings"]


def make_store(world: EmulatorState, cluster_id: str, state: str) -> str:
    """A key store on the cluster in a state of its connection."""
    if state == "CONNECTED":
        return world.add_connected_store(cluster_id)
    store_id = world.add_store(cluster_id)
    if state != "DISCONNECTED":
        world.kms.connect_custom_key_store(CustomKeyStoreId=store_id)
    if state in ("FAILED", "DISCONNECTING"):
        world.wait(TIMINGS.connect)
    if state == "DISCONNECTING":
        world.kms.disconnect_custom_key_store(CustomKeyStoreId=store_id)
    assert world.store(store_id)["ConnectionState"] == state
    return store_id


@pytest.mark.parametrize("state", ["CONNECTED", "CONNECTING", "FAILED", "DISCONNECTING"])
def test_the_hsms_are_not_taken_from_under_a_key_store(world: EmulatorState, state: str) -> None:
    cluster_id = world.restored(ZONES[0], ZONES[1])
    store_id = make_store(world, cluster_id, state)
    backup = world.cluster(cluster_id)["SourceBackupId"]
    assert updated(world, cluster_id, BackupId=backup)["Warnings"] == "none"
    with pytest.raises(ClusterInUseError, match=f"pHsmsPerSubnet: .* {store_id} is {state}"):
        updated(world, cluster_id, BackupId=backup, HsmsPerSubnet="0")


def test_without_hsms_a_cluster_can_wait_for_a_key_store_that_is_disconnected(
    world: EmulatorState,
) -> None:
    cluster_id = world.restored(ZONES[0], ZONES[1])
    make_store(world, cluster_id, "DISCONNECTED")
    backup = world.cluster(cluster_id)["SourceBackupId"]
    answer = updated(world, cluster_id, BackupId=backup, HsmsPerSubnet="0")
    assert answer["Warnings"] == "none"


@pytest.mark.parametrize(
    ("status", "rollback"),
    [
        ("UPDATE_IN_PROGRESS", False),
        ("UPDATE_ROLLBACK_IN_PROGRESS", True),
        ("ROLLBACK_IN_PROGRESS", False),
        ("DELETE_IN_PROGRESS", False),
    ],
)
def test_only_the_stacks_own_state_tells_a_rollback(
    world: EmulatorState, status: str, rollback: bool
) -> None:
    world.stack_status = status
    assert ownership.is_rollback(of_stack()) is rollback


def test_a_stack_that_cannot_be_described_is_no_rollback_but_an_error(world: EmulatorState) -> None:
    with pytest.raises(RefusedError, match="DescribeStacks: ValidationError"):
        world.run(
            cluster_update.check_update,
            ClusterId=UNKNOWN,
            StackId=OTHER_STACK_ID,
            ResourceProperties=world.properties(),
        )


# ---- modify_cluster


def modified(world: EmulatorState, cluster_id: str, **overrides: Any) -> Json:
    event = of_cluster(cluster_id, ResourceProperties=world.properties(**overrides))
    return world.run(cluster_update.modify_cluster, **event)


def test_a_cluster_that_is_as_it_should_be_is_not_modified(world: EmulatorState) -> None:
    assert modified(world, world.uninitialized()) == {}
    assert world.changes == []


def test_the_retention_of_backups_is_changed(world: EmulatorState) -> None:
    cluster_id = world.uninitialized()
    modified(world, cluster_id, BackupRetentionDays="200")
    assert world.cluster(cluster_id)["BackupRetentionPolicy"]["Value"] == "200"
    modified(world, cluster_id, BackupRetentionDays="200")
    assert world.changes == []


def old_cluster(make_world: Callable[..., EmulatorState]) -> tuple[EmulatorState, str]:
    """An ACTIVE cluster of hsm1.medium, in the last year in which there could be one."""
    world = make_world(assumptions=Assumptions(year=2024))
    backup = world.hsms.provider().share_backup("Password1", hsm_type="hsm1.medium")
    cluster_id = world.uninitialized(
        HsmType="hsm1.medium", SourceBackupId=backup["BackupArn"], Mode="FIPS"
    )
    world.add_hsm(cluster_id)
    return world, cluster_id


def test_the_hsm_type_is_changed_in_place(make_world: Callable[..., EmulatorState]) -> None:
    world, cluster_id = old_cluster(make_world)
    modified(world, cluster_id, BackupRetentionDays="8")
    assert world.changes == ["ModifyCluster", "ModifyCluster"]
    assert world.cluster(cluster_id)["State"] == "MODIFY_IN_PROGRESS"
    world.wait(TIMINGS.change_hsm_type)
    cluster = world.cluster(cluster_id)
    assert (cluster["State"], cluster["HsmType"]) == ("ACTIVE", "hsm2m.medium")
    assert cluster["BackupRetentionPolicy"]["Value"] == "8"
    modified(world, cluster_id, BackupRetentionDays="8")
    assert world.changes == []


def test_a_modification_whose_answer_was_lost_is_not_asked_for_again(
    make_world: Callable[..., EmulatorState],
) -> None:
    world, cluster_id = old_cluster(make_world)
    world.faults.inject({"operation": "ModifyCluster", "code": "ConnectionLost", "when": "after"})
    with pytest.raises(TransientError):
        modified(world, cluster_id)
    assert world.cluster(cluster_id)["State"] == "MODIFY_IN_PROGRESS"
    assert modified(world, cluster_id) == {}


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"BackupRetentionDays": "380"}, "pBackupRetentionDays: ModifyCluster: .* 7 to 379"),
        ({"HsmType": "hsm2m.large"}, "pHsmType: ModifyCluster: CloudHsmInvalidRequestException"),
    ],
)
def test_a_modification_that_aws_refuses_names_the_parameter(
    world: EmulatorState, overrides: Json, words: str
) -> None:
    cluster_id = world.uninitialized()
    with pytest.raises(RefusedError, match=rf"^ModifyCluster: {words}.* \[{cluster_id}\]$"):
        modified(world, cluster_id, **overrides)


def test_a_modification_that_is_throttled_is_transient(world: EmulatorState) -> None:
    cluster_id = world.uninitialized()
    world.faults.inject({"operation": "ModifyCluster", "code": "ThrottlingException"})
    with pytest.raises(TransientError, match="pBackupRetentionDays"):
        modified(world, cluster_id, BackupRetentionDays="8")
    modified(world, cluster_id, BackupRetentionDays="8")
    assert world.cluster(cluster_id)["BackupRetentionPolicy"]["Value"] == "8"


def test_a_foreign_cluster_is_not_modified(world: EmulatorState) -> None:
    cluster_id = world.uninitialized(OTHER_STACK_ID)
    with pytest.raises(NotOwnedError):
        modified(world, cluster_id, BackupRetentionDays="8")
    assert world.changes == []


# ---- check_deletion, key_stores_on


def test_a_cluster_that_no_key_store_uses_may_go(world: EmulatorState) -> None:
    make_store(world, world.restored(*ZONES[:2], stack_id=OTHER_STACK_ID), "DISCONNECTED")
    cluster_id = world.uninitialized()
    assert key_stores.on_cluster(cluster_id) == []
    assert world.run(cluster_steps.check_deletion, ClusterId=cluster_id) == {}


@pytest.mark.parametrize(
    ("state", "verb"),
    [
        ("DISCONNECTED", "delete"),
        ("CONNECTED", "disconnect"),
        ("CONNECTING", "disconnect"),
        ("FAILED", "disconnect"),
    ],
)
def test_a_cluster_that_a_key_store_uses_stays(world: EmulatorState, state: str, verb: str) -> None:
    cluster_id = world.restored(ZONES[0], ZONES[1])
    store_id = make_store(world, cluster_id, state)
    (store,) = key_stores.on_cluster(cluster_id)
    assert store["CustomKeyStoreId"] == store_id
    with pytest.raises(ClusterInUseError) as refusal:
        world.run(cluster_steps.check_deletion, ClusterId=cluster_id)
    assert str(refusal.value) == (
        f"CheckDeletion: KMS key store {store_id} ({state}) uses the cluster. Delete its stack"
        f" first, or: aws kms {verb}-custom-key-store --custom-key-store-id {store_id}"
        f" [{cluster_id}]"
    )


# ---- delete_cluster


def deleted(world: EmulatorState, cluster_id: str, before: Json | None = None) -> Json:
    before = before or {"Attempt": 0, "Accepted": 0}
    return world.run(cluster_steps.delete_cluster, **of_cluster(cluster_id, **before))


def test_an_empty_cluster_is_deleted(world: EmulatorState) -> None:
    cluster_id = world.uninitialized()
    assert deleted(world, cluster_id)["Attempt"] == 1
    assert world.cluster(cluster_id)["State"] == "DELETE_IN_PROGRESS"


def test_a_cluster_that_is_going_or_gone_is_not_deleted_again(world: EmulatorState) -> None:
    cluster_id = world.uninitialized()
    answer = deleted(world, cluster_id)
    for seconds in (0, TIMINGS.delete_cluster, TIMINGS.deleted_visible):
        world.wait(seconds)
        answer = deleted(world, cluster_id, answer)
        assert world.changes == []
    assert answer["Attempt"] == 4


def test_a_deletion_whose_answer_was_lost_goes_on(world: EmulatorState) -> None:
    cluster_id = world.uninitialized()
    world.faults.inject({"operation": "DeleteCluster", "code": "ConnectionLost", "when": "after"})
    with pytest.raises(TransientError, match=rf"\[{cluster_id}\]$"):
        deleted(world, cluster_id)
    assert deleted(world, cluster_id)["Attempt"] == 1
    world.wait(TIMINGS.delete_cluster)
    assert world.cluster_ids() == []


def test_hsms_that_linger_are_waited_for(world: EmulatorState) -> None:
    cluster_id = world.with_csr()
    world.hsm.delete_hsm(ClusterId=cluster_id, HsmId=world.listed(cluster_id)[0]["HsmId"])
    world.wait(TIMINGS.delete_hsm + TIMINGS.deleted_hsm_visible)
    assert world.listed(cluster_id) == []
    answer = deleted(world, cluster_id)
    assert answer["Attempt"] == 1
    assert world.cluster(cluster_id)["State"] == "UNINITIALIZED"
    world.wait(TIMINGS.deleted_hsm_lingers)
    assert deleted(world, cluster_id, answer)["Attempt"] == 2
    assert world.cluster(cluster_id)["State"] == "DELETE_IN_PROGRESS"


def test_a_cluster_that_aws_never_lets_go_says_why(world: EmulatorState) -> None:
    cluster_id = world.with_csr()
    with pytest.raises(ClusterNotDeletedError, match=r"refused 40 times: .*contains HSMs"):
        delete_until(world, cluster_id, seconds=3300)


def test_a_cluster_that_comes_back_says_why_before_the_workflow_loses_patience(
    world: EmulatorState,
) -> None:
    cluster_id = world.uninitialized()
    # Something keeps the security group, so AWS begins with the deletion and takes it back.
    forgotten = world.group("forgotten")
    group = world.cluster(cluster_id)["SecurityGroup"]
    ports = {"IpProtocol": "tcp", "FromPort": 2223, "ToPort": 2225}
    world.ec2.authorize_security_group_egress(
        GroupId=forgotten,
        IpPermissions=[{**ports, "UserIdGroupPairs": [{"GroupId": group}]}],
    )
    with pytest.raises(ClusterNotDeletedError, match=f"{group} is in use"):
        delete_until(world, cluster_id, seconds=3300)


def delete_until(world: EmulatorState, cluster_id: str, seconds: float) -> None:
    """What delete-cluster does within its time limit."""
    end, answer = world.clock.now() + seconds, None
    while world.clock.now() < end:
        answer = deleted(world, cluster_id, answer)
        world.wait(15)
        while world.cluster(cluster_id)["State"].endswith("_IN_PROGRESS"):
            world.wait(15)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("ThrottlingException", TransientError),
        ("CloudHsmAccessDeniedException", TransientError),
        ("CloudHsmTagException", RefusedError),
    ],
)
def test_other_refusals_of_a_deletion_are_told_at_once(
    world: EmulatorState, code: str, error: type[Exception]
) -> None:
    cluster_id = world.uninitialized()
    world.faults.inject({"operation": "DeleteCluster", "code": code})
    with pytest.raises(error, match=rf"DeleteCluster: {code}.*\[{cluster_id}\]$"):
        deleted(world, cluster_id)


def test_a_foreign_cluster_is_not_deleted(world: EmulatorState) -> None:
    cluster_id = world.uninitialized(OTHER_STACK_ID)
    with pytest.raises(NotOwnedError):
        deleted(world, cluster_id)
    assert world.changes == []


# ---- report_cluster


def reported(world: EmulatorState, cluster_id: str, **more: Any) -> Json:
    return world.run(cluster_steps.report_cluster, ClusterId=cluster_id, System=SYSTEM, **more)


def test_an_active_cluster_is_reported_with_all_that_others_need(world: EmulatorState) -> None:
    cluster_id = world.active(ZONES[1])
    addresses = sorted(hsm["EniIp"] for hsm in world.listed(cluster_id))
    assert reported(world, cluster_id) == {
        "PhysicalResourceId": cluster_id,
        "Data": {
            "ClusterId": cluster_id,
            "State": "ACTIVE",
            "SecurityGroupId": world.cluster(cluster_id)["SecurityGroup"],
            "HsmIpAddresses": ",".join(addresses),
            "AdminPasswordSecretName": f"/cloudhsm/{cluster_id}/initial-crypto-officer-password",
            "CustomerCaCertSecretName": f"/cloudhsm/{cluster_id}/customer-ca-cert",
            "CsrSecretName": f"/cloudhsm/{cluster_id}/cluster-csr",
            "NextStep": "none",
            "Warnings": "none",
        },
    }


def test_a_restored_cluster_has_no_signing_request_to_report(world: EmulatorState) -> None:
    data = reported(world, world.restored(ZONES[0], ZONES[1]))["Data"]
    assert data["CsrSecretName"] == "none"
    assert data["CustomerCaCertSecretName"] != "none"


def test_a_cluster_that_waits_for_certificates_says_what_to_do_with_its_request(
    world: EmulatorState,
) -> None:
    cluster_id = world.with_csr()
    data = reported(world, cluster_id)["Data"]
    assert data["State"] == "UNINITIALIZED"
    assert data["NextStep"] == (
        f"Sign the request in /cloudhsm/{cluster_id}/cluster-csr, store the certificate in"
        f" /cloudhsm/{cluster_id}/cluster-cert and the CA's in"
        f" /cloudhsm/{cluster_id}/customer-ca-cert, then update with"
        " pExternallyProvidedCertsReady=true."
    )


@pytest.mark.parametrize("cluster_id", ["", UNKNOWN])
def test_after_a_rollback_the_absence_of_a_cluster_is_reported(
    world: EmulatorState, cluster_id: str
) -> None:
    report = reported(world, cluster_id, Warnings="gone")
    assert report["PhysicalResourceId"] == cluster_id
    assert report["Data"]["State"] == "NOT_FOUND"
    assert report["Data"]["Warnings"] == "gone"
    assert report["Data"]["SecurityGroupId"] == "none"


def test_every_attribute_is_a_text_that_an_output_can_hold(world: EmulatorState) -> None:
    for cluster_id in ("", UNKNOWN, world.uninitialized(), world.restored(*ZONES)):
        data = reported(world, cluster_id)["Data"]
        assert all(isinstance(value, str) and value for value in data.values())
        assert len(json.dumps(data)) < 3000
