"""Stack creations that fail: the stack event gives step and cause, and nothing is left behind."""

from __future__ import annotations

from rehearsal.drivers.stack import RETAINED_BY_CLOUDHSM, RETAINED_WITH_BACKUPS, StackDriver

# For `quota_exhausted` and `quota_nearly_exhausted`.
NO_HSM, ONE_HSM = ("--quotas", '{"hsms": 0}'), ("--quotas", '{"hsms": 1}')
# For `create_times_out`.
SLOW_INITIALIZATION = ("--timings", '{"initialize": 5003}')


def quota_exhausted(driver: StackDriver) -> None:
    """The HSM quota is 0: no first HSM in any subnet; cluster and secrets are deleted."""
    with driver.step("Create: no HSM allowed"):
        driver.request()
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_reason("CreateFirstHsm", "You have reached the limit of 0 HSMs", "[cluster-")
        # CloudHSM creates the log group with the first HSM.
        driver.expect_retained("role AWSServiceRoleForCloudHSM", "stack hsm")

    driver.delete_step("role AWSServiceRoleForCloudHSM")


def quota_nearly_exhausted(driver: StackDriver) -> None:
    """The HSM quota is 1: the second HSM fails; the cluster was ACTIVE, so a backup remains."""
    with driver.step("Create: one HSM allowed"):
        driver.request()
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_reason("CreateHsm", "You have reached the limit of 1 HSMs", "[cluster-")
        driver.expect_retained(*RETAINED_WITH_BACKUPS, "stack hsm")

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def activation_fails(driver: StackDriver) -> None:
    """The CLI refuses to list users or to activate: the creation rolls back and reports it."""
    logs: list[str] = []
    for command, codes in (
        ("user list", {"exit": 0, "error_code": 1}),
        ("cluster activate", {"exit": 1, "error_code": 0}),
    ):
        with driver.step(f"Create: {command} fails"):
            driver.fault(cli=command, data="no route to HSM", times=5, **codes)
            driver.request()
            driver.expect_stack("ROLLBACK_COMPLETE")
            driver.expect_reason(f"cloudhsm-cli {command}: no route to HSM", "[cluster-")
            driver.expect_retained(*RETAINED_BY_CLOUDHSM, "stack hsm", *logs)
            newest = driver.admin.inventory()["cloudhsm"]["clusters"][-1]["ClusterId"]
            logs.append(f"log group /aws/cloudhsm/{newest}")
            driver.delete()

    driver.expect_retained("role AWSServiceRoleForCloudHSM", *logs)


def activation_retried(driver: StackDriver) -> None:
    """HSMs refuse commands for a while, and the activation's response is lost: it succeeds."""
    with driver.step("Create: two lists fail, and the activation's response is lost"):
        driver.fault(cli="user list", times=2)
        driver.fault(cli="cluster activate", when="after")
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        driver.expect("activations", len(driver.events("activate")), 1)

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def activation_lost(driver: StackDriver) -> None:
    """The activation's result is lost, or unknown until the time limit: the cluster is kept."""
    # The commands are: install, configure, activate.
    with driver.step("Create: the function dies after the activation"):
        driver.fault(operation="SendCommand", skip=2, pause=True)
        driver.start()
        with driver.while_paused():
            driver.fault({"lambda": "client", "step": "DescribeCommand", "times": 7})
        driver.wait()
        _expect_activated(driver)

    driver.delete_step(*RETAINED_WITH_BACKUPS)

    with driver.step("Create: the activation outlasts its time limit"):
        first = driver.admin.inventory()["cloudhsm"]["clusters"][0]["ClusterId"]
        driver.fault(operation="SendCommand", skip=2, pause=True)
        driver.start()
        with driver.while_paused():
            # All looks within the 1260 s of run-on-client.
            driver.fault(operation="GetCommandInvocation", code="InvocationDoesNotExist", times=107)
        driver.wait()
        _expect_activated(driver)

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        retained = [name.format(cluster=first) for name in RETAINED_WITH_BACKUPS]
        driver.expect_retained(*RETAINED_WITH_BACKUPS, *retained)


def _expect_activated(driver: StackDriver) -> None:
    driver.expect_stack("CREATE_COMPLETE")
    cluster = driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
    activations = [e for e in driver.events("activate") if e["subject"] == cluster["ClusterId"]]
    driver.expect("activations", len(activations), 1)


def create_times_out(driver: StackDriver) -> None:
    """Initialization takes over an hour: the workflow times out; deletion waits, then deletes."""
    with driver.step("Create: initialization does not end in time"):
        driver.request()
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_reason(
            "DescribeCluster: The cluster is still INITIALIZE_IN_PROGRESS", "[cluster-"
        )
        driver.expect_retained(*RETAINED_BY_CLOUDHSM, "stack hsm")

    driver.delete_step(*RETAINED_BY_CLOUDHSM)


def create_delivered_twice(driver: StackDriver) -> None:
    """The create event is delivered twice, at once or during rollback: one cluster is created."""
    with driver.step("Create: fails, and the event is delivered again during rollback"):
        driver.fault(script="ActivateCluster", exit=1, stderr="no route to HSM")
        driver.fault(deliver="twice", request="Create", after="Delete")
        driver.request()
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_reason("ActivateCluster", "no route to HSM", "[cluster-")
        driver.expect("events during the deletion", _during_deletion(driver), ["DeliveredAgain"])
        driver.expect_retained(*RETAINED_BY_CLOUDHSM, "stack hsm")
        first = driver.admin.inventory()["cloudhsm"]["clusters"][0]["ClusterId"]

    with driver.step("Delete, and create with an event delivered twice at once"):
        driver.delete()
        driver.fault(deliver="twice", request="Create")
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        driver.expect("calls of CreateCluster", len(driver.events("CreateCluster")), 2)

    driver.delete_step(f"log group /aws/cloudhsm/{first}", *RETAINED_WITH_BACKUPS)


def _during_deletion(driver: StackDriver) -> list[str]:
    """The custom resource's events between the start and the end of its deletion."""
    events = [
        str(event["event"])
        for event in driver.admin.event_log()
        if event["service"] == "cloudformation" and event["subject"] == "rCloudHsmCluster"
    ]
    start, end = events.index("DELETE_IN_PROGRESS"), events.index("DELETE_COMPLETE")
    return events[start + 1 : end]
