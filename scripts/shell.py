"""make shell: opens a shell on the client of a stack that runs in the local AWS of `make serve`.

On AWS, Session Manager does that, with the command that is printed if no local AWS is set up. The
shell is in the client's sandbox: it sees neither the machine's files nor the caller's environment,
and it gets a terminal of its own, so that it cannot type into the caller's.
"""

from __future__ import annotations

import os
import pty
import shutil
import subprocess  # nosec B404 # its purpose
import sys

import boto3
from botocore.exceptions import ClientError

from localaws.client import AdminApi, LocalAwsError

OUTPUT = "oClientInstanceId"


def main(stack: str) -> int:
    """Open the shell; returns its exit code, or 0 if it had a terminal."""
    try:
        instance = _client_of(stack)
    except ClientError as error:
        sys.exit(f"{stack}: {error}")
    url, token = (os.environ.get(f"LOCALAWS_ADMIN_{name}") for name in ("URL", "TOKEN"))
    if not url or not token:
        sys.exit(
            "LOCALAWS_ADMIN_URL and LOCALAWS_ADMIN_TOKEN are not set. For the local AWS, paste the"
            " export commands of `make serve`. On AWS, open the shell with:\n"
            f"  aws ssm start-session --target {instance}"
        )
    try:
        command = AdminApi(url, token).shell(instance)
    except (LocalAwsError, OSError) as error:
        sys.exit(f"No shell on {instance}: {error}")
    code = _run(command)
    # A shell on a terminal ends with the code of the last command typed, which is no failure.
    return 0 if sys.stdin.isatty() else code


def _client_of(stack: str) -> str:
    (found,) = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    for output in found.get("Outputs", []):
        if output["OutputKey"] == OUTPUT:
            return str(output["OutputValue"])
    sys.exit(
        f"Stack {stack} ({found['StackStatus']}) has no output {OUTPUT}: it has no client yet."
    )


def _run(command: list[str]) -> int:
    """Run the command on a terminal of its own, or on standard input if that is none."""
    if not sys.stdin.isatty():
        # In a session of its own, so that /dev/tty is not the caller's terminal.
        done = subprocess.run(command, start_new_session=True, check=False)  # nosec B603 # a list
        return done.returncode
    for descriptor in os.listdir("/proc/self/fd"):
        if int(descriptor) > 2 and os.path.exists(f"/proc/self/fd/{descriptor}"):
            os.set_inheritable(int(descriptor), False)
    columns, lines = shutil.get_terminal_size()
    sized = f'stty cols {columns} rows {lines}; exec "$@"'
    return os.waitstatus_to_exitcode(pty.spawn(["/bin/sh", "-c", sized, "sh", *command]))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
