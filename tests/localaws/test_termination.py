"""SIGTERM and Ctrl-C leave no directory, no process and, with the processes, no mount."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from localaws.client import ROOT

# Starts a command, sends it a signal once a file exists, and prints its exit code and the processes
# that are left. Orphans become its children.
OBSERVER = """
import ctypes, json, os, subprocess, sys, time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
directory, pattern, number, *command = sys.argv[1:]
log = open(directory + ".log", "wb")
process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
limit = time.monotonic() + 120
while not list(Path(directory).glob(pattern)) and time.monotonic() < limit:
    assert process.poll() is None, Path(log.name).read_text()
    time.sleep(0.01)
process.send_signal(int(number))
code, left = process.wait(120), []
limit = time.monotonic() + 60
while time.monotonic() < limit:
    try:
        if os.waitpid(-1, os.WNOHANG)[0] == 0:
            time.sleep(0.05)
    except ChildProcessError:
        break
else:
    for entry in Path("/proc").glob("[0-9]*"):
        if (entry / "stat").read_text().rpartition(")")[2].split()[1] == str(os.getpid()):
            left.append((entry / "cmdline").read_text())
print(json.dumps([code, left]))
"""
LOCALAWS = ("-m", "localaws", "--port", "0", "--admin-port", "0")
REHEARSAL = ("-m", "rehearsal", "run", "--no-display", "--scenario")
PYTEST = ("-m", "pytest", "-p", "no:cacheprovider", "-q", "tests/localaws/test_client.py")
# As the fault matrix runs.
IN_A_THREAD = """
import threading
from localaws.client import LocalAws, end_on_signals

def work():
    while True:
        with LocalAws() as aws:
            while True:
                aws.admin.advance(1)

end_on_signals()
thread = threading.Thread(target=work, daemon=True)
thread.start()
thread.join()
"""
# The directories of a server, and of an instance's sandbox.
SERVER, SANDBOX = "localaws-*/localaws-*/sockets", "localaws-*/localaws-*/i-*"


@pytest.mark.parametrize(
    ("command", "moment", "number"),
    [
        pytest.param(LOCALAWS, "localaws-*", signal.SIGTERM, id="server, starting"),
        pytest.param((*REHEARSAL, "standard"), SANDBOX, signal.SIGTERM, id="rehearsal"),
        pytest.param((*REHEARSAL, "standard"), SERVER, signal.SIGINT, id="rehearsal, Ctrl-C"),
        pytest.param((*REHEARSAL[:-1], "--all"), SERVER, signal.SIGTERM, id="all scenarios"),
        pytest.param(("-c", IN_A_THREAD), SERVER, signal.SIGTERM, id="daemon thread"),
        pytest.param(PYTEST, SERVER, signal.SIGTERM, id="pytest"),
    ],
)
def test_a_signal_leaves_nothing(
    tmp_path: Path, command: tuple[str, ...], moment: str, number: int
) -> None:
    directory = tmp_path / "t"
    directory.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", OBSERVER, directory, moment, str(number), sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(directory)},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    code, left = json.loads(done.stdout)
    assert (code != 0, left) == (True, [])
    assert [path for path in directory.rglob("*") if "localaws" in str(path)] == []
