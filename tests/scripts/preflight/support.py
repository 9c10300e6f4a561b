"""Preflights in a local AWS, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from localaws.client import LocalAws
from rehearsal.fixtures import ExistingCluster
from scripts import templates
from scripts.preflight import plan
from scripts.preflight.account import Account
from scripts.preflight.findings import Finding
from scripts.preflight.subject import Subject

CLUSTER, KEY_STORE = (
    templates.load(Path("templates") / f"{name}.yml") for name in ("cloudhsm", "cloudhsm-key-store")
)
Steps = tuple[plan.Step, ...]


class Session(boto3.Session):  # type: ignore[misc] # boto3 has no type information
    """A session whose clients talk to a local AWS; each is made once."""

    def __init__(self, aws: LocalAws, credentials: Mapping[str, str] | None = None) -> None:
        keys = credentials or {
            "AccessKeyId": aws.access_key_id,
            "SecretAccessKey": aws.secret_access_key,
        }
        super().__init__(
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys.get("SessionToken"),
            region_name=aws.region,
        )
        self._endpoint = aws.endpoint
        self._made: dict[str, Any] = {}

    def client(self, service: str, **_: Any) -> Any:
        """The client of a service, without retries."""
        if service not in self._made:
            self._made[service] = super().client(
                service,
                endpoint_url=self._endpoint,
                config=Config(proxies={}, retries={"total_max_attempts": 1}),
            )
        return self._made[service]


@dataclass
class Laboratory:
    """A local AWS with an existing cluster, and what preflights of it need."""

    aws: LocalAws
    cluster: ExistingCluster
    session: Session

    def cluster_parameters(self, **changes: str) -> dict[str, str]:
        """Parameters with which a cluster's stack would be created."""
        return {
            "pSubnets": ",".join(self.aws.subnets[:2]),
            "pClientVpcId": self.aws.vpc,
            "pClientSubnet": self.aws.subnets[0],
            **changes,
        }

    def key_store_parameters(self, **changes: str) -> dict[str, str]:
        """Parameters with which a key store's stack would be created."""
        return {"pKeyStoreName": "new", **self.cluster.parameters, **changes}

    def subject(self, template: templates.Template, given: Mapping[str, str]) -> Subject:
        """A creation by the root user."""
        return Subject(Account(self.session), template, given)

    def network(self, number: int) -> tuple[str, str]:
        """A VPC of its own with a subnet of eleven addresses, and no way out."""
        ec2 = self.aws.client("ec2")
        vpc = ec2.create_vpc(CidrBlock=f"10.{number}.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.{number}.0.0/28", AvailabilityZone=f"{self.aws.region}a"
        )
        return vpc, subnet["Subnet"]["SubnetId"]


def findings(subject: Subject, monkeypatch: pytest.MonkeyPatch, *names: str) -> list[Finding]:
    """The findings of the checks with these names only; all if there is none."""
    for steps in ("CLUSTER_STEPS", "KEY_STORE_STEPS"):
        all_: Steps = getattr(plan, steps)
        some = tuple(step for step in all_ if not names or step.check.name in names)
        monkeypatch.setattr(plan, steps, some)
    return list(plan.findings(subject))


@contextmanager
def failing(account: Account, operation: str, code: str) -> Iterator[None]:
    """An account in which one operation fails with this code."""
    ask = account.ask

    def fail(service: str, name: str, **request: Any) -> Any:
        if name == operation:
            raise ClientError({"Error": {"Code": code, "Message": code}}, operation)
        return ask(service, name, **request)

    account.__dict__["ask"] = fail
    yield
    del account.__dict__["ask"]


Change = Callable[[Laboratory, Subject], object]
