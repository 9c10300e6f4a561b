"""The vocabulary of scenarios: deploy the cluster template, inject faults, check the outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from localaws.client import LocalAws, until
from rehearsal.checks import leak_check
from rehearsal.drivers.deployment import DeployError, Stack
from rehearsal.drivers.step import Step, ignore_step
from rehearsal.events import Event

Json = dict[str, Any]

# The repository's template, linked next to the zip with this machine's wheels.
CLUSTER_TEMPLATE = "build/rehearsal/templates/cloudhsm.yml"
# Created by CloudHSM with the first cluster and never deleted by it.
RETAINED_BY_CLOUDHSM = (
    "log group /aws/cloudhsm/{cluster}",
    "role AWSServiceRoleForCloudHSM",
)
# Retained for every cluster that was ever ACTIVE: its backups need the two secrets, and AWS does
# not prove the identity of its HSM again.
RETAINED_WITH_BACKUPS = (
    *RETAINED_BY_CLOUDHSM,
    "backup of {cluster}",
    "HSM identity of {cluster}",
    "secret /cloudhsm/{cluster}/customer-ca-cert",
    "secret /cloudhsm/{cluster}/initial-crypto-officer-password",
)


class ExpectationError(AssertionError):
    """The local AWS is not in the state that the scenario expects."""


class StackDriver:
    """Drives one cluster stack in a local AWS and checks what becomes of it."""

    def __init__(self, aws: LocalAws, on_step: Callable[[Step], None] = ignore_step) -> None:
        self.aws, self.admin = aws, aws.admin
        self.steps: list[Step] = []
        self._on_step = on_step
        self._before = leak_check.resources(self.admin.inventory())
        self._other_stacks: list[StackDriver] = []
        self.stack = Stack(
            aws,
            "hsm",
            CLUSTER_TEMPLATE,
            pSubnets=",".join(aws.subnets[:2]),
            pClientVpcId=aws.vpc,
            pClientSubnet=aws.subnets[0],
        )

    # Steps

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """A named step; it ends once no workflow is running."""
        step = Step(name, self._elapsed())
        self.steps.append(step)
        self._on_step(step)
        try:
            yield
            until(self.admin.is_idle, "workflows were still running")
        except KeyboardInterrupt:
            raise  # the step was stopped: it has no end
        except BaseException as failure:
            step.finish(self._elapsed(), str(failure) or type(failure).__name__)
            raise
        step.finish(self._elapsed())

    def create_step(self, title: str, *, hsms: int, zones: int, **changes: object) -> Json:
        """A step that creates the stack with an ACTIVE cluster; returns the cluster."""
        with self.step(title):
            self.request(**changes)
            self.expect_stack("CREATE_COMPLETE")
            return self.expect_cluster(state="ACTIVE", hsms=hsms, zones=zones)

    def delete_step(self, *retained: str, title: str = "Delete") -> None:
        """A step that deletes the stack; exactly these resources remain."""
        with self.step(title):
            self.delete()
            self.expect_stack("DELETE_COMPLETE")
            self.expect_retained(*retained)

    def _elapsed(self) -> float:
        return float(self.admin.clock()["elapsed"])

    # Actions

    def deploy(self, **changes: object) -> None:
        """Run `make deploy` with these parameter changes and wait for the end."""
        self.stack.deploy(**changes)

    def start(self, **changes: object) -> None:
        """Create or update the stack with these parameter changes, without waiting."""
        self.stack.start(**changes)

    def cancel(self) -> None:
        """Cancel the running update, without waiting."""
        self.stack.cancel()

    def wait(self) -> None:
        """Wait until the stack operation has ended, successfully or not."""
        self.stack.wait()

    def request(self, **changes: object) -> None:
        """Create or update the stack and wait; faster than `make deploy`."""
        self.start(**changes)
        self.wait()

    def delete(self) -> None:
        """Delete the stack and wait for the end, successful or not."""
        self.stack.start_delete()
        self.wait()

    def destroy(self) -> None:
        """Run `make destroy` to its end."""
        self.stack.destroy()

    def second_stack(self, name: str, **parameters: object) -> StackDriver:
        """A driver for another stack of the template, with its own pEnvPurpose."""
        other = StackDriver(self.aws, self._on_step)
        other.steps = self.steps
        self._other_stacks.append(other)
        other.stack = Stack(
            self.aws,
            name,
            CLUSTER_TEMPLATE,
            **{**self.stack.parameters, "pEnvPurpose": name, **parameters},
        )
        return other

    def fault(self, fault: Json | None = None, /, **more: Any) -> None:
        """Inject a fault, as POST /faults of the admin API takes it."""
        self.admin.fault(fault, **more)

    @contextmanager
    def while_paused(self) -> Iterator[None]:
        """Wait for a fault {"operation": ..., "pause": true}, and resume time afterwards."""
        self.admin.wait_for_pause()
        yield
        self.admin.resume()

    # Observations

    def events(self, name: str) -> list[Event]:
        """All events of this name so far."""
        return [event for event in self.admin.event_log() if event["event"] == name]

    def _new_clusters(self) -> list[Json]:
        """Clusters created since the scenario started, oldest first, including deleted ones."""
        return [
            cluster
            for cluster in self.admin.inventory()["cloudhsm"]["clusters"]
            if f"cluster {cluster['ClusterId']}" not in self._before
        ]

    def cluster(self) -> Json:
        """The stack's cluster; fails unless there is exactly one."""
        others = [
            cluster["ClusterId"]
            for other in self._other_stacks
            for cluster in other._new_clusters()
        ]
        clusters = [
            cluster
            for cluster in self._new_clusters()
            if cluster["State"] != "DELETED" and cluster["ClusterId"] not in others
        ]
        self.expect("clusters", len(clusters), 1)
        return clusters[0]

    # Expectations

    def expect(self, what: str, found: object, expected: object) -> None:
        """Raises ExpectationError unless both values are equal."""
        if found != expected:
            raise ExpectationError(f"{what}: expected {expected}, found {found}")

    def expect_in(self, what: str, text: str, *parts: str) -> None:
        """Raises ExpectationError unless the text contains every part."""
        for part in parts:
            if part not in text:
                raise ExpectationError(f"{what}: expected {part!r} in {text!r}")

    def expect_rejected(self, message: str, **changes: object) -> None:
        """CloudFormation rejects these parameter changes with this message before it starts."""
        parameters = dict(self.stack.parameters)
        try:
            self.start(**changes)
        except DeployError as rejection:
            self.stack.parameters = parameters
            self.expect_in("rejection", str(rejection), message)
        else:
            raise ExpectationError(f"rejection: expected {message!r}, but the request was accepted")

    def expect_stack(self, status: str) -> None:
        """The stack has this status."""
        stacks = self.admin.inventory()["cloudformation"]["stacks"]
        found = [stack["status"] for stack in stacks if stack["name"] == self.stack.name]
        self.expect("stack", found[-1] if found else "DELETE_COMPLETE", status)

    def expect_reason(self, *parts: str) -> None:
        """The first failure reason of the latest request contains every part."""
        self.expect_in("reason", next(iter(self.stack.reasons()), ""), *parts)

    @contextmanager
    def expect_seconds(self, limit: float) -> Iterator[None]:
        """The block takes no more virtual seconds than the limit."""
        before = self._elapsed()
        yield
        elapsed = self._elapsed() - before
        self.expect(f"ended within {limit:g} s, after {elapsed:.0f}", elapsed <= limit, True)

    def expect_cluster(self, *, state: str, hsms: int, zones: int = 0) -> Json:
        """The cluster is in this state, with this many HSMs, all ACTIVE, evenly across zones."""
        cluster = self.cluster()
        self.expect("cluster", cluster["State"], state)
        # DescribeClusters may still list deleted HSMs (F1.28).
        present = [hsm for hsm in cluster["Hsms"] if hsm["State"] != "DELETED"]
        states = Counter(str(hsm["State"]) for hsm in present)
        self.expect("HSMs", dict(states), {"ACTIVE": hsms} if hsms else {})
        found = Counter(str(hsm["AvailabilityZone"]) for hsm in present)
        self.expect("zones", len(found), zones)
        self.expect("HSMs in each zone", set(found.values()), {hsms // zones} if zones else set())
        return cluster

    def expect_retained(self, *names: str) -> None:
        """Exactly these new resources exist; {cluster} stands for the newest cluster's ID."""
        clusters = self._new_clusters()
        newest = clusters[-1]["ClusterId"] if clusters else ""
        expected = [name.format(cluster=newest) for name in names]
        found = leak_check.resources(self.admin.inventory()) - self._before
        if differences := leak_check.differences(found, expected):
            raise ExpectationError("leak check: " + "; ".join(differences))

    @contextmanager
    def expect_no_changes(self) -> Iterator[None]:
        """Requests inside the block change no cluster, HSM, key store, instance, rule or secret."""
        before = self._surroundings()
        kinds = ("cluster-", "hsm-", "cks-", "i-")
        with self._expect_no_events(*kinds), self.expect_no_cluster_changes():
            yield
        for what, found in self._surroundings().items():
            self.expect(what, found, before[what])

    @contextmanager
    def expect_no_cluster_changes(self) -> Iterator[None]:
        """Requests inside the block change neither the cluster nor its HSMs."""

        def lasting() -> Json:
            # AWS stops listing an HSM that is DELETED, without a request.
            cluster = self.cluster()
            hsms = [hsm for hsm in cluster["Hsms"] if hsm["State"] != "DELETED"]
            return {**cluster, "Hsms": hsms}

        before = lasting()
        with self._expect_no_events("cluster-", "hsm-"):
            yield
        self.expect("cluster", lasting(), before)

    @contextmanager
    def _expect_no_events(self, *prefixes: str) -> Iterator[None]:
        """The block causes no events for subjects whose ID has one of these prefixes."""

        def events() -> list[str]:
            return [
                f"{event['event']} of {event['subject']}"
                for event in self.admin.event_log()
                if event["service"] in ("cloudhsm", "kms", "ec2")
                and event["subject"].startswith(prefixes)
                and not event["event"].endswith(" refused")
            ]

        before = events()
        yield
        self.expect("events", events()[len(before) :], [])

    def _surroundings(self) -> Json:
        """Everything except the cluster that an update could change, by kind."""
        inventory = self.admin.inventory()
        groups = self.aws.client("ec2").describe_security_groups()["SecurityGroups"]
        secrets = self.aws.client("secretsmanager").list_secrets()["SecretList"]
        return {
            "key stores": inventory["kms"]["key_stores"],
            "instances": inventory["ec2"]["instances"],
            "security group rules": {
                group["GroupId"]: (group["IpPermissions"], group["IpPermissionsEgress"])
                for group in groups
            },
            "secret versions": {
                secret["Name"]: secret.get("SecretVersionsToStages")
                for secret in secrets
                # Those without a path belong to a template, not to a cluster.
                if secret["Name"].startswith("/")
            },
        }
