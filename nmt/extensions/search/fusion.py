"""Shallow fusion: a language model that takes part in the search."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from nmt.core.errors import UserError
from nmt.data.vocabulary.files import Vocabularies
from nmt.decoding.hypotheses import SearchBatch
from nmt.decoding.processors import LogitsProcessor
from nmt.models.build import read_model
from nmt.recipe import options as groups

_read_once = lru_cache(maxsize=4)(read_model)
"""Reads a language model once for all batches: processors are made anew for each."""


class LanguageModel(LogitsProcessor):
    """Shallow fusion (Gulcehre et al. 2015): log p(y_t | x, y_<t) + weight · log p_LM(y_t | y_<t).

    The language model has the vocabulary of the target. It reads the translations so far from their beginning at each
    step, since nothing is kept on ``self``; EOS counts as a token.
    """

    class Options(groups.Options):
        model: Path = Field(description="model directory of a language model (model.encoder: null)")
        weight: float = Field(0.2, description="of its log-probabilities; those of the translation model have 1")

    def __init__(self, options: Any, vocabularies: Vocabularies) -> None:
        super().__init__(options, vocabularies)
        _, own, self._model = _read_once(options.model, torch.device("cpu"))
        where = f"decoding.logits_processors.language_model: {options.model}"
        if self._model.reads_source:
            raise UserError(f"{where} is no language model.", "Train one with model.encoder: null.")
        if own.target.fingerprint != vocabularies.target.fingerprint:
            raise UserError(
                f"{where} has another vocabulary than the target language of the model.",
                "Train the language model with vocabulary.path set to the directory of the translation model.",
            )

    @torch.inference_mode()
    def __call__(self, logits_NV: Tensor, tokens_Nt: Tensor, sentence_N: Tensor, batch: SearchBatch) -> None:
        if self._model.device != logits_NV.device:
            self._model.to(logits_NV.device)
        decoder, no_source_N1 = self._model.decoder, tokens_Nt[:, :1]
        encoded = self._model.encode(no_source_N1, torch.ones_like(no_source_N1[:, 0]))
        features_NtD = decoder.unroll(tokens_Nt, encoded).features_BTD
        logits_NV += self.options.weight * decoder.output(features_NtD[:, -1]).float().log_softmax(-1)
