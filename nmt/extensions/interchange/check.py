"""The check of an export: compares the results of its runtime with those of the model in PyTorch."""

import contextlib
import math
import random
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from nmt.core.console import warn
from nmt.core.errors import UserError
from nmt.core.files import remove_folder
from nmt.core.model_directory import ModelDirectory
from nmt.core.text import read_lines
from nmt.data.batch import Ids
from nmt.data.opening import open_text
from nmt.data.vocabulary.base import BYTE
from nmt.decoding.forced import force_all
from nmt.recipe.schema import DecodingOptions
from nmt.translation.translator import Translator

NUM_LINES = 100
"""Lines that are translated for a check."""
TOLERANCE = 1e-3
"""Tolerance of a token's log-probability in float32."""
PLAIN: dict[str, tuple[Any, ...]] = {
    "search": ("beam",), "beam_groups": (1,), "coverage_penalty": (0.0,), "prune": (None,), "mbr": ("none",),
    "logits_processors": ({},), "restore_case": (False,), "split_sentences": (False,),
}  # fmt: skip
"""Values of decoding options that mean a plain beam search, which every runtime has."""
WHOLE: dict[str, tuple[Any, ...]] = {"shortlist": (None,)}
"""The value for programs that always search the whole vocabulary."""
DIVIDED: dict[str, tuple[Any, ...]] = {"split_sentences": (False, True)}
"""The values for programs that divide text into sentences."""
ONE_LIMIT: dict[str, tuple[Any, ...]] = {"max_length_ratio": (), "max_length_extra": ()}
"""No value of these can be carried over to programs that have one maximum length for all sentences."""


class Exported(Protocol):
    """An exported model, run by another program."""

    def translate(self, sources: Sequence[Ids]) -> list[list[int]]:
        """Returns the best translation of each encoded sentence by the search that users of the export have."""

    def score(self, pairs: Sequence[tuple[Ids, Ids]]) -> list[list[float]]:
        """Returns log-probabilities of the tokens and EOS of given translations: ids of source and target.

        Where a program can't read as much as nmt, there are those of the first tokens alone.
        """


def check(
    directory: Path, translator: Translator, open_model: Callable[[], Exported], lines: Sequence[str], exact: bool
) -> str:
    """Translates lines with an exported model and with the original, and scores the translations of the original.

    The original translates as its recipe says, and the exported model with the search that its users have. If most
    translations differ, there is a warning.

    Args:
        directory: the exported model; it is removed if the check fails.
        translator: the original.
        open_model: opens the folder.
        lines: of the source language; random ones are added where there are less than :data:`NUM_LINES`.
        exact: the weights were not quantized.

    Returns:
        How many translations are the same, and how far log-probabilities are apart.

    Raises:
        UserError: the exported model computes something else, or the model gives numbers that are not finite.
    """
    try:
        return _compared(directory, translator, open_model, lines, exact)
    except BaseException:
        remove_folder(directory)
        raise


