"""Exports that other stacks import, which AWS neither changes nor removes.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from localaws.ministack.access import ministack

_package = ministack("services.cloudformation")
_handlers = ministack("services.cloudformation.handlers")
_stacks = ministack("services.cloudformation.stacks")


def install() -> None:
    """Fail an update that would change or remove an export in use."""
    resolve = _stacks._resolve_stack_outputs

    def resolve_outputs(*arguments: Any) -> tuple[list[Any], dict[str, Any]]:
        outputs, exports = resolve(*arguments)
        stack_id = arguments[-1]
        for name in exports:
            owner = (_package._exports.get(name) or {}).get("StackId", stack_id)
            if owner != stack_id:
                raise ValueError(
                    f"Export with name {name} is already exported by stack {owner.split('/')[1]}."
                )
        for name, export in _package._exports.items():
            if export["StackId"] != stack_id:
                continue
            users = ", ".join(_importers(name))
            now = exports.get(name)
            if users and now is None:
                raise ValueError(f"Export {name} cannot be deleted as it is in use by {users}")
            if users and now["Value"] != export["Value"]:
                raise ValueError(f"Export {name} cannot be updated as it is in use by {users}")
        for output in _removed_exports(stack_id, exports):
            del _package._exports[output]
        return outputs, exports

    _stacks._resolve_stack_outputs = resolve_outputs


def _importers(export: str) -> Iterator[str]:
    """The stacks that import a value."""
    for name, stack in _package._stacks.items():
        if stack.get("StackStatus") != "DELETE_COMPLETE" and export in (
            _handlers._imported_export_names(stack, name)
        ):
            yield str(stack["StackName"])


def _removed_exports(stack_id: str, exports: Mapping[str, Any]) -> list[str]:
    return [
        name
        for name, export in _package._exports.items()
        if export["StackId"] == stack_id and name not in exports
    ]
