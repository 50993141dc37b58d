"""An order of batches that can be stopped and resumed anywhere, by the thread that makes them ahead, too."""

import itertools
import threading
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from nmt.data.batch import Batch, joined_batch
from nmt.data.batching import CorpusExtras, TrainingBatches, plan_batches
from nmt.data.buffers import ShuffleBuffers
from nmt.data.cache import EncodedCorpus, ParallelIds, encode_corpus
from nmt.data.sources import FileText
from nmt.data.vocabulary.files import Vocabularies, train_vocabularies
from nmt.recipe.schema import VocabularyOptions

Corpus = tuple[EncodedCorpus, Vocabularies]


def test_of_equal_lengths_the_shorter_side_goes_up_and_down_in_turns() -> None:
    """So that neighbours are alike where the longer side grows, too."""
    source, target = np.array([4, 5, 4, 5, 4, 5]), np.array([4, 1, 1, 5, 2, 3])
    [order] = plan_batches(source, target, 10**6)
    pairs = list(zip(source[order].tolist(), target[order].tolist(), strict=True))
    assert pairs == [(4, 1), (4, 2), (4, 4), (5, 5), (5, 3), (5, 1)]


def test_a_batch_may_fill_its_budget_exactly() -> None:
    lengths_N = np.full(4, 5)
    assert [len(batch) for batch in plan_batches(lengths_N, lengths_N, 10)] == [2, 2]
    assert [len(batch) for batch in plan_batches(lengths_N, lengths_N, 9)] == [1, 1, 1, 1]


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """60 different pairs of uneven lengths."""
    rng = np.random.default_rng(0)
    words = [f"w{number}" for number in range(60)]
    for language in ("de", "en"):
        lines = [" ".join([word] * rng.integers(1, 12)) for word in words]
        (tmp_path / f"train.{language}").write_text("\n".join(lines) + "\n")
    text = FileText(tmp_path / "train.de", tmp_path / "train.en")
    vocabularies = train_vocabularies(VocabularyOptions(type="word"), text)
    return encode_corpus(text, vocabularies, 99), vocabularies


def stream(corpus: Corpus, seed: int = 1, **changes: Any) -> TrainingBatches:
    arguments = {"batch_tokens": 40, "seed": seed, **changes}
    return TrainingBatches(corpus[0], vocabularies=corpus[1], **arguments)


def pools(most: int, held_out: npt.NDArray[np.int64] | None = None) -> ShuffleBuffers:
    return ShuffleBuffers(60, held_out, most)


def content(batch: Batch) -> list[list[int]]:
    return batch.source_BS.tolist()  # type: ignore[no-any-return]


def take(batches: TrainingBatches, count: int) -> list[list[list[int]]]:
    return [content(batch) for batch in itertools.islice(batches, count)]


def test_an_epoch_has_every_training_pair_once_and_no_other(corpus: Corpus) -> None:
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


def test_each_pool_and_epoch_has_random_numbers_of_its_own(corpus: Corpus) -> None:
    drawn: list[tuple[int, int]] = []

    def modify(sides: ParallelIds, annotations: CorpusExtras, seed: int, epoch: int) -> Any:
        drawn.append((seed, epoch))
        return sides, annotations

    batches = stream(corpus, buffers=pools(20), modify=modify)
    while batches.epoch < 2:
        batches.advance()
    assert len(drawn) == len(set(drawn)) == 2 * 3 + 1
    assert len({seed for seed, _ in drawn}) == 3


def test_the_order_hangs_on_seed_and_epoch_alone(corpus: Corpus) -> None:
    number = len(stream(corpus))
    first = take(stream(corpus), 2 * number)
    assert take(stream(corpus), 2 * number) == first
    assert take(stream(corpus, seed=2), number) != first[:number]
    assert first[:number] != first[number:]


@pytest.mark.parametrize("pool_size", [60, 25])
def test_a_resumed_stream_goes_on_with_the_next_batch_wherever_it_stopped(corpus: Corpus, pool_size: int) -> None:
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


def test_a_state_from_smaller_batches_goes_on_with_the_next_epoch(corpus: Corpus) -> None:
    small, large = stream(corpus, batch_tokens=15), stream(corpus, batch_tokens=400)
    take(small, len(small) - 1)
    large.load_state_dict(small.state_dict())
    assert {**large.state_dict(), "corpus": ""} == {"epoch": 1, "pool": 0, "position": 0, "corpus": ""}
    assert len(take(large, 2)) == 2


NO_CPU = torch.device("meta")
"""Batches are made in advance for every device but a CPU."""


def assert_same(ours: Batch, theirs: Batch) -> None:
    for f in fields(Batch):
        one, other = getattr(ours, f.name), getattr(theirs, f.name)
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_batches_and_places_are_those_of_the_stream_itself(corpus: Corpus) -> None:
    plain, ahead = stream(corpus), stream(corpus).prefetch(NO_CPU)
    assert (len(ahead), ahead.epoch, ahead.state_dict()) == (len(plain), 0, plain.state_dict())
    for number, (ours, theirs) in enumerate(zip(ahead, plain, strict=False)):
        assert_same(ours, theirs)
        assert (len(ahead), ahead.epoch, ahead.state_dict()) == (len(plain), plain.epoch, plain.state_dict())
        if number == 3 * len(plain):
            break
    assert ahead.epoch == 3


def test_it_goes_on_after_the_last_batch_given_out_not_the_last_one_made(corpus: Corpus) -> None:
    ahead = stream(corpus).prefetch(NO_CPU)
    given = iter(ahead)
    for _ in range(4):
        next(given)
    state = ahead.state_dict()
    assert state == {**stream(corpus).state_dict(), "epoch": 0, "position": 4}

    resumed = stream(corpus).prefetch(NO_CPU)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    expected = next(given)
    assert_same(next(iter(resumed)), expected)
    given.close()
    again = next(iter(ahead))
    expected_after = stream(corpus)
    expected_after.load_state_dict({**state, "position": 5})
    assert_same(again, next(iter(expected_after)))


def test_the_thread_ends_with_the_stream(corpus: Corpus) -> None:
    given = iter(stream(corpus).prefetch(NO_CPU))
    next(given)
    assert len(threads()) == 1
    given.close()
    assert not threads()


def test_an_error_is_raised_where_the_batches_are_read(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    made = iter(range(2))

    def broken(*arguments: Any) -> Batch:
        if next(made, None) is None:
            raise OSError("the disk is gone")
        return joined_batch(*arguments)

    monkeypatch.setattr("nmt.data.batching.joined_batch", broken)
    given = iter(stream(corpus).prefetch(NO_CPU))
    next(given), next(given)
    with pytest.raises(OSError, match="the disk is gone"):
        next(given)
    assert not threads()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_for_a_gpu_they_lie_in_pinned_memory(corpus: Corpus) -> None:
    batch = next(iter(stream(corpus).prefetch(torch.device("cuda"))))
    tensors = [value for f in fields(Batch) if isinstance(value := getattr(batch, f.name), torch.Tensor)]
    assert all(tensor.is_pinned() for tensor in tensors)
    assert_same(batch, next(iter(stream(corpus))))
