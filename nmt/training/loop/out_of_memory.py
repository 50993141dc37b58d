"""Out-of-memory handling: splits batches that don't fit, and finds the largest that fits."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import count, takewhile

import torch
from torch import Tensor, nn

from nmt.core.console import say
from nmt.core.errors import UserError
from nmt.data.batching import Batch, BatchStream

CPU_BATCH_TOKENS = 4096
"""Value of ``training.batch_tokens: auto`` on the CPU."""

MIN_UPDATES = 50
"""Minimum number of updates per epoch with ``training.batch_tokens: auto``: few large ones learn little."""

MARGIN = 0.9
"""Fraction of the largest batch that is used, because allocators fragment memory."""

_CPU_MESSAGES = ("not enough memory", "can't allocate memory", "Cannot allocate memory")
"""Messages of PyTorch's CPU allocator for exhausted memory, in a plain RuntimeError."""


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether an allocation failed, on a GPU or on the CPU."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(message in str(error) for message in _CPU_MESSAGES)


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
            return torch.stack(losses).sum()
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


def find_batch_tokens(objective: nn.Module, batches: BatchStream, num_moments: int) -> int:
    """Returns the value of ``training.batch_tokens: auto``.

    On a GPU it is found by trying. On the CPU nothing is tried: a system promises memory that it doesn't have, and
    ends some process, perhaps another one, when it is used. ``num_moments``: tensors as large as the weights that the
    optimizer and the moving average will add.
    """
    if next(objective.parameters()).device.type == "cpu":
        say(
            f"training.batch_tokens is auto: {CPU_BATCH_TOKENS:,} on the CPU, where trying how much fits could bring "
            "the machine down. Set it to a number if the run takes too much memory, or could take more."
        )
        return CPU_BATCH_TOKENS
    limit = max(CPU_BATCH_TOKENS, batches.num_positions // MIN_UPDATES)
    found = largest_by_trying(objective, batches.longest, num_moments, limit)
    say(f"training.batch_tokens is auto: {found:,} fit")
    return found


def largest_by_trying(objective: nn.Module, longest: Callable[[int], Batch], num_moments: int, limit: int) -> int:
    """Returns the largest batch size whose gradient can be computed; weights and random states stay unchanged."""
    parameters = list(objective.parameters())
    device = parameters[0].device

    def fits(size: int) -> bool:
        try:
            objective(longest(size).to(device)).total.backward()
            return True
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return False
        finally:
            objective.zero_grad(set_to_none=True)

    objective.train()
    with torch.random.fork_rng([] if device.type == "cpu" else [device], device_type=device.type):
        moments = [torch.empty_like(p) for p in parameters for _ in range(num_moments)]
        found = largest(fits, limit)
        del moments
    release_memory(device)
    return found


def largest(fits: Callable[[int], bool], limit: int, smallest: int = 256) -> int:
    """Returns the largest number up to ``limit`` that fits, to within 6 % and minus a margin.

    Raises:
        UserError: not even the smallest fits.
    """
    sizes = [*takewhile(lambda size: size < limit, (int(smallest * 1.06**n) for n in count())), limit]
    num_fitting = bisect_left(sizes, True, key=lambda size: not fits(size))
    if not num_fitting:
        raise UserError(
            f"Not even a batch of {smallest} positions fits in memory.",
            "Make the model smaller, lower data.max_length, or choose another device.",
        )
    found = sizes[num_fitting - 1]
    return found if found == limit else max(smallest, int(MARGIN * found))
