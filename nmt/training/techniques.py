"""Training techniques: the hooks of :class:`Technique`.

The loop over updates (``trainer.py``) and the loss (``objective.py``) call the hooks of every technique that a recipe
turns on, and know none of them by name. Each hook does nothing unless a technique overrides it.

Shapes: B sentences, S source and T target positions, N target tokens, P passes, V target vocabulary.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from torch import Tensor

from nmt.core.errors import UserError
from nmt.data.batch import Batch
from nmt.data.buffers import Rows
from nmt.data.cache import EncodedCorpus, PairExtras, ParallelIds
from nmt.data.vocabulary.files import Vocabularies
from nmt.models.contracts import DecoderOutput
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe import options as groups
from nmt.recipe.registry import Table
from nmt.recipe.schema import Recipe

SegmentLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From features [B, T, D], the tokens to predict [B, T] and how many are real [B] to what is to be minimised."""


class Technique:
    """A change of how a model is trained; a recipe turns it on by its name in ``training.techniques``.

    A subclass has its keys as a class ``Options`` and overrides the hooks that it needs. The hooks are called in the
    order in which they are defined here, and each of them for all techniques by their ``order``. Random numbers come
    from PyTorch's generator, whose state is in checkpoints.

    Args:
        options: an instance of ``Options``.
        recipe: complete and checked.

    Raises:
        UserError: the options don't fit the recipe.
    """

    class Options(groups.Options):
        """Without keys."""

    incompatible_with: tuple[str, ...] = ()
    """Names of other techniques, fields of the recipe that must be off, such as ``data.corpora``, and tasks,
    such as ``task.classification``."""
    order: int = 100
    """Techniques with lower numbers are called first, and those with equal numbers in the order of their names."""
    num_passes: int = 1
    """Number of times that each batch is read, with other dropout each time; losses are means over the passes."""
    needs_weights: bool = False
    """Whether the decoder has to give its attention weights."""
    capturable: bool = False
    """Whether a CUDA graph can repeat what the hooks compute: without reading values, and the same for each update."""
    resets_best: bool = False
    """Whether the best model of before, in a run that is resumed with this technique added, may not remain the best."""

    def __init__(self, options: Any, recipe: Recipe) -> None:
        self.options = options

    @classmethod
    def check(cls, options: Any, recipe: Recipe) -> Iterable[UserError]:
        """Yields what makes the options invalid for a recipe."""
        return ()

    def setup_data(self, vocabularies: Vocabularies) -> None:
        """Take what is needed from the vocabularies, before the training text is encoded.

        Raises:
            UserError: the technique can't work with these vocabularies.
        """

    def annotations(self, vocabularies: Vocabularies) -> PairExtras | None:
        """Returns the extra data of each pair in batches, as ``Batch.annotations[name]``."""
        return None

    def setup_text(self, corpus: EncodedCorpus, held_out: Rows | None) -> None:
        """Take what is needed from each encoded corpus, of which some pairs may not be trained on."""

    def read_epoch(self, sides: ParallelIds, seed: int, epoch: int) -> ParallelIds:
        """Source and target as an epoch, counted from 0, reads them; the same in each process and after a resume."""
        return sides

    def setup_model(self, model: Seq2Seq) -> None:
        """Take what is needed from the model, which is on its device; its modules can be watched by hooks of PyTorch.

        Raises:
            UserError: the technique can't work with this model.
        """

    def save(self, directory: Path) -> None:
        """Write what the model directory must hold beside recipe, vocabulary and weights."""

    def change_batch(self, batch: Batch, model: Seq2Seq, update: int) -> Batch:
        """The batch that is trained on. ``update`` counts from 0."""
        return batch

    def sample_classes(self, target_N: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
        """The classes of the output layer that a batch computes, (C,), its targets among them, in ascending order.

        Returns:
            The classes, and what is added to the logit of each.
        """
        raise NotImplementedError

    def logits_loss(self, log_p_NPV: Tensor) -> tuple[Tensor, Tensor]:
        """A loss on the distributions of N target positions, summed over positions and passes, and its gradient.

        The output layer is computed in parts, which this is called for one after the other; so the gradient in the
        logits, [N, P, V], is given explicitly.
        """
        raise NotImplementedError

    def extra_losses(self, batch: Batch, output: DecoderOutput, total: Tensor) -> dict[str, Tensor]:
        """Losses by name, the same names for each batch, summed over the batch; each is added to the total, and shown
        as a mean over target tokens.

        Args:
            batch: as the model has read it, with all passes.
            output: what the model gave for it.
            total: the sum of the losses so far; its graph must stay.
        """
        return {}

    def backward(self, model: Seq2Seq, batch: Batch, loss: SegmentLoss, scale: Callable[[Tensor], Tensor]) -> None:
        """Add the gradients of a batch in another way than by one backward pass.

        Args:
            model: in training mode.
            batch: on the model's device.
            loss: of part of the target positions.
            scale: applied to losses that ``loss`` doesn't give, before they go backwards.
        """
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Returns the state for an exact resume, as JSON values; that of rank 0 is saved."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state_dict` gave."""

    @classmethod
    def has(cls, hook: str) -> bool:
        """Returns whether this technique overrides a hook."""
        return getattr(cls, hook) is not getattr(Technique, hook)


TECHNIQUES: Table[Technique] = Table("training technique", Technique, {})
"""Extensions declare theirs by entry points."""

KEY = "training.techniques"


def make_techniques(recipe: Recipe) -> dict[str, Technique]:
    """Returns the training techniques of a recipe by name, as new objects, which may hold the state of a run.

    They are in the order in which their hooks are called, see :attr:`Technique.order`.
    """
    chosen = TECHNIQUES.choose_many(recipe.training.techniques, KEY)
    names = sorted(chosen, key=lambda name: (chosen[name].component.order, name))
    return {name: chosen[name].component(chosen[name].options, recipe) for name in names}
