"""Hierarchical networks: words of a turn or a sentence, then turns or sentences."""
