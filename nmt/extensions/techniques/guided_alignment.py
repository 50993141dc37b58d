"""Guided alignment: one attention head is taught to look where word links point, beside learning to translate.

Chen et al. 2016, "Guided Alignment Training for Topic-Aware Neural Machine Translation", for recurrent models; Garg
et al. 2019, "Jointly Learning to Align and Translate with Transformer Models".

Shapes: B sentences, H heads, T target and S source positions, EOS counted.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from nmt.alignment.heads import AlignmentHeads
from nmt.alignment.links import LINKS
from nmt.core.errors import UserError
from nmt.core.model_directory import ModelDirectory
from nmt.data.batch import Batch
from nmt.data.vocabulary.files import Vocabularies
from nmt.extensions.techniques.link_file import LinkFile
from nmt.models.contracts import Decoder, DecoderOutput
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe import options as groups
from nmt.recipe.schema import Recipe
from nmt.training.techniques.base import Technique


class GuidedAlignment(Technique):
    """Batches have word links as annotations; the attention of one head is compared with them."""

    class Options(groups.Options):
        links: Path | None = Field(
            None, description="Pharaoh file with a line for each pair of the training text; null: those of data.corpora"
        )
        split_punctuation: bool = Field(False, description="links count punctuation marks as words, as `nmt align`")
        weight: float = Field(0.05, gt=0, description="of the alignment loss beside that of the tokens")
        head: str | None = Field(None, description="LAYER:HEAD that is taught, such as 2:1; null: the decoder's choice")
        attention: Literal["output", "input"] | None = Field(
            None, description="teach the step that predicts a word or the one that reads it; null: the decoder's choice"
        )

    incompatible_with = (
        "subword_sampling",
        "reverse_pairs",
        "task.classification",
    )  # they change the pieces that links are between
    needs_weights = True
    resets_best = True  # alignment.json names the taught head, so the best model must be one whose head was taught
    options: Options

    def __init__(self, options: Options, recipe: Recipe) -> None:
        super().__init__(options, recipe)
        self._data = recipe.data
        files = [options.links, *(corpus.links for corpus in recipe.data.corpora)]
        if missing := [path for path in files if path is not None and not path.is_file()]:
            raise UserError(
                f"There is no file {missing[0]} with word links to guide training.",
                f"Write it with `nmt align TEACHER SOURCE TARGET -o {missing[0]}`, and name it: "
                f"{'--set training.techniques.guided_alignment.links=FILE' if options.links else 'links: FILE'}.",
            )

    @classmethod
    def check(cls, options: Options, recipe: Recipe) -> Iterable[UserError]:
        if (options.links is None) != bool(recipe.data.corpora):
            yield UserError(
                "training.techniques.guided_alignment.links is for one text; corpora have their own.",
                "With data.corpora give each of them links, in place of this key; without them, set it.",
            )
        elif any(corpus.links is None for corpus in recipe.data.corpora):
            yield UserError(
                "Guided alignment needs word links of each of data.corpora.",
                "Write them with `nmt align TEACHER SOURCE TARGET -o FILE`, and name them: links: FILE.",
            )

    def annotations(self, vocabularies: Vocabularies) -> LinkFile | None:
        """Links of the only text; those of corpora are read for modifiers, too."""
        if self.options.links is None:
            return None
        return LinkFile(self.options.links, self.options.split_punctuation, self._data, vocabularies)

    def setup_model(self, model: Seq2Seq) -> None:
        self._decoder = model.decoder
        self._heads = taught_heads(self.options, model.decoder)

    def save(self, directory: Path) -> None:
        self._heads.save(ModelDirectory(directory).alignment, self._decoder)

    def extra_losses(self, batch: Batch, output: DecoderOutput, total: Tensor) -> dict[str, Tensor]:
        assert output.weights_BHTS is not None
        links_BTS = links_mask(batch).to(total.device)
        return {"alignment": self.options.weight * alignment_loss(output.weights_BHTS, links_BTS, self._heads)}


def alignment_loss(weights_BHTS: Tensor, links_BTS: Tensor, heads: AlignmentHeads) -> Tensor:
    """Σ_t Σ_s -g_ts log a_ts over the target positions t of a batch (Garg et al. 2019), summed over the batch.

    a is the attention of the taught head, and g divides one unit evenly among the source positions that t is linked to.

    Args:
        links_BTS: see :func:`links_mask`.
        heads: the one head that is taught, and the step whose weights are.
    """
    (head,) = heads.heads
    weights_BTS = weights_BHTS[:, head].float()
    if heads.attention == "input":  # step t + 1 reads what step t predicts; nothing reads the last EOS
        weights_BTS, links_BTS = weights_BTS[:, 1:], links_BTS[:, :-1]
    shares_BTS = links_BTS / links_BTS.sum(dim=2, keepdim=True).clamp(min=1)
    log_BTS = weights_BTS.clamp(min=torch.finfo(torch.bfloat16).tiny).log()
    return -(shares_BTS * log_BTS).sum()


def links_mask(batch: Batch) -> Tensor:
    """True where a target position translates a source position, both without SOS and with EOS. [B, T, S]

    A position that translates nothing links to the EOS of the source, as EOS does itself; padding is False throughout.
    """
    mask = np.zeros((len(batch.source_BS), batch.target_output_BT.shape[1], batch.source_BS.shape[1]), dtype=bool)
    lengths_B = zip(batch.source_length_B.tolist(), batch.target_length_B.tolist(), strict=True)
    links = batch.annotations[LINKS]
    for row, of_pair, (source_length, target_length) in zip(mask, links, lengths_B, strict=True):
        row[of_pair[:, 1], of_pair[:, 0]] = True
        row[:target_length, source_length - 1] |= ~row[:target_length].any(axis=1)
    return torch.from_numpy(mask)


def taught_heads(options: GuidedAlignment.Options, decoder: Decoder) -> AlignmentHeads:
    """The head that a recipe teaches, and at which step.

    Raises:
        UserError: the decoder has no attention or no such head.
    """
    if not decoder.heads:
        raise UserError(
            "training.techniques.guided_alignment needs attention, which model.decoder hasn't.",
            "Choose a decoder with attention, or remove the key.",
        )
    heads = AlignmentHeads.of(decoder, options.head, options.attention or decoder.supervised_step)
    return heads if options.head is not None else AlignmentHeads(decoder.alignment_heads[:1], heads.attention)
