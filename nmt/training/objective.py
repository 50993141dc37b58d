"""What training minimises: from a batch to a sum with a gradient."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from nmt.config import TrainingOptions
from nmt.data.batching import Batch, BatchStream
from nmt.device import Precision, autocast
from nmt.errors import UserError
from nmt.models.seq2seq import Seq2Seq
from nmt.training.compilation import Forward, compiled_forward
from nmt.training.loss import TokenLoss, token_loss
from nmt.training.techniques.gradient_flow import gradient_flow_penalty, recording
from nmt.training.techniques.scheduled_sampling import mixed_inputs, truth_probability
from nmt.training.techniques.truncation import backward_in_segments


@dataclass(frozen=True)
class BatchLoss:
    """Sums over the target tokens of a batch."""

    total: Tensor
    """What is minimised: smoothed cross-entropy and the extra losses of the model."""
    nll: Tensor
    """-log p of the target, to be shown; without a gradient."""
    extra: dict[str, Tensor] = field(default_factory=dict)
    """The extra losses by name, and the figures of source and target tokens, to be shown."""


class Objective(nn.Module):
    """A model and its loss as one module, so that whatever wraps it sees every parameter in use.

    Args:
        model: its parameters are those of this module.
        options: label smoothing, R-Drop, compilation.
        precision: of the matrix products.
        batches: what the model is trained on; asked for the shares of the target tokens.

    Raises:
        UserError: two parts of the recipe don't go together.
    """

    def __init__(self, model: Seq2Seq, options: TrainingOptions, precision: Precision, batches: BatchStream) -> None:
        super().__init__()
        self.model = model
        if options.truncate and model.decoder.has_aux_losses:
            raise UserError(
                "training.truncate reads targets token by token, and the decoder's extra loss needs whole sentences.",
                "Set training.truncate to null, or the decoder's time_penalty to 0.",
            )
        self._options, self._precision = options, precision
        self._compiled: Forward | None = compiled_forward(model) if options.compile else None
        self._prior_V: Tensor | None = None
        if options.label_smoothing and options.label_smoothing_prior == "unigram":
            device = next(model.parameters()).device
            self._prior_V = torch.tensor(batches.target_shares(), dtype=torch.float32, device=device)

    def forward(self, batch: Batch, update: int = 0) -> BatchLoss:
        """The loss of a batch at an update, counted from 0."""
        options = self._options
        num_passes = 2 if options.r_drop else 1
        run = self._compiled or self.model
        with autocast(batch.source_BS.device, self._precision):
            batch = self._with_own_words(batch, update)
            read = batch.twice() if num_passes == 2 else batch
            with ExitStack() as stack:
                recorded = stack.enter_context(recording(self.model)) if options.gradient_flow else []
                unrolled = run(read.source_BS, read.source_length_B, read.target_input_BT, links_BTS=read.links_BTS)
            losses = self._token_loss(unrolled.features_BTD, batch.target_output_BT, batch.target_length_B)
        extra = {name: loss / num_passes for name, loss in unrolled.aux_losses.items()}
        total: Tensor = sum(extra.values(), losses.smoothed)
        if recorded:  # a mean, where all else is a sum over tokens
            extra["gradient_flow"] = losses.num_tokens * gradient_flow_penalty(total, recorded)
            total = total + options.gradient_flow * extra["gradient_flow"]
        shown = {name: loss.detach() for name, loss in extra.items()}
        for name, figure_BT in unrolled.figures.items():
            shown[f"target_{name}"] = figure_BT.detach().sum() / num_passes
        for name, figure_BS in unrolled.source_figures.items():  # a mean of source tokens, among sums of target tokens
            shown[f"source_{name}"] = losses.num_tokens * figure_BS.detach().sum() / read.source_length_B.sum()
        return BatchLoss(total, losses.nll.detach(), shown)

    def backward_in_segments(self, batch: Batch, update: int, scale: Callable[[Tensor], Tensor]) -> Tensor:
        """Add the gradients of a batch by truncated backpropagation; give its summed -log p.

        Args:
            scale: applied to each loss before it goes backwards.
        """
        assert self._options.truncate is not None
        nll: list[Tensor] = []

        def loss(features_BTD: Tensor, target_BT: Tensor, length_B: Tensor) -> Tensor:
            losses = self._token_loss(features_BTD, target_BT, length_B)
            nll.append(losses.nll.detach())
            return scale(losses.smoothed)

        with autocast(batch.source_BS.device, self._precision):
            batch = self._with_own_words(batch, update)
            backward_in_segments(self.model, batch, self._options.truncate, loss, scale)
        return torch.stack(nll).sum()

    def _with_own_words(self, batch: Batch, update: int) -> Batch:
        probability = truth_probability(self._options.scheduled_sampling, update)
        return replace(batch, target_input_BT=mixed_inputs(self.model, batch, probability))

    def _token_loss(self, features_BTD: Tensor, target_BT: Tensor, length_B: Tensor) -> TokenLoss:
        options, output = self._options, self.model.decoder.output
        smoothing, prior_V = options.label_smoothing, self._prior_V
        return token_loss(features_BTD, output, target_BT, length_B, smoothing, prior_V, options.r_drop)
