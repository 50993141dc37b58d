"""Perplexity of texts under a model."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import exp
from pathlib import Path

from nmt.cli.common import show_json
from nmt.core.console import print_table
from nmt.core.errors import UserError
from nmt.data.sources import FileText
from nmt.translation.load import load
from nmt.translation.results import ScoredPair


@dataclass(frozen=True)
class Perplexity:
    """Perplexity of a text: exp of the mean of -log p, by two units.

    Perplexities per token of models with different vocabularies can't be compared, those per word can. The end of each
    sentence, which is predicted too, counts as a token and as a word.
    """

    log_probability: float
    """Log-probability of the whole text; natural."""
    num_tokens: int
    num_words: int
    """Separated by white space."""

    @classmethod
    def of(cls, pairs: Iterable[ScoredPair], name: str) -> "Perplexity":
        """Computes the perplexity of the targets of pairs; those without a score are left out.

        Raises:
            UserError: no pair has a score.
        """
        total, num_tokens, num_words = 0.0, 0, 0
        for pair in pairs:
            if pair.log_probability is not None:
                total += pair.log_probability
                num_tokens += len(pair.tokens)
                num_words += len(pair.target.split()) + 1
        if not num_tokens:
            raise UserError(f"{name} has no text to measure.", "Give a file with at least one line.")
        return cls(total, num_tokens, num_words)

    @property
    def per_token(self) -> float:
        return exp(-self.log_probability / self.num_tokens)

    @property
    def per_word(self) -> float:
        return exp(-self.log_probability / self.num_words)

    def to_json(self) -> dict[str, float]:
        """The object of ``nmt score --perplexity … --json``."""
        return {"per_token": self.per_token, "per_word": self.per_word, **asdict(self)}


def score_perplexity(model_dir: Path, files: list[str], source: str | None, device: str, as_json: bool) -> None:
    """Prints the perplexities of texts, as ``nmt score --perplexity`` does."""
    translator = load(model_dir, device)
    if source is None and translator.task.reads_source:
        raise UserError(
            f"{model_dir} translates: a text has a perplexity given its source.", "Give the source text by -s FILE."
        )
    # A language model ignores the source; the text itself stands in for it.
    found = {name: Perplexity.of(translator.score(FileText(Path(source or name), Path(name))), name) for name in files}
    if as_json:
        objects = [result.to_json() for result in found.values()]
        show_json(objects[0] if len(files) == 1 else dict(zip(files, objects, strict=True)))
        return
    columns = ("text", "perplexity per token", "per word", "tokens", "words")
    rows = [
        (name, f"{p.per_token:.2f}", f"{p.per_word:.2f}", f"{p.num_tokens:,}", f"{p.num_words:,}")
        for name, p in found.items()
    ]
    print_table("", columns, rows)
