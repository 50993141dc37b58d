"""Augmentation: modifiers of training sentences, and the robustness of a model against such changes."""

REQUIRES: tuple[str, ...] = ()
"""Names of the other extensions that this one imports."""
