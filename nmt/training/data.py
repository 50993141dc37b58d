"""The text of a run: its vocabularies, its encoded training pairs, and its validation sets."""

import random
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, product
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nmt.core.console import progress_bar, say, warn
from nmt.core.errors import UserError
from nmt.data.batching import BatchStream, PairTransform, TrainingBatches
from nmt.data.buffers import ShuffleBuffers
from nmt.data.cache import EncodedCorpus, PairExtras, encode_corpus
from nmt.data.opening import given_text, open_corpus, open_text
from nmt.data.sources import ParallelText, digest
from nmt.data.vocabulary.base import NEW_VOCABULARY, TERM, Vocabulary
from nmt.data.vocabulary.files import Vocabularies
from nmt.recipe.registry import provided
from nmt.recipe.schema import CorpusOptions, DataOptions, FilePair, Recipe, StageOptions
from nmt.tasks import task_of
from nmt.tasks.base import Task
from nmt.training.distributed import SINGLE_PROCESS, ProcessGroup
from nmt.training.techniques import Technique, make_techniques

MAX_HELD_OUT = 0.05
"""Largest share of the training pairs that is held out where there is no validation split."""
CORPORA = "mixed corpora", "The key data.corpora"
"""The name under which an extension provides the batches of several corpora, and the key that needs them."""
MODIFIERS = "modifiers", "The key modifiers of data.corpora"
"""The name under which an extension provides the augmentations of a corpus, and the key that needs them."""

Pairs = Sequence[tuple[str, str]]
Texts = tuple[Sequence[ParallelText], ParallelText | None]
"""For training, one or those of ``data.corpora``, and for validation where there is text of its own."""


@dataclass(frozen=True)
class ValidationSet:
    """Held-out sentence pairs: encoded for the loss, and as text for the metric."""

    corpus: EncodedCorpus
    indices: npt.NDArray[np.int64]
    sources: Sequence[str]
    references: Sequence[str]

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the pairs, not with the form of their files or of the cache."""
        return digest("\n".join((*self.sources, *self.references)))


@dataclass(frozen=True)
class TrainingPairs:
    """A corpus, and the pairs of it that don't belong to training, ascending."""

    corpus: EncodedCorpus
    held_out: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.corpus) - (0 if self.held_out is None else len(self.held_out))


@dataclass(frozen=True)
class Data:
    """Encoded data that a run is trained and validated on."""

    vocabularies: Vocabularies
    train: Sequence[TrainingPairs]
    """The only corpus, or those of ``data.corpora``."""
    valid: ValidationSet
    options: DataOptions
    task: Task
    texts: Texts
    """The text before it was encoded."""
    techniques: Mapping[str, Technique] = field(default_factory=dict)
    """Those of the recipe, which may read the training text in other ways."""

    def batches(self, batch_tokens: int, seed: int, process_group: ProcessGroup = SINGLE_PROCESS) -> BatchStream:
        """The training batches of this process; see :class:`nmt.data.batching.TrainingBatches`."""
        share = process_group.rank, process_group.size
        augmentations: list[PairTransform | None] = [
            provided(*MODIFIERS)(corpus.modifiers, self.vocabularies, self.options.max_length)
            if corpus.modifiers
            else None
            for corpus in self.options.corpora
        ]
        streams = [
            TrainingBatches(
                part.corpus,
                self.vocabularies,
                batch_tokens,
                seed + number,  # with the same one, translations in two directions of one text would come side by side
                share,
                [technique.read_epoch for technique in self.techniques.values()],
                ShuffleBuffers(len(part.corpus), part.held_out),
                modify,
            )
            for number, (part, modify) in enumerate(zip(self.train, augmentations or [None], strict=True))
        ]
        if len(streams) == 1 and not self.options.stages:
            return streams[0]
        weights = {corpus.name: corpus.weight for corpus in self.options.corpora}
        stages = self.options.stages or [StageOptions(name="all", corpora=weights)]
        batches: BatchStream = provided(*CORPORA)(dict(zip(weights, streams, strict=True)), stages, share)
        return batches

    @property
    def num_pairs(self) -> int:
        """Sentence pairs that are trained on."""
        return sum(map(len, self.train))


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
    if pairs is not None and options.corpora:
        raise UserError("pairs= can't be given together with data.corpora.", "Leave one of them out.")
    if pairs is not None:
        texts = [given_text(options, pairs, "pairs")]
    else:
        texts = [open_corpus(options, corpus) for corpus in options.corpora] or [open_text(options, options.train)]
    if valid is not None:
        return texts, given_text(options, valid, "valid")
    return texts, open_text(options, options.valid) if pairs is None and options.valid is not None else None


