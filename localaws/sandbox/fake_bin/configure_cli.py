"""configure-cli of Client SDK 5 (F3.8 to F3.10): writes cloudhsm-cli.cfg."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys

from .cloudhsm_cli import CONFIGURATION

DEFAULT_CA_FILE = "/opt/cloudhsm/etc/customerCA.crt"
PORT = 2223


def main(arguments: list[str]) -> int:
    """`configure-cli -a IP...` or `--cluster-id ID [--region R]`, `[--hsm-ca-cert FILE]` etc."""
    parser = argparse.ArgumentParser("configure-cli", allow_abbrev=False)
    parser.add_argument("-a", nargs="+", dest="addresses", default=[], metavar="ENI IP address")
    parser.add_argument("--cluster-id")
    # F3.9: not where the instance is.
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--endpoint")
    parser.add_argument("--hsm-ca-cert")
    parser.add_argument("--disable-key-availability-check", action="store_true")
    parser.add_argument("--enable-key-availability-check", action="store_true")
    for option in ("--log-level", "--log-file", "--log-type", "--log-rotation"):
        parser.add_argument(option)
    options = parser.parse_args(arguments)

    with open(CONFIGURATION) as file:
        configuration = json.load(file)
    clusters = configuration["clusters"] or [{"type": "hsm1", "cluster": _new_cluster()}]
    cluster = clusters[0]["cluster"]
    addresses = options.addresses
    if options.cluster_id:
        found = _find_hsms(options.cluster_id, options.region, options.endpoint)
        if isinstance(found, str):
            print(found, file=sys.stderr)
            return 1
        addresses = found
    if options.hsm_ca_cert:
        if not os.path.isfile(options.hsm_ca_cert):
            print(f"The file {options.hsm_ca_cert} does not exist", file=sys.stderr)
            return 1
        cluster["hsm_ca_file"] = options.hsm_ca_cert
    if addresses:
        cluster["servers"] = [
            {"hostname": address, "port": PORT, "enable": True} for address in addresses
        ]
    if not arguments:
        parser.error("the following required arguments were not provided: -a <ENI IP address>")
    if options.disable_key_availability_check or options.enable_key_availability_check:
        cluster["options"] = {
            "disable_key_availability_check": options.disable_key_availability_check
        }
    with open(CONFIGURATION, "w") as file:
        json.dump({**configuration, "clusters": clusters}, file, indent=2)
    return 0


def _new_cluster() -> dict[str, object]:
    return {"hsm_ca_file": DEFAULT_CA_FILE, "servers": []}


def _find_hsms(cluster_id: str, region: str, endpoint: str | None) -> list[str] | str:
    """The HSMs' addresses, asked for with the instance's own permissions, or why there are none."""
    command = ["aws", "cloudhsmv2", "describe-clusters", "--filters", f"clusterIds={cluster_id}"]
    command += ["--region", region, "--output", "json"]
    command += ["--endpoint-url", endpoint] if endpoint else []
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        return answer.stderr.strip()
    clusters = json.loads(answer.stdout)["Clusters"]
    if not clusters:
        return f"Cluster {cluster_id} was not found in Region {region}"
    addresses = [hsm["EniIp"] for hsm in clusters[0]["Hsms"] if hsm["State"] == "ACTIVE"]
    return addresses or f"Cluster {cluster_id} has no active HSM"
