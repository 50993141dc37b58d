"""Text in, text out: a trained model directory as a translator."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from nmt.alignment.forced import align
from nmt.alignment.links import Link, LinkMethod, WordAlignment
from nmt.alignment.words import Words
from nmt.config import DecodingOptions, Recipe, load_recipe, validate
from nmt.console import warn
from nmt.data.vocabulary import Vocabularies
from nmt.decoding.search import Hypothesis, search_all
from nmt.device import pick_device
from nmt.errors import UserError
from nmt.models.build import build_model
from nmt.models.seq2seq import Seq2Seq
from nmt.training.checkpoint import load_weights

WINDOW = 64
"""Batches that are read before they are sorted by length and translated."""


@dataclass(frozen=True)
class Candidate:
    """One of several translations of a line."""

    text: str
    score: float
    """Log-probability divided by the length penalty; 0 for an empty line."""
    tokens: list[str]


@dataclass(frozen=True)
class Translation:
    """A line and its translation. ``n_best`` holds the candidates, the best first."""

    source: str
    text: str
    score: float
    tokens: list[str]
    n_best: list[Candidate] = field(default_factory=list)

    def to_json(self, alignment: Sequence[Link] | None = None) -> dict[str, Any]:
        """The object of ``nmt translate --format jsonl``."""
        return {
            "source": self.source,
            "translation": self.text,
            "score": round(self.score, 6),
            "tokens": self.tokens,
            "n_best": [{"translation": c.text, "score": round(c.score, 6), "tokens": c.tokens} for c in self.n_best],
            "alignment": None if alignment is None else [list(link) for link in alignment],
        }


class Translator:
    """A trained model with its vocabularies.

    Args:
        model: in eval mode, on its device.
        vocabularies: those it was trained with.
        recipe: that it was trained from; its ``decoding`` is the default for :meth:`translate`.
    """

    def __init__(self, model: Seq2Seq, vocabularies: Vocabularies, recipe: Recipe) -> None:
        self.model, self.vocabularies, self.recipe = model, vocabularies, recipe
        self.max_pieces = 2 * recipe.data.max_length
        """A longer source line is cut here: the model never saw anything like it."""

    def options(self, **changes: Any) -> DecodingOptions:
        """The recipe's decoding options with changes; None means no change.

        Raises:
            UserError: an unknown option or a value out of range.
        """
        values = self.recipe.decoding.model_dump() | {k: v for k, v in changes.items() if v is not None}
        return validate(DecodingOptions, values, "decoding")

    def translate(self, lines: Iterable[str], n_best: int = 1, **options: Any) -> list[Translation]:
        """Translate lines of text.

        Args:
            lines: one sentence each; an empty one stays empty.
            n_best: how many candidates each translation carries; at most the beam size.
            options: changes to the recipe's decoding options: ``beam_size``, ``length_penalty``, ``alpha``,
                ``batch_size`` and so on.

        Returns:
            A translation for each line, in order.
        """
        return list(self.stream(lines, n_best, **options))

    def stream(
        self,
        lines: Iterable[str],
        n_best: int = 1,
        on_progress: Callable[[int], None] = lambda lines: None,
        **options: Any,
    ) -> Iterator[Translation]:
        """As :meth:`translate`, for any number of lines in constant memory.

        ``on_progress`` is called with the number of lines translated since the call before.
        """
        decoding = self.options(**options)
        if n_best > decoding.beam_size:
            raise UserError(
                f"{n_best} candidates can't come from a beam of {decoding.beam_size}.",
                f"Give --beam-size {n_best} or more.",
            )
        numbered = iter(enumerate(lines, start=1))
        while window := list(islice(numbered, WINDOW * decoding.batch_size)):
            yield from self._translate_window(window, n_best, decoding, on_progress)

    def _translate_window(
        self,
        window: Sequence[tuple[int, str]],
        n_best: int,
        decoding: DecodingOptions,
        on_progress: Callable[[int], None],
    ) -> Iterator[Translation]:
        encoded = [self._encode(number, line) for number, line in window]
        filled = [index for index, ids in enumerate(encoded) if ids]
        on_progress(len(window) - len(filled))
        sources = [encoded[index] for index in filled]
        found = dict(
            zip(filled, search_all(self.model, sources, self.vocabularies, decoding, on_progress), strict=True)
        )
        for index, (_, line) in enumerate(window):
            candidates = [self._candidate(h) for h in found.get(index, [])] or [Candidate("", 0.0, [])]
            best = candidates[0]
            yield Translation(line, best.text, best.score, best.tokens, candidates[:n_best])

    def _encode(self, number: int, line: str) -> list[int]:
        ids = self.vocabularies.source.encode(line)
        if len(ids) > self.max_pieces:
            warn(f"line {number} has {len(ids):,} pieces: only the first {self.max_pieces} are translated.")
        return ids[: self.max_pieces]

    def _candidate(self, hypothesis: Hypothesis) -> Candidate:
        vocabulary = self.vocabularies.target
        # A translation is one line, whatever pieces the model chose.
        text = " ".join(vocabulary.decode(hypothesis.ids).split())
        return Candidate(text, hypothesis.score, [vocabulary.token(i) for i in hypothesis.ids])

    def align(
        self,
        pairs: Iterable[tuple[str, str]],
        tokenized: bool = False,
        method: LinkMethod = "argmax",
        threshold: float = 0.3,
    ) -> Iterator[WordAlignment]:
        """Word alignments of given sentence pairs, by forced decoding.

        Args:
            pairs: source and target text.
            tokenized: the text is tokenised, punctuation apart; links then count its tokens. Otherwise they
                count what stands between white space.
            method, threshold: see :func:`nmt.alignment.links.extract_links`.

        Raises:
            UserError: the model has no attention.
        """

        def words(text: str) -> Words:
            return Words.detokenise(text.split()) if tokenized else Words.split(text)

        return align(
            self.model,
            self.vocabularies,
            ((words(source), words(target)) for source, target in pairs),
            method,
            threshold,
        )


def load(model_dir: str | Path, device: str = "auto") -> Translator:
    """Read a model directory.

    Args:
        model_dir: what ``nmt train`` wrote.
        device: auto, cpu, cuda, …

    Raises:
        UserError: it isn't a model directory, is incomplete, damaged, or from a newer nmt.
    """
    directory = Path(model_dir)
    if not (directory / "recipe.yaml").is_file():
        reason = "it has no recipe.yaml" if directory.is_dir() else "there is no such folder"
        raise UserError(f"{directory} is not a model directory: {reason}.", "Name a folder that `nmt train` wrote.")
    recipe = load_recipe(directory / "recipe.yaml")
    vocabularies = Vocabularies.load(directory)
    model = build_model(recipe.model, vocabularies)
    load_weights(model, directory / "model.safetensors")
    return Translator(model.to(pick_device(device)).eval(), vocabularies, recipe)
