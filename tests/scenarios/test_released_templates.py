"""Stacks of released templates, created by a user who has nothing but their addresses."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from localaws.client import BUCKET, LocalAws
from rehearsal.drivers.deployment import Stack
from rehearsal.drivers.stack import CLUSTER_TEMPLATE
from rehearsal.timings import QUICK
from scripts.release.addresses import path_style, virtual_hosted
from scripts.release.artifacts import NAME
from tests.test_released import project_version


def publish(aws: LocalAws) -> dict[str, str]:
    """Release what the rehearsal builds; returns the template of each quick-create link."""
    done = aws.run(
        sys.executable, "-m", "scripts.release", "publish", project_version(),
        f"{aws.region}={BUCKET}", "--source", "build/rehearsal",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    links = [urlsplit(link) for link in re.findall(r"quick-create +(\S+)", done.stdout)]
    given = [parse_qs(link.fragment.partition("?")[2]) for link in links]
    return {each["stackName"][0]: each["templateURL"][0] for each in given}


def create(aws: LocalAws, where: Path, name: str, url: str, **parameters: str) -> Stack:
    """Create a stack with the stock CLI in a directory, and wait for the end."""
    escaped = {key: value.replace(",", "\\,") for key, value in parameters.items()}
    done = subprocess.run(
        [
            "aws", "cloudformation", "create-stack", "--stack-name", name, "--template-url", url,
            "--capabilities", "CAPABILITY_IAM", "--parameters",
            *(f"ParameterKey={key},ParameterValue={value}" for key, value in escaped.items()),
        ],
        cwd=where, env=aws.env, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    stack = Stack(aws, name, CLUSTER_TEMPLATE)
    assert stack.wait() == "CREATE_COMPLETE", stack.reasons()
    return stack


@pytest.mark.parametrize(
    ("region", "is_virtual_hosted"), [("us-east-1", True), ("us-gov-west-1", False)]
)
def test_released_templates_need_nothing_local(
    region: str, is_virtual_hosted: bool, tmp_path: Path
) -> None:
    with LocalAws("--region", region, timings=QUICK) as aws:
        linked = publish(aws)
        forms = (virtual_hosted, path_style)[:: 1 if is_virtual_hosted else -1]
        urls = {
            name: form(region, BUCKET, f"{NAME}/{project_version()}/{name}.yml")
            for name, form in zip(("cloudhsm", "cloudhsm-key-store"), forms, strict=True)
        }
        assert linked["cloudhsm"] == virtual_hosted(
            region, BUCKET, f"{NAME}/{project_version()}/cloudhsm.yml"
        )
        cluster = create(
            aws,
            tmp_path,
            "hsm",
            urls["cloudhsm"],
            pSubnets=",".join(aws.subnets[:2]),
            pClientVpcId=aws.vpc,
            pClientSubnet=aws.subnets[0],
        )
        outputs = cluster.outputs()
        create(
            aws,
            tmp_path,
            "store",
            urls["cloudhsm-key-store"],
            pKeyStoreName="store",
            pCloudHsmClusterId=outputs["oClusterId"],
            pCloudHsmAdminPasswordSecretName=outputs["oAdminPasswordSecretName"],
            pCloudHsmCustCaCertSecretName=outputs["oCustomerCaCertSecretName"],
            pClientInstanceId=outputs["oClientInstanceId"],
        )
        assert [*tmp_path.iterdir()] == []