def prepare_data(
    recipe: Recipe,
    pairs: Pairs | None = None,
    valid: Pairs | None = None,
    resumed: Path | None = None,
    process_group: ProcessGroup = SINGLE_PROCESS,
) -> Data:
    """Vocabularies (read, or made from the training text) and encoded corpora of a recipe.

    The training techniques of the recipe read the vocabularies, and say what batches have beside the ids.

    Args:
        pairs, valid: as in :func:`nmt.train`.
        resumed: the model directory whose vocabularies are to be used again.
        process_group: the processes of the run; one of them does the work.
    """
    options, task, techniques = recipe.data, task_of(recipe), make_techniques(recipe)
    train_texts, valid_text = texts = open_texts(options, pairs, valid)
    vocabularies = process_group.broadcast(lambda: _vocabularies(recipe, task, resumed, train_texts))
    for corpus in options.corpora:
        _check_symbols(vocabularies.source, corpus)
    for technique in techniques.values():
        technique.setup_data(vocabularies)
    annotations = _annotations(techniques, options, vocabularies)
    with process_group.local_rank_zero_first(), progress_bar("encoding the training text", None) as bar:
        encoded = [
            encode_corpus(text, vocabularies, options.max_length, bar.update, read)
            for text, read in zip(train_texts, annotations, strict=True)
        ]
        encoded_valid = encode_corpus(valid_text, vocabularies, options.max_length) if valid_text is not None else None
    for text, counts in zip(train_texts, (corpus.counts for corpus in encoded), strict=True):
        if counts.empty or counts.too_long:
            say(
                f"{text.name}: kept {counts.kept:,} pairs, dropped {counts.empty:,} empty and {counts.too_long:,} "
                f"with more than {options.max_length} pieces"
            )
    parts = list(map(TrainingPairs, encoded))
    if valid_text is not None and encoded_valid is not None:
        is_same = encoded_valid.fingerprint in (corpus.fingerprint for corpus in encoded)
        if is_same and options.text is not None and options.valid != options.train:
            warn(
                f"{valid_text.name} is validated on and trained on, because data.text has no splits. Set data.valid "
                "to null to hold out training pairs, or to {source: FILE, target: FILE}."
            )
        held_out = validation_set(valid_text, encoded_valid, np.arange(len(encoded_valid)))
        has_tag = (vocabularies.source.tags_of(task.reader.current(line)) for line in held_out.sources)
        if options.corpora and all(corpus.tag for corpus in options.corpora) and not all(has_tag):
            tags = ", ".join(symbols_of(options.corpora)[0])
            warn(f"{valid_text.name}: source lines have no tag, with which all training lines begin: {tags}.")
    else:
        parts, held_out = _hold_out(recipe, train_texts, encoded)
    for technique, part in product(techniques.values(), parts):
        technique.setup_text(part.corpus, part.held_out)
    return Data(vocabularies, parts, held_out, options, task, texts, techniques)


def _check_symbols(vocabulary: Vocabulary, corpus: CorpusOptions) -> None:
    """Raise a UserError if a tag, or what is around given terms, isn't one symbol of the source vocabulary."""
    wanted = [("tag", corpus.tag, f"{corpus.tag} a")] if corpus.tag else []
    wanted += [("modifier terms with", symbol, f"a{symbol} a") for symbol in TERM if "terms" in corpus.modifiers]
    for kind, symbol, text in wanted:
        if symbol not in map(vocabulary.token, vocabulary.encode(text)):
            raise UserError(
                f"data.corpora has the {kind} {symbol}, which the vocabulary lacks.",
                f"{NEW_VOCABULARY}, or leave it out.",
            )


def _annotations(
    techniques: Mapping[str, Technique], options: DataOptions, vocabularies: Vocabularies
) -> list[list[PairExtras]]:
    """Returns the extra data for the pairs of each text: links of corpora, and data of techniques."""
    by_technique = {name: technique.annotations(vocabularies) for name, technique in techniques.items()}
    for name, annotations in by_technique.items():
        if annotations and options.corpora:
            raise UserError(
                f"training.techniques.{name} reads a file for one text as it is, which data.corpora changes.",
                "Leave it out, or join the corpora to one and name it with data.train.",
            )
    splits = any(getattr(technique.options, "split_punctuation", False) for technique in techniques.values())
    of_corpora: list[list[PairExtras]] = [
        [provided("word links", "The key links of data.corpora")(corpus.links, splits, options, vocabularies)]
        if corpus.links
        else []
        for corpus in options.corpora
    ]
    return of_corpora or [[annotations for annotations in by_technique.values() if annotations]]


