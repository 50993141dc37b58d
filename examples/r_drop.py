"""R-Drop (Liang et al. 2021) as a training technique outside nmt: two passes of a batch are made to agree.

    nmt train multi30k/transformer -o runs/r_drop --plugin r_drop --set training.techniques.r_drop.weight=5

``--plugin`` finds this file in the current folder. The two passes have different dropout, and an update takes more than
twice as long.
"""

import torch
from pydantic import Field
from torch import Tensor

from nmt.recipe import options
from nmt.training.techniques import Technique


class RDrop(Technique):
    """Half the loss of equation 4, so that gradients are as large as without: the mean cross-entropy of both passes,
    plus α/2 times their symmetric divergence ½ [KL(p‖q) + KL(q‖p)].
    """

    class Options(options.Options):
        weight: float = Field(5.0, gt=0, description="α; the default is that of the paper for translation")

    num_passes = 2
    options: Options

    def logits_loss(self, log_p_NPV: Tensor) -> tuple[Tensor, Tensor]:
        """With d = log p - log q, the gradient of the divergence in the logits of p is ½ [p (d - KL(p‖q)) + p - q], and
        that in the logits of q the same with both exchanged.
        """
        log_p_NV, log_q_NV = log_p_NPV.unbind(1)
        p_NV, q_NV, d_NV = log_p_NV.exp(), log_q_NV.exp(), log_p_NV - log_q_NV
        kl_pq_N1 = torch.linalg.vecdot(p_NV, d_NV)[:, None]
        kl_qp_N1 = -torch.linalg.vecdot(q_NV, d_NV)[:, None]
        grad_p_NV = p_NV * (d_NV - kl_pq_N1 + 1) - q_NV
        grad_q_NV = q_NV * (1 - d_NV - kl_qp_N1) - p_NV
        half = self.options.weight / 2
        return half * (kl_pq_N1.sum() + kl_qp_N1.sum()), half * torch.stack((grad_p_NV, grad_q_NV), dim=1)


COMPONENTS = {"r_drop": RDrop}
