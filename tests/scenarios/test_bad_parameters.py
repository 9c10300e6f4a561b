"""Injections, Unicode and 4 KB in the parameters of both templates: nothing is made or run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from localaws.client import LocalAws
from rehearsal.checks import leak_check
from rehearsal.drivers.deployment import CAPABILITIES, package
from rehearsal.drivers.key_store import KeyStoreDriver
from rehearsal.drivers.stack import StackDriver
from rehearsal.fixtures import existing_cluster
from rehearsal.timings import QUICK
from tests.support import bad_input, wrong_inputs
from tests.templates.template import TEMPLATES

# What botocore or HTTP cannot send to CloudFormation.
UNSENDABLE = ("NUL", "half of a pair")
# Values that a parameter allows, although they are injections elsewhere: see test_harmless_*.
ALLOWED = {
    "pReconcile": {what for what, text in bad_input.TEXTS.items() if "{" not in text},
    "pKeyStoreName": {"option"},
    **dict.fromkeys(
        (
            "pBackupCaCertSecretName",
            "pBackupAdminPasswordSecretName",
            "pCloudHsmAdminPasswordSecretName",
            "pCloudHsmCustCaCertSecretName",
        ),
        frozenset({"path", "option"}),
    ),
}
# Of each parameter, so many values are left out; tests/unit/test_property_rules.py tries them all.
EVERY = 8
# What a free text may contain, in one.
HARMLESS = " ".join(
    text
    for what, text in bad_input.TEXTS.items()
    if what not in (*UNSENDABLE, *bad_input.TOO_LONG) and "{" not in text
)


class Templates:
    """A stack of each template that could be created, and what exists before."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        cluster = existing_cluster(aws)
        driver = StackDriver(aws)
        self.drivers: dict[str, StackDriver] = {
            "cloudhsm.yml": driver,
            "cloudhsm-key-store.yml": KeyStoreDriver(driver, cluster.parameters),
        }
        self.before = self.found()

    def refusal(self, template: str, **changes: str) -> str:
        """Why CloudFormation refuses to create a stack; empty if it does not."""
        stack = self.drivers[template].stack
        try:
            self.aws.client("cloudformation").create_stack(
                StackName="bad",
                TemplateURL=package(self.aws, stack.template),
                Capabilities=CAPABILITIES,
                Parameters=[
                    {"ParameterKey": key, "ParameterValue": each}
                    for key, each in {**stack.parameters, **changes}.items()
                ],
            )
        except (ClientError, ParamValidationError) as error:
            return str(error)
        return ""

    def ran(self) -> set[str]:
        """The injected commands and options that a client has run or passed on."""
        return {
            argument
            for processes in self.aws.admin.processes().values()
            for arguments in processes
            for argument in arguments
            if any(marker in argument for marker in ("/tmp/run", "--cli-input", "etc/passwd"))
        }

    def found(self) -> Any:
        """What exists, and how many processes have run on clients."""
        processes = sum(map(len, self.aws.admin.processes().values()))
        return leak_check.resources(self.aws.admin.inventory()), processes


@pytest.fixture(scope="module", name="templates")
def _templates() -> Iterator[Templates]:
    with LocalAws(timings=QUICK) as aws:
        yield Templates(aws)


def refused_values() -> Iterator[tuple[str, str, str, str]]:
    """Template, parameter, what is wrong, and the value, for values that CloudFormation refuses."""
    texts = {what: text for what, text in bad_input.TEXTS.items() if what not in UNSENDABLE}
    for template in TEMPLATES:
        for offset, (name, parameter) in enumerate(template.parameters.items()):
            kinds = [what for what in texts if what not in ALLOWED.get(name, ())]
            if parameter["Type"] == "Number":
                # Which blanks and digits a number may have is not documented: the function decides.
                kinds = [what for what in kinds if what not in ("digits", "leading blank")]
            every = 1 if name == "pReconcile" else EVERY
            for what in kinds[offset % every :: every]:
                yield template.name, name, what, texts[what]


def test_bad_parameters_are_refused_before_anything_is_made_or_run(templates: Templates) -> None:
    accepted, unnamed, count = [], [], 0
    for template, name, what, value in refused_values():
        count += 1
        if refusal := templates.refusal(template, **{name: value}):
            if name not in refusal and "at 'parameters." not in refusal:
                unnamed.append((name, what, refusal))
        else:
            accepted.append((name, what))
    assert (accepted, unnamed) == ([], [])
    assert count >= 150
    assert templates.found() == templates.before


def test_cloudformation_answers_each_wrong_input_verbatim(templates: Templates) -> None:
    prefix = "An error occurred (ValidationError) when calling the CreateStack operation: "
    wrong = {}
    for template, parameters, answer in wrong_inputs.REFUSED_BY_CLOUDFORMATION:
        found = templates.refusal(template, **parameters).removeprefix(prefix)
        # A rule's description has the rule's name and a preamble of CloudFormation.
        if found != answer and not (answer.startswith("p") and answer in found):
            wrong[answer] = found
    assert wrong == {}
    assert templates.found() == templates.before


def test_a_secret_that_a_client_cannot_have_is_refused_by_parameter(templates: Templates) -> None:
    driver = templates.drivers["cloudhsm-key-store.yml"]
    before = templates.found()
    valid = dict(driver.stack.parameters)
    for name, what in (
        ("pCloudHsmAdminPasswordSecretName", "path"),
        ("pCloudHsmCustCaCertSecretName", "option"),
    ):
        driver.request(**{name: bad_input.TEXTS[what]})
        driver.stack.parameters = dict(valid)
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_reason(name)
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
    assert templates.found()[0] == before[0]
    assert templates.ran() == set()


def test_free_text_is_harmless(templates: Templates) -> None:
    driver = templates.drivers["cloudhsm-key-store.yml"]
    driver.request(pReconcile=HARMLESS, pKeyStoreName=bad_input.INJECTIONS["option"])
    driver.expect_stack("CREATE_COMPLETE")
    assert templates.ran() == set()
    assert any(templates.aws.admin.processes().values())
