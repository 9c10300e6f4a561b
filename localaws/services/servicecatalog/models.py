"""Records of the Service Catalog model, and what it needs of CloudFormation."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from localaws.core.api_error import ApiError

Json = dict[str, Any]
Tags = dict[str, str]

_LETTERS = string.ascii_lowercase + "234567"


def new_id(prefix: str) -> str:
    """An id such as prod-abcdefghijklm."""
    return f"{prefix}-{''.join(secrets.choice(_LETTERS) for _ in range(13))}"


def not_found(what: str) -> ApiError:
    """The error for something that does not exist, or that the caller may not see."""
    return ApiError("ResourceNotFoundException", f"{what} not found.")


def invalid(problem: str) -> ApiError:
    """The error for a request that does not fit the product."""
    return ApiError("InvalidParametersException", problem)


class Stacks(Protocol):
    """CloudFormation, called with the rights of a launch role."""

    def read_template(self, url: str) -> str:
        """The text of a template in S3."""

    def parse(self, template: str) -> Json:
        """A template with its functions in long form."""

    def create(self, role: str, source: str, name: str, template: Json, given: Given) -> None:
        """Assume the role, on behalf of a resource, and create a stack."""

    def update(self, role: str, source: str, name: str, template: Json, given: Given) -> None:
        """Assume the role and update a stack."""

    def delete(self, role: str, source: str, name: str) -> None:
        """Assume the role and delete a stack."""

    def describe(self, name: str) -> Json | None:
        """The stack's StackId, StackStatus and Outputs."""

    def failure(self, name: str) -> str:
        """Why the latest operation on a stack failed."""


@dataclass(frozen=True)
class Given:
    """The parameters and tags of a stack operation; a value of None keeps the previous one."""

    parameters: Mapping[str, str | None]
    tags: Tags


@dataclass
class Artifact:
    """A version of a product: a copy of the template, made when it was added."""

    id: str
    name: str
    url: str
    description: str
    template: str


@dataclass
class Product:
    """A product with its versions, oldest first."""

    id: str
    arn: str
    properties: Json
    artifacts: list[Artifact] = field(default_factory=list)

    def artifact(self, request: Mapping[str, Any]) -> Artifact:
        """The version that a request names by id or name."""
        for each in self.artifacts:
            if request.get("ProvisioningArtifactId") == each.id:
                return each
            if request.get("ProvisioningArtifactName") == each.name:
                return each
        raise not_found("Provisioning artifact")


@dataclass
class Portfolio:
    """A portfolio, the products in it and the principals with access."""

    id: str
    arn: str
    properties: Json
    products: list[str] = field(default_factory=list)
    principals: list[str] = field(default_factory=list)
    tag_options: list[str] = field(default_factory=list)


@dataclass
class Constraint:
    """A constraint on a product of a portfolio."""

    id: str
    kind: str
    portfolio: str
    product: str
    parameters: Json


@dataclass
class Record:
    """An operation on a provisioned product."""

    id: str
    kind: str
    token: str
    created: float
    # What the stack's status is once the operation has succeeded or failed.
    succeeded: Sequence[str]
    failed: Sequence[str]
    status: str = "IN_PROGRESS"
    errors: list[Json] = field(default_factory=list)


@dataclass
class Provisioned:
    """A provisioned product: a stack."""

    id: str
    arn: str
    name: str
    product: str
    artifact: str
    portfolio: str
    principal: str
    stack: str
    tags: Tags
    created: float
    records: list[Record] = field(default_factory=list)
    status: str = "UNDER_CHANGE"
