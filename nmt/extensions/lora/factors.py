"""LoRA, which ``training.lora`` turns on (Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models")."""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from nmt.core.console import say
from nmt.core.errors import UserError
from nmt.recipe.schema import LoraOptions
from nmt.training.weights import layer_matrices, select


class Lora:
    """Trains the factors of W = W0 + (alpha / rank) B A (Hu et al. 2022, equation 3); B is zero at the start.

    The model always contains the sums W, so checkpoints, validation and the saved model are those of any other run.
    The gradients of the factors, (alpha / rank) Bᵀ dW and (alpha / rank) dW Aᵀ, are computed as soon as the backward
    pass has reached W, and dW is freed: memory holds neither the gradients nor the moments of the whole model.

    Args:
        model: on its device; weights outside ``options.layers`` and ``options.full`` are frozen.

    Raises:
        UserError: the options match no weight.
    """

    def __init__(self, model: nn.Module, options: LoraOptions) -> None:
        self._scale = options.alpha / options.rank
        named = dict(model.named_parameters())
        full = select(model, options.full, "training.lora.full")
        chosen = select(model, options.layers, "training.lora.layers") - full
        self._weights = {
            name: weight for name, weight in layer_matrices(model).items() if name in chosen and weight.requires_grad
        }
        if not self._weights:
            raise UserError("training.lora.layers names no trainable weight matrix.", "Remove it.")
        self.factors: dict[str, nn.Parameter] = {}
        for name, weight in self._weights.items():
            down_RD = nn.init.kaiming_uniform_(torch.empty(options.rank, weight.shape[1]), a=5**0.5)
            self.factors[f"{name}.A"] = nn.Parameter(down_RD.to(weight))
            self.factors[f"{name}.B"] = nn.Parameter(weight.new_zeros(len(weight), options.rank))
            weight.register_post_accumulate_grad_hook(partial(self._to_factors, name))  # type: ignore[no-untyped-call]
        for name in named.keys() - self._weights.keys() - full:
            named[name].requires_grad_(False)
        beside = {name: named[name] for name in named if name in full and named[name].requires_grad}
        self.trained = {**beside, **self.factors}
        """Parameters of the optimizer, by name."""
        self._before = {name: factor.detach().clone() for name, factor in self.factors.items()}
        num_trained, num_all = (sum(p.numel() for p in group.values()) for group in (self.trained, named))
        say(f"LoRA of rank {options.rank} in {len(self._weights)} matrices: {num_trained:,} of {num_all:,} are trained")

    def _to_factors(self, name: str, weight: Tensor) -> None:
        """Adds the gradient of a weight matrix to those of its factors, and frees it."""
        a, b = self.factors[f"{name}.A"], self.factors[f"{name}.B"]
        whole, weight.grad = weight.grad, None  # nothing stays if the following runs out of memory
        assert whole is not None
        with torch.autocast(weight.device.type, enabled=False):  # in which truncation computes gradients
            for factor, gradient in ((a, b.detach().T @ whole), (b, whole @ a.detach().T)):
                factor.grad = self._scale * gradient if factor.grad is None else factor.grad + self._scale * gradient

    @torch.no_grad()
    def merge(self) -> None:
        for name, weight in self._weights.items():
            new, old = (group[f"{name}.B"] @ group[f"{name}.A"] for group in (self.factors, self._before))
            weight.add_(new - old, alpha=self._scale)
        for name, factor in self.factors.items():
            self._before[name].copy_(factor)

    @torch.no_grad()
    def load(self, factors: Mapping[str, Tensor]) -> None:
        for name, factor in self.factors.items():
            factor.copy_(factors[name])
            self._before[name].copy_(factor)