def _compared(
    directory: Path, translator: Translator, open_model: Callable[[], Exported], lines: Sequence[str], exact: bool
) -> str:
    exported, chosen = open_model(), list(lines)[:NUM_LINES]
    num_random = NUM_LINES - len(chosen)
    chosen += random_lines(translator, num_random)
    limit, vocabulary = translator.max_pieces, translator.vocabularies.target
    encoded = [translator.encode_source(line)[:limit] for line in chosen]
    probes = [(ids, translator.encode_target(line)[:limit]) for ids, line in zip(encoded, chosen, strict=True) if ids]
    _scores(translator, probes[:10])  # before a search, which numbers that are not finite would lead astray
    original = translator.translate(chosen, split_sentences=False)
    id_of = {vocabulary.token(i): i for i in range(len(vocabulary))}
    found = iter(exported.translate([ids for ids in encoded if ids]))
    texts = [vocabulary.decode(next(found)) if ids else "" for ids in encoded]
    num_equal = sum(ours.text.split() == text.split() for ours, text in zip(original, texts, strict=True))
    pairs = [
        (ids, [id_of[token] for token in translation.tokens])
        for ids, translation in zip(encoded, original, strict=True)
        if ids
    ]
    differences = [
        abs(ours - theirs)
        for ours_T, theirs_T in zip(_scores(translator, pairs), exported.score(pairs), strict=True)
        for ours, theirs in zip(ours_T, theirs_T, strict=False)
    ]
    largest = max(differences, default=math.nan)
    if not all(map(math.isfinite, differences)) or (exact and not largest < TOLERANCE):
        raise UserError(
            f"{directory} can't be used: the log-probability of a token differs by {largest:.3g} from that of the "
            "original.",
            "Try another version of the package that runs it, and report this.",
        )
    if num_equal < NUM_LINES / 2:
        warn(
            f"{NUM_LINES - num_equal} of {NUM_LINES} translations differ from those of nmt. Score a test set with the "
            "exported model before you use it."
        )
    random_ones = f" ({num_random} of random pieces)" if num_random else ""
    return (
        f"{num_equal} of {NUM_LINES} translations{random_ones} are those of nmt; log-probabilities of tokens differ by "
        f"{largest:.1g} at most"
    )


def _scores(translator: Translator, pairs: Sequence[tuple[Ids, Ids]]) -> list[list[float]]:
    """Returns log-probabilities of the tokens and EOS of given translations in PyTorch.

    Raises:
        UserError: one is not finite.
    """
    found = force_all(translator.model, pairs, translator.vocabularies, translator.recipe.decoding.batch_size)
    scores = [each.log_probability_T.tolist() for each in found]
    if not all(math.isfinite(score) for of_pair in scores for score in of_pair):
        raise UserError(
            "The model gives log-probabilities that are not finite: its weights are damaged or too large.",
            "Take another checkpoint, or train the model again.",
        )
    return scores


def validation_lines(translator: Translator) -> list[str]:
    """Returns source lines of the validation text of a model, at most :data:`NUM_LINES`.

    Where that text is not on this machine, they are those of the newest samples in the model directory.
    """
    data = translator.recipe.data
    is_local = data.root is not None or data.hub is None or data.text is not None or not isinstance(data.valid, str)
    if data.valid is not None and is_local:
        with contextlib.suppress(UserError):
            return [source for source, _ in islice(open_text(data, data.valid), NUM_LINES)]
    return read_samples(translator.directory)[:NUM_LINES] if translator.directory is not None else []


def random_lines(translator: Translator, num_lines: int) -> list[str]:
    """Random pieces of the source vocabulary: no sentences, but their translations must agree all the same."""
    vocabulary, draw = translator.vocabularies.source, random.Random(1)
    ids = [i for i in range(4, len(vocabulary)) if not BYTE.fullmatch(vocabulary.token(i))]
    return [vocabulary.decode(draw.choices(ids, k=draw.randint(3, 12))) for _ in range(num_lines)]


def left_out(options: DecodingOptions, carried: Mapping[str, Sequence[Any]], program: str) -> list[str]:
    """Returns a message about the decoding options that a program has no counterpart for; none if it has all.

    ``carried`` has the values of some options that the program has a counterpart for. It has all values of the others.
    """
    values = {name: getattr(options, name) for name in carried}
    left = [(name, value) for name, value in values.items() if value not in carried[name]]
    listed = ", ".join(f"{name}: {str(value).lower() if isinstance(value, bool) else value}" for name, value in left)
    message = f"{program} has no counterpart of these decoding options, which don't apply there: {listed}."
    return [message] if left else []


def read_samples(directory: Path) -> list[str]:
    """Returns the source sentences of the newest samples of a model directory."""
    files = ModelDirectory(directory)
    files.check_files()
    newest = max(files.samples.glob("step-*.txt"), default=None)
    lines = read_lines(newest) if newest is not None else ()
    return [line.removeprefix("source:").strip() for line in lines if line.startswith("source:")]
