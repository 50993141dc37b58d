"""Beam search: against exhaustive search over a made-up table of probabilities, and for every decoder there is."""

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nmt.config import DecodingOptions, ModelOptions
from nmt.data.batching import Batch, make_batch
from nmt.data.vocabulary import Vocabularies, WordVocabulary
from nmt.decoding.penalties import length_penalty
from nmt.decoding.search import Hypothesis, beam_search, max_lengths, search_all
from nmt.models.build import DECODERS, build_model
from nmt.models.interfaces import Encoded, Memory, State, StepOutput
from nmt.models.seq2seq import Seq2Seq
from nmt.training.loss import token_loss

TOY = WordVocabulary(["▁ja", "▁nein"])
PAD, UNK, SOS, EOS, YES, NO = range(6)
WORDS = WordVocabulary([f"▁wort{i}" for i in range(14)])
VOCABULARIES = Vocabularies(WORDS, WORDS)
SOURCES = [[4, 9, 7, 5, 12], [10, 4], [8, 6, 14, 13, 5, 11, 7, 10, 17], [], [16, 16, 5], [9]]

LogProbabilities = Callable[[int, tuple[int, ...]], list[float]]
"""From the source's first id and the pieces so far to log p of each piece."""


@dataclass(frozen=True)
class History(State):
    sentence_N: Tensor
    pieces_NT: Tensor


class Table:
    """A model that is nothing but a table: search knows ``encode``, ``start``, ``step`` and ``reorder`` of it."""

    def __init__(self, log_probabilities: LogProbabilities) -> None:
        self.decoder = self
        self._log_probabilities = log_probabilities

    def encode(self, source_BS: Tensor, source_length_B: Tensor) -> Encoded:
        return Encoded((Memory(source_BS[:, :, None].float(), source_BS != PAD),))

    def start(self, encoded: Encoded) -> History:
        first_B = encoded.memories[0].values_BSD[:, 0, 0].long()
        return History(first_B, first_B.new_empty(len(first_B), 0))

    def step(self, token_N: Tensor, state: History) -> StepOutput:
        pieces_NT = torch.cat((state.pieces_NT, token_N[:, None]), dim=1)
        rows = zip(state.sentence_N.tolist(), pieces_NT.tolist(), strict=True)
        logits = [self._log_probabilities(sentence, tuple(pieces[1:])) for sentence, pieces in rows]
        # Any constant may be added to logits.
        return StepOutput(torch.tensor(logits) + 3.0, None, History(state.sentence_N, pieces_NT))


def random_table(sentence: int, pieces: tuple[int, ...]) -> list[float]:
    """Depends on the sentence and on every piece so far."""
    draw = random.Random(f"{sentence} {pieces}")
    return normalised([draw.gauss(0, 1.5) for _ in range(len(TOY))])


def normalised(values: list[float]) -> list[float]:
    total = math.log(sum(math.exp(value) for value in values))
    return [value - total for value in values]


def exhaustive(table: LogProbabilities, sentence: int, longest: int, options: DecodingOptions) -> list[Hypothesis]:
    """Every translation of at most ``longest`` pieces, EOS counted, best first."""
    found = []
    for length in range(longest):
        for ids in itertools.product((UNK, YES, NO), repeat=length):
            parts = [table(sentence, ids[:i])[piece] for i, piece in enumerate((*ids, EOS))]
            score = sum(parts) / length_penalty(options, length + 1)
            found.append(Hypothesis(list(ids), score, sum(parts)))
    return sorted(found, key=lambda h: -h.score)


def toy_search(table: LogProbabilities, sources: list[list[int]], **options: Any) -> list[list[Hypothesis]]:
    source_BS = nn.utils.rnn.pad_sequence([torch.tensor(source) for source in sources], True, PAD)
    length_B = torch.tensor([len(source) for source in sources])
    model: Any = Table(table)
    return beam_search(model, source_BS, length_B, TOY, DecodingOptions(**options))


@pytest.mark.parametrize("penalty", ["none", "average", "gnmt"])
def test_a_beam_as_wide_as_the_space_finds_everything(penalty: str) -> None:
    """Up to 4 pieces there are 1 + 3 + 9 + 27 translations, of the short source up to 3: 13."""
    options = {"length_penalty": penalty, "max_length_ratio": 1.0, "max_length_extra": 1, "alpha": 0.7}
    long, short = toy_search(random_table, [[YES, NO, NO], [NO, YES]], beam_size=40, **options)
    for found, sentence, length, number in ((long, YES, 4, 40), (short, NO, 3, 13)):
        expected = exhaustive(random_table, sentence, length, DecodingOptions(beam_size=40, **options))
        assert len(found) == len(expected) == number
        for hypothesis, best in zip(found, expected, strict=True):
            assert hypothesis.ids == best.ids
            assert hypothesis.score == pytest.approx(best.score, abs=1e-4)
            assert hypothesis.log_probability == pytest.approx(best.log_probability, abs=1e-4)


