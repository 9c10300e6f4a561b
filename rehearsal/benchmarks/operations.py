"""The operations that are measured, each on a stack in a local AWS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from localaws.client import LocalAws
from rehearsal.benchmarks import costs
from rehearsal.benchmarks.activities import activities
from rehearsal.benchmarks.waterfall import Waterfall, waterfall
from rehearsal.drivers.key_store import KeyStoreDriver, on_existing_cluster, on_stack_cluster
from rehearsal.drivers.stack import StackDriver
from rehearsal.events import Event


@dataclass(frozen=True)
class Operation:
    """What is measured, what has to run before it, and AWS's activities on its critical path."""

    description: str
    needs: tuple[str, ...]
    # Any other activity is a needless detour.
    chain: tuple[str, ...]


OPERATIONS = {
    "create": Operation(
        "Create a cluster stack: 1 HSM in each of two subnets",
        (),
        (
            "create the cluster",
            "create HSMs",
            "initialize",
            "run the activation",
            "activate",
            "create HSMs",
        ),
    ),
    "grow": Operation("Grow to 2 HSMs per subnet", ("create",), ("create HSMs",)),
    "shrink": Operation("Shrink to 0 HSMs", ("create",), ("delete HSMs",)),
    "back": Operation("Grow back to 1 per subnet", ("create", "shrink"), ("create HSMs",)),
    "key-store-create": Operation("Create a key store stack", (), ("connect",)),
    "key-store-delete": Operation(
        "Delete the key store stack", ("key-store-create",), ("disconnect",)
    ),
    "delete": Operation(
        "Delete the cluster stack",
        ("create",),
        ("delete HSMs", "let go of HSMs", "delete the cluster"),
    ),
}


@dataclass(frozen=True)
class Measurement:
    """What one operation took: its waterfall, and what AWS bills for."""

    name: str
    waterfall: Waterfall
    events: Sequence[Event]
    # API calls of functions, and Step Functions' calls for Tasks, by operation.
    calls: Counter[str]
    # Of functions, in MB.
    memory: Mapping[str, float]

    @property
    def transitions(self) -> int:
        """The state transitions of all executions."""
        return sum(event["event"] == "StateEntered" for event in self.events)

    @property
    def invocations(self) -> int:
        """The invocations of functions."""
        return sum(event["event"] == "Invoked" for event in self.events)

    @property
    def dollars(self) -> float:
        """What AWS bills for it, beside the cluster."""
        billed = costs.gigabyte_seconds(self.events, self.memory)
        return costs.dollars(self.transitions, self.invocations, billed, self.calls)


class Bench:
    """Measures operations on the stacks of one local AWS."""

    def __init__(self, aws: LocalAws, **parameters: object) -> None:
        self._aws = aws
        self._driver = StackDriver(aws)
        self._driver.stack.parameters |= {key: str(value) for key, value in parameters.items()}
        self._store: KeyStoreDriver | None = None
        self._runs: dict[str, Callable[[], None]] = {
            "create": self.create,
            "grow": lambda: self.scale(2),
            "shrink": lambda: self.scale(0),
            "back": lambda: self.scale(1),
            "key-store-create": self._create_store,
            "key-store-delete": lambda: _delete(self._existing_store()),
            "delete": lambda: _delete(self._driver),
        }

    def run(self, chosen: Collection[str]) -> Iterator[Measurement]:
        """Run the chosen operations and what they need; yields those that were chosen."""
        names = with_needs(chosen)
        for name in names:
            if name == "key-store-create":
                self._prepare_store(on_stack="create" in names)
            measured = self.measure(name, self._runs[name])
            if name in chosen:
                yield measured

    def measure(self, name: str, run: Callable[[], None]) -> Measurement:
        """Run one operation and measure it."""
        admin = self._aws.admin
        # Time stands still between operations, so that the first event is the operation's.
        before, calls = len(admin.event_log()), len(admin.calls()["calls"])
        start = float(admin.clock()["elapsed"])
        memory = self._memory()
        run()
        events = admin.event_log()[before:]
        ends = [
            event["at"]
            for event in events
            if event["service"] == "cloudformation" and event["subject"] == event["stack"]
        ]
        return Measurement(
            name,
            waterfall(start, ends[-1], activities(events, admin.timings()), events),
            events,
            Counter(call["operation"] for call in admin.calls()["calls"][calls:]),
            memory | self._memory(),
        )

    def _memory(self) -> dict[str, float]:
        functions = self._aws.client("lambda").list_functions()["Functions"]
        return {each["FunctionName"]: each["MemorySize"] for each in functions}

    # Operations

    def create(self) -> None:
        """Create the cluster stack."""
        self._driver.request()
        self._driver.expect_stack("CREATE_COMPLETE")

    def scale(self, hsms: int) -> None:
        """Change the number of HSMs per subnet."""
        self.request_hsms(hsms)
        self._driver.expect_stack("UPDATE_COMPLETE")

    def request_hsms(self, hsms: int) -> None:
        """Change the number of HSMs per subnet; the update may fail."""
        self._driver.request(pHsmsPerSubnet=hsms)

    def status(self) -> str:
        """The cluster stack's status."""
        return self._driver.stack.status() or ""

    def active_hsms(self) -> int:
        """The number of ACTIVE HSMs of the stack's cluster."""
        return sum(hsm["State"] == "ACTIVE" for hsm in self._driver.cluster()["Hsms"])

    def _prepare_store(self, *, on_stack: bool) -> None:
        wanted = {"pDeleteKeyStoreUponStackDeletion": "true"}
        if on_stack:
            self._store = on_stack_cluster(self._driver, **wanted)
        else:
            self._store, _ = on_existing_cluster(self._driver, **wanted)

    def _existing_store(self) -> KeyStoreDriver:
        if self._store is None:
            raise ValueError("no key store has been created")
        return self._store

    def _create_store(self) -> None:
        store = self._existing_store()
        store.request()
        store.expect_stack("CREATE_COMPLETE")
        store.expect_store("CONNECTED")


def _delete(driver: StackDriver) -> None:
    driver.delete()
    driver.expect_stack("DELETE_COMPLETE")


def with_needs(chosen: Collection[str]) -> list[str]:
    """The chosen operations and what they need, in the order in which they run."""
    names = set(chosen)
    for name in chosen:
        names.update(OPERATIONS[name].needs)
    if {"key-store-create", "delete"} <= names:
        # A cluster with a CONNECTED key store is not deleted.
        names.add("key-store-delete")
    return [name for name in OPERATIONS if name in names]
