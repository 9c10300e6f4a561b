from __future__ import annotations

import subprocess
import sys

import pytest

from rehearsal.benchmarks import sizes


@pytest.mark.long
def test_every_handler_is_imported_from_the_zip() -> None:
    found = sizes.import_milliseconds()
    assert [*found] == [*sizes.HANDLERS]
    assert all(10 < milliseconds < 5000 for milliseconds in found.values())
    assert sizes.zip_kilobytes() > 1000


def test_the_memory_of_a_process_includes_that_of_its_children() -> None:
    child = "import time; data = bytearray(50_000_000); print(1, flush=True); time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        pids = sizes._descendants(process.pid)
        megabytes = sum(map(sizes._proportional_megabytes, pids))
        for pid in reversed(pids):
            subprocess.run(["kill", str(pid)], check=True)
    assert len(pids) == 2
    assert 47 < megabytes < 100
