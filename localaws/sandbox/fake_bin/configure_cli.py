"""configure-cli of Client SDK 5 (F3.8 to F3.10): writes cloudhsm-cli.cfg."""

from __future__ import annotations

import argparse
import json
import os
import sys

from .cloudhsm_cli import CONFIGURATION

PORT = 2223


def main(arguments: list[str]) -> int:
    """`configure-cli -a IP... --hsm-ca-cert FILE`."""
    parser = argparse.ArgumentParser("configure-cli", allow_abbrev=False)
    parser.add_argument("-a", nargs="+", dest="addresses", required=True, metavar="ENI IP address")
    parser.add_argument("--hsm-ca-cert", required=True)
    options = parser.parse_args(arguments)
    if not os.path.isfile(options.hsm_ca_cert):
        print(f"The file {options.hsm_ca_cert} does not exist", file=sys.stderr)
        return 1
    servers = [{"hostname": address, "port": PORT, "enable": True} for address in options.addresses]
    cluster = {"hsm_ca_file": options.hsm_ca_cert, "servers": servers}
    with open(CONFIGURATION, "w") as file:
        json.dump({"clusters": [{"type": "hsm1", "cluster": cluster}]}, file, indent=2)
    return 0
