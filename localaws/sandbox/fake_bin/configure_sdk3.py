"""configure of Client SDK 3 (F3.2): writes cloudhsm_client.cfg."""

from __future__ import annotations

import argparse
import json

from .packages import HSM_DIRECTORY


def main(arguments: list[str]) -> int:
    """`configure -a IP`."""
    parser = argparse.ArgumentParser("configure", allow_abbrev=False)
    parser.add_argument("-a", dest="address", required=True)
    address = parser.parse_args(arguments).address
    with open(f"{HSM_DIRECTORY}/etc/cloudhsm_client.cfg", "w") as file:
        json.dump({"server": {"hostname": address, "port": 2223}}, file)
    return 0
