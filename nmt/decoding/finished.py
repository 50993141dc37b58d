"""Translations that are complete."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Hypothesis:
    """A finished translation, in ids, without SOS and EOS."""

    ids: list[int]
    score: float
    """Log-probability under the length and coverage penalties: what hypotheses are ranked by."""
    log_probability: float


@dataclass(frozen=True)
class Finished:
    """The K best finished hypotheses of each of B sentences, best first; a score of -inf is an empty place."""

    score_BK: Tensor
    log_probability_BK: Tensor
    tokens_BKt: Tensor
    length_BK: Tensor
    """Pieces without SOS and EOS."""

    @classmethod
    def none(cls, num_sentences: int, size: int, device: torch.device) -> "Finished":
        """Room for ``size`` hypotheses of each sentence."""
        nothing_BK = torch.full((num_sentences, size), float("-inf"), device=device)
        length_BK = torch.zeros(num_sentences, size, dtype=torch.long, device=device)
        return cls(nothing_BK, nothing_BK, length_BK[:, :, None][:, :, :0], length_BK)

    def are_full(self) -> Tensor:
        """Whether a sentence has K finished hypotheses. [B]"""
        return self.score_BK[:, -1].isfinite()

    def with_more(self, score_BM: Tensor, log_probability_BM: Tensor, tokens_BMt: Tensor) -> "Finished":
        """The best of these and M more of t pieces each."""
        num_pieces = tokens_BMt.shape[2]
        padded_BKt = F.pad(self.tokens_BKt, (0, num_pieces - self.tokens_BKt.shape[2]))
        length_BM = torch.full_like(score_BM, num_pieces, dtype=torch.long)
        score_BK, kept_BK = torch.cat((self.score_BK, score_BM), dim=1).topk(self.score_BK.shape[1], dim=1)
        return Finished(
            score_BK,
            torch.cat((self.log_probability_BK, log_probability_BM), dim=1).gather(1, kept_BK),
            torch.cat((padded_BKt, tokens_BMt), dim=1).gather(1, kept_BK[:, :, None].expand(-1, -1, num_pieces)),
            torch.cat((self.length_BK, length_BM), dim=1).gather(1, kept_BK),
        )

    def select(self, sentences: Tensor) -> "Finished":
        """Those of some sentences."""
        parts = (self.score_BK, self.log_probability_BK, self.tokens_BKt, self.length_BK)
        return Finished(*(part[sentences] for part in parts))

    def hypotheses(self, sentence: int) -> list[Hypothesis]:
        """Those of one sentence, best first."""
        rows = zip(
            self.tokens_BKt[sentence].tolist(),
            self.length_BK[sentence].tolist(),
            self.score_BK[sentence].tolist(),
            self.log_probability_BK[sentence].tolist(),
            strict=True,
        )
        return [Hypothesis(ids[:n], score, log_p) for ids, n, score, log_p in rows if score > float("-inf")]
