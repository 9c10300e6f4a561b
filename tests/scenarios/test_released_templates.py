"""Released templates, deployed by a role that has nothing but their addresses and a policy."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from localaws.client import ROOT, LocalAws
from rehearsal.drivers.deployment import Stack
from rehearsal.drivers.stack import CLUSTER_TEMPLATE
from rehearsal.timings import QUICK
from scripts.release.addresses import path_style, virtual_hosted
from scripts.release.artifacts import NAME
from tests.support.deployer import BUCKET, CLUSTER, STORE, Deployer, denied
from tests.test_released import project_version

pytestmark = pytest.mark.long

SAMPLES = {
    "first": "subnet-1111aaaa",
    "second": "subnet-2222bbbb",
    "vpc": "vpc-3333cccc",
    "cluster": "cluster-abcdefg2345",
    "client": "i-0123456789abcdef0",
}


def publish(aws: LocalAws) -> dict[str, dict[str, str]]:
    """Release what the rehearsal builds; returns what each quick-create link says, by stack."""
    done = aws.run(
        sys.executable, "-m", "scripts.release", "publish", project_version(),
        f"{aws.region}={BUCKET}", "--source", "build/rehearsal",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    links = [urlsplit(link) for link in re.findall(r"quick-create +(\S+)", done.stdout)]
    said = [dict(parse_qsl(link.fragment.partition("?")[2])) for link in links]
    return {each["stackName"]: each for each in said}


def example(name: str, **real: str) -> str:
    """The parameters of an example, with the IDs of an account."""
    text = (ROOT / "examples" / "parameters" / f"{name}.json").read_text()
    for sample, value in {SAMPLES[key]: value for key, value in real.items()}.items():
        text = text.replace(sample, value)
    return text


def create(deployer: Deployer, where: Path, name: str, url: str, parameters: str) -> Stack:
    """Create a stack with the stock CLI in a directory, and wait for the end."""
    given = ("--stack-name", name, "--template-url", url, "--parameters", parameters)
    capability = ("--capabilities", "CAPABILITY_IAM")
    deployer.cloudformation("create-stack", *given, *capability, where=where)
    stack = Stack(deployer.aws, name, CLUSTER_TEMPLATE)
    assert stack.wait() == "CREATE_COMPLETE", stack.reasons()
    return stack


@pytest.mark.parametrize(
    ("region", "is_virtual_hosted", "parameters"),
    [("us-east-1", True, "standard"), ("us-gov-west-1", False, "govcloud")],
)
def test_released_templates_need_nothing_local(
    region: str, is_virtual_hosted: bool, parameters: str, tmp_path: Path
) -> None:
    with LocalAws("--region", region, timings=QUICK) as aws:
        deployer = Deployer(aws)
        linked = publish(aws)
        forms = (virtual_hosted, path_style)[:: 1 if is_virtual_hosted else -1]
        urls = {
            name: form(region, BUCKET, f"{NAME}/{project_version()}/{name}.yml")
            for name, form in zip(("cloudhsm", "cloudhsm-key-store"), forms, strict=True)
        }
        assert linked["cloudhsm"]["templateURL"] == virtual_hosted(
            region, BUCKET, f"{NAME}/{project_version()}/cloudhsm.yml"
        )
        network = {"first": aws.subnets[0], "second": aws.subnets[1], "vpc": aws.vpc}
        given = example(parameters, **network)
        outputs = create(deployer, tmp_path, CLUSTER, urls["cloudhsm"], given).outputs()
        ids = {"cluster": outputs["oClusterId"], "client": outputs["oClientInstanceId"]}
        store = example("key-store", **ids)
        create(deployer, tmp_path, STORE, urls["cloudhsm-key-store"], store)
        assert denied(deployer.decisions()) == []
        assert [*tmp_path.iterdir()] == []
