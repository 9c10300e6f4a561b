"""The error of a command that is called in a way that no script uses."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def unsupported(command: str, arguments: Sequence[str]) -> int:
    """Report the arguments; the exit code of a usage error."""
    print(f"{command}: not supported by the sandbox: {' '.join(arguments)}", file=sys.stderr)
    return 2
