"""Search by recorded steps gives what beam search gives; what is recorded are operations on the same tensors."""

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import chain, product
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from small_systems import WORDS, small_model, system
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from nmt.core.errors import UserError
from nmt.data.batch import lengths, pad
from nmt.decoding import graphed
from nmt.decoding.constraints import LexicalConstraints
from nmt.decoding.graphed import FixedBeam, RecordedSearch, Recorder
from nmt.decoding.hypotheses import Hypothesis, SearchBatch
from nmt.decoding.processors import NoRepeatNgram
from nmt.decoding.search import max_lengths, search_batch
from nmt.models.contracts import EncoderOutput
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe.schema import DecodingOptions


def make_batch(model: Seq2Seq, num_sentences: int = 5, **options: Any) -> SearchBatch:
    draw = random.Random(num_sentences)
    sources = [[draw.randrange(4, 18) for _ in range(draw.randrange(1, 8))] for _ in range(num_sentences)]
    search = DecodingOptions(**{"max_length_ratio": 1.5, "max_length_extra": 2, **options})
    length_B = lengths(sources)
    source_BS = pad(sources, WORDS.source, eos=True)
    return SearchBatch(model, source_BS, length_B, WORDS, search, max_lengths(length_B, search), range(num_sentences))


def as_operations(step: Callable[[], None]) -> Callable[[], None]:
    """Repeats the operations on tensors that a step consisted of when it was recorded, and none of its Python, as a
    CUDA graph does. A step that reads a value from a tensor can't be recorded in this way, either."""
    step()  # as on a GPU, where the first call loads kernels
    nothing = torch.zeros(())
    operations = make_fx(lambda _: step())(nothing)
    assert "nonzero" not in operations.code, "its result has no fixed shape"
    return lambda: operations(nothing)


def by_call(step: Callable[[], None]) -> Callable[[], None]:
    """Repeats a step by calling it, which takes less time to set up."""
    step()
    return step


def by_beam_search(batch: SearchBatch) -> list[list[Hypothesis]]:
    return search_batch(batch, [], [LexicalConstraints()] * len(batch.source_BS))


def assert_same(found: list[list[Hypothesis]] | None, expected: list[list[Hypothesis]]) -> None:
    assert list(map(len, found)) == list(map(len, expected))
    for ours, theirs in zip(chain(*found), chain(*expected), strict=True):
        assert ours.ids == theirs.ids
        assert ours.score == pytest.approx(theirs.score, abs=1e-4)
        assert ours.log_probability == pytest.approx(theirs.log_probability, abs=1e-4)


@pytest.mark.quick("transformer-*", "*-by_call")
@pytest.mark.parametrize(
    ("name", "record"),
    [*product(["transformer", "post-norm", "bahdanau"], [as_operations]),
     *product(["vanilla", "luong", "luong fed"], [by_call])],
    ids=lambda value: getattr(value, "__name__", value),
)  # fmt: skip
def test_recorded_steps_find_what_beam_search_finds(name: str, record: Recorder) -> None:
    """The second batch repeats the step that the first one recorded."""
    model, recorder = system(name), Mock(side_effect=record)
    search = RecordedSearch(model, recorder)
    for num_sentences in (5, 7):
        batch = make_batch(model, num_sentences, beam_size=3)
        assert_same(search(batch), by_beam_search(batch))
    assert recorder.call_count == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ["transformer", "post-norm", "bahdanau", "vanilla", "luong", "luong fed"])
def test_graphs_of_a_gpu_find_what_beam_search_finds(name: str) -> None:
    model = system(name).cuda()
    search = RecordedSearch(model)
    for num_sentences in (5, 7, 3):
        batch = make_batch(model, num_sentences, beam_size=3, max_length_extra=2 + graphed.ROOM)
        source_BS, length_B, limit_B = batch.source_BS.cuda(), batch.source_length_B.cuda(), batch.limit_B.cuda()
        batch = replace(batch, source_BS=source_BS, source_length_B=length_B, limit_B=limit_B)
        found = search(batch)
        for ours, theirs in zip(found, by_beam_search(batch), strict=True):
            assert ours[0].score == pytest.approx(theirs[0].score, abs=1e-3)


@pytest.mark.parametrize("name", ["transformer", "luong"])
def test_sentences_that_are_done_leave_the_batch_and_long_ones_get_more_room(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphed, "FEWEST", 1)
    model, sizes = system(name), list[int]()
    changed = FixedBeam.select
    monkeypatch.setattr(FixedBeam, "select", lambda beam, rows: sizes.append(len(rows)) or changed(beam, rows))
    search = RecordedSearch(model, by_call)
    for num_sentences in (12, 9, 11):  # each uses the steps of the ones before
        batch = make_batch(model, num_sentences, beam_size=3, length_penalty="word_reward")
        limit_B = torch.tensor([3, 50, 7, 2, 70, 5, 33, 3, 12, 9, 3, 4])[:num_sentences]
        batch = replace(batch, limit_B=limit_B)
        expected = by_beam_search(batch)
        assert_same(search(batch), expected)
        assert max(len(hypotheses[0].ids) for hypotheses in expected) > 2 * graphed.ROOM
    assert min(sizes) == 1, "the last sentence is alone"


