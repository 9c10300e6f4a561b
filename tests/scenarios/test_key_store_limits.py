"""Connecting and disconnecting a key store ends within the time limits, however slow KMS is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from localaws.client import LocalAws
from rehearsal.drivers.key_store import RETAINED_BY_KMS, KeyStoreDriver
from rehearsal.drivers.stack import StackDriver
from rehearsal.events import WORKFLOW_ENDS
from rehearsal.fixtures import existing_cluster

pytestmark = pytest.mark.long

# Virtual seconds.
NEVER = 90000
CONNECT_LIMIT = 2700
DISCONNECT_LIMIT = 900
DELETE_WITH_STACK = {"pDeleteKeyStoreUponStackDeletion": "true"}


@contextmanager
def key_store(**timings: int) -> Iterator[KeyStoreDriver]:
    """A driver for a key store on an existing cluster, with these timings."""
    with LocalAws(timings=timings) as aws:
        yield KeyStoreDriver(
            StackDriver(aws), {**existing_cluster(aws).parameters, **DELETE_WITH_STACK}
        )


def durations(store: KeyStoreDriver, machine: str) -> list[float]:
    """The duration of each execution of a state machine."""
    starts: dict[str, float] = {}
    found = []
    for event in store.admin.event_log():
        if event["subject"] == f"cloudhsm-ks-1-{machine}" and "execution" in event:
            starts.setdefault(event["execution"], event["at"])
            if event["event"] in WORKFLOW_ENDS:
                found.append(event["at"] - starts[event["execution"]])
    return found


def test_a_connection_that_never_ends_times_out() -> None:
    with key_store(connect=NEVER) as store:
        store.request()
        store.expect_stack("ROLLBACK_COMPLETE")
        store.expect_reason("KeyStoreStuck", "still CONNECTING after 44 minutes", "pReconcile")
        (seconds,) = durations(store, "connect-key-store")
        assert seconds <= CONNECT_LIMIT
        store.delete()
        store.expect_retained(RETAINED_BY_KMS)


def test_a_slow_failure_leaves_time_for_repair_and_reconnection() -> None:
    with key_store(connect=1150) as store:
        store.fault(connect="USER_NOT_FOUND")
        store.request()
        store.expect_stack("CREATE_COMPLETE")
        store.expect_store("CONNECTED")
        assert store.connection_attempts() == 2
        (seconds,) = durations(store, "connect-key-store")
        assert seconds <= CONNECT_LIMIT


def test_a_reconnection_that_is_too_slow_times_out() -> None:
    with key_store(connect=1300) as store:
        store.fault(connect="USER_NOT_FOUND")
        store.request()
        store.expect_stack("ROLLBACK_COMPLETE")
        store.expect_reason("KeyStoreStuck", "still CONNECTING after 44 minutes", "pReconcile")
        assert store.connection_attempts() == 2
        (seconds,) = durations(store, "connect-key-store")
        assert seconds <= CONNECT_LIMIT
        store.delete()
        store.expect_retained(RETAINED_BY_KMS)


def test_a_repair_with_an_unresponsive_client_times_out() -> None:
    with key_store(connect=1300, disconnect=800) as store:
        store.fault(connect="USER_NOT_FOUND")
        store.fault(operation="ConnectCustomKeyStore", pause=True)
        store.start()
        with store.while_paused():
            store.fault(agent="never")
        store.wait()
        store.expect_stack("ROLLBACK_COMPLETE")
        store.expect_reason("connect-key-store did not end within its time limit")
        (seconds,) = durations(store, "connect-key-store")
        assert seconds <= CONNECT_LIMIT
        store.delete()
        store.expect_retained(RETAINED_BY_KMS)


def test_a_deletion_times_out_if_the_key_store_never_disconnects() -> None:
    with key_store(connect=31, disconnect=NEVER) as store:
        store.request()
        store.expect_store("CONNECTED")
        start = store.admin.clock()["elapsed"]
        store.delete()
        store.expect_stack("DELETE_FAILED")
        store.expect_reason("KeyStoreStuck", "still DISCONNECTING after 14 minutes")
        assert store.admin.clock()["elapsed"] - start <= DISCONNECT_LIMIT + 60
        (seconds,) = durations(store, "disconnect-key-store")
        assert seconds <= DISCONNECT_LIMIT

        # Once KMS has finished, the stack can be deleted.
        store.admin.advance(NEVER)
        store.delete()
        store.expect_stack("DELETE_COMPLETE")
        store.expect_retained(RETAINED_BY_KMS)
