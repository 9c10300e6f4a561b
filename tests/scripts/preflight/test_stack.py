"""`make preflight` before and after a creation: clean, it deploys; then its names are taken."""

from __future__ import annotations

import json
from typing import Any

import pytest

from localaws.client import LocalAws
from rehearsal.drivers.stack import StackDriver
from rehearsal.timings import QUICK

CLUSTER = "build/rehearsal/templates/cloudhsm.yml"
KEY_STORE = "build/rehearsal/templates/cloudhsm-key-store.yml"


def _preflight(aws: LocalAws, template: str, **parameters: str) -> tuple[int, dict[str, Any]]:
    """The exit code of make, and the report; make's is 2 if the recipe fails."""
    words = " ".join(f"{name}={value}" for name, value in parameters.items())
    done = aws.run("make", "-s", "preflight", f"TEMPLATE={template}", f"PARAMS={words}", "JSON=1")
    return done.returncode, json.loads(done.stdout)


def _of(report: dict[str, Any], level: str) -> list[dict[str, str]]:
    return [each for each in report["findings"] if each["level"] == level]


@pytest.mark.long
def test_a_creation_whose_preflight_is_clean_succeeds() -> None:
    with LocalAws(timings=QUICK) as aws:
        driver = StackDriver(aws)
        code, report = _preflight(aws, CLUSTER, **driver.stack.parameters)
        assert (code, _of(report, "error")) == (0, [])
        driver.request()
        driver.expect_stack("CREATE_COMPLETE")
        code, report = _preflight(aws, CLUSTER, **driver.stack.parameters)
        assert code != 0
        (taken,) = [each for each in _of(report, "error") if each["check"] == "names"]
        assert taken["parameter"] == "pEnvPurpose"
        assert f"the stack {driver.stack.name} uses" in taken["text"]
        assert "Set another pEnvPurpose" in taken["advice"]
        outputs = driver.stack.outputs()
        code, report = _preflight(
            aws,
            KEY_STORE,
            pKeyStoreName="keys",
            pCloudHsmClusterId=outputs["oClusterId"],
            pCloudHsmAdminPasswordSecretName=outputs["oAdminPasswordSecretName"],
            pCloudHsmCustCaCertSecretName=outputs["oCustomerCaCertSecretName"],
            pClientInstanceId=outputs["oClientInstanceId"],
        )
        assert (code, _of(report, "error")) == (0, [])
