"""What is measured in real time and bytes: the zip, imports, and a rehearsal."""

from __future__ import annotations

import contextlib
import os
import re
import statistics
import subprocess  # nosec B404 # runs this Python
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localaws.client import ROOT

ZIP = ROOT / "build" / "functions.zip"
LOCAL_ZIP = ROOT / "build" / "rehearsal" / "build" / "functions.zip"
HANDLERS = ("request", "response", "cluster", "certificate", "client", "key_store")
REPEATS = 5
SAMPLE_SECONDS = 0.5
PSS = re.compile(r"^Pss: +(\d+) kB", re.MULTILINE)
# Prints the CPU milliseconds of loading the module and of fetching one handler.
IMPORT = """
import sys, time
sys.path.insert(0, sys.argv[1])
began = time.process_time()
import hsm_lifecycle.handlers as handlers
getattr(handlers, sys.argv[2])
print(1000 * (time.process_time() - began))
"""


@dataclass(frozen=True)
class Rehearsal:
    """The real seconds and the peak memory of all processes, in MB, of `make rehearse`."""

    seconds: float
    memory: float


def zip_kilobytes() -> float:
    """The size of the zip that ships."""
    return ZIP.stat().st_size / 1024


def import_milliseconds() -> dict[str, float]:
    """The CPU time of a cold import for each handler, from the zip with this machine's wheels."""
    # Lambda has byte code of the SDK, as we have, but none of the zip: /var/task is read-only.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    with tempfile.TemporaryDirectory() as directory:
        with zipfile.ZipFile(LOCAL_ZIP) as archive:
            archive.extractall(directory)

        def measure(handler: str) -> float:
            command = [sys.executable, "-c", IMPORT, directory, handler]
            return statistics.median(float(_run(command, environment)) for _ in range(REPEATS))

        return {handler: measure(handler) for handler in HANDLERS}


def rehearsal(scenario: str = "standard") -> Rehearsal:
    """Run a scenario as `make rehearse` does."""
    before, peak = time.monotonic(), 0.0
    command = [sys.executable, "-m", "rehearsal", "run", "--scenario", scenario]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:  # nosec B603 # without a shell
        while process.poll() is None:
            peak = max(peak, sum(map(_proportional_megabytes, _descendants(process.pid))))
            time.sleep(SAMPLE_SECONDS)
    if process.returncode:
        raise RuntimeError(f"the scenario {scenario} failed")
    return Rehearsal(time.monotonic() - before, peak)


def _descendants(pid: int) -> list[int]:
    """A process and those that it and its children have started."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{parent}/task"):
                children = Path(f"/proc/{parent}/task/{task}/children").read_text()
                found += [int(child) for child in children.split()]
    return found


def _proportional_megabytes(pid: int) -> float:
    """The memory of a process; what it shares counts in parts. 0 if it has ended."""
    with contextlib.suppress(OSError):
        found = PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
        return int(found[1]) / 1024 if found else 0
    return 0


def _run(command: Sequence[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(  # nosec B603 # without a shell
        command, cwd=ROOT, env=environment, text=True, capture_output=True, check=True
    )
    return done.stdout
