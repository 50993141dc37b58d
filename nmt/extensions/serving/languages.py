"""Languages: codes and names, directions between them, and detection."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, count
from math import exp, log, sqrt

import numpy as np

from nmt.core.errors import UserError
from nmt.core.model_directory import ModelDirectory
from nmt.extensions.documents.elements import PUBLIC_CODES, public_code
from nmt.extensions.documents.segmentation import has_letters
from nmt.extensions.serving.piece_counts import FILE, MAX_BYTES, PieceModel, load_models
from nmt.translation.languages import DETECTED_AS, language_identifier, name_of
from nmt.translation.translator import Translator

PIECE_WEIGHT, IDENTIFIER_WEIGHT = 0.75, 1.25
"""Weights of two log-probabilities of a language; chosen on words and sentences of eight languages."""
MAX_PIECED = 1000
"""Characters of a text whose pieces are read."""


def described(code: str) -> dict[str, str]:
    """Returns the object of a language in answers."""
    return {"code": public_code(code), "name": name_of(code)}


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
        aliases = {public.lower(): own for own, public in PUBLIC_CODES.items()}
        return next((known for known in (code, aliases.get(code)) if known in self.codes), None)

    def targets(self, source: str) -> list[str]:
        """Returns the languages that a language can be translated to, itself included, which changes nothing."""
        return [code for code in self.codes if self.route(source, code) is not None]

    def route(self, source: str, target: str) -> list[Translator] | None:
        """Returns the direct model, or two that pivot through a third language; empty for a language to itself.

        English is preferred as the third language, otherwise the first by its code. None if there is no route.
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
    """Identifies the language of a text among those of some codes.

    py3langid is trained on long text of many languages. The frequencies of pieces in the training text of the models
    are known for the languages that are served only, and tell more about single words.

    Args:
        models: translators of which each language has one; without it py3langid identifies alone.
    """

    def __init__(self, codes: Sequence[str], models: Iterable[Translator] = ()) -> None:
        self._codes = codes
        self._pieces: dict[str, list[PieceModel]] = {}
        for model in models:
            path = ModelDirectory(model.directory).file(FILE, MAX_BYTES) if model.directory is not None else None
            if path is not None and path.is_file():
                for code, pieces in zip(direction(model), load_models(path, model.vocabularies), strict=True):
                    self._pieces.setdefault(code, []).append(pieces)

    def detect(self, text: str) -> list[tuple[str, float]]:
        """Returns the languages with their confidence, best first; empty for a text without letters.

        The confidence is a probability in percent. py3langid says how probable it is that the text is in one of the
        languages at all: text in a language that isn't served has a low confidence.
        """
        if not has_letters(text):
            return []
        ranked = dict(language_identifier().rank(text))
        probabilities = {code: float(ranked.get(DETECTED_AS.get(code, code), 0.0)) for code in self._codes}
        if all(code in self._pieces for code in self._codes):
            total = sum(probabilities.values())
            probabilities = {code: total * p for code, p in self._with_pieces(text[:MAX_PIECED], probabilities).items()}
        found = sorted(probabilities.items(), key=lambda each: -each[1])
        return [(code, round(100 * probability, 1)) for code, probability in found]

    def _with_pieces(self, text: str, probabilities: Mapping[str, float]) -> dict[str, float]:
        """Returns probabilities with a sum of 1, by those of py3langid and by the likelihood of the pieces."""
        length, scores = sqrt(len(text.encode("utf-8", "replace"))), {}
        for code, probability in probabilities.items():
            likelihood = np.logaddexp.reduce([model.log_probability(text) for model in self._pieces[code]])
            per_model = (likelihood - log(len(self._pieces[code]))) / length  # py3langid divides by this length, too
            scores[code] = PIECE_WEIGHT * per_model + IDENTIFIER_WEIGHT * log(max(probability, 1e-300))
        total = np.logaddexp.reduce(list(scores.values()))
        return {code: exp(score - total) for code, score in scores.items()}
