"""A film of training: how some sentences are translated, recorded at each validation.

A frame is the event :class:`nmt.training.loop.events.Filmed`; ``film.jsonl`` has a line for each. The weights are only
read, and no random number is drawn, so a run reaches the same weights with and without a film.

T target and S source positions, EOS counted.
"""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nmt.core.device import Precision, autocast
from nmt.core.errors import UserError
from nmt.data.batching import Ids, make_batch
from nmt.data.cache import encode_corpus
from nmt.data.sources import open_text
from nmt.decoding.search import ModelSearcher, Query
from nmt.models.contracts import select_heads
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe.schema import Recipe
from nmt.training.data import Data, validation_set
from nmt.training.gradient_norms import norms_by_distance

MAX_PIECES = 60
"""Pieces of a sentence; a larger matrix can't be read."""
NUM_GRADIENT_PAIRS = 64
"""Validation pairs by which gradients are measured."""


class Film:
    """Records frames.

    Args:
        recipe: with ``training.film``.
        data: of the run, whose first validation sentences are filmed where the recipe names no others.
        precision: of the matrix products.

    Raises:
        UserError: there is no sentence of a suitable length, or the given files can't be read.
    """

    def __init__(self, recipe: Recipe, data: Data, precision: Precision) -> None:
        options = recipe.training.film
        assert options is not None
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
                f"training.film: no sentence pair has at most {MAX_PIECES} pieces a side.",
                "Name two files with shorter ones: training.film.pairs.",
            )

    @torch.inference_mode()
    def __call__(self, model: Seq2Seq) -> dict[str, Any]:
        """Returns the fields of a frame; the model comes back in the mode it had."""
        was_training = model.training
        model.eval()
        try:
            return {"sentences": self._sentences(model), "gradients": self._gradients(model)}
        finally:
            model.train(was_training)

    def _sentences(self, model: Seq2Seq) -> list[dict[str, Any]]:
        sources = [source for _, (source, _) in self._lines]
        search = ModelSearcher(model, self._vocabularies, self._task.search, self._precision)
        found = [hypotheses[0].ids if hypotheses else () for hypotheses in search(Query(sources, self._decoding))]
        frames, vocabulary = [], self._vocabularies.source
        for (line, (source, reference)), ids in zip(self._lines, found, strict=True):
            of_reference, of_translation = self._forced(model, source, (reference, ids[:MAX_PIECES]))
            frames.append(
                {
                    "text": line,
                    "source": [vocabulary.token(i) for i in (*source, vocabulary.eos)],
                    "reference": of_reference,
                    "translation": of_translation,
                }
            )
        return frames

    def _forced(self, model: Seq2Seq, source: Ids, targets: Sequence[Ids]) -> list[dict[str, Any]]:
        """Returns text, tokens, their probabilities given the tokens before, and attention of each target."""
        batch = make_batch([(source, target) for target in targets], self._vocabularies).to(model.device)
        heads, vocabulary = model.decoder.alignment_heads if model.decoder.heads else (), self._vocabularies.target
        found: list[dict[str, Any]] = []
        with autocast(model.device, self._precision):
            output = model(batch.source_BS, batch.source_length_B, batch.target_input_BT, bool(heads))
            log_p_BTV = model.decoder.output(output.features_BTD).float().log_softmax(-1)
        p_BT = log_p_BTV.gather(2, batch.target_output_BT[:, :, None]).squeeze(2).exp().nan_to_num(0).cpu()
        weights_BTS = select_heads(output.weights_BHTS, heads).float().mean(1).cpu() if heads else None
        for b, target in enumerate(targets):
            with_eos, ids = slice(len(target) + 1), (*target, vocabulary.eos)
            found.append(
                {
                    "text": " ".join(self._task.decode(vocabulary, ids[:-1]).split()),
                    "tokens": [vocabulary.token(i) for i in ids],
                    "p": [round(p, 4) for p in p_BT[b, with_eos].tolist()],
                    "attention": packed(weights_BTS[b, with_eos]) if weights_BTS is not None else None,
                }
            )
        return found

    def _gradients(self, model: Seq2Seq) -> list[float]:
        """Returns the share of the gradient at each distance, as :func:`norms_by_distance` counts it."""
        with torch.inference_mode(False):
            norm_S = norms_by_distance(model, self._gradient_pairs, self._vocabularies)
        return [float(f"{share:.4g}") for share in np.nan_to_num(norm_S / norm_S.sum())]


def packed(weights_TS: Tensor) -> str:
    """Returns attention weights as bytes, 255 for 1, in base64."""
    values = np.rint(weights_TS.nan_to_num(0).clamp(0, 1).numpy() * 255).astype(np.uint8)
    return base64.b64encode(values.tobytes()).decode("ascii")
