"""`make preflight`: what would fail in a creation, before anything exists; changes nothing."""

import sys
from pathlib import Path

# The workflows' own rules are checked here too; tests find them by pyproject.toml.
sys.path.append(str(Path(__file__).resolve().parents[2] / "functions"))
