"""Which checks a template needs, and what becomes of a check that cannot read the account."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from hsm_lifecycle.errors import ParameterError
from scripts.preflight import parameters
from scripts.preflight.account import UnreadableError, error_code
from scripts.preflight.checks import (
    backup,
    client_image,
    client_network,
    key_store,
    names,
    quotas,
    rights,
    service_roles,
    subnets,
    values,
)
from scripts.preflight.findings import ERROR, Check, Finding
from scripts.preflight.subject import Subject
from scripts.stack.assignments import unknown_parameter


@dataclass(frozen=True)
class Step:
    """A check, and the parameters without whose valid values it is left out."""

    check: Check
    run: Callable[[Subject], Iterator[Finding]]
    needs: tuple[str, ...] = ()


_NAMES = ("pSystem", "pEnvPurpose")
_CLIENT = ("pClientSubnet", "pClientVpcId")
CLUSTER_STEPS = (
    Step(values.CHECK, values.new_cluster, ("pSubnets", "pHsmsPerSubnet", *_CLIENT)),
    Step(rights.CHECK, rights.rights, _NAMES),
    Step(quotas.CHECK, quotas.clusters),
    Step(quotas.CHECK, quotas.hsms, ("pSubnets", "pHsmsPerSubnet", *_CLIENT)),
    Step(service_roles.CHECK, service_roles.service_linked_role),
    Step(subnets.CHECK, subnets.subnets, ("pSubnets",)),
    Step(subnets.CHECK, subnets.addresses, ("pSubnets", "pHsmsPerSubnet")),
    Step(subnets.CHECK, subnets.zones, ("pSubnets",)),
    Step(client_network.CHECK, client_network.vpc, (*_CLIENT, "pSubnets")),
    Step(client_network.CHECK, client_network.routes, _CLIENT),
    Step(client_image.CHECK, client_image.image, ("pClientSubnet", "pClientType", "pClientAmiId")),
    Step(client_image.PACKAGE, client_image.package, ("pClientPkgUrl",)),
    Step(names.CHECK, names.names, (*_NAMES, "pClientVpcId")),
    Step(backup.CHECK, backup.backup, ("pBackupId", "pSubnets", "pHsmsPerSubnet", *_CLIENT)),
)
_CLUSTER = ("pCloudHsmClusterId",)
KEY_STORE_STEPS = (
    Step(rights.CHECK, rights.rights, _NAMES),
    Step(quotas.CHECK, quotas.key_stores),
    Step(service_roles.CHECK, service_roles.service_linked_role),
    Step(key_store.CLUSTER, key_store.cluster, (*_CLUSTER, "pExistingKeyStoreId")),
    Step(key_store.ADDRESSES, key_store.addresses, _CLUSTER),
    Step(key_store.NAME, key_store.name, ("pKeyStoreName", "pExistingKeyStoreId")),
    Step(key_store.CA, key_store.ca_certificate, (*_CLUSTER, "pCloudHsmCustCaCertSecretName")),
    Step(key_store.ADMIN, key_store.admin_secret, ("pCloudHsmAdminPasswordSecretName",)),
    Step(key_store.CLIENT, key_store.client, ("pClientInstanceId", *_CLUSTER)),
    Step(
        key_store.CLIENT,
        key_store.client_rights,
        (
            "pClientInstanceId",
            "pCloudHsmCustCaCertSecretName",
            "pCloudHsmAdminPasswordSecretName",
        ),
    ),
    Step(names.CHECK, names.names, _NAMES),
    Step(names.CHECK, names.password_secret, _NAMES),
)


def findings(subject: Subject) -> Iterator[Finding]:
    """All findings, in the order of the checks."""
    invalid = set()
    for finding, name in _values(subject):
        invalid.add(name)
        yield finding
    if not invalid:
        yield values.CHECK.ok(f"{len(subject.given)} given, all of the template's form")
    for step in CLUSTER_STEPS if subject.creates_cluster else KEY_STORE_STEPS:
        if missing := sorted(invalid.intersection(step.needs)):
            what = step.run.__name__.replace("_", " ")
            yield step.check.warning(
                f"{what}: not checked.", f"Correct {', '.join(missing)}, then run preflight again."
            )
            continue
        yield from _run(step, subject)


def _values(subject: Subject) -> Iterator[tuple[Finding, str]]:
    """The errors of parameters, each with the parameter's name."""
    declared = subject.template["Parameters"]
    for name in sorted(set(subject.given) - set(declared)):
        yield values.CHECK.error(f"{name}: {unknown_parameter(name, declared)}"), name
    for name in declared:
        if name not in subject.parameters:
            yield values.CHECK.error(f"{name}: a new stack requires it."), name
    for name, problem in parameters.constraint_problems(subject.template, subject.parameters):
        yield values.CHECK.error(f"{name}: {problem}."), name
    if all(name in subject.parameters for name in declared):
        for description in subject.resolver.broken_rules():
            yield values.CHECK.error(description), ""


def _run(step: Step, subject: Subject) -> Iterator[Finding]:
    """A check's findings; what it cannot tell is a warning, never ok."""
    try:
        yield from step.run(subject)
    except UnreadableError as unreadable:
        yield step.check.warning(f"not checked: {unreadable} is denied.", f"Ask for {unreadable}.")
    except ParameterError as error:
        # The check of the parameters has said so.
        yield step.check.warning(f"not checked: {error}")
    except ClientError as error:
        text = f"{error.operation_name}: {error_code(error)}"
        yield step.check.warning(f"not checked: {text}.", "Run preflight again.")
    except BotoCoreError as error:
        yield step.check.warning(f"not checked: {error}", "Run preflight again.")


def has_errors(found: list[Finding]) -> bool:
    """Whether the creation would fail."""
    return any(each.level == ERROR for each in found)