def plain_beam_search(table: LogProbabilities, sentence: int, longest: int, beam: int) -> list[tuple[int, ...]]:
    """What ``beam_search`` says it does, one sentence at a time, without a length penalty."""
    alive: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    finished: list[tuple[float, tuple[int, ...]]] = []
    while alive and len(finished) < beam:
        choices = (UNK, YES, NO, EOS) if len(alive[0][1]) + 1 < longest else (EOS,)
        continued = [(score + table(sentence, ids)[piece], (*ids, piece)) for score, ids in alive for piece in choices]
        best = sorted(continued, reverse=True)[: 2 * beam]
        finished += [(score, ids[:-1]) for score, ids in best[:beam] if ids[-1] == EOS]
        alive = [(score, ids) for score, ids in best if ids[-1] != EOS][:beam]
    return [ids for _, ids in sorted(finished, reverse=True)[:beam]]


@pytest.mark.parametrize("beam", [1, 2, 3, 6])
def test_a_narrow_beam_keeps_what_a_plain_loop_keeps(beam: int) -> None:
    sources = [[YES, NO], [NO], [UNK, YES, YES], [EOS]]
    found = toy_search(random_table, sources, beam_size=beam, length_penalty="none", max_length_extra=3)
    for source, hypotheses in zip(sources, found, strict=True):
        expected = plain_beam_search(random_table, source[0], 2 * len(source) + 3, beam)
        assert [tuple(h.ids) for h in hypotheses] == expected


def test_a_wider_beam_escapes_the_garden_path() -> None:
    """YES is the better start, but after it nothing is likely; NO ends well."""

    def table(sentence: int, pieces: tuple[int, ...]) -> list[float]:
        probabilities = {
            (): [0.0, 0.0, 0.0, 0.02, 0.58, 0.4],
            (NO,): [0.0, 0.0, 0.0, 0.96, 0.02, 0.02],
        }.get(pieces, [0.0, 0.1, 0.0, 0.3, 0.3, 0.3])
        return normalised([math.log(p + 1e-9) for p in probabilities])

    (greedy,) = toy_search(table, [[YES]], beam_size=1, max_length_extra=3)
    (beam,) = toy_search(table, [[YES]], beam_size=2, max_length_extra=3)
    assert greedy[0].ids[0] == YES
    assert beam[0].ids == [NO]
    assert beam[0].log_probability == pytest.approx(math.log(0.4 * 0.96), abs=1e-4)


@pytest.mark.parametrize("beam", [1, 2, 5])
def test_pad_and_sos_are_never_produced_however_likely(beam: int) -> None:
    def table(sentence: int, pieces: tuple[int, ...]) -> list[float]:
        values = random_table(sentence, pieces)
        values[PAD] = values[SOS] = 20.0
        return normalised(values)

    for hypothesis in toy_search(table, [[YES, YES]], beam_size=beam, max_length_extra=4)[0]:
        assert not {PAD, SOS, EOS} & set(hypothesis.ids)
        assert math.isfinite(hypothesis.log_probability)


def test_at_the_limit_a_translation_is_ended_and_pays_for_it() -> None:
    def table(sentence: int, pieces: tuple[int, ...]) -> list[float]:
        return normalised([-30.0, 1.0, -30.0, -9.0, 2.0, 0.0])

    options = {"beam_size": 2, "max_length_ratio": 1.5, "max_length_extra": 2, "length_penalty": "none"}
    found = toy_search(table, [[YES], [NO, NO, NO]], **options)
    for hypotheses, limit in zip(found, (3, 6), strict=True):
        assert [len(h.ids) + 1 for h in hypotheses] == [limit, limit]
        assert hypotheses[0].ids == [YES] * (limit - 1)
        expected = (limit - 1) * table(0, ())[YES] + table(0, ())[EOS]
        assert hypotheses[0].log_probability == pytest.approx(expected, abs=1e-4)


def test_the_limit_grows_with_the_source() -> None:
    options = DecodingOptions(max_length_ratio=1.5, max_length_extra=4)
    assert max_lengths(torch.tensor([1, 2, 5]), options).tolist() == [5, 7, 11]


def test_a_sentence_that_ends_early_leaves_the_batch_and_the_others_alone() -> None:
    asked: list[tuple[int, int]] = []

    def table(sentence: int, pieces: tuple[int, ...]) -> list[float]:
        asked.append((sentence, len(pieces)))
        values = random_table(sentence, pieces)
        values[EOS] = 8.0 if sentence == YES or len(pieces) > 5 else -8.0
        return normalised(values)

    sources = [[NO, YES], [YES], [UNK, YES, YES], [YES, NO]]
    together = toy_search(table, sources, beam_size=3)
    assert max(length for sentence, length in asked if sentence == YES) <= 2
    assert max(length for sentence, length in asked if sentence == NO) >= 6
    alone = [toy_search(table, [source], beam_size=3)[0] for source in sources]
    assert [[h.ids for h in hypotheses] for hypotheses in together] == [[h.ids for h in hs] for hs in alone]
    assert len(together[0][0].ids) > len(together[1][0].ids)


