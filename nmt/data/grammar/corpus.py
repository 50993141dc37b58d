"""The embedded corpus: sentences drawn by a seed, and splits that share none."""

import random
from collections.abc import Iterator

from nmt.data.grammar.phrases import AlignedPair
from nmt.data.grammar.sentences import Sampler


def stream(seed: int) -> Iterator[AlignedPair]:
    """Sentences without end, distinct by English text."""
    sampler = Sampler(random.Random(seed))
    seen: set[tuple[str, ...]] = set()
    while True:
        sentence = sampler.sentence()
        if sentence.source_tokens not in seen:
            seen.add(sentence.source_tokens)
            yield sentence


def generate(num_pairs: int, seed: int) -> list[AlignedPair]:
    """``num_pairs`` sentence pairs, distinct by English text, the same for a seed on every machine."""
    sentences = stream(seed)
    return [next(sentences) for _ in range(num_pairs)]


def splits(seed: int = 1, train: int = 24_000, valid: int = 500, test: int = 500) -> dict[str, list[AlignedPair]]:
    """Train, valid and test; no English and no German sentence of valid or test is in another split."""
    sentences = stream(seed)
    held_out: set[tuple[str, ...]] = set()
    result: dict[str, list[AlignedPair]] = {}
    for name, size in (("test", test), ("valid", valid), ("train", train)):
        chosen: list[AlignedPair] = []
        while len(chosen) < size:
            sentence = next(sentences)
            if sentence.target_tokens in held_out:
                continue
            chosen.append(sentence)
            if name != "train":
                held_out.add(sentence.target_tokens)
        result[name] = chosen
    return {name: result[name] for name in ("train", "valid", "test")}
