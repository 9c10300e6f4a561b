"""configure-cli, -pkcs11, -jce and -openssl-provider of Client SDK 5 (F3.8 to F3.10)."""

from __future__ import annotations

import argparse
import json
import os
import sys

from .aws import CliError, call
from .packages import configuration

PORT = 2223


def main(arguments: list[str]) -> int:
    """`configure-NAME {-a IP... | --cluster-id ID --region REGION} --hsm-ca-cert FILE`.

    With `--disable-key-availability-check`, keys may be used that only one HSM has.
    """
    component = sys.argv[1].removeprefix("configure-")
    parser = argparse.ArgumentParser(f"configure-{component}", allow_abbrev=False)
    hsms = parser.add_mutually_exclusive_group(required=True)
    hsms.add_argument("-a", nargs="+", dest="addresses", metavar="ENI IP address")
    hsms.add_argument("--cluster-id")
    parser.add_argument("--region")
    parser.add_argument("--hsm-ca-cert", required=True)
    parser.add_argument("--disable-key-availability-check", action="store_true")
    options = parser.parse_args(arguments)
    if bool(options.cluster_id) != bool(options.region):
        # Without --region, it is not the instance's Region (F3.9).
        parser.error("--cluster-id needs --region here, and --region is for --cluster-id")
    if not os.path.isfile(options.hsm_ca_cert):
        print(f"The file {options.hsm_ca_cert} does not exist", file=sys.stderr)
        return 1
    try:
        addresses = options.addresses or _addresses(options.region, options.cluster_id)
    except CliError as error:
        print(error.args[1], file=sys.stderr)
        return 1
    _write(component, addresses, options)
    return 0


def _addresses(region: str, cluster_id: str) -> list[str]:
    """The addresses of the cluster's ACTIVE HSMs, as the caller's DescribeClusters shows them."""
    wanted = {"Filters": {"clusterIds": [cluster_id]}}
    target = "BaldrApiService.DescribeClusters"
    clusters = call("cloudhsm", region, target, wanted)["Clusters"]
    hsms = [hsm for cluster in clusters for hsm in cluster["Hsms"]]
    addresses = [hsm["EniIp"] for hsm in hsms if hsm["State"] == "ACTIVE"]
    if not addresses:
        raise CliError(1, f"Cluster {cluster_id} has no active HSM")
    return addresses


def _write(component: str, addresses: list[str], options: argparse.Namespace) -> None:
    servers = [{"hostname": address, "port": PORT, "enable": True} for address in addresses]
    cluster: dict[str, object] = {"hsm_ca_file": options.hsm_ca_cert, "servers": servers}
    if options.disable_key_availability_check:
        cluster["options"] = {"disable_key_availability_check": True}
    with open(configuration(component), "w") as file:
        json.dump({"clusters": [{"type": "hsm1", "cluster": cluster}]}, file, indent=2)
