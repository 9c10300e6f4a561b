"""How long a cluster takes to grow in three subnets, by the number of HSMs."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from localaws.client import LocalAws, until
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
    # Of the stack.
    status: str
    # HSMs that were ACTIVE when the request ended, and when no workflow was running any more.
    active: int
    later: int


def growths(timings: Mapping[str, float], mode: str) -> Iterator[Growth]:
    """Create a cluster in three subnets and let it grow from 0 repeatedly."""
    with LocalAws(*QUOTA, *MODES[mode], timings=dict(timings)) as aws:
        bench = Bench(aws, pSubnets=",".join(aws.subnets[:SUBNETS]))
        bench.create()
        for hsms in HSMS_PER_SUBNET:
            # An update that was rolled back has left 0.
            if bench.status() != "UPDATE_ROLLBACK_COMPLETE":
                bench.scale(0)
            measured = bench.measure("grow", functools.partial(bench.request_hsms, hsms))
            status, active = bench.status(), bench.active_hsms()
            until(aws.admin.is_idle, "workflows were still running")
            yield Growth(hsms, mode, measured.waterfall, status, active, bench.active_hsms())
