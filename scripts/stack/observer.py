"""What a request to a stack has done so far, read from AWS without changing anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from display.traces import Kind, Trace
from scripts.stack import estimate, request
from scripts.stack.account import Account
from scripts.stack.request import CLUSTER, KEY_STORE, Request
from scripts.stack.workflows import MACHINE, Cause, Workflows

Json = dict[str, Any]
Found = TypeVar("Found")

STACK_TAG = "hsm-lifecycle:stack-id"
_DENIALS = ("AccessDenied", "AccessDeniedException", "CloudHsmAccessDeniedException")


@dataclass(frozen=True)
class Look:
    """A request at one moment: seconds since its start, traces and estimate of what is left."""

    stack: Json
    request: Request
    elapsed: float
    traces: list[Trace]
    left: float | None
    cause: Cause | None = None
    # What could not be read, and the permission that it needs.
    unread: list[str] = field(default_factory=list)


class Observer:
    """Looks at a stack, which may also be deleted, as often as asked."""

    def __init__(self, account: Account, stack: Json, *, after: str = "") -> None:
        """Look for the latest request, but only once there is one newer than `after`."""
        self._account, self._id, self._after = account, stack["StackId"], after
        self._resources: dict[str, tuple[str, str]] = {}
        self._described: dict[str, Trace] = {}
        self._cause: Cause | None = None
        self._unread: dict[str, str] = {}

    def look(self) -> Look | None:
        """The request now; None if there is none yet."""
        cloudformation = self._account.client("cloudformation")
        stack = cloudformation.describe_stacks(StackName=self._id)["Stacks"][0]
        found = latest_request(self._account, stack)
        if found is None or found.id == self._after:
            return None
        self._account.saw(found.end)
        self._note_resources(found)
        workflows = Workflows(self._account, self._physical_ids(MACHINE))
        nothing: list[Trace] = []
        running = self._read(nothing, lambda: workflows.running(found.start))
        traces = [*found.traces(), *running]
        self._cause = self._cause or self._cause_of(found, workflows)
        self._describe(stack, found)
        elapsed = (
            (found.end if found.has_ended else self._account.now) - found.start
        ).total_seconds()
        names = [(trace.label, elapsed - trace.start) for trace in running]
        return Look(
            dict(stack),
            found,
            elapsed,
            [*traces, *self._described.values()],
            estimate.left(self._noun(), found.kind, elapsed, names),
            self._cause,
            list(self._unread.values()),
        )

    def _note_resources(self, found: Request) -> None:
        if not self._resources:
            for each in self._account.pages(
                "cloudformation",
                "list_stack_resources",
                "StackResourceSummaries",
                StackName=self._id,
            ):
                self._note(each)
        for each in found.events:
            self._note(each)

    def _note(self, resource: Json) -> None:
        # A custom resource has no physical ID until its creation has ended.
        about = resource["ResourceType"], resource.get("PhysicalResourceId", "")
        if about[1] or resource["LogicalResourceId"] not in self._resources:
            self._resources[resource["LogicalResourceId"]] = about

    def _physical_ids(self, kind: str) -> list[str]:
        return [id_ for type_, id_ in self._resources.values() if type_ == kind and id_]

    def _noun(self) -> str:
        kinds = {kind for kind, _ in self._resources.values()}
        return next((noun for noun in (CLUSTER, KEY_STORE) if noun in kinds), "")

    def _cause_of(self, found: Request, workflows: Workflows) -> Cause | None:
        """The workflow's failure, if one failed; a detached one fails after the request."""
        if found.has_ended and found.succeeded:
            return self._read(None, lambda: workflows.cause(found.start, detached=True))
        if any(each.kind.startswith("Custom::") for each in found.failures()):
            return self._read(None, lambda: workflows.cause(found.start))
        return None

    def _describe(self, stack: Json, found: Request) -> None:
        """Note the states of the cluster, its HSMs and its key store."""
        if not self._noun():
            return
        at = (self._account.now - found.start).total_seconds()
        cluster = self._read(None, lambda: self._cluster(stack))
        present = [] if cluster is None else list(_cluster_states(cluster))
        if cluster is not None:
            present += self._read([], lambda: list(self._key_store_states(cluster["ClusterId"])))
        for kind, subject, label, state in present:
            trace = self._described.setdefault(subject, Trace(kind, subject, label))
            trace.enter(state, at)
        for subject, trace in self._described.items():
            if trace.state and subject not in {each[1] for each in present}:
                trace.finish("DELETED", at)

    def _cluster(self, stack: Json) -> Json | None:
        """The stack's cluster, or the one that a key store's stack names."""
        parameters = {
            each["ParameterKey"]: each["ParameterValue"] for each in stack.get("Parameters", [])
        }
        named = parameters.get("pCloudHsmClusterId") if self._noun() == KEY_STORE else None
        return cluster_of(self._account, stack, named)

    def _key_store_states(self, cluster_id: str) -> Iterator[tuple[Kind, str, str, str]]:
        """CONNECTED is not health (F7.307): the HSMs above tell whether keys can be used."""
        for store in self._account.pages("kms", "describe_custom_key_stores", "CustomKeyStores"):
            if store.get("CloudHsmClusterId") == cluster_id:
                name, id_ = store["CustomKeyStoreName"], store["CustomKeyStoreId"]
                code = store.get("ConnectionErrorCode")
                state = store["ConnectionState"] + (f" {code}" if code else "")
                yield Kind.KEY_STORE, id_, f"{name} {id_}", state

    def _read(self, otherwise: Found, read: Callable[[], Found]) -> Found:
        """What `read` returns; if this is denied, say so once and go on without it."""
        try:
            return read()
        except ClientError as error:
            if error.response["Error"]["Code"] not in _DENIALS:
                raise
            self._unread[error.operation_name] = (
                f"Not shown: {error.operation_name} was denied. Allow the actions of"
                " examples/policies/watcher.json."
            )
            return otherwise


def cluster_of(account: Account, stack: Json, named: str | None = None) -> Json | None:
    """The cluster with the stack's tag, or the named one; None if there is none."""
    only = {"Filters": {"clusterIds": [named]}} if named else {}
    for cluster in account.pages("cloudhsmv2", "describe_clusters", "Clusters", **only):
        tags = {tag["Key"]: tag["Value"] for tag in cluster.get("TagList") or []}
        is_this = cluster["ClusterId"] == named or tags.get(STACK_TAG) == stack["StackId"]
        if is_this and cluster["State"] != "DELETED":
            return cluster
    return None


def latest_request(account: Account, stack: Json) -> Request | None:
    """The latest request to the stack; None if there was none."""
    events: list[Json] = []
    for event in account.pages(
        "cloudformation", "describe_stack_events", "StackEvents", StackName=stack["StackId"]
    ):
        events.append(event)
        if request.begins(event):
            break
    return request.latest(stack["StackStatus"], events)


def latest_request_id(account: Account, stack: Json) -> str:
    """The ID of the latest request to the stack; empty if there was none."""
    found = latest_request(account, stack)
    return found.id if found else ""


def _cluster_states(cluster: Json) -> Iterator[tuple[Kind, str, str, str]]:
    yield Kind.CLUSTER, cluster["ClusterId"], cluster["ClusterId"], cluster["State"]
    for hsm in sorted(cluster.get("Hsms", ()), key=lambda each: str(each.get("AvailabilityZone"))):
        if hsm["State"] != "DELETED":
            label = f"{hsm['HsmId']} {hsm.get('AvailabilityZone', '')}"
            yield Kind.HSM, hsm["HsmId"], label, hsm["State"]
