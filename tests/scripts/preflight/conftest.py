"""One local AWS for all preflights."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from localaws.client import LocalAws
from rehearsal.fixtures import existing_cluster
from tests.scripts.preflight.support import Laboratory, Session


@pytest.fixture(scope="session", name="laboratory")
def _laboratory() -> Iterator[Laboratory]:
    with LocalAws() as aws:
        yield Laboratory(aws, existing_cluster(aws), Session(aws))


@pytest.fixture(autouse=True)
def _reachable_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests have no network; each package has an address unless a test says otherwise."""
    monkeypatch.setattr("scripts.preflight.checks.client_image._length", lambda url: "1")
