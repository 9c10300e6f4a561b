"""The package on the client: the CLI, Client SDK 3 for old clusters, one of the operator's own."""

from __future__ import annotations

import hashlib
import json

from rehearsal.drivers.operator import run_on_client
from rehearsal.drivers.stack import LEFT_WITH_BACKUPS, StackDriver

# Client SDK 3 as it can still be downloaded, and what stands in for it in the rehearsal.
SDK3 = (
    "https://s3.amazonaws.com/cloudhsmv2-software/CloudHsmClient/EL7/"
    "cloudhsm-client-latest.el7.x86_64.rpm"
)
SDK3_CONTENT = "rpm cloudhsm-client 3.4.4 1.el7 x86_64\n"
OWN_CONTENT = "rpm cloudhsm-cli {} 1.amzn2023 x86_64\n"
OWN_BUCKET = "packages-of-ours"


def package_is_swapped(driver: StackDriver) -> None:
    """On a cluster of hsm1.medium (it is 2024) Client SDK 3 and the CLI take each other's place."""
    with driver.step("Create, with Client SDK 3 in the end"):
        driver.request(
            pHsmType="hsm1.medium",
            pClientPkg="cloudhsm-client",
            pClientPkgUrl=SDK3,
            pClientPkgSha256=_sha256(SDK3_CONTENT),
        )
        driver.expect_stack("CREATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        _expect_sdk3(driver)

    with driver.step("The CLI instead"), driver.untouched():
        driver.request(pClientPkg="cloudhsm-cli", pClientPkgUrl="", pClientPkgSha256="")
        driver.expect_stack("UPDATE_COMPLETE")
        _expect_cli(driver, "5.18.0")

    with driver.step("And back"), driver.untouched():
        driver.request(
            pClientPkg="cloudhsm-client",
            pClientPkgUrl=SDK3,
            pClientPkgSha256=_sha256(SDK3_CONTENT),
        )
        driver.expect_stack("UPDATE_COMPLETE")
        _expect_sdk3(driver)

    with driver.step("Not with hsm2m.medium"), driver.untouched():
        driver.expect_refusal("requires pHsmType=hsm1.medium", pHsmType="hsm2m.medium")

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS)


def package_of_ones_own(driver: StackDriver) -> None:
    """Another version from an own bucket, checked: with a wrong checksum nothing is installed."""
    with driver.step("Not with half of what it takes"):
        url = _upload(driver, "5.17.2")
        driver.expect_refusal("pClientPkgUrl requires pClientPkgSha256", pClientPkgUrl=url)
        driver.expect_refusal("pClientPkgSha256 requires pClientPkgUrl", pClientPkgSha256="0" * 64)
        driver.expect_refusal("requires pHsmType=hsm1.medium", pClientPkg="cloudhsm-client")

    with driver.step("Create, with a package from the own bucket"):
        driver.request(pClientPkgUrl=url, pClientPkgSha256=_sha256(OWN_CONTENT.format("5.17.2")))
        driver.expect_stack("CREATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        _expect_cli(driver, "5.17.2")

    with driver.step("Another version, but a wrong checksum"), driver.untouched():
        newer = _upload(driver, "5.19.0")
        driver.request(pClientPkgUrl=newer, pClientPkgSha256="0" * 64)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("SHA-256", "(pClientPkgSha256)", "nothing was installed")
        _expect_cli(driver, "5.17.2")

    with driver.step("The right checksum"), driver.untouched():
        driver.request(pClientPkgUrl=newer, pClientPkgSha256=_sha256(OWN_CONTENT.format("5.19.0")))
        driver.expect_stack("UPDATE_COMPLETE")
        _expect_cli(driver, "5.19.0")

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        driver.expect_remaining(*LEFT_WITH_BACKUPS, f"bucket {OWN_BUCKET}")


def _sha256(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def _upload(driver: StackDriver, version: str) -> str:
    """The address of a package that was put into an own bucket, which anyone may read."""
    s3, name = driver.aws.client("s3"), f"cloudhsm-cli-{version}.rpm"
    reading = {
        "Sid": "LetEveryoneRead",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{OWN_BUCKET}/*",
    }
    s3.create_bucket(Bucket=OWN_BUCKET)
    s3.delete_public_access_block(Bucket=OWN_BUCKET)
    s3.put_bucket_policy(
        Bucket=OWN_BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [reading]})
    )
    s3.put_object(Bucket=OWN_BUCKET, Key=name, Body=OWN_CONTENT.format(version).encode())
    return f"https://{OWN_BUCKET}.s3.{driver.aws.region}.amazonaws.com/{name}"


def _expect_cli(driver: StackDriver, version: str) -> None:
    """The CLI is installed in this version and works, and Client SDK 3 is not."""
    installed = run_on_client(driver, "rpm -q cloudhsm-cli; rpm -q cloudhsm-client || true")
    wanted = f"cloudhsm-cli-{version}-1.amzn2023.x86_64\npackage cloudhsm-client is not installed"
    driver.expect("installed", installed, wanted)
    answer = run_on_client(driver, "/opt/cloudhsm/bin/cloudhsm-cli user list")
    driver.expect("error code of user list", '"error_code": 0' in answer, True)


def _expect_sdk3(driver: StackDriver) -> None:
    """Client SDK 3 is installed, configured for an HSM and running, and the CLI is not."""
    installed = run_on_client(driver, "rpm -q cloudhsm-client; rpm -q cloudhsm-cli || true")
    wanted = "cloudhsm-client-3.4.4-1.el7.x86_64\npackage cloudhsm-cli is not installed"
    driver.expect("installed", installed, wanted)
    driver.expect("daemon", run_on_client(driver, "systemctl is-active cloudhsm-client"), "active")
    known = json.loads(run_on_client(driver, "cat /opt/cloudhsm/etc/cloudhsm_client.cfg"))
    addresses = [hsm["EniIp"] for hsm in driver.cluster()["Hsms"]]
    driver.expect("configured HSM", known["server"]["hostname"] in addresses, True)
