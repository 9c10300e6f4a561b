"""Record the calls of every request, in a run without faults."""

from __future__ import annotations

from collections.abc import Callable

from rehearsal.fault_matrix.call import Call, calls_of
from rehearsal.fault_matrix.recording import Recording
from rehearsal.fault_matrix.requests import ABSENT, SETTINGS
from rehearsal.fault_matrix.session import BrokenError, Session
from rehearsal.fault_matrix.snapshot import Snapshot


def record(on_request: Callable[[str], None]) -> Recording:
    """Run every request once; BrokenError if one does not succeed."""
    calls: dict[str, list[Call]] = {}
    states: dict[str, dict[str, Snapshot]] = {}
    for name in SETTINGS:
        with Session(name, None) as session:
            session.leftovers(ABSENT)
            for request in session.setting.requests.values():
                on_request(request.name)
                session.reach(request.before)
                before = session.admin.calls()
                events = session.send(request)
                if problems := session.problems(request, events):
                    raise BrokenError(f"{request.name}: {'; '.join(problems)}")
                session.settle(request)
                after = session.admin.calls()
                # The commands of a client that was replaced are gone.
                new = {
                    kind: after[kind][len(before[kind]) :]
                    if after[kind][: len(before[kind])] == before[kind]
                    else after[kind]
                    for kind in after
                }
                if request.name in session.setting.tried:
                    calls[request.name] = calls_of(new, events)
            states[name] = session.states
    return Recording(calls, states)
