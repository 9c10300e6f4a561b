"""aws: the real AWS CLI, version 1, which waits in the box already.

To import it takes far longer than to ask for a secret: see instance_site/cli.py.
"""

from __future__ import annotations

import json
import os
import socket
import sys

ADDRESS = "/run/rehearsal/aws"
STANDARD_STREAMS = (0, 1, 2)


def main(arguments: list[str]) -> int:
    """`aws SERVICE OPERATION [OPTION...]`."""
    call = {
        "arguments": arguments,
        "environment": {**os.environ, "HOME": "/root"},
        "directory": os.getcwd(),
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as cli:
        try:
            cli.connect(ADDRESS)
        except OSError as problem:
            print(f"aws: the CLI is not in this box: {problem}", file=sys.stderr)
            return 255
        socket.send_fds(cli, [json.dumps(call).encode()], STANDARD_STREAMS)
        answer = cli.recv(1)
    # Nothing is answered by a process that was killed.
    return answer[0] if answer else 255
