"""Publish a version's artifacts, compare them with the sources, and freeze it for upgrade tests."""
