"""What training minimises: from a batch to a sum with a gradient."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nmt.config import TrainingOptions
from nmt.data.batching import Batch, BatchStream
from nmt.device import Precision, autocast
from nmt.models.seq2seq import Seq2Seq
from nmt.training.compilation import Forward, compiled_forward
from nmt.training.loss import token_loss


@dataclass(frozen=True)
class BatchLoss:
    """Sums over the target tokens of a batch."""

    total: Tensor
    """What is minimised: smoothed cross-entropy and the extra losses of the model."""
    nll: Tensor
    """-log p of the target, to be shown; without a gradient."""


class Objective(nn.Module):
    """A model and its loss as one module, so that whatever wraps it sees every parameter in use.

    Args:
        model: its parameters are those of this module.
        options: label smoothing, R-Drop, compilation.
        precision: of the matrix products.
        batches: what the model is trained on; asked for the shares of the target tokens.
    """

    def __init__(self, model: Seq2Seq, options: TrainingOptions, precision: Precision, batches: BatchStream) -> None:
        super().__init__()
        self.model = model
        self._options, self._precision = options, precision
        self._compiled: Forward | None = compiled_forward(model) if options.compile else None
        self._prior_V: Tensor | None = None
        if options.label_smoothing and options.label_smoothing_prior == "unigram":
            device = next(model.parameters()).device
            self._prior_V = torch.tensor(batches.target_shares(), dtype=torch.float32, device=device)

    def forward(self, batch: Batch) -> BatchLoss:
        num_passes = 2 if self._options.r_drop else 1
        read = batch.twice() if num_passes == 2 else batch
        run = self._compiled or self.model
        with autocast(batch.source_BS.device, self._precision):
            unrolled = run(read.source_BS, read.source_length_B, read.target_input_BT, links_BTS=read.links_BTS)
            losses = token_loss(
                unrolled.features_BTD,
                self.model.decoder.output,
                batch.target_output_BT,
                batch.target_length_B,
                self._options.label_smoothing,
                self._prior_V,
                self._options.r_drop,
            )
        extra = [loss / num_passes for loss in unrolled.aux_losses.values()]
        return BatchLoss(sum(extra, losses.smoothed), losses.nll.detach())
