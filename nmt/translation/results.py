"""The results of a translator, in text and as JSON, and words in place of UNK."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from nmt.data.vocabulary.base import SPACE, Vocabulary

DIGITS = 4
"""Decimals of scores in JSON: further ones depend on which lines are in the same batch."""


@dataclass(frozen=True)
class Candidate:
    """One of several translations of a line."""

    text: str
    score: float
    """Log-probability under the length penalty; 0 for an empty line."""
    tokens: list[str]
    log_probability: float = 0.0
    """Log-probability of all tokens and EOS, without penalties; 0 if it is not known."""


@dataclass(frozen=True)
class Translation:
    """A line and its translation; ``n_best`` has the candidates, best first."""

    source: str
    text: str
    score: float
    tokens: list[str]
    n_best: list[Candidate] = field(default_factory=list)
    alignment: tuple[tuple[int, int], ...] | None = None
    """Links between the words of source and translation; None if not requested, or without attention."""
    with_punctuation: bool = False
    """Whether each punctuation mark is a word of its own there."""
    terms: Mapping[str, str] = field(default_factory=dict)
    """The terms of its request."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Results of extensions, which are attributes, too: ``problems``, ``confidence``, ``memory`` and so on, as far as
    they were requested."""

    def __getattr__(self, name: str) -> Any:
        fields = self.__dict__.get("fields", {})
        if name in fields:
            return fields[name]
        raise AttributeError(f"a translation has no {name!r} unless it was requested")

    def __str__(self) -> str:
        return self.text

    @property
    def candidates(self) -> list[Candidate]:
        """The candidates, best first; the translation itself if no others were requested."""
        return self.n_best or [Candidate(self.text, self.score, self.tokens)]

    def _repr_html_(self) -> str:
        """Returns the source and the candidates with their scores as a table, for notebooks."""
        return Translations([self])._repr_html_()

    def to_json(self) -> dict[str, Any]:
        """Returns the object of ``nmt translate --format jsonl``."""
        return {
            "source": self.source,
            "translation": self.text,
            "score": round(self.score, DIGITS),
            "tokens": self.tokens,
            "n_best": [
                {"translation": c.text, "score": round(c.score, DIGITS), "tokens": c.tokens} for c in self.n_best
            ],
            "alignment": None if self.alignment is None else [list(link) for link in self.alignment],
            **{name: _rounded(value) for name, value in self.fields.items()},
        }


def _rounded(value: Any) -> Any:
    """Returns a field with its numbers rounded, which depend on the batch in further digits."""
    if isinstance(value, float):
        return round(value, DIGITS)
    return [_rounded(each) for each in value] if isinstance(value, list) else value


class Translations(list[Translation]):
    """The translations of several lines, which a notebook shows as a table."""

    def _repr_html_(self) -> str:
        head = "<tr><th>source</th><th>translation</th><th>score</th></tr>"
        rows = (
            f"<tr><td>{escape(translation.source) if number == 0 else ''}</td><td>{escape(candidate.text)}</td>"
            f"<td>{candidate.score:z.2f}</td></tr>"
            for translation in self
            for number, candidate in enumerate(translation.candidates)
        )
        return f"<table>{head}{''.join(rows)}</table>"


@dataclass(frozen=True)
class ScoredPair:
    """A given translation and its probability. All logarithms are natural.

    A pair with a side that is too long for the model has no score: its figures are None, its lists empty.
    """

    source: str
    target: str
    tokens: list[str]
    """Tokens of the target, and EOS."""
    token_log_probabilities: list[float]
    """Log-probability of each token, given the source and the tokens before."""
    log_probability: float | None
    """Their sum."""
    score: float | None
    """The sum under the length penalty, by which beam search ranks."""

    def to_json(self) -> dict[str, Any]:
        """The object of ``nmt translate --score-only … --format jsonl``."""
        return {
            "source": self.source,
            "target": self.target,
            "tokens": self.tokens,
            "token_log_probabilities": [round(value, 6) for value in self.token_log_probabilities],
            "log_probability": None if self.log_probability is None else round(self.log_probability, 6),
            "score": None if self.score is None else round(self.score, 6),
        }


def spell_unknown(ids: Sequence[int], vocabulary: Vocabulary, words: Mapping[int, str]) -> str:
    """Decode a translation with given words in place of UNK, by their positions in ``ids``."""
    text, start = "", 0
    for position in [*sorted(words), len(ids)]:
        part = ids[start:position]
        if part:
            has_space = bool(text) and vocabulary.token(part[0]).startswith(SPACE)
            text += (" " if has_space else "") + vocabulary.decode(part)
        if position < len(ids):
            text += (" " if text else "") + words[position]
        start = position + 1
    return text
