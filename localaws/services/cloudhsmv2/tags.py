"""The API operations on tags of clusters and backups; HSMs have none (F1.20)."""

from __future__ import annotations

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2 import exceptions, ids
from localaws.services.cloudhsmv2.parameters import (
    MAX_TAGS,
    Params,
    Response,
    page,
    tag_list,
    tags,
    text,
)
from localaws.services.cloudhsmv2.store import Store


class Tags:
    """The tags of one account and Region."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, resource_id: str) -> dict[str, str]:
        """The tags of a cluster or backup; changes to the mapping take effect."""
        backup = self._store.backups.get(resource_id)
        if backup and not backup.shared:
            return backup.tags
        if ids.BACKUP.fullmatch(resource_id):
            raise exceptions.not_found(f"Backup '{resource_id}' does not exist.")
        return self._store.cluster(resource_id).tags

    def tag_resource(self, params: Params) -> Response:
        """TagResource: replaces the values of existing tags."""
        resource_id = text(params, "ResourceId", ids.RESOURCE)
        existing, added = self.of(resource_id), tags(params.get("TagList") or [])
        if len(existing | added) > MAX_TAGS:
            raise ApiError(
                "CloudHsmResourceLimitExceededException",
                f"'{resource_id}' would have more than {MAX_TAGS} tags.",
            )
        self._store.record(resource_id, "TagResource", keys=sorted(added))
        existing.update(added)
        return {}

    def untag_resource(self, params: Params) -> Response:
        """UntagResource: ignores unknown keys."""
        resource_id = text(params, "ResourceId", ids.RESOURCE)
        existing, keys = self.of(resource_id), params.get("TagKeyList") or []
        if not 1 <= len(keys) <= MAX_TAGS:
            raise exceptions.invalid(f"TagKeyList must have 1 to {MAX_TAGS} keys.")
        self._store.record(resource_id, "UntagResource", keys=sorted(keys))
        for key in keys:
            existing.pop(key, None)
        return {}

    def list_tags(self, params: Params) -> Response:
        """ListTags."""
        found = tag_list(self.of(text(params, "ResourceId", ids.RESOURCE)))
        return page("TagList", found, params, maximum=100, default=100)
