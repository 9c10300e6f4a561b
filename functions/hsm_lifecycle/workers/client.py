"""The client instance and the commands on it."""

from __future__ import annotations

from hsm_lifecycle.dispatch import worker
from hsm_lifecycle.steps import client

handle = worker(
    client.describe_client,
    client.start_client,
    client.stop_client,
    client.describe_agent,
    client.send_command,
    client.describe_command,
)