@pytest.mark.parametrize("beam_size", [1, 2, 6])
def test_rules_of_scores_and_stopping_are_those_of_beam_search(beam_size: int) -> None:
    model = system("transformer")
    search = RecordedSearch(model, by_call)
    for number, penalty in enumerate(("none", "average", "gnmt", "word_reward")):
        stopping = ("first", "likely", "exact")[(number + beam_size) % 3]
        rules = {"beam_size": beam_size, "early_stopping": stopping, "length_penalty": penalty, "alpha": 0.7}
        batch = make_batch(model, 1 + 3 * number, **rules, max_length=4 if number == 1 else None)
        assert_same(search(batch), by_beam_search(batch))


def test_a_decoder_that_has_read_a_token_before_the_first_one() -> None:
    part = {"type": "transformer", "num_layers": 1, "num_heads": 2, "feed_forward_size": 16}
    model = small_model(part, {**part, "first_token": 5})
    batch = make_batch(model, beam_size=3, max_length_extra=graphed.ROOM)
    assert_same(RecordedSearch(model, by_call)(batch), by_beam_search(batch))


def test_memories_of_other_sizes_are_recorded_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder may return memories whose size depends on the sentences, such as one of turns."""
    model, recorder = system("transformer"), Mock(side_effect=by_call)
    encode = model.encode

    def trimmed(source_BS: Tensor, source_length_B: Tensor) -> EncoderOutput:
        return encode(source_BS[:, : int(source_length_B.max())], source_length_B)

    monkeypatch.setattr(model, "encode", trimmed)
    search = RecordedSearch(model, recorder)
    for num_sentences in (5, 8):
        batch = make_batch(model, num_sentences, beam_size=3)
        assert_same(search(batch), by_beam_search(batch))
    assert recorder.call_count == 2


def test_weights_that_have_moved_are_read_where_they_are() -> None:
    model = system("transformer")
    recorder, batch = Mock(side_effect=by_call), make_batch(model, beam_size=1)
    search = RecordedSearch(model, recorder)
    search(batch)
    search(batch)
    assert recorder.call_count == 1
    model.decoder.embedding.weight.data = model.decoder.embedding.weight.data.clone()
    search(batch)
    assert recorder.call_count == 2


def test_positions_that_another_search_replaced_are_still_read() -> None:
    model: Any = system("transformer")
    search, batch = RecordedSearch(model, by_call), make_batch(model, beam_size=3)
    search(batch)
    (step,) = search._steps.values()
    table_PD = model.decoder.positions.sinusoidal(1, model.device)
    model.decoder.positions.sinusoidal(5000, model.device)
    assert any(each is table_PD for each in step._also_read)


def test_memory_of_recorded_steps_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    model = system("transformer")
    search, batch = RecordedSearch(model, by_call), make_batch(model, beam_size=3)
    search(batch)
    (first,) = search._steps.values()
    monkeypatch.setattr(graphed, "MAX_BYTES", 2 * first.num_bytes)
    for beam_size in (2, 1, 4):
        search(make_batch(model, beam_size=beam_size))
    assert first not in search._steps.values()
    assert 0 < sum(step.num_bytes for step in search._steps.values()) <= graphed.MAX_BYTES
    assert search(make_batch(model, beam_size=12)) is None


def test_a_step_that_cant_be_recorded_is_searched_as_usual_after_one_warning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = system("transformer")
    batch = make_batch(model, beam_size=3)
    refuse = Mock(side_effect=torch.OutOfMemoryError("no memory for a graph"))
    fast = replace(batch, fast_search=RecordedSearch(model, refuse))
    assert by_beam_search(fast) == by_beam_search(fast) == by_beam_search(batch)
    assert capsys.readouterr().err.count("no memory for a graph") == 1


def test_numbers_that_are_not_finite_are_explained_by_beam_search() -> None:
    model = system("transformer")
    search = RecordedSearch(model, by_call)
    batch = replace(make_batch(model, beam_size=2), fast_search=search)
    with torch.no_grad():
        kept = model.decoder.output.bias_V.clone()
        model.decoder.output.bias_V[7] = float("nan")
    with pytest.raises(UserError, match="not finite"):
        by_beam_search(batch)
    with torch.no_grad():
        model.decoder.output.bias_V.copy_(kept)
    assert_same(search(batch), by_beam_search(replace(batch, fast_search=None)))


@pytest.mark.extension("terms")
@pytest.mark.extension("search")
def test_what_a_recorded_step_lacks_is_searched_as_usual() -> None:
    model, unexpected = system("transformer"), Mock(side_effect=AssertionError("it is for the ordinary search"))
    for options in ({"search": "sample"}, {"beam_groups": 2}, {"prune": 2.0}, {"coverage_penalty": 0.2}):
        by_beam_search(replace(make_batch(model, beam_size=2, **options), fast_search=unexpected))
    batch = replace(make_batch(model, beam_size=2), fast_search=unexpected)
    by_beam_search(replace(batch, observer=lambda numbers, step: None))
    for bound in (LexicalConstraints(prefix=[5]), LexicalConstraints(phrases=[[5]])):
        search_batch(batch, [], [bound] * 5)
    search_batch(batch, [NoRepeatNgram(NoRepeatNgram.Options(), WORDS)], [LexicalConstraints()] * 5)
