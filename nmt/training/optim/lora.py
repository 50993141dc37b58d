"""LoRA: fine-tuning that trains a product of two thin matrices in place of each weight matrix (Hu et al. 2022)."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import partial

import torch
from torch import Tensor, nn

from nmt.core.console import say
from nmt.core.errors import UserError
from nmt.models.contracts import OutputLayer
from nmt.recipe.schema import LoraOptions


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
        tables = {id(p) for m in model.modules() if isinstance(m, nn.Embedding | OutputLayer) for p in m.parameters()}
        chosen = select(model, options.layers, "training.lora.layers") - full
        self._weights = {
            name: weight
            for name, weight in named.items()
            if name in chosen and weight.dim() == 2 and id(weight) not in tables and weight.requires_grad
        }
        if not self._weights:
            raise UserError("training.lora.layers names no weight matrix that could be trained.", "Leave it out.")
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
        for factor, gradient in ((a, b.detach().T @ whole), (b, whole @ a.detach().T)):
            factor.grad = self._scale * gradient if factor.grad is None else factor.grad + self._scale * gradient

    @torch.no_grad()
    def merge(self) -> None:
        """Updates the weights of the model after the factors have changed."""
        for name, weight in self._weights.items():
            new, old = (group[f"{name}.B"] @ group[f"{name}.A"] for group in (self.factors, self._before))
            weight.add_(new - old, alpha=self._scale)
        for name, factor in self.factors.items():
            self._before[name].copy_(factor)

    @torch.no_grad()
    def load(self, factors: Mapping[str, Tensor]) -> None:
        """Restores the factors of a checkpoint, whose weights contain their products."""
        for name, factor in self.factors.items():
            factor.copy_(factors[name])
            self._before[name].copy_(factor)


def select(model: nn.Module, parts: list[str], key: str) -> set[str]:
    """Returns the names of the parameters in some parts of a model.

    A part is a sequence of components of the name, with wildcards: ``encoder``, ``layers.0``, ``decoder.*.norm``. A
    weight that several parts share is in each of them.

    Raises:
        UserError: the model doesn't have one of the parts.
    """
    first = {id(parameter): name for name, parameter in model.named_parameters()}
    selected: set[str] = set()
    for part in parts:
        found = {
            first[id(parameter)]
            for name, parameter in model.named_parameters(remove_duplicate=False)
            if fnmatchcase(f".{name}.", f"*.{part}.*")
        }
        if not found:
            names = dict.fromkeys(name.rpartition(".")[0] for name in first.values())
            raise UserError(f"{key}: the model has no part {part!r}.", f"Its parts are {', '.join(names)}.")
        selected |= found
    return selected


def freeze(model: nn.Module, parts: list[str]) -> None:
    """Freezes the weights of some parts of a model (:func:`select`).

    Raises:
        UserError: the model doesn't have one of the parts, or nothing would be trained.
    """
    frozen = select(model, parts, "training.freeze")
    named = dict(model.named_parameters())
    for name in frozen:
        named[name].requires_grad_(False)
    if frozen and not any(parameter.requires_grad for parameter in named.values()):
        raise UserError("training.freeze leaves no weight to train.", "Leave one of its parts out.")
