"""Languages: codes and names, directions between them, and detection."""

from collections.abc import Iterable, Sequence
from itertools import chain, count

from nmt.core.errors import UserError
from nmt.extensions.documents.elements import PUBLIC_CODES, public_code
from nmt.extensions.documents.segmentation import has_letters
from nmt.translation.languages import DETECTED_AS, language_identifier, name_of
from nmt.translation.translator import Translator


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


def languages_of(text: str, codes: Sequence[str]) -> list[tuple[str, float]]:
    """Returns languages with their confidence, best first, as py3langid identifies them; empty without letters.

    The confidence is the probability in percent: text in none of the languages has a low confidence.
    """
    if not has_letters(text):
        return []
    ranked = dict(language_identifier().rank(text))
    found = [(code, round(100 * float(ranked.get(DETECTED_AS.get(code, code), 0.0)), 1)) for code in codes]
    return sorted(found, key=lambda each: -each[1])
