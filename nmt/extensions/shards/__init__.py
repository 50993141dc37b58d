"""Folders of shards, and the executors that do them."""

REQUIRES: tuple[str, ...] = ()
"""Names of the other extensions that this one imports."""
