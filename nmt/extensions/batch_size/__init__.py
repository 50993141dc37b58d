"""The largest batch that fits on a GPU: ``training.batch_tokens: auto``."""

REQUIRES = ()
