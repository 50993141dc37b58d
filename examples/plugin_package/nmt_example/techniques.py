"""A training technique."""

from pydantic import Field
from torch import Tensor

from nmt.data.batch import Batch
from nmt.models.contracts import DecoderOutput
from nmt.models.layers import length_mask
from nmt.recipe import options as groups
from nmt.training.techniques import Technique


class ActivationDecay(Technique):
    """Activation regularisation (Merity et al. 2017): the mean square of the decoder's features, times a weight."""

    class Options(groups.Options):
        """How strong it is."""

        weight: float = Field(0.01, gt=0, description="of the penalty beside the loss of a token")

    def extra_losses(self, batch: Batch, output: DecoderOutput, total: Tensor) -> dict[str, Tensor]:
        square_BT = output.features_BTD.float().square().mean(dim=2)
        is_real_BT = length_mask(batch.target_length_B, square_BT.shape[1])
        return {"activation_decay": self.options.weight * square_BT[is_real_BT].sum()}
