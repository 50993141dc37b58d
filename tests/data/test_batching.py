"""The six steps of batch preparation, and an order of batches that can be stopped and resumed anywhere."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import strategies as st

from nmt.data.batch import Batch, make_batch
from nmt.data.batching import CorpusExtras, TrainingBatches, plan_batches
from nmt.data.buffers import ShuffleBuffers
from nmt.data.cache import EncodedCorpus, ParallelIds, encode_corpus
from nmt.data.sources import FileText
from nmt.data.vocabulary.base import Vocabulary
from nmt.data.vocabulary.files import Vocabularies, train_vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.recipe.schema import VocabularyOptions


class ShuffledIds(WordVocabulary):
    """Special ids elsewhere than nmt would put them, as in a foreign sentencepiece model."""

    pad, unk, sos, eos = 3, 0, 1, 2


@pytest.mark.parametrize("kind", [WordVocabulary, ShuffledIds])
def test_the_six_steps_by_hand(kind: Callable[[Sequence[str]], Vocabulary]) -> None:
    source, target = kind(["▁der", "▁Hund", "▁schläft"]), kind(["▁the", "▁dog"])
    texts = [("der Hund schläft", "the dog"), ("Hund", "the the dog dog")]
    pairs = [(source.encode(german), target.encode(english)) for german, english in texts]
    batch = make_batch(pairs, Vocabularies(source, target))
    pad, sos, eos = source.pad, source.sos, source.eos
    assert batch.source_BS.tolist() == [[4, 5, 6, eos], [5, eos, pad, pad]]
    assert batch.source_length_B.tolist() == [4, 2]
    assert batch.target_input_BT.tolist() == [[sos, 4, 5, pad, pad], [sos, 4, 4, 5, 5]]
    assert batch.target_output_BT.tolist() == [[4, 5, eos, pad, pad], [4, 4, 5, 5, eos]]
    assert batch.target_length_B.tolist() == [3, 5]
    assert (batch.num_target_tokens, batch.num_positions, batch.num_padding) == (8, 18, 4)


lengths = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=80)


def test_of_equal_lengths_the_shorter_side_goes_up_and_down_in_turns() -> None:
    """So that neighbours are alike where the longer side grows, too."""
    source, target = np.array([4, 5, 4, 5, 4, 5]), np.array([4, 1, 1, 5, 2, 3])
    [order] = plan_batches(source, target, 10**6)
    pairs = list(zip(source[order].tolist(), target[order].tolist(), strict=True))
    assert pairs == [(4, 1), (4, 2), (4, 4), (5, 5), (5, 3), (5, 1)]


# the stream


@pytest.fixture
def corpus(tmp_path: Path) -> tuple[EncodedCorpus, Vocabularies]:
    """60 different pairs of uneven lengths."""
    rng = np.random.default_rng(0)
    words = [f"w{number}" for number in range(60)]
    for language in ("de", "en"):
        lines = [" ".join([word] * rng.integers(1, 12)) for word in words]
        (tmp_path / f"train.{language}").write_text("\n".join(lines) + "\n")
    text = FileText(tmp_path / "train.de", tmp_path / "train.en")
    vocabularies = train_vocabularies(VocabularyOptions(type="word"), text)
    return encode_corpus(text, vocabularies, 99), vocabularies


def stream(corpus: tuple[EncodedCorpus, Vocabularies], seed: int = 1, **changes: Any) -> TrainingBatches:
    arguments = {"batch_tokens": 40, "seed": seed, **changes}
    return TrainingBatches(corpus[0], vocabularies=corpus[1], **arguments)


def pools(most: int, held_out: npt.NDArray[np.int64] | None = None) -> ShuffleBuffers:
    return ShuffleBuffers(60, held_out, most)


def content(batch: Batch) -> list[list[int]]:
    return batch.source_BS.tolist()  # type: ignore[no-any-return]


def take(batches: TrainingBatches, count: int) -> list[list[list[int]]]:
    return [content(batch) for batch in itertools.islice(batches, count)]


def test_an_epoch_has_every_training_pair_once_and_no_other(corpus: tuple[EncodedCorpus, Vocabularies]) -> None:
    held_out = np.array([0, 1, 7, 31, 59])
    chosen = sorted(int(corpus[0].source[index][0]) for index in range(60) if index not in held_out)
    for pool_size in (100, 20, 7):
        batches, orders = stream(corpus, buffers=pools(pool_size, held_out)), []
        for epoch in range(2):
            orders.append([])
            while batches.epoch == epoch:
                orders[-1] += [row[0] for row in content(batches.make_next())]
                batches.advance()
            assert sorted(orders[-1]) == chosen
        assert orders[0] != orders[1]


def test_each_pool_and_epoch_has_random_numbers_of_its_own(corpus: tuple[EncodedCorpus, Vocabularies]) -> None:
    drawn: list[tuple[int, int]] = []

    def modify(sides: ParallelIds, annotations: CorpusExtras, seed: int, epoch: int) -> Any:
        drawn.append((seed, epoch))
        return sides, annotations

    batches = stream(corpus, buffers=pools(20), modify=modify)
    while batches.epoch < 2:
        batches.advance()
    assert len(drawn) == len(set(drawn)) == 2 * 3 + 1
    assert len({seed for seed, _ in drawn}) == 3


def test_the_order_hangs_on_seed_and_epoch_alone(corpus: tuple[EncodedCorpus, Vocabularies]) -> None:
    number = len(stream(corpus))
    first = take(stream(corpus), 2 * number)
    assert take(stream(corpus), 2 * number) == first
    assert take(stream(corpus, seed=2), number) != first[:number]
    assert first[:number] != first[number:]


@pytest.mark.parametrize("pool_size", [60, 25])
def test_a_resumed_stream_goes_on_with_the_next_batch_wherever_it_stopped(
    corpus: tuple[EncodedCorpus, Vocabularies], pool_size: int
) -> None:
    batches, states, whole = stream(corpus, buffers=pools(pool_size)), [], []
    while batches.epoch < 2 or len(whole) < 20:
        states.append(batches.state_dict())
        whole.append(content(next(iter(batches))))
    assert {state["pool"] for state in states} == set(range(-(-60 // pool_size)))
    for stop, state in enumerate(states[:-2]):
        resumed = stream(corpus, buffers=pools(pool_size))
        resumed.load_state_dict(state)
        assert resumed.state_dict() == state
        assert take(resumed, 3) == whole[stop : stop + 3]


def test_a_state_from_smaller_batches_goes_on_with_the_next_epoch(corpus: tuple[EncodedCorpus, Vocabularies]) -> None:
    small, large = stream(corpus, batch_tokens=15), stream(corpus, batch_tokens=400)
    take(small, len(small) - 1)
    large.load_state_dict(small.state_dict())
    assert {**large.state_dict(), "corpus": ""} == {"epoch": 1, "pool": 0, "position": 0, "corpus": ""}
    assert len(take(large, 2)) == 2


# real text


def test_a_batch_may_fill_its_budget_exactly() -> None:
    lengths_N = np.full(4, 5)
    assert [len(batch) for batch in plan_batches(lengths_N, lengths_N, 10)] == [2, 2]
    assert [len(batch) for batch in plan_batches(lengths_N, lengths_N, 9)] == [1, 1, 1, 1]
