"""What a translator gives back, and how it looks as JSON."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Candidate:
    """One of several translations of a line."""

    text: str
    score: float
    """Log-probability under the length penalty; 0 for an empty line."""
    tokens: list[str]


@dataclass(frozen=True)
class Translation:
    """A line and its translation. ``n_best`` holds the candidates, the best first."""

    source: str
    text: str
    score: float
    tokens: list[str]
    n_best: list[Candidate] = field(default_factory=list)
    alignment: tuple[tuple[int, int], ...] | None = None
    """Links between the words of source and translation; None if not asked for, or without attention."""

    def to_json(self) -> dict[str, Any]:
        """The object of ``nmt translate --format jsonl``."""
        return {
            "source": self.source,
            "translation": self.text,
            "score": round(self.score, 6),
            "tokens": self.tokens,
            "n_best": [{"translation": c.text, "score": round(c.score, 6), "tokens": c.tokens} for c in self.n_best],
            "alignment": None if self.alignment is None else [list(link) for link in self.alignment],
        }


@dataclass(frozen=True)
class ScoredPair:
    """A given translation and how probable the model finds it. All logarithms are natural ones.

    A pair with a side that is too long for the model has no score: its figures are None, its lists empty.
    """

    source: str
    target: str
    tokens: list[str]
    """The pieces of the target and EOS."""
    token_log_probabilities: list[float]
    """Of each token, given the source and the tokens before."""
    log_probability: float | None
    """Their sum."""
    score: float | None
    """The sum divided by the length penalty: what beam search ranks by."""

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
