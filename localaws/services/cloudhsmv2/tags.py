"""Tags of clusters and backups; HSMs have none (F1.20)."""

from __future__ import annotations

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2 import exceptions, ids
from localaws.services.cloudhsmv2.parameters import (
    MOST_TAGS,
    Answer,
    Params,
    page,
    tag_list,
    tags,
    text,
)
from localaws.services.cloudhsmv2.store import Estate


class Tags:
    """The operations on tags."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate

    def of(self, resource_id: str) -> dict[str, str]:
        """The tags of a cluster or backup, to be changed in place."""
        backup = self._estate.backups.get(resource_id)
        if backup and not backup.shared:
            return backup.tags
        if ids.BACKUP.fullmatch(resource_id):
            raise exceptions.not_found(f"Backup '{resource_id}' does not exist.")
        return self._estate.cluster(resource_id).tags

    def tag_resource(self, params: Params) -> Answer:
        """TagResource: replaces the values of tags that are there."""
        resource_id = text(params, "ResourceId", ids.RESOURCE)
        there, added = self.of(resource_id), tags(params.get("TagList") or [])
        if len(there | added) > MOST_TAGS:
            raise ApiError(
                "CloudHsmResourceLimitExceededException",
                f"'{resource_id}' would have more than {MOST_TAGS} tags.",
            )
        self._estate.note(resource_id, "TagResource", keys=sorted(added))
        there.update(added)
        return {}

    def untag_resource(self, params: Params) -> Answer:
        """UntagResource: keys that are not there do not matter."""
        resource_id = text(params, "ResourceId", ids.RESOURCE)
        there, keys = self.of(resource_id), params.get("TagKeyList") or []
        if not 1 <= len(keys) <= MOST_TAGS:
            raise exceptions.invalid(f"TagKeyList must have 1 to {MOST_TAGS} keys.")
        self._estate.note(resource_id, "UntagResource", keys=sorted(keys))
        for key in keys:
            there.pop(key, None)
        return {}

    def list_tags(self, params: Params) -> Answer:
        """ListTags."""
        found = tag_list(self.of(text(params, "ResourceId", ids.RESOURCE)))
        return page("TagList", found, params, most=100, usual=100)
