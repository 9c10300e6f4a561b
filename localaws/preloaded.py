"""What servers are forked with: imported by multiprocessing's fork server, for local_aws.py."""

from __future__ import annotations

import gc

from localaws import server
from localaws.services.cloudhsmv2 import certificates

# As many as the first HSM of a cluster, its successor and a second cluster's take.
KEYS = 3

# All of it stays.
gc.disable()
server.load(server.REGION)
certificates.pregenerate_keys(KEYS)
# It is shared with all of them, until somebody writes to it, as the collector would.
gc.freeze()
gc.enable()
