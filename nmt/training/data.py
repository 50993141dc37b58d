"""The text of a run: its vocabularies, its encoded training pairs, and what it is validated on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nmt.config import DataOptions, FilePair, Recipe
from nmt.console import progress_bar, say
from nmt.data.batching import TrainingBatches
from nmt.data.corpus import ParallelText, given_text, open_text
from nmt.data.dialogue import check_separator
from nmt.data.encoded_corpus import EncodedCorpus, encode_corpus
from nmt.data.vocabulary import Vocabularies, train_vocabularies
from nmt.errors import UserError
from nmt.training.distributed import SINGLE_PROCESS, ProcessGroup
from nmt.training.techniques.base import Technique

MAX_HELD_OUT = 0.05
"""Largest share of the training pairs that is held out where there is no validation split."""

Pairs = Sequence[tuple[str, str]]
Texts = tuple[ParallelText, ParallelText | None]
"""For training, and for validation where there is text of its own."""


@dataclass(frozen=True)
class ValidationSet:
    """Held-out sentence pairs: encoded for the loss, and as text for the metric."""

    corpus: EncodedCorpus
    indices: npt.NDArray[np.int64]
    sources: Sequence[str]
    references: Sequence[str]


@dataclass(frozen=True)
class Data:
    """What a run is trained and validated on, all of it encoded."""

    vocabularies: Vocabularies
    train: EncodedCorpus
    train_indices: npt.NDArray[np.int64]
    valid: ValidationSet
    techniques: Sequence[Technique] = ()
    """They may read the training text in other ways."""

    def batches(self, batch_tokens: int, seed: int, ranks: ProcessGroup = SINGLE_PROCESS) -> TrainingBatches:
        """The training batches of this process."""
        share, readings = (ranks.rank, ranks.size), [technique.read_epoch for technique in self.techniques]
        return TrainingBatches(self.train, self.train_indices, self.vocabularies, batch_tokens, seed, share, readings)

    @property
    def longest(self) -> int:
        """Positions of the longest sentence, EOS included."""
        return int(max(self.train.source.lengths.max(), self.train.target.lengths.max())) + 1


def open_texts(options: DataOptions, pairs: Pairs | None = None, valid: Pairs | None = None) -> Texts:
    """The text that a recipe names, or the pairs that a program gives in its place.

    With ``pairs`` for training, some of them are held out for validation, unless ``valid`` has others.
    """
    other_split = isinstance(options.train, FilePair) and isinstance(options.valid, str)
    if pairs is None and other_split and options.hub and not options.root:
        raise UserError(
            f"data.train names files, but data.valid is the split {options.valid!r} of the data set {options.hub}.",
            "Give --set data.valid=null to hold out training pairs, or 'data.valid={source: FILE, target: FILE}'.",
        )
    text = open_text(options, options.train) if pairs is None else given_text(options, pairs, "pairs")
    if valid is not None:
        return text, given_text(options, valid, "valid")
    return text, open_text(options, options.valid) if pairs is None and options.valid is not None else None


def prepare_data(
    recipe: Recipe,
    techniques: Mapping[str, Technique] | None = None,
    texts: Texts | None = None,
    resumed: Path | None = None,
    ranks: ProcessGroup = SINGLE_PROCESS,
) -> Data:
    """Vocabularies (read, or made from the training text) and encoded corpora of a recipe.

    Args:
        recipe: names the text.
        techniques: of the recipe; they read the vocabularies, and say what batches are to have beside the ids.
        texts: in place of those that the recipe names.
        resumed: the model directory whose vocabularies are to be used again.
        ranks: the processes of the run; one of them does the work.
    """
    options, used = recipe.data, list((techniques or {}).values())
    text, valid_text = texts or open_texts(options)
    vocabularies = ranks.broadcast(lambda: _vocabularies(recipe, resumed, text))
    if options.context is not None:
        check_separator(vocabularies.source)
    for technique in used:
        technique.setup_data(vocabularies)
    annotations = [found for technique in used if (found := technique.annotations(vocabularies))]
    with ranks.local_rank_zero_first(), progress_bar("encoding the training text", None) as bar:

        def on_progress(line: int) -> None:
            ranks.check()
            bar.update(line)

        corpus = encode_corpus(text, vocabularies, options.max_length, on_progress, annotations)
        valid = encode_corpus(valid_text, vocabularies, options.max_length) if valid_text is not None else None
    counts = corpus.counts
    if counts.empty or counts.too_long:
        say(
            f"{text.name}: kept {counts.kept:,} pairs, dropped {counts.empty:,} empty and {counts.too_long:,} "
            f"with more than {options.max_length} pieces"
        )
    indices = np.arange(len(corpus))
    if valid_text is not None and valid is not None:
        return Data(vocabularies, corpus, indices, _validation_set(valid_text, valid, np.arange(len(valid))), used)
    size = min(options.hold_out, int(len(corpus) * MAX_HELD_OUT))
    if size < 1:
        raise UserError(
            f"{len(corpus)} sentence pairs are too few to hold some out for validation.",
            "Name a validation split with data.valid; in Python, give pairs as valid=.",
        )
    chosen = np.random.default_rng(recipe.seed).permutation(len(corpus))
    held_out, indices = np.sort(chosen[:size]), np.sort(chosen[size:])
    say(f"no validation split: {size} training pairs are held out")
    return Data(vocabularies, corpus, indices, _validation_set(text, corpus, held_out), used)


def _validation_set(text: ParallelText, corpus: EncodedCorpus, indices: npt.NDArray[np.int64]) -> ValidationSet:
    """The text of the chosen pairs, read from the lines they stand on."""
    wanted = corpus.lines[indices]
    positions = set(wanted.tolist())
    kept = [pair for line, pair in enumerate(islice(text, int(wanted[-1]) + 1)) if line in positions]
    return ValidationSet(corpus, indices, [source for source, _ in kept], [target for _, target in kept])


def _vocabularies(recipe: Recipe, resumed: Path | None, text: ParallelText) -> Vocabularies:
    """Those of a run that is resumed; else the recipe's; those of a model to start from; new ones from the text."""
    trained = recipe.training.init_from
    if path := resumed or recipe.vocabulary.path or trained:
        vocabularies = Vocabularies.load(path)
        is_chosen = path is recipe.vocabulary.path  # then ids may stand for other tokens than in the trained model
        if trained and is_chosen and Vocabularies.load(trained).fingerprint != vocabularies.fingerprint:
            raise UserError(
                f"training.init_from: {trained} has another vocabulary than vocabulary.path names.",
                "Leave vocabulary.path out: the run then takes that of the model it starts from.",
            )
        return vocabularies
    with progress_bar("making the vocabulary", None):
        vocabularies = train_vocabularies(recipe.vocabulary, text, separator=text.context is not None)
    sizes = f"{len(vocabularies.source):,}" + ("" if vocabularies.joint else f" + {len(vocabularies.target):,}")
    say(f"made a vocabulary of {sizes} pieces ({recipe.vocabulary.type})")
    return vocabularies