@pytest.fixture(scope="module", params=DECODERS)
def model(request: pytest.FixtureRequest) -> Seq2Seq:
    """A model of each decoder that has begun to learn: it ends its sentences, but where depends on the source."""
    torch.manual_seed(61)
    encoder = {"type": "recurrent", "hidden_size": 16}
    options = ModelOptions(encoder=encoder, decoder={"type": request.param}, embedding_size=16)
    made = build_model(options, VOCABULARIES)
    draw = random.Random(62)
    sources = [draw.choices(range(4, len(WORDS)), k=draw.randrange(7)) for _ in range(24)]
    batch = make_batch([(source, source[::-1]) for source in sources], VOCABULARIES)
    optimizer = torch.optim.Adam(made.parameters(), lr=0.01)
    for _ in range(40):
        features_BTD = made(batch.source_BS, batch.source_length_B, batch.target_input_BT).features_BTD
        losses = token_loss(features_BTD, made.decoder.output, batch.target_output_BT, batch.target_length_B, 0.0)
        optimizer.zero_grad()
        (losses.smoothed / losses.num_tokens).backward()
        optimizer.step()
    return made.eval()


def options_with(**changes: Any) -> DecodingOptions:
    return DecodingOptions(**{"beam_size": 4, "max_length_ratio": 1.0, "max_length_extra": 6, **changes})


def translate(model: Seq2Seq, sources: list[list[int]], options: DecodingOptions) -> list[list[Hypothesis]]:
    return search_all(model, sources, VOCABULARIES, options)


def one(source: list[int], target: list[int]) -> Batch:
    return make_batch([(source, target)], VOCABULARIES)


@torch.no_grad()
def forced_log_probabilities(model: Seq2Seq, batch: Batch) -> Tensor:
    """log p of every piece at every position, given the true pieces before it. [T, V]"""
    unrolled = model(batch.source_BS, batch.source_length_B, batch.target_input_BT)
    log_p: Tensor = model.decoder.output(unrolled.features_BTD)[0].log_softmax(-1)
    return log_p


def greedy_loop(model: Seq2Seq, source: list[int], limit: int) -> list[int]:
    """Read the whole prefix anew for each piece, and take the likeliest."""
    ids: list[int] = []
    while len(ids) + 1 < limit:
        log_p_V = forced_log_probabilities(model, one(source, ids))[-1]
        log_p_V[[WORDS.pad, WORDS.sos]] = float("-inf")
        best = int(log_p_V.argmax())
        if best == WORDS.eos:
            break
        ids.append(best)
    return ids


def test_a_beam_of_one_is_greedy_search(model: Seq2Seq) -> None:
    found = translate(model, SOURCES, options_with(beam_size=1))
    for source, hypotheses in zip(SOURCES, found, strict=True):
        assert [h.ids for h in hypotheses] == [greedy_loop(model, source, limit=len(source) + 1 + 6)]
    assert len({tuple(hypotheses[0].ids) for hypotheses in found}) > 1


def test_a_score_is_that_of_the_forced_translation(model: Seq2Seq) -> None:
    for source, hypotheses in zip(SOURCES, translate(model, SOURCES, options_with()), strict=True):
        assert hypotheses
        for hypothesis in hypotheses:
            log_p_TV = forced_log_probabilities(model, one(source, hypothesis.ids))
            expected = float(log_p_TV[range(len(log_p_TV)), [*hypothesis.ids, WORDS.eos]].sum())
            assert hypothesis.log_probability == pytest.approx(expected, abs=1e-3)
            assert hypothesis.score == pytest.approx(expected / (len(hypothesis.ids) + 1), abs=1e-3)


def test_n_best_is_sorted_and_distinct(model: Seq2Seq) -> None:
    for hypotheses in translate(model, SOURCES, options_with(beam_size=5)):
        assert 1 < len(hypotheses) <= 5
        assert [h.score for h in hypotheses] == sorted((h.score for h in hypotheses), reverse=True)
        assert len({tuple(h.ids) for h in hypotheses}) == len(hypotheses)


@pytest.mark.parametrize("beam", [1, 4])
def test_batch_size_changes_nothing(model: Seq2Seq, beam: int) -> None:
    alone = translate(model, SOURCES, options_with(beam_size=beam, batch_size=1))
    for batch_size in (2, 64):
        together = translate(model, SOURCES, options_with(beam_size=beam, batch_size=batch_size))
        for found, expected in zip(together, alone, strict=True):
            assert [h.ids for h in found] == [h.ids for h in expected]
            assert [h.score for h in found] == pytest.approx([h.score for h in expected], abs=1e-4)


def test_results_stand_in_the_order_of_the_sources(model: Seq2Seq) -> None:
    done: list[int] = []
    shuffled = [SOURCES[i] for i in (3, 0, 5, 2, 4, 1)]
    options = options_with(batch_size=4)
    found = search_all(model, shuffled, VOCABULARIES, options, done.append)
    expected = {tuple(s): h[0].ids for s, h in zip(SOURCES, translate(model, SOURCES, options), strict=True)}
    assert [h[0].ids for h in found] == [expected[tuple(source)] for source in shuffled]
    assert done == [4, 2]


def test_no_sources_give_no_results(model: Seq2Seq) -> None:
    assert translate(model, [], options_with()) == []
