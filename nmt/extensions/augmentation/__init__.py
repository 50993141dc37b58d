"""Augmentation: modifiers of training sentences, and the robustness of a model against such changes."""
