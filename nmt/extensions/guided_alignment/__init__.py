"""Guided alignment: word links that an attention head learns in training."""

REQUIRES = ()
