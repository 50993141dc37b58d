"""The observer ``film``: how some sentences are translated, with attention, at each validation of a run.

S source and T target positions, EOS counted.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from nmt.core.device import Precision, autocast
from nmt.core.errors import UserError
from nmt.data.cache import encode_corpus
from nmt.data.opening import open_text
from nmt.decoding.forced import ForcedScore, force_all
from nmt.decoding.search import ModelSearcher, Query
from nmt.extensions.lecture.gradients import BATCH_SIZE, norms_by_distance
from nmt.models.seq2seq import Seq2Seq
from nmt.plotting.templates import packed
from nmt.recipe import options as groups
from nmt.recipe.options import FIXED
from nmt.recipe.schema import FilePair, Recipe
from nmt.training.data import Data, validation_set
from nmt.training.validation import Observer

MAX_PIECES = 60
"""Pieces of a sentence; a larger matrix can't be read."""
NUM_GRADIENT_PAIRS = 64
"""Validation pairs by which gradients are measured."""


class Film(Observer):
    """Records the translations of some sentences at each validation.

    A frame, a line of ``film.jsonl``, has

    - ``sentences``: for each its ``text``, the tokens of its ``source``, and as ``reference`` and ``translation`` the
      ``text``, the ``tokens``, the probabilities ``p`` and the ``attention``: bytes [T, S] in base64, or None;
    - ``gradients``: the mean norm of the loss's gradient at a source token, by the number of tokens that the encoder
      reads after it; shares of the sum.

    The first validation sentences are filmed where the options name no others.

    Raises:
        UserError: there is no sentence of a suitable length, or the given files can't be read.
    """

    class Options(groups.Options):
        sentences: Annotated[int, FIXED] = Field(
            5, ge=1, le=20, description="number of sentences, the first of the text"
        )
        pairs: Annotated[FilePair | None, FIXED] = Field(
            None, description="files of these sentences and their translations; null: the validation text"
        )

    requires = ("translation", "search")

    def __init__(self, options: Options, recipe: Recipe, data: Data, precision: Precision) -> None:
        self._vocabularies, self._task, self._precision = data.vocabularies, data.task, precision
        self._decoding = recipe.decoding.model_copy(update={"search": "beam"})
        filmed, corpus = data.valid, data.valid.corpus
        self._gradient_pairs = [(corpus.source[i], corpus.target[i]) for i in filmed.indices[:NUM_GRADIENT_PAIRS]]
        if options.pairs is not None:
            text = open_text(recipe.data, options.pairs)
            corpus = encode_corpus(text, data.vocabularies, recipe.data.max_length)
            filmed = validation_set(text, corpus, np.arange(len(corpus)))
        encoded = [(corpus.source[i], corpus.target[i]) for i in filmed.indices]
        self._lines = [
            (line, ids) for line, ids in zip(filmed.sources, encoded, strict=True) if max(map(len, ids)) <= MAX_PIECES
        ][: options.sentences]
        if not self._lines:
            raise UserError(
                f"training.observers.film: no sentence pair has at most {MAX_PIECES} pieces a side.",
                "Name two files with shorter ones: training.observers.film.pairs.",
            )

    def __call__(self, model: Seq2Seq, check: Callable[[], None]) -> dict[str, Any]:
        with torch.inference_mode(False):
            norm_S = norms_by_distance(model, self._gradient_pairs, self._vocabularies)
        shares = [float(f"{share:.4g}") for share in np.nan_to_num(norm_S / norm_S.sum())]
        return {"sentences": self._sentences(model, check), "gradients": shares}

    def _sentences(self, model: Seq2Seq, check: Callable[[], None]) -> list[dict[str, Any]]:
        sources = [source for _, (source, _) in self._lines]
        search = ModelSearcher(model, self._vocabularies, self._task.search, self._precision)
        results = search(Query(sources, self._decoding, before_step=check))
        translations = [hypotheses[0].ids if hypotheses else () for hypotheses in results]
        pairs = [
            (source, tuple(target))
            for (_, (source, reference)), ids in zip(self._lines, translations, strict=True)
            for target in (reference, ids[:MAX_PIECES])
        ]
        heads, vocabulary = model.decoder.alignment_heads if model.decoder.heads else (), self._vocabularies.source
        with autocast(model.device, self._precision):
            forced = force_all(model, pairs, self._vocabularies, BATCH_SIZE, heads)
        shown = iter(self._shown(target, each) for (_, target), each in zip(pairs, forced, strict=True))
        return [
            {
                "text": line,
                "source": [vocabulary.token(i) for i in (*source, vocabulary.eos)],
                "reference": next(shown),
                "translation": next(shown),
            }
            for line, (source, _) in self._lines
        ]

    def _shown(self, target: Sequence[int], forced: ForcedScore) -> dict[str, Any]:
        """Returns text, tokens, their probabilities given the tokens before, and attention of a target."""
        vocabulary = self._vocabularies.target
        return {
            "text": " ".join(vocabulary.decode(target).split()),
            "tokens": [vocabulary.token(i) for i in (*target, vocabulary.eos)],
            "p": [round(p, 4) for p in forced.log_probability_T.exp().nan_to_num(0).tolist()],
            "attention": packed(forced.weights_HTS.mean(0).cpu().numpy()) if forced.weights_HTS is not None else None,
        }
