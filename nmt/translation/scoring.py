"""Scores of given translations by forced decoding."""

from collections.abc import Iterable, Iterator

from nmt.core.console import warn
from nmt.core.device import autocast
from nmt.core.text import in_windows
from nmt.data.words import checked_pair
from nmt.decoding.forced import force_all
from nmt.decoding.ranking import length_normalised
from nmt.recipe.schema import DecodingOptions
from nmt.translation.loaded import WINDOW, LoadedModel
from nmt.translation.results import ScoredPair


def scores(translator: LoadedModel, pairs: Iterable[tuple[str, str]], options: DecodingOptions) -> Iterator[ScoredPair]:
    """Yields the pairs with their scores, in order and in constant memory.

    A pair that is too long for the model has none, because half of it would have another score.
    """
    vocabularies, first_line = translator.vocabularies, 1
    for window in in_windows(pairs, WINDOW * options.batch_size):
        window = [checked_pair(pair, number) for number, pair in enumerate(window, first_line)]
        encoded = [(translator.encode_source(source), translator.encode_target(target)) for source, target in window]
        fits = [max(len(source), len(target)) <= translator.max_pieces for source, target in encoded]
        whole = [ids for ids, fit in zip(encoded, fits, strict=True) if fit]
        with autocast(translator.model.device, translator.precision):
            scored = iter(force_all(translator.model, whole, vocabularies, options.batch_size))
        for number, ((source, target), ids, fit) in enumerate(zip(window, encoded, fits, strict=True), first_line):
            if not fit:
                size, most = max(map(len, ids)), translator.max_pieces
                warn(f"line {number} has {size:,} pieces, more than {most}: it gets no score.")
                yield ScoredPair(source, target, [], [], None, None)
                continue
            vocabulary, of_tokens_T = vocabularies.target, next(scored).log_probability_T
            tokens = [vocabulary.token(i) for i in ids[1] + [vocabulary.eos] * (not vocabulary.is_closed)]
            total = of_tokens_T.sum()
            score = float(length_normalised(options, total, len(tokens)))
            yield ScoredPair(source, target, tokens, of_tokens_T.tolist(), float(total), score)
        first_line += len(window)
