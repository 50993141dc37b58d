"""Guided alignment: attention heads are taught to look where word links point, beside learning to translate.

Chen et al. 2016, "Guided Alignment Training for Topic-Aware Neural Machine Translation", for recurrent models; Garg
et al. 2019, "Jointly Learning to Align and Translate with Transformer Models".

Shapes: B sentences, H heads, T target and S source positions, EOS counted.
"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from nmt.alignment.heads import AlignmentHeads
from nmt.alignment.links import LINKS, parse_pharaoh
from nmt.core.errors import UserError
from nmt.core.model_directory import ModelDirectory
from nmt.core.text import read_lines
from nmt.data.batch import Batch
from nmt.data.buffers import Rows, ShuffleBuffers
from nmt.data.cache import EncodedCorpus, ParallelIds
from nmt.data.dialogue import LineReader
from nmt.data.opening import in_root
from nmt.data.sources import ParallelText
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.words import Words, split_pairs
from nmt.extensions.techniques.learned_links import LearnedLinks
from nmt.models.contracts import Decoder, DecoderOutput
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe import options as groups
from nmt.recipe.schema import DataOptions, Recipe
from nmt.training.techniques import Technique


class GuidedAlignment(Technique):
    """The attention of a head is compared with word links, which are annotations of a batch or learned."""

    class Options(groups.Options):
        links: Literal["learned"] | Path | None = Field(
            None, description="Pharaoh file, a line for each pair; learned: from all text; null: those of data.corpora"
        )
        embeddings: bool = Field(
            False, description="with learned links: pieces that translate each other begin with similar embeddings"
        )
        split_punctuation: bool = Field(False, description="links count punctuation marks as words, as `nmt align`")
        weight: float = Field(0.05, gt=0, description="of the alignment loss of each head beside that of the tokens")
        head: str | None = Field(None, description="taught heads LAYER:HEAD, as 1:1,2:1; null: the decoder's choice")
        attention: Literal["output", "input"] | None = Field(
            None, description="teach the step that predicts a word or the one that reads it; null: the decoder's choice"
        )

    # They change the pieces that links are between.
    incompatible_with = ("subword_sampling", "reverse_pairs", "task.classification")
    needs_weights = True
    resets_best = True  # alignment.json names the taught head, so the best model must be one whose head was taught
    options: Options

    def __init__(self, options: Options, recipe: Recipe) -> None:
        super().__init__(options, recipe)
        self._data = recipe.data
        self._sides: list[ParallelIds] = []
        self._learned: LearnedLinks | None = None
        files = [options.links, *(corpus.links for corpus in recipe.data.corpora)]
        if missing := [path for path in files if isinstance(path, Path) and not in_root(recipe.data, path).is_file()]:
            raise UserError(
                f"There is no file {missing[0]} with word links to guide training.",
                f"Write it with `nmt align TEACHER SOURCE TARGET -o {missing[0]}`, and name it: "
                f"{'--set training.techniques.guided_alignment.links=FILE' if options.links else 'links: FILE'}.",
            )

    @classmethod
    def check(cls, options: Options, recipe: Recipe) -> Iterable[UserError]:
        corpora = recipe.data.corpora
        files: list[object] = [corpus.links for corpus in corpora] or [options.links]
        if options.links != "learned" and (None in files or (corpora and options.links)):
            yield UserError(
                "Guided alignment needs links of each training text.",
                "Set training.techniques.guided_alignment.links to learned, or write links with `nmt align TEACHER "
                "SOURCE TARGET -o FILE` and name them: by this key, or by links: FILE of each of data.corpora.",
            )
        is_new = recipe.model.tie == "all" and not recipe.training.finetune_from
        if options.embeddings and not (options.links == "learned" and is_new):
            yield UserError(
                "training.techniques.guided_alignment.embeddings needs learned links and new embeddings of both sides.",
                "Set it to false, or set links: learned and model.tie: all, without training.finetune_from.",
            )

    def annotations(self, vocabularies: Vocabularies) -> "LinkFile | None":
        """Links of the only text; those of corpora are read for modifiers, too."""
        links, splits = self.options.links, self.options.split_punctuation
        return LinkFile(links, splits, self._data, vocabularies) if isinstance(links, Path) else None

    def setup_text(self, corpus: EncodedCorpus, held_out: Rows | None) -> None:
        if self.options.links == "learned":
            rows = ShuffleBuffers(len(corpus), held_out).rows(0)
            self._sides.append((corpus.source.taken(rows), corpus.target.taken(rows)))

    def setup_model(self, model: Seq2Seq) -> None:
        self._decoder = model.decoder
        self._heads = taught_heads(self.options, model.decoder)
        if self._sides:
            self._learned = LearnedLinks(self._sides)
            self._sides = []
        if self.options.embeddings and self._learned:
            self._learned.align_embeddings(model.decoder.embedding.weight)  # before those of a checkpoint are read

    def save(self, directory: Path) -> None:
        self._heads.save(ModelDirectory(directory).alignment, self._decoder)

    def extra_losses(self, batch: Batch, output: DecoderOutput, total: Tensor) -> dict[str, Tensor]:
        assert output.weights_BHTS is not None
        links_BTS = self._learned.mask(batch) if self._learned else links_mask(batch).to(total.device)
        return {"alignment": self.options.weight * alignment_loss(output.weights_BHTS, links_BTS, self._heads)}


def alignment_loss(weights_BHTS: Tensor, links_BTS: Tensor, heads: AlignmentHeads) -> Tensor:
    """Σ_t Σ_s -g_ts log a_ts over the target positions t of a batch (Garg et al. 2019), summed over batch and heads.

    a is the attention of a taught head, and g divides one unit evenly among the source positions that t is linked to.

    Args:
        links_BTS: see :func:`links_mask`.
        heads: those that are taught, and the step whose weights are.
    """
    weights_BHTS = weights_BHTS[:, list(heads.heads)].float()
    if heads.attention == "input":  # step t + 1 reads what step t predicts; nothing reads the last EOS
        weights_BHTS, links_BTS = weights_BHTS[:, :, 1:], links_BTS[:, :-1]
    shares_BTS = links_BTS / links_BTS.sum(dim=2, keepdim=True).clamp(min=1)
    log_BHTS = weights_BHTS.clamp(min=torch.finfo(torch.bfloat16).tiny).log()
    return -(shares_BTS[:, None] * log_BHTS).sum()


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


class LinkFile:
    """Converts the word links of a Pharaoh file to links between pieces.

    Args:
        path: a line for each pair; links count the words of lines without tags.
        split_punctuation: whether punctuation marks are words of their own.
        data: says how dialogues are read.
        vocabularies: those whose pieces are linked.
    """

    name = LINKS
    width = 2

    def __init__(self, path: Path, split_punctuation: bool, data: DataOptions, vocabularies: Vocabularies) -> None:
        self._path, self._split_punctuation = in_root(data, path), split_punctuation
        self._reader, self._max_length = LineReader(data.history_turns), data.max_length
        self._vocabularies = vocabularies

    def fingerprint(self) -> str:
        digest = hashlib.blake2b(str(self._split_punctuation).encode(), digest_size=16)
        for line in read_lines(self._path):
            digest.update(f"{line}\n".encode())
        return digest.hexdigest()

    def of_pairs(self, text: ParallelText) -> Iterator[npt.NDArray[np.integer]]:
        """Yields the linked (source, target) pieces of each pair; all pieces of two linked words are linked. Raises
        UserError if a line isn't in Pharaoh form or names a word that isn't there, or there are more or fewer lines
        than pairs."""
        tag = f"{text.tag} " if text.tag else ""
        pairs = split_pairs(text.untagged, tokenized=False, split_punctuation=self._split_punctuation)
        lines = zip_longest(pairs, read_lines(self._path))
        for number, (pair, line) in enumerate(lines, start=1):
            if pair is None or line is None:
                more = "fewer" if line is None else "more"
                raise UserError(
                    f"{self._path} has {more} lines than the training text has pairs: line {number} is the first "
                    f"{'that is missing' if line is None else 'too many'}.",
                    "It needs a line for each pair; write it with `nmt align` from the same files.",
                )
            yield self._of_pair(pair, tag, line, f"{self._path}, line {number}")

    def _of_pair(self, pair: tuple[Words, Words], tag: str, line: str, where: str) -> npt.NDArray[np.integer]:
        sure, possible = parse_pharaoh(line, where)
        source, target = pair
        for source_word, target_word in sure | possible:
            if source_word >= len(source.words) or target_word >= len(target.words):
                raise UserError(
                    f"{where}: the link {source_word}-{target_word} is outside {len(source.words)} source and "
                    f"{len(target.words)} target words.",
                    "Links count the words of the training text from 0; set "
                    "training.techniques.guided_alignment.split_punctuation to true where they count punctuation, too.",
                )
        source = Words.join([Words(tag, ()), source], "")
        read = self._reader.source_pieces(self._vocabularies.source, source.text, self._max_length)
        written = self._vocabularies.target.pieces(target.text)
        is_linked = np.zeros((len(source.words) + 1, len(target.words) + 1), dtype=bool)  # the last ones are no words
        for link in sure | possible:
            is_linked[link] = True
        return np.argwhere(is_linked[np.ix_(source.of_pieces(read), target.of_pieces(written))])
