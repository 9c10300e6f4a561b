"""The first HSM proves its identity, or not, before its cluster is initialized.

With an external PKI the cluster waits UNINITIALIZED, and each update verifies its HSM again; AWS
replaces it between updates, by one that an injected fault spoils.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from localaws.client import ROOT
from rehearsal.drivers.stack import RETAINED_BY_CLOUDHSM, RETAINED_WITH_BACKUPS, StackDriver

AWS, MANUFACTURER = "AwsHardwareCertificate", "ManufacturerHardwareCertificate"
# What AWS certifies, a fault, and the verdict; refused in both modes, and why.
ACCEPTED = (
    ("an expired root", "expired-root", "VERIFIED_ROOT_EXPIRED: CN=localca expired on 2025-11-16"),
    ("no certificates", "missing", "NOT_VERIFIED: AWS returned no HsmCertificate and no"),
)
REFUSED = (
    ("a forged chain", "forged", f"FORGED: {AWS} names CN=Local Root G1, but is not signed by"),
    ("another root", "wrong-root", f"FORGED: {AWS} was issued by CN=Another root"),
    ("two keys", "other-hardware", f"MISMATCH: {AWS} and {MANUFACTURER} certify different keys"),
    ("another CSR", "other-csr", "MISMATCH: ClusterCsr does not have the key of HsmCertificate"),
)
UNPINNED = "AWS_CHAIN_ONLY: CN=local-ls2-root-AR-v1 is not pinned"


def identity_verified(driver: StackDriver) -> None:
    """VERIFY takes what AWS alone proves, names what is unproven, and refuses forgeries."""
    with driver.step("Create: only AWS's chain is pinned"):
        driver.request(pUseExternalPkiProcess="true")
        driver.expect_stack("CREATE_COMPLETE")
        _expect_identity(driver, UNPINNED)

    with driver.step("Pin the manufacturer's root: verified"):
        driver.request(pManufacturerRootSpki=_hsm2m_root(driver))
        driver.expect_stack("UPDATE_COMPLETE")
        record = _expect_identity(driver, "VERIFIED: certified by CN=Local Root G1 and key ")
        driver.request(pReconcile="again")
        driver.expect("evidence", _evidence(driver)["Verdict"], json.dumps(record, sort_keys=True))

    for what, fault, verdict in ACCEPTED:
        with driver.step(f"An HSM with {what}: accepted"):
            _replace_hsm(driver, fault)
            driver.request(pReconcile=fault)
            driver.expect_stack("UPDATE_COMPLETE")
            _expect_identity(driver, verdict)

    for what, fault, reason in REFUSED:
        with driver.step(f"An HSM with {what}: refused"), _expect_evidence_kept(driver):
            _replace_hsm(driver, fault)
            driver.request(pReconcile=fault)
            _expect_refused(driver, reason)

    with driver.step("A genuine HSM: verified, initialized, and the evidence stays"):
        _replace_hsm(driver)
        driver.request(pUseExternalPkiProcess="false")
        driver.expect_stack("UPDATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        driver.expect("verdict", json.loads(_evidence(driver)["Verdict"])["Verdict"], "VERIFIED")

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def identity_required(driver: StackDriver) -> None:
    """REQUIRE refuses whatever is not proven by both chains; a refused creation rolls back."""
    with driver.step("Create with a forged HSM: refused, and nothing is left"):
        driver.fault(hsm_identity="forged")
        driver.request(pHsmIdentity="REQUIRE")
        driver.expect_stack("ROLLBACK_COMPLETE")
        driver.expect_reason("VerifyHsmIdentity", REFUSED[0][2])
        driver.expect("initializations", driver.events("InitializeCluster"), [])
        driver.delete()
        driver.expect_retained(*RETAINED_BY_CLOUDHSM)
        first = driver.admin.inventory()["cloudhsm"]["clusters"][-1]["ClusterId"]

    with driver.step("Create with the manufacturer's root: verified"):
        driver.request(pManufacturerRootSpki=_hsm2m_root(driver), pUseExternalPkiProcess="true")
        driver.expect_stack("CREATE_COMPLETE")
        _expect_identity(driver, "VERIFIED: ")

    with driver.step("Without it: refused"), _expect_evidence_kept(driver):
        driver.request(pManufacturerRootSpki="")
        _expect_refused(driver, f"pHsmIdentity=REQUIRE: the HSM is {UNPINNED}")

    reasons = [(what, fault, f"REQUIRE: the HSM is {why}") for what, fault, why in ACCEPTED]
    for what, fault, reason in (*reasons, REFUSED[0], REFUSED[3]):
        with driver.step(f"An HSM with {what}: refused"), _expect_evidence_kept(driver):
            _replace_hsm(driver, fault)
            driver.request(pManufacturerRootSpki=_hsm2m_root(driver), pReconcile=fault)
            _expect_refused(driver, reason)

    driver.delete_step(
        *RETAINED_BY_CLOUDHSM, f"log group /aws/cloudhsm/{first}", title="Delete, uninitialized"
    )


def _hsm2m_root(driver: StackDriver) -> str:
    """The public key of the manufacturer's root for hsm2m.medium, as pManufacturerRootSpki."""
    root = driver.aws.scratch / "hsm2m-root.pem"
    root.write_text(driver.admin.hsm_roots()["hsm2m"])
    page = (ROOT / "docs" / "hsm-identity.md").read_text()
    command = page.split("```sh\n")[1].split("```")[0].replace("mrvl-rsa-LS2-AR-v1.crt", str(root))
    done = driver.aws.run("bash", "-euc", command)
    driver.expect(f"the page's command {done.stderr}", done.returncode, 0)
    return str(done.stdout).splitlines()[0]


