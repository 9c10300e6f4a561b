"""The client package: the CLI, Client SDK 3 for old clusters, and a custom package."""

from __future__ import annotations

import hashlib
import json

from localaws.client import BUCKET as PRIVATE_BUCKET
from rehearsal.drivers.deployment import Stack
from rehearsal.drivers.operator import expect_cli_works, run_on_client
from rehearsal.drivers.stack import RETAINED_WITH_BACKUPS, StackDriver
from rehearsal.fixtures import SDK3_PACKAGE

# The emulator's contents of the packages.
SDK3_CONTENT = "rpm cloudhsm-client 3.4.4 1.el7 x86_64\n"
CUSTOM_CONTENT = "rpm cloudhsm-cli {} 1.amzn2023 x86_64\n"
BUCKET = "operator-packages"


def package_swapped(driver: StackDriver) -> None:
    """In 2024, on a cluster of hsm1.medium, Client SDK 3 and the CLI replace each other."""
    sdk3 = {
        "pClientPkg": "cloudhsm-client",
        "pClientPkgUrl": SDK3_PACKAGE,
        "pClientPkgSha256": _sha256(SDK3_CONTENT),
    }
    with driver.step("Create with Client SDK 3"):
        driver.request(pHsmType="hsm1.medium", **sdk3)
        driver.expect_stack("CREATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        _expect_sdk3(driver)

    with driver.step("Replace it with the CLI"), driver.expect_no_changes():
        driver.request(pClientPkg="cloudhsm-cli", pClientPkgUrl="", pClientPkgSha256="")
        driver.expect_stack("UPDATE_COMPLETE")
        _expect_cli(driver, "5.18.0")

    with driver.step("Back to Client SDK 3"), driver.expect_no_changes():
        driver.request(**sdk3)
        driver.expect_stack("UPDATE_COMPLETE")
        _expect_sdk3(driver)

    with driver.step("Client SDK 3 with hsm2m.medium: rejected"), driver.expect_no_changes():
        driver.expect_rejected("requires pHsmType=hsm1.medium", pHsmType="hsm2m.medium")

    driver.delete_step(*RETAINED_WITH_BACKUPS)


def custom_package(driver: StackDriver) -> None:
    """A CLI package from the operator's bucket; with a wrong checksum nothing is installed."""
    with driver.step("Incomplete parameters: rejected"):
        url = _upload(driver, "5.17.2")
        driver.expect_rejected("pClientPkgUrl requires pClientPkgSha256", pClientPkgUrl=url)
        driver.expect_rejected("pClientPkgSha256 requires pClientPkgUrl", pClientPkgSha256="0" * 64)
        driver.expect_rejected("requires pHsmType=hsm1.medium", pClientPkg="cloudhsm-client")

    with driver.step("Create with a custom package"):
        checksum = _sha256(CUSTOM_CONTENT.format("5.17.2"))
        driver.request(pClientPkgUrl=url, pClientPkgSha256=checksum)
        driver.expect_stack("CREATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        _expect_cli(driver, "5.17.2")

    with driver.step("A newer version with a wrong checksum"), driver.expect_no_changes():
        newer = _upload(driver, "5.19.0")
        driver.request(pClientPkgUrl=newer, pClientPkgSha256="0" * 64)
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("SHA-256", "(pClientPkgSha256)", "nothing was installed")
        _expect_cli(driver, "5.17.2")

    with driver.step("A package that cannot be installed"), driver.expect_no_changes():
        arm = CUSTOM_CONTENT.format("5.19.0").replace("x86_64", "aarch64")
        url = _upload(driver, "5.19.0-arm", arm)
        # The rollback could not download the old package.
        driver.fault(download="missing", skip=1)
        driver.request(pClientPkgUrl=url, pClientPkgSha256=_sha256(arm))
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("compatible architecture", "pClientPkgUrl", "unchanged")
        _expect_cli(driver, "5.17.2")

    with driver.step("A package of something else"), driver.expect_no_changes():
        jq = "rpm jq 1.7.1 1.amzn2023 x86_64\n"
        url = _upload(driver, "jq", jq)
        driver.request(pClientPkgUrl=url, pClientPkgSha256=_sha256(jq))
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("is not a cloudhsm-cli package", "pClientPkgUrl")
        _expect_cli(driver, "5.17.2")

    with driver.step("The newer version with its checksum"), driver.expect_no_changes():
        checksum = _sha256(CUSTOM_CONTENT.format("5.19.0"))
        driver.request(pClientPkgUrl=newer, pClientPkgSha256=checksum)
        driver.expect_stack("UPDATE_COMPLETE")
        _expect_cli(driver, "5.19.0")

    with driver.step("A mirrored version that does not exist"), driver.expect_no_changes():
        given = mirrored(driver, "5.20.0")
        missing = given["pClientPkgUrl"].replace("5.20.0", "5.20.1")
        driver.request(**{**given, "pClientPkgUrl": missing})
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("Downloading s3://", "(Not Found). Check pClientPkgUrl")
        _expect_cli(driver, "5.19.0")

    with driver.step("A mirrored version, which only the client's role may read"):
        driver.request(**given)
        driver.expect_stack("UPDATE_COMPLETE")
        _expect_cli(driver, "5.20.0")

    driver.delete_step(*RETAINED_WITH_BACKUPS, f"bucket {BUCKET}")


def no_internet(driver: StackDriver) -> None:
    """Without internet access: the example's VPC endpoints and a mirrored package suffice."""
    network = Stack(driver.aws, "network", "examples/no-internet/network.yml")
    with driver.step("The network of examples/no-internet"):
        network.start()
        network.wait()
        driver.expect("network", network.status(), "CREATE_COMPLETE")
        words = network.outputs()["oParameters"].split()
        given = dict(each.split("=", 1) for each in words)

    with driver.step("Create with a mirrored package"):
        driver.request(**given, **mirrored(driver, "5.20.0"))
        driver.expect_stack("CREATE_COMPLETE")
        driver.expect_cluster(state="ACTIVE", hsms=2, zones=2)
        _expect_cli(driver, "5.20.0")

    with driver.step("The built-in package, which is in another Region"):
        driver.request(pClientPkgUrl="", pClientPkgSha256="")
        driver.expect_stack("UPDATE_ROLLBACK_COMPLETE")
        driver.expect_reason("curl: (28)", "the routes of pClientSubnet")

    with driver.step("Delete"):
        driver.delete()
        driver.expect_stack("DELETE_COMPLETE")
        network.start_delete()
        network.wait()
        driver.expect_retained(*RETAINED_WITH_BACKUPS)


def mirrored(driver: StackDriver, version: str) -> dict[str, str]:
    """Upload a CLI package to a private bucket, as make mirror does; the parameters for it."""
    content = CUSTOM_CONTENT.format(version)
    key = f"cloudhsm-client-sdk/cloudhsm-cli-{version}.rpm"
    driver.aws.client("s3").put_object(Bucket=PRIVATE_BUCKET, Key=key, Body=content.encode())
    url = f"s3://{PRIVATE_BUCKET}/{key}"
    return {"pClientPkgUrl": url, "pClientPkgSha256": _sha256(content)}


def _sha256(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def _upload(driver: StackDriver, version: str, content: str = "") -> str:
    """Upload a package to a public bucket; returns its URL."""
    s3, name = driver.aws.client("s3"), f"cloudhsm-cli-{version}.rpm"
    public_read = {
        "Sid": "PublicRead",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:{s3.meta.partition}:s3:::{BUCKET}/*",
    }
    s3.create_bucket(Bucket=BUCKET)
    s3.delete_public_access_block(Bucket=BUCKET)
    s3.put_bucket_policy(
        Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [public_read]})
    )
    s3.put_object(
        Bucket=BUCKET, Key=name, Body=(content or CUSTOM_CONTENT.format(version)).encode()
    )
    return f"https://{BUCKET}.s3.{driver.aws.region}.amazonaws.com/{name}"


def _expect_cli(driver: StackDriver, version: str) -> None:
    """This version of the CLI is installed and works; Client SDK 3 is not installed."""
    installed = run_on_client(driver, "rpm -q cloudhsm-cli; rpm -q cloudhsm-client || true")
    expected = f"cloudhsm-cli-{version}-1.amzn2023.x86_64\npackage cloudhsm-client is not installed"
    driver.expect("installed", installed, expected)
    expect_cli_works(driver)


def _expect_sdk3(driver: StackDriver) -> None:
    """Client SDK 3 is installed, configured and running; the CLI is not installed."""
    installed = run_on_client(driver, "rpm -q cloudhsm-client; rpm -q cloudhsm-cli || true")
    expected = "cloudhsm-client-3.4.4-1.el7.x86_64\npackage cloudhsm-cli is not installed"
    driver.expect("installed", installed, expected)
    driver.expect("daemon", run_on_client(driver, "systemctl is-active cloudhsm-client"), "active")
    configuration = json.loads(run_on_client(driver, "cat /opt/cloudhsm/etc/cloudhsm_client.cfg"))
    addresses = [hsm["EniIp"] for hsm in driver.cluster()["Hsms"]]
    is_known = configuration["server"]["hostname"] in addresses
    driver.expect("an HSM is configured", is_known, True)
