"""The largest batch that fits in the memory of a GPU, for ``training.batch_tokens: auto``."""

from bisect import bisect_left
from collections.abc import Callable
from itertools import count, takewhile

import torch
from torch import nn

from nmt.core.console import say
from nmt.core.errors import UserError
from nmt.data.batch import Batch
from nmt.data.batching import BatchStream
from nmt.training.distributed import random_numbers_kept
from nmt.training.objective import is_out_of_memory, release_memory

CPU_BATCH_TOKENS = 4096
"""Value of ``training.batch_tokens: auto`` on the CPU."""
MIN_UPDATES = 50
"""Minimum number of updates per epoch with ``training.batch_tokens: auto``: few large ones learn little."""
MARGIN = 0.9
"""Fraction of the largest batch that is used, because allocators fragment memory."""


def find_batch_tokens(objective: nn.Module, make_batches: Callable[[int], BatchStream], num_moments: int) -> int:
    """Returns the value of ``training.batch_tokens: auto``.

    On a GPU it is found by trying batches of the training text. On the CPU nothing is tried, nor are batches made:
    Linux overcommits memory and may kill another process when it runs out.

    Args:
        objective: the model and its loss, on its device.
        make_batches: makes batches of a number of tokens.
        num_moments: tensors as large as the weights that the optimizer and the moving average will add.
    """
    if next(objective.parameters()).device.type == "cpu":
        say(
            f"training.batch_tokens is auto: {CPU_BATCH_TOKENS:,} on the CPU, where trying how much fits could bring "
            "the machine down. Set it to a number if the run takes too much memory, or could take more."
        )
        return CPU_BATCH_TOKENS
    batches = make_batches(CPU_BATCH_TOKENS)
    limit = max(CPU_BATCH_TOKENS, batches.num_positions // MIN_UPDATES)
    batch_tokens = largest_by_trying(objective, batches.longest, num_moments, limit)
    say(f"training.batch_tokens is auto: {batch_tokens:,} fit")
    return batch_tokens


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
    with random_numbers_kept(device):
        moments = [torch.empty_like(p) for p in parameters for _ in range(num_moments)]
        batch_tokens = largest(fits, limit)
        del moments
    release_memory(device)
    return batch_tokens


def largest(fits: Callable[[int], bool], limit: int, smallest: int = 256) -> int:
    """Returns the largest number up to ``limit`` that fits, to within 6 % and minus a margin.

    Raises:
        UserError: not even the smallest fits.
    """
    sizes = [*takewhile(lambda size: size < limit, (int(smallest * 1.06**n) for n in count())), limit]
    num_fitting = bisect_left(sizes, True, key=lambda size: not fits(size))
    if not num_fitting:
        remedy = "Make the model smaller, lower data.max_length, or choose another device."
        raise UserError(f"Not even a batch of {smallest} positions fits in memory.", remedy)
    largest_fitting = sizes[num_fitting - 1]
    return largest_fitting if largest_fitting == limit else max(smallest, int(MARGIN * largest_fitting))
