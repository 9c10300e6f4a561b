"""How long a cluster takes to grow in three subnets, by the number of HSMs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from localaws.client import LocalAws
from rehearsal.benchmarks.operations import Bench
from rehearsal.benchmarks.waterfall import Waterfall

SUBNETS = 3
HSMS_PER_SUBNET = (1, 3, 6)
QUOTA = ("--quotas", '{"hsms": 28}')
AT_ONCE: tuple[str, ...] = ()
ONE_AT_A_TIME = ("--assume", "concurrent-create-hsm=refused")
MODES = {"all at once": AT_ONCE, "one at a time": ONE_AT_A_TIME}


@dataclass(frozen=True)
class Growth:
    """From 0 to so many HSMs per subnet."""

    hsms_per_subnet: int
    mode: str
    waterfall: Waterfall
    # HSMs that were ACTIVE when the request ended.
    active: int


def growths(timings: Mapping[str, float], mode: str) -> Iterator[Growth]:
    """Create a cluster in three subnets and let it grow from 0 repeatedly."""
    with LocalAws(*QUOTA, *MODES[mode], timings=dict(timings)) as aws:
        bench = Bench(aws, pSubnets=",".join(aws.subnets[:SUBNETS]))
        bench.create()
        for hsms in HSMS_PER_SUBNET:
            bench.scale(0)
            measured = bench.measure("grow", lambda hsms=hsms: bench.scale(hsms))  # type: ignore[misc]  # the default is the loop's value
            yield Growth(hsms, mode, measured.waterfall, bench.active_hsms())
