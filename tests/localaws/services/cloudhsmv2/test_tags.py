from __future__ import annotations

from typing import Any

import pytest

from localaws.core.api_error import ApiError
from tests.localaws.services.cloudhsm import CloudHsm


def listed(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def test_a_cluster_is_tagged_and_untagged(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.create(TagList=listed({"a": "1"}))
    cloudhsm.call("TagResource", ResourceId=cluster_id, TagList=listed({"a": "2", "b": "3"}))
    assert cloudhsm.call("ListTags", ResourceId=cluster_id) == {
        "TagList": listed({"a": "2", "b": "3"})
    }
    cloudhsm.call("UntagResource", ResourceId=cluster_id, TagKeyList=["a", "never"])
    assert cloudhsm.cluster(cluster_id)["TagList"] == listed({"b": "3"})
    assert cloudhsm.provider.tags_of(cluster_id) == {"b": "3"}


def test_a_backup_inherits_no_tags_and_can_be_tagged(cloudhsm: CloudHsm) -> None:
    cloudhsm.active(TagList=listed({"a": "1"}))
    backup = cloudhsm.backups()[0]["BackupId"]
    cloudhsm.call("TagResource", ResourceId=backup, TagList=listed({"b": "2"}))
    assert cloudhsm.backups()[0]["TagList"] == listed({"b": "2"})
    assert cloudhsm.provider.tags_of(backup) == {"b": "2"}


def test_list_tags_returns_pages(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.create(TagList=listed({"a": "1", "b": "2"}))
    first = cloudhsm.call("ListTags", ResourceId=cluster_id, MaxResults=1)
    assert first["TagList"] == listed({"a": "1"})
    second = cloudhsm.call("ListTags", ResourceId=cluster_id, NextToken=first["NextToken"])
    assert second == {"TagList": listed({"b": "2"})}


INVALID: list[tuple[list[dict[str, Any]], str]] = [
    ([], "CloudHsmInvalidRequestException"),
    (listed({"": "x"}), "CloudHsmInvalidRequestException"),
    (listed({"k" * 129: "x"}), "CloudHsmInvalidRequestException"),
    (listed({"k": "x" * 257}), "CloudHsmInvalidRequestException"),
    (listed({"k*": "x"}), "CloudHsmInvalidRequestException"),
    (listed({"k": "{x}"}), "CloudHsmInvalidRequestException"),
    (listed({str(n): "" for n in range(51)}), "CloudHsmInvalidRequestException"),
    (listed({"aws:mine": "x"}), "CloudHsmTagException"),
    (listed({"k": "1"}) * 2, "CloudHsmTagException"),
]


def test_invalid_tags_are_rejected(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.create()
    for action, params in (
        ("TagResource", {"ResourceId": cluster_id}),
        ("CreateCluster", {"HsmType": "hsm2m.medium", "Mode": "FIPS", "SubnetIds": ["x"]}),
    ):
        codes = []
        for tags, _ in INVALID:
            with pytest.raises(ApiError) as error:
                cloudhsm.call(action, TagList=tags, **params)
            codes.append(error.value.code)
        assert codes == [code for _, code in INVALID]


def test_a_resource_can_have_50_tags(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.create(TagList=listed({str(n): "" for n in range(50)}))
    with pytest.raises(ApiError) as error:
        cloudhsm.call("TagResource", ResourceId=cluster_id, TagList=listed({"more": ""}))
    assert error.value.code == "CloudHsmResourceLimitExceededException"
    with pytest.raises(ApiError, match="TagKeyList"):
        cloudhsm.call("UntagResource", ResourceId=cluster_id, TagKeyList=[])


def test_hsms_have_no_tags(cloudhsm: CloudHsm) -> None:
    hsm_id = cloudhsm.hsms(cloudhsm.with_csr())[0]["HsmId"]
    with pytest.raises(ApiError, match="ResourceId"):
        cloudhsm.call("ListTags", ResourceId=hsm_id)


def test_tags_of_an_unknown_resource_are_not_found(cloudhsm: CloudHsm) -> None:
    for gone in ("cluster-22222222222", "backup-22222222222"):
        with pytest.raises(ApiError) as error:
            cloudhsm.call("ListTags", ResourceId=gone)
        assert error.value.code == "CloudHsmResourceNotFoundException"
        assert cloudhsm.provider.tags_of(gone) == {}
