"""Gradients on an accelerator: weights in the type of the computation, and a CUDA graph for each shape of a batch.

An update of a Transformer of 12 layers starts a thousand kernels, and starting them takes longer than running them. A
graph (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs) starts all of one batch at once: forward pass,
loss and backward pass are recorded for a shape, and replayed with the ids of the next batch in the same memory.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call

from nmt.core.console import progress_bar, warn
from nmt.core.cuda_graphs import CudaGraphs, Recorder
from nmt.core.device import TYPES, random_numbers_kept
from nmt.data.batch import Batch
from nmt.data.shapes import MOST_SHAPES
from nmt.recipe.schema import TrainingOptions
from nmt.training.distributed import ProcessGroup
from nmt.training.objective import Objective, is_out_of_memory, release_memory

Figures = dict[str, Tensor]
"""``nll``, the summed -log p of the target, and the extra losses by name."""
HasGradient = tuple[bool, ...]
"""Whether each trained parameter has a gradient."""
Shape = tuple[int, int, int]


def constant_scaler(device: torch.device) -> torch.amp.GradScaler:
    """Returns a scaler whose scale stays 1, so that an update that isn't finite is left out without being read."""
    return torch.amp.GradScaler(
        device.type, init_scale=1.0, growth_interval=2**31 - 1, backoff_factor=math.nextafter(1.0, 0.0)
    )


def computes_on_device(objective: Objective, options: TrainingOptions, process_group: ProcessGroup) -> bool:
    """Whether :class:`DeviceGradients` computes the gradients of a run."""
    is_special = objective.own_backward is not None or options.lora
    return objective.model.device.type != "cpu" and process_group.size == 1 and not is_special


def records_graphs(objective: Objective, options: TrainingOptions, process_group: ProcessGroup) -> bool:
    """Whether batches get a CUDA graph for each shape."""
    is_wanted = options.cuda_graphs and objective.model.device.type == "cuda"
    return is_wanted and computes_on_device(objective, options, process_group) and not uncapturable(objective)


def uncapturable(objective: Objective) -> str:
    """Returns the module or technique that no graph can hold, as its attribute ``capturable`` says; empty without one.

    A graph repeats the operations of one batch, so what is computed may not depend on values, on the number of the
    update, or on anything that the CPU draws or reads.
    """
    for name, part in (*objective.model.named_modules(), *objective.techniques.items()):
        if not getattr(part, "capturable", True):
            return name or type(part).__name__
    return ""


@dataclass(frozen=True)
class _Recorded:
    """A graph, and the memory that it reads the ids of a batch from and writes its results to."""

    replay: Callable[[], None]
    inputs: Tensor
    figures: Figures
    has_gradient: HasGradient