def _hold_out(
    recipe: Recipe, texts: Sequence[ParallelText], corpora: Sequence[EncodedCorpus]
) -> tuple[list[TrainingPairs], ValidationSet]:
    """Holds out some pairs of the first corpus, by chance, for validation: none that it has twice. Their copies in the
    other corpora, in either direction, aren't trained on, either."""
    size = min(recipe.data.hold_out, int(len(corpora[0]) * MAX_HELD_OUT))
    rows = np.sort(np.random.default_rng(recipe.seed).choice(len(corpora[0]), size, replace=False))
    drawn = validation_set(texts[0].untagged, corpora[0], rows)
    pairs = set(map(frozenset, zip(drawn.sources, drawn.references, strict=True)))
    found = [_rows_of(pairs, *each) for each in zip(texts, corpora, strict=True)]
    held_out = {pair for pair, count in Counter(found[0].values()).items() if count == 1}
    of_each = [np.array([row for row, pair in each.items() if pair in held_out], np.int64) for each in found]
    parts = list(map(TrainingPairs, corpora, of_each))
    if not held_out or not all(map(len, parts)):
        raise UserError(
            f"{len(corpora[0])} sentence pairs are too few, or repeated too often, to hold some out for validation"
            + (": one of the corpora would have none left." if held_out else "."),
            "Name a validation split with data.valid; in Python, give pairs as valid=.",
        )
    say(f"no validation split: of {size} training pairs drawn, the {len(held_out)} that occur once are held out")
    kept = [pair for pair in zip(drawn.sources, drawn.references, strict=True) if frozenset(pair) in held_out]
    tagged = [texts[0].reader.tagged(texts[0].tag, source) if texts[0].tag else source for source, _ in kept]
    return parts, ValidationSet(corpora[0], of_each[0], tagged, [target for _, target in kept])


def _rows_of(pairs: Container[frozenset[str]], text: ParallelText, corpus: EncodedCorpus) -> dict[int, frozenset[str]]:
    """Returns those of the pairs that a corpus has, in one direction or the other, by its rows."""
    found = {line: pair for line, sides in enumerate(text.untagged) if (pair := frozenset(sides)) in pairs}
    return {row: found[line] for row, line in enumerate(map(int, corpus.lines)) if line in found}


def validation_set(text: ParallelText, corpus: EncodedCorpus, indices: npt.NDArray[np.int64]) -> ValidationSet:
    """Returns the chosen pairs, with their text read from the lines they stand on. ``indices``: ascending."""
    positions = set(corpus.lines[indices].tolist())
    kept = [pair for line, pair in enumerate(islice(text, max(positions, default=-1) + 1)) if line in positions]
    return ValidationSet(corpus, indices, [source for source, _ in kept], [target for _, target in kept])


class Sample:
    """Samples sentence pairs of several texts by their weights; the same ones in each iteration.

    Their number is about that of all texts together, at most ``limit``. A text with fewer pairs than its share is
    repeated; tags are left out.
    """

    def __init__(
        self, texts: Sequence[ParallelText], weights: Sequence[float], limit: int | None = None, seed: int = 1
    ) -> None:
        self._texts = [text.untagged for text in texts]
        sizes = [sum(1 for _ in text) for text in self._texts]
        total = min(sum(sizes), limit or sum(sizes))
        self._copies = [
            total * (weight / sum(weights)) / max(size, 1) for weight, size in zip(weights, sizes, strict=True)
        ]
        self._seed = seed

    def __iter__(self) -> Iterator[tuple[str, str]]:
        rng = random.Random(self._seed)
        for text, copies in zip(self._texts, self._copies, strict=True):
            for pair in text:
                for _ in range(int(copies) + (rng.random() < copies % 1)):
                    yield pair


def _vocabularies(recipe: Recipe, task: Task, resumed: Path | None, texts: Sequence[ParallelText]) -> Vocabularies:
    """Reads the vocabularies of a resumed run, of the recipe or of the model to start from, or learns new ones."""
    trained = None if recipe.training.new_vocabulary else recipe.training.finetune_from
    if path := resumed or recipe.vocabulary.path or trained:
        vocabularies = Vocabularies.load(path)
        task.check_vocabularies(vocabularies, str(path))
        if not resumed and any(corpus.new_pieces for corpus in recipe.data.corpora):
            vocabularies = provided("new pieces", "The key new_pieces of data.corpora")(recipe, vocabularies, texts)
        return vocabularies
    with progress_bar("making the vocabulary", None):
        corpora, limit = recipe.data.corpora, task.vocabulary_lines(recipe.vocabulary)
        sample = Sample(texts, [corpus.weight for corpus in corpora] or [1.0], limit, recipe.seed)
        tags, terms = symbols_of(corpora)
        vocabularies = task.learn_vocabularies(recipe.vocabulary, sample, tags, terms)
    sizes = f"{len(vocabularies.source):,}" + ("" if vocabularies.joint else f" + {len(vocabularies.target):,}")
    unit = "pieces and labels" if vocabularies.target.is_closed else "pieces"
    say(f"made a vocabulary of {sizes} {unit} ({recipe.vocabulary.type})")
    return vocabularies


def symbols_of(corpora: Sequence[CorpusOptions]) -> tuple[list[str], bool]:
    """Returns the tags of corpora, and whether they have given translations of terms."""
    tags = list(dict.fromkeys(corpus.tag for corpus in corpora if corpus.tag))
    return tags, any("terms" in corpus.modifiers for corpus in corpora)
