"""What training minimises: from a batch to a sum with a gradient."""

from dataclasses import dataclass

from torch import Tensor, nn

from nmt.data.batching import Batch
from nmt.device import Precision, autocast
from nmt.models.seq2seq import Seq2Seq
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
        label_smoothing: ε, see ``nmt/training/loss.py``.
        precision: of the matrix products.
    """

    def __init__(self, model: Seq2Seq, label_smoothing: float, precision: Precision) -> None:
        super().__init__()
        self.model = model
        self._label_smoothing, self._precision = label_smoothing, precision

    def forward(self, batch: Batch) -> BatchLoss:
        with autocast(batch.source_BS.device, self._precision):
            unrolled = self.model(batch.source_BS, batch.source_length_B, batch.target_input_BT)
            losses = token_loss(
                unrolled.features_BTD,
                self.model.decoder.output,
                batch.target_output_BT,
                batch.target_length_B,
                self._label_smoothing,
            )
        return BatchLoss(sum(unrolled.aux_losses.values(), losses.smoothed), losses.nll.detach())
