"""From a batch to its loss, and batches that don't fit in memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from nmt.core.device import Precision, autocast
from nmt.core.errors import UserError
from nmt.data.batch import Batch
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe.schema import TrainingOptions
from nmt.training.loss import TokenLoss, token_loss
from nmt.training.techniques import Technique


@dataclass(frozen=True)
class BatchLoss:
    """Sums over the target tokens of a batch."""

    total: Tensor
    """Loss to minimise: smoothed cross-entropy and the extra losses of the model and of techniques."""
    nll: Tensor
    """-log p of the target, detached from the graph."""
    extra: dict[str, Tensor] = field(default_factory=dict)
    """Extra losses and diagnostics by name, detached from the graph."""


class Objective(nn.Module):
    """A model and its loss as one module, so that a wrapper sees every parameter in use.

    Raises:
        UserError: a technique can't work with the model.
    """

    def __init__(
        self,
        model: Seq2Seq,
        options: TrainingOptions,
        precision: Precision,
        techniques: Mapping[str, Technique] | None = None,
    ) -> None:
        super().__init__()
        self.model, self.precision = model, precision
        self.casts_weights = True
        """Whether the weights are converted by autocast; otherwise they have the type of the computation."""
        self.techniques = dict(techniques or {})
        self._all = list(self.techniques.values())
        for technique in self._all:
            technique.setup_model(model)
        self._num_passes = max((technique.num_passes for technique in self._all), default=1)
        self._need_weights = any(technique.needs_weights for technique in self._all)
        self._logits_losses = [technique.logits_loss for technique in self._all if technique.has("logits_loss")]
        sampling = (technique.sample_classes for technique in self._all if technique.has("sample_classes"))
        self._sample_classes = next(sampling, None)
        if self._sample_classes and self._logits_losses:
            names = [name for name, technique in self.techniques.items() if technique.has("logits_loss")]
            raise UserError(
                f"training.techniques.{names[0]} needs the probabilities of the whole vocabulary.",
                "Leave it out, or the technique that samples from the vocabulary (sampled_softmax).",
            )
        self._smoothing = options.label_smoothing

    def forward(self, batch: Batch, update: int = 0) -> BatchLoss:
        """Returns the loss of a batch at an update, counted from 0."""
        with autocast(batch.source_BS.device, self.precision if self.casts_weights else "fp32"):
            batch = self._changed(batch, update)
            read = batch.repeated(self._num_passes)
            output = self.model(read.source_BS, read.source_length_B, read.target_input_BT, self._need_weights)
            losses = self._token_loss(output.features_BTD, batch.target_output_BT, batch.target_length_B)
        extra = {name: loss / self._num_passes for name, loss in output.aux_losses.items()}
        total: Tensor = sum(extra.values(), losses.smoothed)
        for technique in self._all:
            for name, loss in technique.extra_losses(read, output, total).items():
                extra[name] = loss / self._num_passes
                total = total + extra[name]
        shown = {name: loss.detach() for name, loss in extra.items()}
        for name, figure_BT in output.diagnostics.items():
            shown[f"target_{name}"] = figure_BT.detach().sum() / self._num_passes
        # A mean of source tokens, among sums of target tokens.
        for name, figure_BS in output.source_diagnostics.items():
            num_tokens = batch.target_length_B.sum()
            shown[f"source_{name}"] = num_tokens * figure_BS.detach().sum() / read.source_length_B.sum()
        return BatchLoss(total, losses.nll.detach(), shown)

    @property
    def own_backward(self) -> str | None:
        """Name of the technique with its own backward pass, which :meth:`add_gradient` calls; None without one."""
        return next((name for name, technique in self.techniques.items() if technique.has("backward")), None)

    def add_gradient(self, batch: Batch, update: int, scale: Callable[[Tensor], Tensor]) -> Tensor:
        """Adds the gradients of a batch by the backward pass of a technique; returns -log p of the target.

        Args:
            update: counted from 0.
            scale: applied to each loss before it goes backwards.
        """
        assert self.own_backward is not None
        nll: list[Tensor] = []

        def loss(features_BTD: Tensor, target_BT: Tensor, length_B: Tensor) -> Tensor:
            losses = self._token_loss(features_BTD, target_BT, length_B)
            nll.append(losses.nll.detach())
            return scale(losses.smoothed)

        with autocast(batch.source_BS.device, self.precision):
            batch = self._changed(batch, update)
            self.techniques[self.own_backward].backward(self.model, batch, loss, scale)
        return torch.stack(nll).sum()

    def _changed(self, batch: Batch, update: int) -> Batch:
        for technique in self._all:
            batch = technique.change_batch(batch, self.model, update)
        return batch

    def _token_loss(self, features_BTD: Tensor, target_BT: Tensor, length_B: Tensor) -> TokenLoss:
        targets = self.model.decoder.output, target_BT, length_B, self._smoothing
        return token_loss(features_BTD, *targets, self._logits_losses, self._sample_classes)


_OOM_MESSAGES = ("not enough memory", "can't allocate memory", "Cannot allocate memory", "MPS backend out of memory")
"""Messages of PyTorch's allocators of the CPU and of MPS for exhausted memory, in a plain RuntimeError."""


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether an allocation failed, on a GPU or on the CPU."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(message in str(error) for message in _OOM_MESSAGES)


def split_on_oom(
    group: Sequence[Batch], add_gradient: Callable[[Batch, bool], Tensor], make_room: Callable[[Batch], None]
) -> Tensor:
    """Computes the gradients of an update, splitting batches in two until each fits; returns the summed loss.

    What fails in a backward pass leaves part of its gradient behind, so the whole update is computed anew. It is the
    same update but for the masks of dropout.

    Args:
        add_gradient: adds the gradient of a batch, told whether it is the last one, and gives the batch's summed loss.
        make_room: drops all gradients of the update; told the batch that didn't fit.

    Raises:
        UserError: a single sentence pair doesn't fit.
    """
    batches = list(group)
    while True:
        losses: list[Tensor] = []
        try:
            for number, batch in enumerate(batches, start=1):
                losses += [add_gradient(batch, number == len(batches))]
            return torch.stack(losses).sum(0)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Out here the error is gone, and with its traceback the tensors that it kept alive.
        failed = len(losses)
        if len(batches[failed].source_BS) == 1:
            raise UserError(
                f"One sentence pair of {shape_text(batches[failed])} doesn't fit in memory.",
                "Lower data.max_length, or make the model smaller; go on with --resume.",
            )
        make_room(batches[failed])
        batches[failed : failed + 1] = batches[failed].halves()


def shape_text(batch: Batch) -> str:
    """Returns the lengths of a batch as text."""
    return f"{batch.source_BS.shape[1]:,} source and {batch.target_output_BT.shape[1]:,} target positions"


def release_memory(device: torch.device) -> None:
    """Empties the allocator's cache of a device."""
    if device.type != "cpu":
        torch.get_device_module(device).empty_cache()
