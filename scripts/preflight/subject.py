"""What is checked: a template with parameters in an account; what several checks read, once."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hsm_lifecycle.properties import ClusterProperties
from scripts.preflight.account import Account, Json
from scripts.preflight.parameters import (
    UNRESOLVED_IMAGE,
    Resolver,
    constraint_problems,
    values,
)
from scripts.templates import Template

CLUSTER, KEY_STORE = "rCloudHsmCluster", "rCloudHsmKeyStore"


@dataclass
class Subject:
    """A creation that was not requested yet."""

    account: Account
    template: Template
    given: Mapping[str, str]
    # Names of the stack and of the bucket for its artifacts, if they are known.
    stack: str = ""
    bucket: str = ""

    @functools.cached_property
    def parameters(self) -> dict[str, str]:
        """The parameters' values."""
        return values(self.template, self.given)

    @functools.cached_property
    def has_broken_constraints(self) -> bool:
        """Whether a parameter breaks a constraint of the template."""
        return any(constraint_problems(self.template, self.parameters))

    @property
    def creates_cluster(self) -> bool:
        """Whether the template creates a cluster rather than a key store."""
        return CLUSTER in self.template["Resources"]

    @property
    def subnets(self) -> list[str]:
        """The subnets of pSubnets."""
        return [each.strip() for each in self.parameters["pSubnets"].split(",") if each.strip()]

    @property
    def prefix(self) -> str:
        """How the names of the stack's resources begin."""
        return f"{self.parameters['pSystem']}-{self.parameters['pEnvPurpose']}"

    @functools.cached_property
    def caller(self) -> Json:
        """Account and ARN of the caller; every caller may ask."""
        return self.account.ask("sts", "get_caller_identity")

    @functools.cached_property
    def resolver(self) -> Resolver:
        """Resolves functions of the template with these parameters."""
        pseudo = {
            "AWS::AccountId": self.caller["Account"],
            "AWS::Partition": self.account.partition,
            "AWS::Region": self.account.region,
            "AWS::StackName": self.stack or "preflight",
            "AWS::StackId": self.arn("cloudformation", f"stack/{self.stack or 'preflight'}/id"),
            "AWS::URLSuffix": "amazonaws.com",
        }
        return Resolver(self.template, self.parameters, pseudo)

    @functools.cached_property
    def cluster_properties(self) -> ClusterProperties:
        """What the workflow would read. ParameterError: it would refuse a value."""
        given = self.template["Resources"][CLUSTER]["Properties"]
        resolved: dict[str, Any] = self.resolver.resolve(given)
        if not resolved["Client"]["ImageId"].startswith("ami-"):
            resolved["Client"]["ImageId"] = UNRESOLVED_IMAGE
        return ClusterProperties.parse({name: _texts(each) for name, each in resolved.items()})

    def arn(self, service: str, resource: str, *, is_global: bool = False) -> str:
        """An ARN in this account and Region."""
        region = "" if is_global else self.account.region
        account = self.caller["Account"]
        return f"arn:{self.account.partition}:{service}:{region}:{account}:{resource}"

    # --- What several checks read

    @functools.cached_property
    def clusters(self) -> list[Json]:
        """The clusters of the account in this Region that are not deleted."""
        listed = self.account.pages("cloudhsmv2", "describe_clusters", "Clusters")
        return [cluster for cluster in listed if cluster["State"] != "DELETED"]

    @functools.cached_property
    def key_stores(self) -> list[Json]:
        """The key stores of the account in this Region, external ones included."""
        return list(self.account.pages("kms", "describe_custom_key_stores", "CustomKeyStores"))

    @functools.cached_property
    def described_subnets(self) -> list[Json]:
        """The subnets of pSubnets that exist."""
        return self.find_subnets(self.subnets)

    def find_subnets(self, ids: list[str]) -> list[Json]:
        """The subnets with these IDs that exist."""
        return list(
            self.account.pages(
                "ec2",
                "describe_subnets",
                "Subnets",
                Filters=[{"Name": "subnet-id", "Values": [*dict.fromkeys(ids)]}],
            )
        )

    @functools.cached_property
    def client_subnet(self) -> Json | None:
        """The subnet of pClientSubnet; None if it does not exist."""
        return next(iter(self.find_subnets([self.parameters["pClientSubnet"]])), None)


def _texts(value: Any) -> Any:
    """A property as CloudFormation sends it: numbers as text (F6.12)."""
    if isinstance(value, dict):
        return {name: _texts(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_texts(each) for each in value]
    return str(value)
