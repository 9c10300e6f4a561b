"""make shell gives the shell a terminal of its own, and passes nothing else on."""

from __future__ import annotations

import os
import sys

from tests.support.terminal import Terminal

PROGRAM = """
import os, sys
from scripts.shell import _run
secret = os.open("/etc/passwd", os.O_RDONLY)
os.set_inheritable(secret, True)
sys.exit(_run(["/bin/sh", "-c", "echo $(tty) $(stty size) $(ls -m /proc/self/fd); read x; exit 3"]))
"""


def test_a_terminal_of_its_own() -> None:
    terminal = Terminal([sys.executable, "-c", "import os; print(os.ttyname(0))\n" + PROGRAM])
    outer, _ = terminal.read_until("\n")
    shown, _ = terminal.read_until("\n")
    device, lines, columns, *descriptors = shown.split()
    assert device.startswith("/dev/pts/")
    assert device != outer.strip()
    assert (lines, columns) == ("24", "80")
    # The last is that of ls itself.
    assert descriptors == ["0,", "1,", "2,", "3"]
    terminal.type("")
    _, status = os.waitpid(terminal.process, 0)
    assert os.waitstatus_to_exitcode(status) == 3
