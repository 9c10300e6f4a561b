"""Both stacks are deployed, updated and destroyed with the rights of examples/policies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localaws.client import LocalAws
from rehearsal.drivers.deployment import Stack
from rehearsal.timings import QUICK
from tests.iam.test_launch_roles import changed
from tests.support.deployer import BUCKET, CLUSTER, STORE, Deployer, denied, granted
from tests.templates.template import ROOT

pytestmark = pytest.mark.long

Json = dict[str, Any]

TEMPLATES = {CLUSTER: "cloudhsm.yml", STORE: "cloudhsm-key-store.yml"}


@pytest.fixture(scope="module", name="decisions")
def _decisions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Json]]:
    """IAM's decisions about the deployer."""
    sources = _sources(tmp_path_factory.mktemp("sources"))
    with LocalAws(timings=QUICK) as aws:
        deployer = Deployer(aws)

        def deploy(stack: str, tags: str, parameters: str) -> str:
            given = (f"TEMPLATE={sources / TEMPLATES[stack]}", f"STACK={stack}", f"BUCKET={BUCKET}")
            return deployer.make("deploy", *given, f"TAGS={tags}", f"PARAMS={parameters}")

        network = f"pClientVpcId={aws.vpc} pClientSubnet={aws.subnets[0]}"
        deploy(CLUSTER, "team=crypto", f"pSubnets={','.join(aws.subnets[:2])} {network}")
        outputs = Stack(aws, CLUSTER, "").outputs()
        source = (
            f"pKeyStoreName=keys pCloudHsmClusterId={outputs['oClusterId']}"
            f" pCloudHsmAdminPasswordSecretName={outputs['oAdminPasswordSecretName']}"
            f" pCloudHsmCustCaCertSecretName={outputs['oCustomerCaCertSecretName']}"
            f" pClientInstanceId={outputs['oClientInstanceId']}"
        )
        more = "pDeleteKeyStoreUponStackDeletion=true"
        deploy(STORE, "team=crypto", f"{source} {more}")
        assert "No changes" in deploy(CLUSTER, "team=crypto", "")
        for path in sources.iterdir():
            path.write_text(changed(path.read_text()))
        for stack in TEMPLATES:
            deploy(stack, "stage=test", "pReconcile=next")
        _update_without_change_set(deployer, source.split())
        for stack in (STORE, CLUSTER):
            lift = ("--stack-name", stack, "--no-enable-termination-protection")
            deployer.cloudformation("update-termination-protection", *lift)
            deployer.make("destroy", f"STACK={stack}")
        _create_without_change_set(deployer)
        yield deployer.decisions()


def _sources(place: Path) -> Path:
    """Copies of the templates, to be changed, beside what they refer to."""
    built, copies = ROOT / "build" / "rehearsal", place / "templates"
    for name in ("build", "statemachines"):
        os.symlink((built / name).resolve(), place / name)
    copies.mkdir()
    for template in TEMPLATES.values():
        (copies / template).write_text((built / "templates" / template).read_text())
    return copies


def _update_without_change_set(deployer: Deployer, kept: list[str]) -> None:
    names = [each.partition("=")[0] for each in kept] + ["pDeleteKeyStoreUponStackDeletion"]
    given = [f"ParameterKey={name},UsePreviousValue=true" for name in names]
    deployer.cloudformation(
        "update-stack", "--stack-name", STORE, "--use-previous-template", "--capabilities",
        "CAPABILITY_IAM", "--parameters", *given, "ParameterKey=pReconcile,ParameterValue=again",
    )  # fmt: skip
    assert Stack(deployer.aws, STORE, "").wait() == "UPDATE_COMPLETE"


def _create_without_change_set(deployer: Deployer) -> None:
    """As the console does; what is created does not matter."""
    body = '{"Resources": {"Role": {"Type": "AWS::CloudFormation::WaitConditionHandle"}}}'
    deployer.cloudformation("get-template-summary", "--template-body", body)
    given = ("--stack-name", "my-trial", "--template-body", body)
    deployer.cloudformation("create-stack", *given)
    assert Stack(deployer.aws, "my-trial", "").wait() == "CREATE_COMPLETE"


def test_the_policies_suffice(decisions: list[Json]) -> None:
    assert decisions
    assert denied(decisions) == []


def test_no_action_can_be_removed(decisions: list[Json]) -> None:
    # A decision names the statement only if no other one would have allowed it.
    used = {(each["statement"], each["action"]) for each in decisions}
    assert granted("deployer") - used == set()