class DeviceGradients:
    """Computes gradients with weights in the type of the computation, and adds them up in float32.

    The parameters stay in float32 for the optimizer. A copy of them in bfloat16 or float16 is written once an update,
    so that no operation has to convert a weight; with ``fp32`` it is a view of the parameter.

    Args:
        objective: on its device, in training mode.
        scaler: of the loss.
        examples: an empty batch of each shape that gets a graph, at most ``MOST_SHAPES`` of them. The operations of
            other shapes are started one by one.
        accumulates: whether the gradients of several batches are added up for an update.
        record: repeats a function; by default as a CUDA graph.
    """

    def __init__(
        self,
        objective: Objective,
        scaler: torch.amp.GradScaler,
        examples: Sequence[Batch],
        accumulates: bool,
        record: Recorder | None = None,
    ) -> None:
        objective.casts_weights = False
        self._objective, self._scaler = objective, scaler
        self._device, dtype = objective.model.device, TYPES[objective.precision]
        tensors = {**dict(objective.named_parameters()), **dict(objective.named_buffers())}
        self._originals = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
        self._copies = {
            name: tensor.detach().to(dtype).requires_grad_(tensor.requires_grad)
            for name, tensor in self._originals.items()
        }
        self._trained = {name: tensor for name, tensor in self._originals.items() if tensor.requires_grad}
        self._is_copied = dtype != torch.float32
        # One place for the gradients of all graphs, which else would keep theirs each.
        self._gradients = [torch.zeros_like(parameter) for parameter in self._trained.values()]
        self._sums = [torch.zeros_like(parameter) for parameter in self._trained.values()] if accumulates else []
        self._one_over_tokens = torch.zeros((), device=self._device)
        self._examples = sorted(examples, key=lambda batch: batch.num_positions, reverse=True)[:MOST_SHAPES]
        self._recorded: dict[Shape, _Recorded] = {}
        self._record = record

    def begin(self, num_tokens: int) -> None:
        """Begins an update, whose loss is a mean over this many target tokens. Parameters have no gradients yet."""
        if self._is_copied:
            with torch.no_grad():
                torch._foreach_copy_(list(self._copies.values()), list(self._originals.values()))
        self._one_over_tokens.fill_(1 / num_tokens)
        if self._examples:
            self._record_all()

    def add(self, batch: Batch, update: int) -> Figures:
        """Adds the gradients of a batch to those of the parameters. The figures are those of the batch until the next
        call."""
        if (recorded := self._recorded.get(batch.shape)) is None or batch.annotations:
            figures, has_gradient = self.compute(batch.to(self._device), update)
        else:
            recorded.inputs.copy_(batch.as_one(), non_blocking=True)
            recorded.replay()
            figures, has_gradient = recorded.figures, recorded.has_gradient
        self._accumulate(has_gradient)
        return figures

    def compute(self, batch: Batch, update: int) -> tuple[Figures, HasGradient]:
        """Computes the gradients of a batch on the device, into tensors that remain the same."""
        loss = functional_call(self._objective, self._copies, (batch, update))
        scaled = self._scaler.scale(loss.total * self._one_over_tokens)
        weights = [self._copies[name] for name in self._trained]
        gradients = torch.autograd.grad(scaled, weights, allow_unused=True)
        pairs = [pair for pair in zip(self._gradients, gradients, strict=True) if pair[1] is not None]
        with torch.no_grad():
            torch._foreach_copy_([own for own, _ in pairs], [gradient for _, gradient in pairs])
        return {"nll": loss.nll, **loss.extra}, tuple(gradient is not None for gradient in gradients)

    @torch.no_grad()
    def _accumulate(self, has_gradient: HasGradient) -> None:
        """Adds the gradients of a batch to those of the parameters."""
        chosen = [index for index, has in enumerate(has_gradient) if has]
        parameters = list(self._trained.values())
        if not self._sums:
            for index in chosen:
                parameters[index].grad = self._gradients[index]
            return
        new = [index for index in chosen if parameters[index].grad is None]
        present = [index for index in chosen if parameters[index].grad is not None]
        for indices, change in ((new, torch._foreach_copy_), (present, torch._foreach_add_)):
            if indices:
                change([self._sums[index] for index in indices], [self._gradients[index] for index in indices])
        for index in new:
            parameters[index].grad = self._sums[index]

    def _record_all(self) -> None:
        """Makes the graphs, the largest first, so that they can all use the memory of the first one."""
        examples, self._examples, device = self._examples, [], self._device
        record = self._record or CudaGraphs(device)
        # Random numbers remain those of a run without graphs, or of one that is resumed.
        with random_numbers_kept(device):
            try:
                with progress_bar("recording CUDA graphs", len(examples)) as bar:
                    for number, batch in enumerate(examples, start=1):
                        self._recorded[batch.shape] = self._recording(batch, record)
                        bar.update(number)
            except RuntimeError as error:
                reason = "memory ran out" if is_out_of_memory(error) else str(error).partition("\n")[0]
                missing = f"{len(examples) - len(self._recorded)} of {len(examples)}"
                warn(f"{missing} shapes of batches have no CUDA graph, so their updates take longer: {reason}")
        release_memory(device)

    def _recording(self, batch: Batch, record: Recorder) -> _Recorded:
        inputs = batch.as_one().to(self._device)
        results: list[tuple[Figures, HasGradient]] = []
        replay = record(lambda: results.append(self.compute(batch.parted(inputs), 0)))
        return _Recorded(replay, inputs, *results[-1])
