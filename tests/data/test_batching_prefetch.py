"""Batches made ahead: the same ones, at the same place in the data, however far the thread has gone."""

import threading
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch

from nmt.data.batch import Batch, joined_batch
from nmt.data.batching import TrainingBatches
from nmt.data.cache import encode_corpus
from nmt.data.opening import open_text
from nmt.data.vocabulary.files import train_vocabularies
from nmt.recipe.schema import DataOptions, VocabularyOptions

NO_CPU = torch.device("meta")
"""Batches are made in advance for every device but a CPU."""


@pytest.fixture
def make_batches(tiny_corpus: Path) -> Any:
    """Makes streams over the tiny corpus, all of them the same."""
    options = DataOptions(root=tiny_corpus, source="de", target="en")
    text = open_text(options, "train")
    vocabularies = train_vocabularies(VocabularyOptions(type="word"), text)
    corpus = encode_corpus(text, vocabularies, 150)
    return lambda: TrainingBatches(corpus, vocabularies, 64, seed=5)


def assert_same(ours: Batch, theirs: Batch) -> None:
    for f in fields(Batch):
        one, other = getattr(ours, f.name), getattr(theirs, f.name)
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_batches_and_places_are_those_of_the_stream_itself(make_batches: Any) -> None:
    plain, ahead = make_batches(), make_batches().prefetch(NO_CPU)
    assert (len(ahead), ahead.epoch, ahead.state_dict()) == (len(plain), 0, plain.state_dict())
    for number, (ours, theirs) in enumerate(zip(ahead, plain, strict=False)):
        assert_same(ours, theirs)
        assert (len(ahead), ahead.epoch, ahead.state_dict()) == (len(plain), plain.epoch, plain.state_dict())
        if number == 3 * len(plain):
            break
    assert ahead.epoch == 3


def test_it_goes_on_after_the_last_batch_given_out_not_the_last_one_made(make_batches: Any) -> None:
    ahead = make_batches().prefetch(NO_CPU)
    stream = iter(ahead)
    for _ in range(4):
        next(stream)
    state = ahead.state_dict()
    assert state == {**make_batches().state_dict(), "epoch": 0, "position": 4}

    resumed = make_batches().prefetch(NO_CPU)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    expected = next(stream)
    assert_same(next(iter(resumed)), expected)
    stream.close()
    again = next(iter(ahead))
    expected_after = make_batches()
    expected_after.load_state_dict({**state, "position": 5})
    assert_same(again, next(iter(expected_after)))


def test_the_thread_ends_with_the_stream(make_batches: Any) -> None:
    stream = iter(make_batches().prefetch(NO_CPU))
    next(stream)
    assert len(threads()) == 1
    stream.close()
    assert not threads()


def test_an_error_is_raised_where_the_batches_are_read(make_batches: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = iter(range(2))

    def broken(*arguments: Any) -> Batch:
        if next(made, None) is None:
            raise OSError("the disk is gone")
        return joined_batch(*arguments)

    monkeypatch.setattr("nmt.data.batching.joined_batch", broken)
    stream = iter(make_batches().prefetch(NO_CPU))
    next(stream), next(stream)
    with pytest.raises(OSError, match="the disk is gone"):
        next(stream)
    assert not threads()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_for_a_gpu_they_lie_in_pinned_memory(make_batches: Any) -> None:
    batch = next(iter(make_batches().prefetch(torch.device("cuda"))))
    tensors = [value for f in fields(Batch) if isinstance(value := getattr(batch, f.name), torch.Tensor)]
    assert all(tensor.is_pinned() for tensor in tensors)
    assert_same(batch, next(iter(make_batches())))
