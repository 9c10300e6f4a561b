"""`python -m localaws`: serve the local AWS."""

from __future__ import annotations

import sys

from localaws import server

if __name__ == "__main__":
    sys.exit(server.main())
