"""What a creation costs, by prices of AWS's price list, with source and date (F7.401-F7.407)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from scripts.preflight.subject import Subject

SOURCE = "AWS Price List, 2026-09-03; https://aws.amazon.com/cloudhsm/pricing/ is binding"
HOURS = 730  # of a month
# USD an hour for an HSM; hsm1.medium and hsm2m.medium cost the same (F7.401).
HSM = {
    "ap-northeast-1": 1.81,
    "ap-northeast-2": 1.54,
    "eu-central-1": 1.92,
    "us-east-1": 1.60,
    "us-west-2": 1.45,
}
# USD an hour for a client, in us-east-1 (F7.405, F7.407).
INSTANCE = {"t3.small": 0.0208, "t3a.small": 0.0188}
VOLUME = 8 * 0.08  # USD a month: 8 GB of gp3 in us-east-1 (F7.405)
SECRET = 0.40  # USD a month (F7.405)
_SECRETS_OF_A_CLUSTER = 5
_SECRETS_OF_A_KEY_STORE = 2


@dataclass(frozen=True)
class Item:
    """A line of the bill in USD; None if the price is not known."""

    name: str
    hourly: float | None

    @property
    def monthly(self) -> float | None:
        """USD a month of 730 hours."""
        return None if self.hourly is None else self.hourly * HOURS


def items(subject: Subject) -> list[Item]:
    """What costs money from the first minute."""
    return list(_items(subject))


def _items(subject: Subject) -> Iterator[Item]:
    if not subject.creates_cluster:
        yield _secrets(_SECRETS_OF_A_KEY_STORE)
        return
    count = len(subject.subnets) * int(subject.parameters["pHsmsPerSubnet"])
    price, kind = HSM.get(subject.account.region), subject.parameters["pClientType"]
    yield Item(f"{count} × {subject.parameters['pHsmType']}", price and count * price)
    yield Item(f"client, {kind}", INSTANCE.get(kind))
    yield Item("client, 8 GB gp3", VOLUME / HOURS)
    yield _secrets(_SECRETS_OF_A_CLUSTER)


def _secrets(count: int) -> Item:
    return Item(f"{count} secrets", count * SECRET / HOURS)


def total(these: list[Item]) -> Item:
    """The sum of the known prices."""
    return Item("total", sum(each.hourly or 0 for each in these))


def remarks(subject: Subject, these: list[Item]) -> Iterator[str]:
    """What the table does not say."""
    unknown = [each.name for each in these if each.hourly is None]
    if unknown:
        yield (
            f"No price is stored for {', '.join(unknown)} in {subject.account.region}; the total"
            " lacks it. See https://aws.amazon.com/cloudhsm/pricing/."
        )
    if subject.creates_cluster and these[0].monthly:
        yield (
            f"An update to pHsmsPerSubnet=0 saves {these[0].monthly:,.2f} USD a month"
            f" ({these[0].hourly:,.2f} an hour): cluster and backups are retained free of charge."
        )
    if not subject.creates_cluster:
        yield "The key store is free of charge; each KMS key in it costs 1 USD a month."
    if subject.account.region != "us-east-1":
        yield "Client, volume and secrets: prices of us-east-1."
    yield f"Source: {SOURCE}."
