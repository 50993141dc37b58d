"""Gradients on an accelerator: weights in the type of the computation, and a CUDA graph for each shape of a batch.

An update of a Transformer of 12 layers starts a thousand kernels, and starting them takes longer than running them. A
graph (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs) starts all of one batch at once: forward pass,
loss and backward pass are recorded for a shape, and replayed with the ids of the next batch in the same memory.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nmt.core.console import progress_bar, warn
from nmt.core.cuda_graphs import CudaGraphs, Recorder
from nmt.core.device import TYPES
from nmt.data.batch import Batch
from nmt.decoding.graphed import plain_tensors
from nmt.recipe.schema import TrainingOptions
from nmt.training.distributed import ProcessGroup, random_numbers_kept
from nmt.training.objective import Objective, is_out_of_memory, release_memory

Figures = dict[str, Tensor]
"""``nll``, the summed -log p of the target, and the extra losses by name."""
HasGradient = tuple[bool, ...]
"""Whether each trained parameter has a gradient."""


def constant_scaler(device: torch.device) -> torch.amp.GradScaler:
    """Returns a scaler whose scale stays 1, so that an update that isn't finite is left out without being read."""
    return torch.amp.GradScaler(
        device.type, init_scale=1.0, growth_interval=2**31 - 1, backoff_factor=math.nextafter(1.0, 0.0)
    )


def computes_on_device(objective: Objective, options: TrainingOptions, process_group: ProcessGroup) -> bool:
    """Whether :class:`DeviceGradients` computes the gradients of a run."""
    is_special = objective.own_backward is not None or options.lora
    return objective.model.device.type != "cpu" and process_group.size == 1 and not is_special


def records_graphs(objective: Objective, options: TrainingOptions) -> bool:
    """Whether batches get a CUDA graph for each shape, where :func:`computes_on_device`."""
    return options.cuda_graphs and objective.model.device.type == "cuda" and not uncapturable(objective)


def uncapturable(objective: Objective) -> bool:
    """Returns whether no graph can hold a module or technique, as its attribute ``capturable`` says.

    A graph repeats the operations of one batch, so what is computed may not depend on values, on the number of the
    update, or on anything that the CPU draws or reads.
    """
    parts = (*objective.model.modules(), *objective.techniques.values())
    return not all(getattr(part, "capturable", True) for part in parts)


@dataclass(frozen=True)
class _Recorded:
    """A graph, and the memory that it reads the ids of a batch from and writes its results to."""

    replay: Callable[[], None]
    inputs: Tensor
    figures: Figures
    has_gradient: HasGradient
    also_read: list[Tensor]  # such as tables of positions, which a longer sentence replaces in the model


