"""Every scenario that can be rehearsed: a function whose docstring is its story, and a row here."""

from __future__ import annotations

from collections.abc import Callable

from rehearsal.life import Life
from rehearsal.scenarios import failures, own_pki, standard

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
)

SCENARIOS: dict[str, Scenario] = {told.__name__.replace("_", "-"): told for told in _ALL}
STANDARD = "standard"


def story(name: str) -> str:
    """The one line that says what happens in this scenario."""
    return (SCENARIOS[name].__doc__ or "").strip()
