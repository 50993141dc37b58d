"""A logits processor."""

from pydantic import Field
from torch import Tensor

from nmt.decoding.hypotheses import SearchBatch
from nmt.decoding.processors import LogitsProcessor
from nmt.recipe import options as groups


class MinLength(LogitsProcessor):
    """A translation has at least as many tokens as a share of its source."""

    class Options(groups.Options):
        """Options of ``min_length``."""

        ratio: float = Field(0.5, ge=0, description="tokens of the translation for each token of the source")

    def __call__(self, logits_NV: Tensor, tokens_Nt: Tensor, sentence_N: Tensor, batch: SearchBatch) -> None:
        num_tokens, source_length_N = tokens_Nt.shape[1] - 1, batch.source_length_B[sentence_N] - 1
        logits_NV[num_tokens < self.options.ratio * source_length_N, batch.target.eos] = float("-inf")
