"""Ctrl-C on a terminal: a summary and a picture, and no traceback."""

from __future__ import annotations

import os
import pty
import re
import select
import sys
import time

from localaws.client import ROOT

# Real seconds.
LIMIT = 240
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def press_ctrl_c_after(text: str, *arguments: str) -> tuple[int, str]:
    """Run a scenario on a terminal, press Ctrl-C once it shows a text; exit code and output."""
    process, terminal = pty.fork()
    if not process:
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-m", "rehearsal", "run", *arguments])
    raw, output, pressed, limit = "", "", False, time.monotonic() + LIMIT
    while time.monotonic() < limit:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            raw += os.read(terminal, 65536).decode(errors="replace")
        except OSError:  # the other end is closed
            break
        output = _ESCAPES.sub("", raw)
        if text in output and not pressed:
            pressed = True
            os.write(terminal, b"\x03")
    os.close(terminal)
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status), output


def test_ctrl_c_ends_with_a_summary_and_a_picture() -> None:
    picture = ROOT / "build" / "rehearsal-hsm-drift.svg"
    picture.unlink(missing_ok=True)
    code, output = press_ctrl_c_after("$ make deploy", "--scenario", "hsm-drift")
    assert code == 130
    assert "Traceback" not in output
    assert re.search(r"1 +Create: 1 HSM per subnet .* stopped", output)
    assert "Stopped before the end, so nothing was checked." in output
    assert "diagram: build/rehearsal-hsm-drift.svg; again: make rehearse" in output
    assert "make serve" in output
    assert "virtual time in" in picture.read_text()
    assert "; stopped" in picture.read_text()


def test_ctrl_c_before_anything_is_shown_leaves_no_traceback() -> None:
    code, output = press_ctrl_c_after("hsm-drift: ", "--scenario", "hsm-drift")
    assert code == 130
    assert "Traceback" not in output
    assert output.splitlines()[-1].endswith("Stopped.")
