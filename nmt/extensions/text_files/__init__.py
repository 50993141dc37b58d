"""Tables, translation memories and XLIFF as text to train on: ``nmt train texts.tsv --minutes 30``."""

REQUIRES = ("documents", "memory")
