"""Languages: codes and names, directions between them, and detection."""

from collections.abc import Iterable, Sequence
from itertools import chain, count

from nmt.core.errors import UserError
from nmt.data.languages import DETECTED_AS, language_identifier
from nmt.documents.segmentation import has_letters
from nmt.translation.translator import Translator

LIBRETRANSLATE_CODES = {"pb": "pt-BR", "zh": "zh-Hans", "zt": "zh-Hant"}
"""Codes that clients of LibreTranslate see under another name."""


def public_code(code: str) -> str:
    """Returns the code as clients of LibreTranslate know it."""
    return LIBRETRANSLATE_CODES.get(code, code)


def direction(model: Translator) -> tuple[str, str]:
    """Returns the codes of source and target."""
    return model.recipe.data.source.lower(), model.recipe.data.target.lower()


class ModelRouter:
    """Models by direction and by name, and the routes between languages.

    Args:
        models: each serves the direction of its recipe, ``data.source`` to ``data.target``.

    Attributes:
        models: the first model of each direction, which translates where no other is named.
        named: all models. The name of a model is that of its folder, with a number where another has the same.
        codes: all languages.

    Raises:
        UserError: there is no model.
    """

    def __init__(self, models: Iterable[Translator]) -> None:
        self.models: dict[tuple[str, str], Translator] = {}
        self.named: dict[str, Translator] = {}
        for model in models:
            self.models.setdefault(direction(model), model)
            name = model.directory.resolve().name if model.directory is not None else "-".join(direction(model))
            names = chain([name], (f"{name}-{number}" for number in count(2)))
            self.named[next(free for free in names if free not in self.named)] = model
        if not self.models:
            raise UserError("There is no model to serve.", "Name one or more model directories.")
        self.codes = sorted({code for pair in self.models for code in pair})

    def find(self, code: str) -> str | None:
        """The code of a language as the models have it, from any spelling of a request; None if it isn't served."""
        code = code.strip().lower()
        aliases = {public.lower(): own for own, public in LIBRETRANSLATE_CODES.items()}
        return next((known for known in (code, aliases.get(code)) if known in self.codes), None)

    def targets(self, source: str) -> list[str]:
        """Returns the languages that a language can be translated to, itself included, which changes nothing."""
        return [code for code in self.codes if self.route(source, code) is not None]

    def route(self, source: str, target: str) -> list[Translator] | None:
        """Returns the model that translates, or two by way of a third language; empty for a language to itself.

        Of several third languages English is chosen, otherwise the first by its code. None if there is no way.
        """
        if source == target:
            return []
        if (source, target) in self.models:
            return [self.models[source, target]]
        pivots = [code for code in self.codes if (source, code) in self.models and (code, target) in self.models]
        if not pivots:
            return None
        pivot = "en" if "en" in pivots else pivots[0]
        return [self.models[source, pivot], self.models[pivot, target]]


class Detector:
    """Identifies the language of a text among those of some codes."""

    def __init__(self, codes: Sequence[str]) -> None:
        self._codes = codes

    def detect(self, text: str) -> list[tuple[str, float]]:
        """Returns the languages with their confidence, best first; empty for a text without letters.

        The confidence is the probability in percent among all languages that the identifier knows, not only those that
        are served: text in a language that isn't served has a low confidence.
        """
        if not has_letters(text):
            return []
        probabilities = dict(language_identifier().rank(text))
        found = [(code, probabilities.get(DETECTED_AS.get(code, code), 0.0)) for code in self._codes]
        return [(code, round(100 * probability, 1)) for code, probability in sorted(found, key=lambda each: -each[1])]
