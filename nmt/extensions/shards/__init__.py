"""Folders of shards, and the executors that do them."""
