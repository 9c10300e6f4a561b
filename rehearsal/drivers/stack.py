"""The words in which a scenario is told: deploy, break, compare the inventory with what must be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from localaws.client import LocalAws, until
from rehearsal.checks.leak_check import things
from rehearsal.drivers.deployment import DeployError, Stack
from rehearsal.report.live import Step

Json = dict[str, Any]

# The repository's own, linked to where the zip with wheels for this machine is.
CLUSTER_TEMPLATE = "build/rehearsal/templates/cloudhsm.yml"
# What CloudHSM makes for itself with the first cluster, and does not take away.
LEFT_BY_CLOUDHSM = (
    "log group /aws/cloudhsm/{cluster}",
    "role AWSServiceRoleForCloudHSM",
)
# What a cluster that was ever ACTIVE leaves behind on purpose: its backups need the two secrets.
LEFT_WITH_BACKUPS = (
    *LEFT_BY_CLOUDHSM,
    "backup of {cluster}",
    "secret /cloudhsm/{cluster}/customer-ca-cert",
    "secret /cloudhsm/{cluster}/initial-crypto-officer-password",
)


class NotAsExpectedError(AssertionError):
    """Reality, as the inventory shows it, is not what the scenario expects here."""


def announce_to_nobody(step: Step) -> None:
    """Announce a step to nobody."""


class StackDriver:
    """One scenario's stack in a local AWS, told step by step."""

    def __init__(self, aws: LocalAws, began: Callable[[Step], None] = announce_to_nobody) -> None:
        self.aws, self.admin = aws, aws.admin
        self.steps: list[Step] = []
        self._began = began
        self._before = things(self.admin.inventory())
        self._beside: list[StackDriver] = []
        self.stack = Stack(
            aws,
            "hsm",
            CLUSTER_TEMPLATE,
            pSubnets=",".join(aws.subnets[:2]),
            pClientVpcId=aws.vpc,
            pClientSubnet=aws.subnets[0],
        )

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Name what happens inside, and measure it until no workflow is running any more."""
        step = Step(name, self._elapsed())
        self.steps.append(step)
        self._began(step)
        try:
            yield
            until(self.admin.rests, "workflows were still running")
        except BaseException as failure:
            step.finish(self._elapsed(), str(failure) or type(failure).__name__)
            raise
        step.finish(self._elapsed())

    def _elapsed(self) -> float:
        return float(self.admin.clock()["elapsed"])

    # Doing

    def deploy(self, **changes: object) -> None:
        """`make deploy` with these parameters changed, to its end, good or bad."""
        self.stack.deploy(**changes)

    def start(self, **changes: object) -> None:
        """Ask CloudFormation for the stack with these parameters changed, and go on at once."""
        self.stack.start(**changes)

    def cancel(self) -> None:
        """Cancel the update that is under way, and go on at once."""
        self.stack.cancel()

    def wait(self) -> None:
        """Let what was started come to its end, good or bad."""
        self.stack.wait()

    def request(self, **changes: object) -> None:
        """Ask CloudFormation as `start` does, and wait for the end; quicker than `make deploy`."""
        self.start(**changes)
        self.wait()

    def delete(self) -> None:
        """Ask CloudFormation to delete the stack, and wait for the end, good or bad."""
        self.stack.start_delete()
        self.wait()

    def destroy(self) -> None:
        """`make destroy`, to its end, good or bad."""
        self.stack.destroy()

    def beside(self, name: str, **parameters: object) -> StackDriver:
        """Another stack of the same template in the same AWS; its names begin otherwise."""
        other = StackDriver(self.aws, self._began)
        other.steps = self.steps
        self._beside.append(other)
        other.stack = Stack(
            self.aws,
            name,
            CLUSTER_TEMPLATE,
            **{**self.stack.parameters, "pEnvPurpose": name, **parameters},
        )
        return other

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Whatever is asked for inside, nothing is done to anything, and so nothing has changed."""
        before = self._around_the_cluster()
        with self._nothing_done_to("cluster-", "hsm-", "cks-", "i-"), self.cluster_untouched():
            yield
        for what, found in self._around_the_cluster().items():
            self.expect(what, found, before[what])

    @contextmanager
    def cluster_untouched(self) -> Iterator[None]:
        """Whatever is asked for inside, nothing is done to the cluster or to an HSM of it."""
        before = self.cluster()
        with self._nothing_done_to("cluster-", "hsm-"):
            yield
        self.expect("cluster", self.cluster(), before)

    @contextmanager
    def _nothing_done_to(self, *kinds: str) -> Iterator[None]:
        """The event_log tells of nothing that befalls what has an id of one of these kinds."""

        def told() -> list[str]:
            return [
                f"{event['event']} of {event['subject']}"
                for event in self.admin.event_log()
                if event["service"] in ("cloudhsm", "kms", "ec2")
                and event["subject"].startswith(kinds)
            ]

        before = told()
        yield
        self.expect("done", told()[len(before) :], [])

    def _around_the_cluster(self) -> Json:
        """What there is beside the cluster, as far as an update may change it: each by its name."""
        inventory = self.admin.inventory()
        groups = self.aws.client("ec2").describe_security_groups()["SecurityGroups"]
        secrets = self.aws.client("secretsmanager").list_secrets()["SecretList"]
        return {
            "key stores": inventory["kms"]["key_stores"],
            "instances": inventory["ec2"]["instances"],
            "rules of the security groups": {
                group["GroupId"]: (group["IpPermissions"], group["IpPermissionsEgress"])
                for group in groups
            },
            "versions of the secrets": {
                secret["Name"]: secret.get("SecretVersionsToStages") for secret in secrets
            },
        }

    def fault(self, fault: Json | None = None, /, **more: Any) -> None:
        """Plant a fault, as POST /faults of the admin API takes it."""
        self.admin.fault(fault, **more)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Act while time stands still, because of a fault {"operation": ..., "pause": true}."""
        self.admin.wait_for_pause()
        yield
        self.admin.resume()

    # Expecting

    def expect(self, what: str, found: object, wanted: object) -> None:
        """This is so, and nothing else."""
        if found != wanted:
            raise NotAsExpectedError(f"{what}: expected {wanted}, found {found}")

    def expect_refusal(self, words: str, **changes: object) -> None:
        """A deployment with these changes is refused in these words before it begins."""
        kept = dict(self.stack.parameters)
        try:
            self.start(**changes)
        except DeployError as refused:
            self.stack.parameters = kept
            if words not in str(refused):
                raise NotAsExpectedError(f"refusal: expected {words!r} in {refused}") from None
        else:
            raise NotAsExpectedError(f"refusal: expected {words!r}, but nothing was refused")

    def expect_stack(self, status: str) -> None:
        """The stack has come to rest in this status."""
        stacks = self.admin.inventory()["cloudformation"]["stacks"]
        found = [stack["status"] for stack in stacks if stack["name"] == self.stack.name]
        self.expect("stack", found[-1] if found else "DELETE_COMPLETE", status)

    def expect_reason(self, *words: str) -> None:
        """The first failure of the latest request says all of these."""
        reasons = self.stack.reasons()
        for word in words:
            if not reasons or word not in reasons[0]:
                raise NotAsExpectedError(f"reason: expected {word!r} in {reasons[:1]}")

    def _clusters(self) -> list[Json]:
        """The clusters that came since the scenario began, earliest first, deleted ones as well."""
        return [
            cluster
            for cluster in self.admin.inventory()["cloudhsm"]["clusters"]
            if f"cluster {cluster['ClusterId']}" not in self._before
        ]

    def cluster(self) -> Json:
        """The one cluster of this stack's time that is still there, and not of one beside it."""
        others = [cluster["ClusterId"] for other in self._beside for cluster in other._clusters()]
        clusters = [
            cluster
            for cluster in self._clusters()
            if cluster["State"] != "DELETED" and cluster["ClusterId"] not in others
        ]
        self.expect("clusters", len(clusters), 1)
        return clusters[0]

    def expect_cluster(self, *, state: str, hsms: int, zones: int = 0) -> Json:
        """The cluster is in this state and has so many HSMs, all ACTIVE, as many in each zone."""
        cluster = self.cluster()
        self.expect("cluster", cluster["State"], state)
        # AWS may go on listing an HSM that is gone (F1.28).
        there = [hsm for hsm in cluster["Hsms"] if hsm["State"] != "DELETED"]
        states = Counter(str(hsm["State"]) for hsm in there)
        self.expect("HSMs", dict(states), {"ACTIVE": hsms} if hsms else {})
        found = Counter(str(hsm["AvailabilityZone"]) for hsm in there)
        self.expect("zones", len(found), zones)
        self.expect("HSMs in each zone", set(found.values()), {hsms // zones} if zones else set())
        return cluster

    def expect_remaining(self, *names: str) -> None:
        """Of all that came since the scenario began exactly this is left; {cluster} is the last."""
        clusters = self._clusters()
        last = clusters[-1]["ClusterId"] if clusters else ""
        wanted = {name.format(cluster=last) for name in names}
        left = things(self.admin.inventory()) - self._before
        wrong = [f"{name} is missing" for name in sorted(wanted - left)]
        wrong += [f"{name} is left" for name in sorted(left - wanted)]
        if wrong:
            raise NotAsExpectedError("what remains: " + "; ".join(wrong))
