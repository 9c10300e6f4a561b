"""Every scenario that can be rehearsed: a function whose docstring is its story, and a row here."""

from __future__ import annotations

from collections.abc import Callable

from rehearsal.life import Life
from rehearsal.scenarios import clients, failures, own_pki, standard, superseded

Scenario = Callable[[Life], None]

_ALL: tuple[Scenario, ...] = (
    standard.standard,
    failures.quota_refuses_hsms,
    failures.activation_fails,
    failures.update_is_cancelled,
    own_pki.own_pki,
    own_pki.own_pki_with_a_chain,
    own_pki.own_pki_refused,
    own_pki.own_pki_given_up,
    clients.client_is_replaced,
    clients.client_was_stopped,
    clients.client_was_terminated,
    clients.client_never_comes_online,
    superseded.time_runs_out,
    superseded.nobody_answers,
    superseded.deletion_overtakes_creation,
)

SCENARIOS: dict[str, Scenario] = {told.__name__.replace("_", "-"): told for told in _ALL}
# What `rehearsal serve` is to be told for a scenario that needs another AWS than today's.
ARGUMENTS: dict[str, tuple[str, ...]] = {"time-runs-out": superseded.SLOW_HSMS}
STANDARD = "standard"


def story(name: str) -> str:
    """The one line that says what happens in this scenario."""
    return (SCENARIOS[name].__doc__ or "").strip()
