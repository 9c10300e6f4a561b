"""The goals, and what is compared with them: medians over random durations of AWS."""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

# Operation: the most that its median ratio to AWS's own time may be.
MEDIANS = {"create": 1.02, "grow": 1.02, "key-store-create": 1.02, "delete": 1.04}
WORST = 1.05
DOLLARS = 0.05
REQUEST_MILLISECONDS, WORKER_MILLISECONDS = 200, 250
REHEARSE_SECONDS, REHEARSE_MEGABYTES = 20, 400
# Each duration of a draw differs from the default by up to this share.
SPREAD = 0.3
# What the benchmarks charge in addition (F6.90); too short to be drawn.
CHARGED = {"invoke_function": 0.5, "state_transition": 0.05}
# How long a cluster that is deleted is still described does not lengthen an operation.
NOT_DRAWN = {*CHARGED, "deleted_visible"}


@dataclass(frozen=True)
class Spread:
    """The ratios of one operation over all draws."""

    name: str
    ratios: Sequence[float]

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.ratios)

    @property
    def worst(self) -> float:
        """The highest."""
        return max(self.ratios)


def drawn(timings: Mapping[str, float], seed: int) -> dict[str, float]:
    """Timings with random differences, the same for each seed."""
    source = random.Random(seed)  # nosec B311 # no secret
    return {
        name: seconds
        if name in NOT_DRAWN
        else round(seconds * source.uniform(1 - SPREAD, 1 + SPREAD), 1)
        for name, seconds in timings.items()
    }


def missed(spreads: Sequence[Spread], costs: Mapping[str, float]) -> Iterator[str]:
    """A line for each goal that is not met."""
    for spread in spreads:
        limit = MEDIANS.get(spread.name)
        if limit is None:
            continue
        if spread.median > limit:
            yield f"{spread.name}: median {spread.median:.3f}, goal {limit:.2f}"
        if spread.worst > WORST:
            yield f"{spread.name}: worst {spread.worst:.3f}, goal {WORST:.2f}"
    for name, cost in costs.items():
        if cost >= DOLLARS:
            yield f"{name}: {cost:.3f} USD, goal {DOLLARS:.2f}"


def missed_sizes(imports: Mapping[str, float], seconds: float, megabytes: float) -> Iterator[str]:
    """As `missed`, for the CPU milliseconds of imports and what `make rehearse` takes."""
    for name, milliseconds in imports.items():
        limit = REQUEST_MILLISECONDS if name == "request" else WORKER_MILLISECONDS
        if milliseconds >= limit:
            yield f"cold import of {name}: {milliseconds:.0f} ms, goal {limit}"
    if seconds >= REHEARSE_SECONDS:
        yield f"make rehearse: {seconds:.0f} s, goal {REHEARSE_SECONDS}"
    if megabytes >= REHEARSE_MEGABYTES:
        yield f"make rehearse: {megabytes:.0f} MB, goal {REHEARSE_MEGABYTES}"