def _replace_hsm(driver: StackDriver, fault: str = "") -> None:
    """AWS replaces the first HSM, by one with this fault."""
    if fault:
        driver.fault(hsm_identity=fault)
    driver.admin.aws_event("replace_hsm", hsm_id=driver.cluster()["Hsms"][0]["HsmId"])


def _evidence(driver: StackDriver) -> dict[str, str]:
    """The parameters of the evidence by the end of their names."""
    path = f"/cloudhsm/{driver.cluster()['ClusterId']}/hsm-identity"
    pages = driver.aws.client("ssm").get_paginator("get_parameters_by_path")
    found = pages.paginate(Path=path).build_full_result()["Parameters"]
    return {each["Name"].rpartition("/")[2]: each["Value"] for each in found}


def _expect_identity(driver: StackDriver, verdict: str) -> dict[str, Any]:
    """The output and the evidence have this verdict, on the certificates that AWS shows."""
    output = driver.stack.outputs()["oHsmIdentity"]
    driver.expect("oHsmIdentity", output[: len(verdict)], verdict)
    evidence, shown = _evidence(driver), driver.cluster()["Certificates"]
    record: dict[str, Any] = json.loads(evidence["Verdict"])
    driver.expect_in("evidence", f"{record['Verdict']}: {record['Detail']}", verdict)
    driver.expect("certificates", sorted(record["Certificates"]), sorted(shown))
    driver.expect("evidence", {name: evidence[name] for name in shown}, shown)
    return record


@contextmanager
def _expect_evidence_kept(driver: StackDriver) -> Iterator[None]:
    """The block does not change what is known of the HSM that was accepted."""
    before = _evidence(driver)
    yield
    driver.expect("evidence", _evidence(driver), before)


def _expect_refused(driver: StackDriver, reason: str) -> None:
    driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
    driver.expect_reason("VerifyHsmIdentity", reason)
    driver.expect_cluster(state="UNINITIALIZED", hsms=1, zones=1)
    driver.expect("initializations", driver.events("InitializeCluster"), [])
