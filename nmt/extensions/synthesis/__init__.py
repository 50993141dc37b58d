"""Synthetic parallel text: back-translation, distillation, and large language models as teachers."""

REQUIRES: tuple[str, ...] = ("cleaning",)
