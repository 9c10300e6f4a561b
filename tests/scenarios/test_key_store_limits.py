"""However slow KMS is, connecting and disconnecting a key store ends in time, and in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from localaws.client import LocalAws
from rehearsal.drivers.key_store import RETAINED_BY_KMS, KeyStoreDriver
from rehearsal.drivers.stack import StackDriver
from rehearsal.fixtures import existing_cluster

# Virtual seconds.
NEVER = 90000
LIMIT_TO_CONNECT = 2700
LIMIT_TO_DISCONNECT = 900
ENDS = ("ExecutionSucceeded", "ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted")
TO_BE_DELETED = {"pDeleteKeyStoreUponStackDeletion": "true"}


@contextmanager
def key_store(**timings: int) -> Iterator[KeyStoreDriver]:
    """A key store to be, in an AWS that takes so long."""
    with LocalAws(timings=timings) as aws:
        yield KeyStoreDriver(
            StackDriver(aws), {**existing_cluster(aws).parameters, **TO_BE_DELETED}
        )


def durations(store: KeyStoreDriver, machine: str) -> list[float]:
    """How long each execution of a machine has taken."""
    began: dict[str, float] = {}
    taken = []
    for event in store.admin.event_log():
        if event["subject"] == f"cloudhsm-ks-1-{machine}" and "execution" in event:
            began.setdefault(event["execution"], event["at"])
            if event["event"] in ENDS:
                taken.append(event["at"] - began[event["execution"]])
    return taken


def test_a_connection_that_never_ends_is_ended() -> None:
    with key_store(connect=NEVER) as store:
        store.request()
        store.expect_stack("ROLLBACK_COMPLETE")
        store.expect_reason("KeyStoreStuck", "still CONNECTING after 44 minutes", "pReconcile")
        (seconds,) = durations(store, "connect-key-store")
        assert seconds <= LIMIT_TO_CONNECT
        store.delete()
        store.expect_retained(RETAINED_BY_KMS)


def test_a_repair_after_a_slow_failure_leaves_time_for_another_slow_connection() -> None:
    with key_store(connect=1150) as store:
        store.fault(connect="USER_NOT_FOUND")
        store.request()
        store.expect_stack("CREATE_COMPLETE")
        store.expect_store("CONNECTED")
        assert store.connection_attempts() == 2
        (seconds,) = durations(store, "connect-key-store")
        assert seconds <= LIMIT_TO_CONNECT


def test_a_repair_after_which_a_connection_takes_too_long_is_ended() -> None:
    with key_store(connect=1300) as store:
        store.fault(connect="USER_NOT_FOUND")
        store.request()
        store.expect_stack("ROLLBACK_COMPLETE")
        store.expect_reason("KeyStoreStuck", "still CONNECTING after 44 minutes", "pReconcile")
        assert store.connection_attempts() == 2
        (seconds,) = durations(store, "connect-key-store")
        assert seconds <= LIMIT_TO_CONNECT
        store.delete()
        store.expect_retained(RETAINED_BY_KMS)


def test_a_repair_for_which_the_client_is_too_slow_is_ended() -> None:
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
        assert seconds <= LIMIT_TO_CONNECT
        store.delete()
        store.expect_retained(RETAINED_BY_KMS)


def test_a_deletion_of_a_key_store_that_is_disconnecting_for_ever_is_ended() -> None:
    with key_store(connect=31, disconnect=NEVER) as store:
        store.request()
        store.expect_store("CONNECTED")
        began = store.admin.clock()["elapsed"]
        store.delete()
        store.expect_stack("DELETE_FAILED")
        store.expect_reason("KeyStoreStuck", "still DISCONNECTING after 14 minutes")
        assert store.admin.clock()["elapsed"] - began <= LIMIT_TO_DISCONNECT + 60
        (seconds,) = durations(store, "disconnect-key-store")
        assert seconds <= LIMIT_TO_DISCONNECT

        # Once KMS has come to an end, the stack can be deleted.
        store.admin.advance(NEVER)
        store.delete()
        store.expect_stack("DELETE_COMPLETE")
        store.expect_retained(RETAINED_BY_KMS)
