"""Dialogues: the current turn is translated or answered in the context of the turns before it."""

from typing import ClassVar

from nmt.recipe.schema import Recipe
from nmt.tasks.base import NO_SENTENCES, Task


class Dialogue(Task):
    """Each source line has the turns of a dialogue, separated by tabs."""

    name = "dialogue"
    refused: ClassVar = {
        "synthesis": ("A model of dialogues translates one turn of several.", "Name a model of sentences."),
        "export": (
            "Models of dialogues are not exported: their turns are put together by nmt.",
            "Use `nmt translate`.",
        ),
        "robustness": NO_SENTENCES,
        "reverse alignment": ("A model of dialogues aligns in one direction only.", "Leave out the reverse model."),
        "lexicon alignment": ("A model of dialogues aligns by its attention.", "Leave out --lexicon-only."),
    }

    @classmethod
    def fits(cls, recipe: Recipe) -> bool:
        return recipe.data.history_turns is not None
