"""R-Drop (Liang et al. 2021): two passes of a batch, with different dropout, are made to agree."""

import torch
from pydantic import Field
from torch import Tensor

from nmt import options as groups
from nmt.config import Recipe
from nmt.training.techniques.base import Technique, epochs_of


class RDrop(Technique):
    """Half the loss of equation 4, so that gradients are as large as without: the mean cross-entropy of both passes,
    plus α/2 times their symmetric divergence. An update takes twice as long.
    """

    class Options(groups.Options):
        weight: float = Field(1.0, gt=0, description="α; the paper uses 5 for translation")
        fraction: float = Field(
            1.0, gt=0, le=1, description="of max_epochs, the last ones, in which batches are read twice; 1 is all"
        )

    num_passes = 2
    options: Options

    def __init__(self, options: Options, recipe: Recipe) -> None:
        super().__init__(options, recipe)
        self._first_epoch = 0
        if options.fraction < 1:
            num_epochs = epochs_of(options.fraction, recipe, "training.techniques.r_drop.fraction")
            self._first_epoch = (recipe.training.max_epochs or 0) - num_epochs

    def start_epoch(self, epoch: int) -> None:
        self.is_on = epoch >= self._first_epoch

    def logits_loss(self, log_p_NPV: Tensor) -> tuple[Tensor, Tensor]:
        divergence, *gradients = symmetric_divergence(log_p_NPV[:, 0], log_p_NPV[:, 1])
        return self.options.weight * divergence, self.options.weight * torch.stack(gradients, dim=1)


def symmetric_divergence(log_p_NV: Tensor, log_q_NV: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """½ [KL(p‖q) + KL(q‖p)] summed over N pairs of distributions, and its gradients in the logits of p and of q.

    With d = log p - log q, the gradient in the logits of p is ½ [p (d - KL(p‖q)) + p - q], and that in the logits
    of q the same with both exchanged.

    Returns:
        The sum, and the two gradients [N, V].
    """
    p_NV, q_NV = log_p_NV.exp(), log_q_NV.exp()
    difference_NV = log_p_NV - log_q_NV
    kl_pq_N1 = torch.linalg.vecdot(p_NV, difference_NV)[:, None]
    kl_qp_N1 = -torch.linalg.vecdot(q_NV, difference_NV)[:, None]
    grad_p_NV = (p_NV * (difference_NV - kl_pq_N1 + 1) - q_NV) / 2
    grad_q_NV = (q_NV * (1 - difference_NV - kl_qp_N1) - p_NV) / 2
    return (kl_pq_N1.sum() + kl_qp_N1.sum()) / 2, grad_p_NV, grad_q_NV
