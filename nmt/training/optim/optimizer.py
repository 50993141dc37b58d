"""The table of optimizers."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from pydantic import Field
from torch import nn

from nmt.recipe import options as groups
from nmt.recipe.registry import Table


class Optimizer(ABC):
    """Makes the PyTorch optimizer that a recipe names in ``training.optimizer``.

    Args:
        options: an instance of ``Options``.
    """

    class Options(groups.Options):
        """Options of the optimizer; the learning rate is ``training.learning_rate``."""

    def __init__(self, options: Any) -> None:
        self.options = options

    @abstractmethod
    def make(self, parameters: list[nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
        """Returns the optimizer of some parameters.

        The trainer sets ``lr`` of each parameter group before an update. Checkpoints contain the tensors of the
        optimizer's state of each parameter, and nothing else of it.
        """


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015), with weight decay as an L2 penalty in the gradient."""

    class Options(groups.Options):
        betas: tuple[float, float] = Field((0.9, 0.98), description="decay of the means of gradients and squares")
        eps: float = Field(1e-9, gt=0, description="added to the denominator")
        weight_decay: float = Field(0.0, ge=0, description="strength of the decay of weights towards zero")

    options: Options
    kind: type[torch.optim.Adam] = torch.optim.Adam

    def make(self, parameters: list[nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
        return self.kind(parameters, lr=learning_rate, fused=True, **self.options.model_dump())


class AdamW(Adam):
    """Adam with weight decay that is decoupled from the gradient (Loshchilov & Hutter 2019)."""

    kind = torch.optim.AdamW


OPTIMIZERS: Table[Optimizer] = Table("optimizer", Optimizer, {"adam": Adam, "adamw": AdamW})

KEY = "training.optimizer"