class DeviceGradients:
    """Computes gradients with weights in the type of the computation, and adds them up in float32.

    The parameters stay in float32 for the optimizer. A copy of them in bfloat16 or float16 is written once an update,
    so that no operation has to convert a weight; with ``fp32`` it is a view of the parameter.

    Args:
        objective: on its device, in training mode.
        scaler: of the loss.
        examples: an empty batch of each shape that gets a graph. The operations of other shapes are started one by
            one.
        record: runs a function and returns what repeats it; by default a CUDA graph.
    """

    def __init__(
        self,
        objective: Objective,
        scaler: torch.amp.GradScaler,
        examples: Sequence[Batch],
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
        # One place for the gradients of all graphs, which else would keep theirs each.
        self._gradients = [torch.zeros_like(parameter) for parameter in self._trained.values()]
        self._sums: list[Tensor] = []
        """Room for the sums of the gradients of several batches, which few runs need."""
        self._write_copies = self._convert_weights
        self._one_over_tokens = torch.zeros((), device=self._device)
        self._examples = sorted(examples, key=lambda batch: batch.num_positions, reverse=True)
        self._recorded: dict[tuple[int, int, int], _Recorded] = {}
        self.record = (record or CudaGraphs(self._device)) if examples else None

    def begin(self, num_tokens: int) -> None:
        """Begins an update, whose loss is a mean over this many target tokens. Parameters have no gradients yet."""
        self._write_copies()
        self._one_over_tokens.fill_(1 / num_tokens)
        if self._examples and self.record is not None:
            self._record_all(self.record)

    @torch.no_grad()
    def _convert_weights(self) -> None:
        if pairs := self._apart():
            torch._foreach_copy_([copy for copy, _ in pairs], [original for _, original in pairs])

    def _apart(self) -> list[tuple[Tensor, Tensor]]:
        """Returns copies with memory of their own, and their parameters: nn.LSTM makes its weights contiguous."""
        pairs = zip(self._copies.values(), self._originals.values(), strict=True)
        return [pair for pair in pairs if pair[0].data_ptr() != pair[1].data_ptr()]

    def add(self, batch: Batch, update: int) -> Figures:
        """Adds the gradients of a batch to those of the parameters. The figures are those of the batch until the next
        call."""
        self._keep_sums()
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
        gradients = torch.autograd.grad(scaled, [self._copies[name] for name in self._trained], allow_unused=True)
        pairs = [pair for pair in zip(self._gradients, gradients, strict=True) if pair[1] is not None]
        torch._foreach_copy_([own for own, _ in pairs], [gradient for _, gradient in pairs])
        return {"nll": loss.nll, **loss.extra}, tuple(gradient is not None for gradient in gradients)

    def _keep_sums(self) -> None:
        """Moves what the former batches of an update gave to where the next one doesn't overwrite it."""
        pairs = enumerate(zip(self._trained.values(), self._gradients, strict=True))
        if moved := {index: parameter for index, (parameter, gradient) in pairs if parameter.grad is gradient}:
            self._sums = self._sums or [torch.zeros_like(gradient) for gradient in self._gradients]
            torch._foreach_copy_([self._sums[i] for i in moved], [self._gradients[i] for i in moved])
            for index, parameter in moved.items():
                parameter.grad = self._sums[index]

    def _accumulate(self, has_gradient: HasGradient) -> None:
        """Adds the gradients of a batch to those of the parameters."""
        added: list[tuple[Tensor, Tensor]] = []
        for parameter, gradient, has in zip(self._trained.values(), self._gradients, has_gradient, strict=True):
            if has and parameter.grad is not None:
                added.append((parameter.grad, gradient))
            elif has:
                parameter.grad = gradient
        if added:
            torch._foreach_add_(*map(list, zip(*added, strict=True)))

    def _record_all(self, record: Recorder) -> None:
        """Makes the graphs, the largest first, so that they can all use the memory of the first one."""
        examples, self._examples, device = self._examples, [], self._device
        # Random numbers remain those of a run without graphs, or of one that is resumed.
        with random_numbers_kept(device):
            try:
                with progress_bar("recording CUDA graphs", len(examples)) as bar:
                    for number, batch in enumerate(examples, start=1):
                        self._recorded[batch.shape] = self._recording(batch, record)
                        bar.update(number)
                if self._apart():  # PyTorch warns of a graph without operations
                    self._write_copies = record(self._convert_weights)
            except RuntimeError as error:
                reason = "memory ran out" if is_out_of_memory(error) else str(error).partition("\n")[0]
                missing = f"{len(examples) - len(self._recorded)} of {len(examples)}"
                warn(f"{missing} shapes of batches have no CUDA graph, so their updates take longer: {reason}")
        for module in self._objective.modules():
            if isinstance(module, nn.RNNBase):  # a validation would move weights of graphs; a lambda can't be pickled
                module.flatten_parameters = bool  # type: ignore[assignment, method-assign]
        release_memory(device)

    def _recording(self, batch: Batch, record: Recorder) -> _Recorded:
        inputs = batch.as_one().to(self._device)
        results: list[tuple[Figures, HasGradient]] = []
        replay = record(lambda: results.append(self.compute(batch.parted(inputs), 0)))
        return _Recorded(replay, inputs, *results[-1], plain_tensors(self._objective))


class DeviceUpdate:
    """Clips gradients and changes weights on an accelerator, as one graph if the gradients have graphs.

    A graph needs an optimizer with the option ``capturable`` of PyTorch, whose learning rate can be a tensor, and that
    leaves out an update whose gradient isn't finite by itself, as fused ones do. Else each operation is started.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        parameters: Sequence[nn.Parameter],
        clip_norm: float,
        record: Recorder | None,
    ) -> None:
        self._optimizer, self._scaler, self._parameters, self._clip_norm = optimizer, scaler, parameters, clip_norm
        reads_scaler = getattr(optimizer, "_step_supports_amp_scaling", False)
        self._record = record if "capturable" in optimizer.defaults and reads_scaler else None
        self._rate, self._norm = (torch.zeros((), device=parameters[0].device) for _ in range(2))
        self._former: tuple[int, ...] = ()
        self._recorded: dict[tuple[int, ...], Callable[[], None]] = {}
        """Graphs, by the places of the gradients that they read."""

    def apply(self, rate: float) -> Tensor:
        """Changes the weights at a learning rate; returns the norm of the gradient, kept until the next call. []"""
        if self._record is None:
            return self._change(rate)
        self._rate.fill_(rate)
        places = tuple(0 if p.grad is None else p.grad.data_ptr() for p in self._parameters)
        if (repeat := self._recorded.get(places)) is not None:
            repeat()
        elif places == self._former:
            self._change_and_record(self._record, places)
        else:  # the first update makes the state of the optimizer
            self._change(self._rate)
        self._former = places
        return self._norm

    def _change(self, rate: float | Tensor) -> Tensor:
        for group in self._optimizer.param_groups:
            group["lr"] = rate
            if isinstance(rate, Tensor):
                group["capturable"] = True
        self._scaler.unscale_(self._optimizer)
        self._norm.copy_(nn.utils.clip_grad_norm_(self._parameters, self._clip_norm))
        self._scaler.step(self._optimizer)
        self._scaler.update()
        return self._norm

    def _change_and_record(self, record: Recorder, places: tuple[int, ...]) -> None:
        gradients, has_changed = [parameter.grad for parameter in self._parameters], False

        def change() -> None:
            nonlocal has_changed
            for parameter, gradient in zip(self._parameters, gradients, strict=True):
                parameter.grad = gradient  # an optimizer may have dropped it
            self._change(self._rate)
            has_changed = True

        try:
            self._recorded[places] = record(change)
        except RuntimeError as error:
            if not has_changed:
                raise
            self._record = None
            self._scaler.update(self._scaler.get_scale())  # else it goes on with the update that wasn't recorded
            warn(f"the change of the weights has no CUDA graph, so updates take longer: {error}".partition("\n")[0])
