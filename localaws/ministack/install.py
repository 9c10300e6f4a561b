"""Applies all patches, in the order in which they build on each other."""

from __future__ import annotations

from typing import Any

from localaws.ministack import (
    authentication,
    buckets,
    cloudformation,
    creation_times,
    custom_resources,
    describe_filters,
    dynamic_references,
    ec2_offers,
    events,
    execution_lists,
    execution_logs,
    gateway,
    handler_permissions,
    iam,
    iam_policies,
    images,
    instances,
    lambda_functions,
    lambda_limits,
    nested_executions,
    network_interfaces,
    network_rules,
    parameter_pages,
    policy_simulation,
    records,
    resource_attributes,
    resource_records,
    resources,
    secret_versions,
    security_groups,
    service_catalog,
    service_catalog_resources,
    service_models,
    services,
    stack_exports,
    stack_statuses,
    state_machines,
    states_language,
    step_functions,
    taken_names,
    template_checks,
    template_urls,
    templates,
    wait_conditions,
)
from localaws.ministack.access import ministack
from localaws.state import EmulatorState


class Installed:
    """What the server needs of the patched ministack."""

    def __init__(self, emulator: EmulatorState) -> None:
        self._emulator = emulator
        gateway.install(emulator)
        records.install(emulator.records)
        authentication.install(emulator)
        iam.install(emulator)
        security_groups.install()
        network_interfaces.install()
        network_rules.install()
        describe_filters.install()
        images.install()
        ec2_offers.install()
        self._instances = instances.install(emulator)
        providers = services.Providers(emulator, self._instances)
        services.install(emulator, providers)
        secret_versions.install(emulator)
        parameter_pages.install()
        service_models.install(emulator)
        lambda_functions.install(emulator)
        lambda_limits.install(emulator)
        events.install(emulator)
        executions = step_functions.install(emulator)
        nested_executions.install(emulator, executions)
        states_language.install(emulator)
        state_machines.install(emulator)
        execution_logs.install(emulator)
        execution_lists.install(emulator)
        template_urls.install(emulator)
        templates.install(emulator)
        requests = custom_resources.install(emulator)
        handler_permissions.install(emulator)
        cloudformation.install(emulator, requests, self._instances.terminate)
        taken_names.install()
        stack_exports.install()
        dynamic_references.install()
        wait_conditions.install(emulator)
        template_checks.install()
        stack_statuses.install()
        resource_records.install()
        resources.install(emulator, providers, self._instances)
        service_catalog.install()
        service_catalog_resources.install(lambda: providers.catalog().catalog)
        buckets.install()
        resource_attributes.install()
        iam_policies.install()
        policy_simulation.install()
        # The last of what creates resources, which its threads do too.
        creation_times.install(emulator, requests, self._instances.wait_for)

    @property
    def application(self) -> Any:
        """The ASGI application."""
        application = service_models.refusing_others(ministack("app").app)
        return authentication.refusing_strangers(self._emulator, application)

    def network(self) -> dict[str, Any]:
        """The default VPC and its subnets, one in each of three zones."""
        ec2 = ministack("services.ec2")
        ec2._ensure_defaults_initialized()
        return {"vpc": ec2._DEFAULT_VPC_ID, "subnets": sorted(ec2._subnets)}

    def close(self) -> None:
        """End every process that the emulator has started."""
        self._emulator.environments.close()
        self._instances.close()


def install(emulator: EmulatorState) -> Installed:
    """Correct what ministack does differently from AWS, and add what it lacks."""
    return Installed(emulator)
