"""What translations must say and must not say, in words; and words that the vocabulary lacks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nmt.console import warn
from nmt.data.vocabulary import Vocabulary
from nmt.decoding.logits_processors import NeverPhrases, Rule
from nmt.decoding.request import Request
from nmt.decoding.results import Candidate
from nmt.decoding.task import Wishes


@dataclass(frozen=True)
class Wording:
    """What holds for all translations of a run."""

    forbid: Sequence[str] = ()
    """Phrases that no translation may say, letter by letter."""
    replace_unknown: bool = False
    """Put the source word that is attended to most in place of an unknown one,"""
    lexicon: Mapping[str, str] = field(default_factory=dict)
    """translated, where it is in here."""

    def rules(self, vocabulary: Vocabulary) -> list[Rule]:
        """What search must know of it."""
        phrases = [ids for phrase in self.forbid if (ids := vocabulary.encode(phrase))]
        return [NeverPhrases(phrases)] if phrases else []

    def allowed(self, number: int, candidates: list[Candidate]) -> list[Candidate]:
        """The candidates that say nothing forbidden; all, with a warning, where there would be none.

        Search stops a phrase in the pieces that it is usually written in; this finds it in others, too.
        """
        kept = [c for c in candidates if not any(phrase in c.text for phrase in self.forbid)]
        if candidates and not kept:
            warn(f"line {number}: every candidate says what is forbidden; a wider beam has more of them.")
        return kept or candidates

    def translated(self, word: str) -> str:
        """A source word as it is to stand in the translation."""
        return self.lexicon.get(word) or self.lexicon.get(word.lower()) or word


def wishes_of(request: Request, vocabulary: Vocabulary) -> Wishes:
    """A request's wishes in pieces."""
    phrases = [vocabulary.encode(phrase) for phrase in request.must_contain]
    return Wishes(vocabulary.encode(request.prefix) if request.prefix else [], [ids for ids in phrases if ids])


def check_wishes(number: int, request: Request, text: str) -> None:
    """Warn where a translation doesn't say what it must: the vocabulary may not be able to write it."""
    for phrase in request.must_contain:
        if phrase not in text:
            warn(f"line {number}: {phrase!r} could not be made part of the translation.")
