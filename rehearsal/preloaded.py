"""What servers are forked with: imported by multiprocessing's fork server, for local_aws.py."""

from __future__ import annotations

import gc

from rehearsal import server

# All of it stays.
gc.disable()
server.load(server.REGION)
# It is shared with all of them, until somebody writes to it, as the collector would.
gc.freeze()
gc.enable()
