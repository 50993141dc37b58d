"""Beam search: against exhaustive search over a made-up table of probabilities."""

import itertools
import math
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from searches import search_all
from small_systems import WORDS, system
from table_model import TableModel
from torch.profiler import ProfilerActivity, profile

from nmt.core.errors import UserError
from nmt.data.batch import make_batch
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.decoding.beam import log_coverage, top_continuations
from nmt.decoding.constraints import LexicalConstraints
from nmt.decoding.hypotheses import Hypothesis
from nmt.decoding.ranking import length_normalised
from nmt.decoding.search import ModelSearcher, Query
from nmt.recipe.schema import DecodingOptions

TOY = WordVocabulary(["▁ja", "▁nein"])
PAD, UNK, SOS, EOS, YES, NO = range(6)

LogProbabilities = Callable[[int, tuple[int, ...]], list[float]]
"""From the source's first id and the pieces so far to log p of each piece."""


def random_table(sentence: int, pieces: tuple[int, ...]) -> list[float]:
    """Depends on the sentence and on every piece so far."""
    draw = random.Random(f"{sentence} {pieces}")
    return normalised([draw.gauss(0, 1.5) for _ in range(len(TOY))])


def normalised(values: list[float]) -> list[float]:
    total = math.log(sum(math.exp(value) for value in values))
    return [value - total for value in values]


def scored(options: DecodingOptions, log_probability: float, length: int) -> float:
    return float(length_normalised(options, torch.tensor(log_probability, dtype=torch.float64), length))


def exhaustive(table: LogProbabilities, sentence: int, longest: int, options: DecodingOptions) -> list[Hypothesis]:
    """Every translation of at most ``longest`` pieces, EOS counted, best first."""
    found = []
    for length in range(longest):
        for ids in itertools.product((UNK, YES, NO), repeat=length):
            parts = [table(sentence, ids[:i])[piece] for i, piece in enumerate((*ids, EOS))]
            score = scored(options, sum(parts), length + 1)
            found.append(Hypothesis(list(ids), score, sum(parts)))
    return sorted(found, key=lambda h: -h.score)


def toy_search(
    table: LogProbabilities,
    sources: list[list[int]],
    constraints: list[LexicalConstraints] | None = None,
    **options: Any,
) -> list[list[Hypothesis]]:
    model: Any = TableModel(lambda source, pieces: table(source[0], pieces[1:]))
    return search_all(model, sources, Vocabularies(TOY, TOY), DecodingOptions(**options), constraints=constraints)


@pytest.mark.parametrize(
    ("penalty", "limit"), [("none", 9), ("average", 9), ("gnmt", 9), ("word_reward", 9), ("word_reward", 2)]
)
def test_a_beam_as_wide_as_the_space_finds_everything_but_pad_and_sos(penalty: str, limit: int) -> None:
    """With EOS, up to 4 pieces there are 1 + 3 + 9 + 27 translations, of the short source up to 3: 13.

    The absolute limit of two pieces without EOS leaves as many of the long one.
    """
    options = {"length_penalty": penalty, "max_length_ratio": 1.0, "max_length_extra": 1, "alpha": 0.7}
    long, short = toy_search(random_table, [[YES, NO], [NO]], beam_size=40, max_length=limit, **options)
    of_long = (long, YES, 4, 40) if limit > 2 else (long, YES, 3, 13)
    for found, sentence, length, number in (of_long, (short, NO, 3, 13)):
        expected = exhaustive(random_table, sentence, length, DecodingOptions(beam_size=40, **options))
        assert len(found) == len(expected) == number
        for hypothesis, best in zip(found, expected, strict=True):
            assert hypothesis.ids == best.ids
            assert hypothesis.score == pytest.approx(best.score, abs=1e-4)
            assert hypothesis.log_probability == pytest.approx(best.log_probability, abs=1e-4)


SHORT = {"length_penalty": "none", "max_length_ratio": 1.0, "max_length_extra": 1}


@pytest.mark.extension("terms")
def test_the_best_translation_that_contains_a_phrase_is_found() -> None:
    wide: dict[str, Any] = {"beam_size": 60, "early_stopping": "exact", **SHORT}
    (found,) = toy_search(random_table, [[YES]], [LexicalConstraints(phrases=[[NO, YES]])], **wide)
    everything = exhaustive(random_table, YES, 5, DecodingOptions(**wide))
    expected = [h for h in everything if (NO, YES) in itertools.pairwise(h.ids)]
    assert found[0].ids == expected[0].ids != everything[0].ids
    assert found[0].score == pytest.approx(expected[0].score, abs=1e-4)


def plain_beam_search(
    table: LogProbabilities, sentence: int, longest: int, options: DecodingOptions
) -> list[tuple[int, ...]]:
    """What ``beam_search`` says it does, one sentence and one group at a time."""
    beam, size = options.beam_size, options.beam_size // options.beam_groups
    # Of each hypothesis the log-probability, the sum of its penalties and the pieces.
    groups: list[list[tuple[float, float, tuple[int, ...]]]] = [[(0.0, 0.0, ())] for _ in range(options.beam_groups)]
    finished: list[tuple[float, tuple[int, ...]]] = []
    for length in range(1, longest + 1):
        chosen: list[int] = []
        for index, alive in enumerate(groups):
            candidates = [
                (p + table(sentence, ids)[piece], penalty + options.diversity * chosen.count(piece), (*ids, piece))
                for p, penalty, ids in alive
                for piece in ((UNK, YES, NO, EOS) if length < longest else (EOS,))
            ]
            best = sorted(candidates, key=lambda candidate: candidate[1] - candidate[0])[: 2 * size]
            chosen += [ids[-1] for *_, ids in best[:size]]
            finished += [(scored(options, p, length), ids[:-1]) for p, _, ids in best[:size] if ids[-1] == EOS]
            kept = [candidate for candidate in best if candidate[2][-1] != EOS][:size]
            threshold = max((p for p, *_ in kept), default=0.0) - (options.prune or math.inf)
            groups[index] = [candidate for candidate in kept if candidate[0] >= threshold]
        finished = sorted(set(finished), reverse=True)[:beam]  # groups may end the same one
        if options.prune and finished:
            best_score = finished[0][0]
            groups = [
                [h for h in group if scored(options, h[0] + options.prune, length) >= best_score] for group in groups
            ]
        log_p = [p for group in groups for p, *_ in group]
        if not log_p:
            break
        enough = len(finished) == beam
        if enough and (
            options.early_stopping == "first"
            or (options.early_stopping == "likely" and scored(options, max(log_p), length) <= finished[0][0])
            or (options.early_stopping == "exact" and scored(options, max(log_p), longest) <= finished[-1][0])
        ):
            break
    return [ids for _, ids in finished]


NARROW = [
    {"beam_size": beam, "early_stopping": stop, **penalty}
    for beam in (1, 2, 3, 6)
    for stop in ("first", "likely", "exact")
    for penalty in ({"length_penalty": "none"}, {"alpha": 0.8}, {"length_penalty": "word_reward", "alpha": 0.4})
]
GROUPED = [
    {"beam_size": beam, "beam_groups": groups, "diversity": diversity}
    for beam, groups in ((2, 2), (6, 3), (6, 2))
    for diversity in (0.0, 0.7, 5.0)
]
PRUNED = [
    {"beam_size": beam, "beam_groups": groups, "prune": prune, **penalty}
    for beam, groups in ((2, 1), (3, 1), (6, 1), (6, 2))
    for prune in (0.3, 1.0, 2.5)
    for penalty in ({"alpha": 0.8}, {"length_penalty": "word_reward", "alpha": 0.4})
]


@pytest.mark.parametrize(
    "changes",
    [pytest.param(changes, marks=[pytest.mark.extension("search")] if "beam_groups" in changes else [])
     for changes in NARROW + GROUPED + PRUNED],
    ids=lambda changes: " ".join(map(str, changes.values())),
)  # fmt: skip
def test_a_narrow_beam_keeps_what_a_plain_loop_keeps(changes: dict[str, Any]) -> None:
    sources = [[YES, NO], [NO], [UNK, YES, YES], [EOS]]
    found = toy_search(random_table, sources, max_length_extra=3, **changes)
    options = DecodingOptions(**changes)
    for source, hypotheses in zip(sources, found, strict=True):
        expected = plain_beam_search(random_table, source[0], 2 * (len(source) + 1) + 3, options)
        assert [tuple(h.ids) for h in hypotheses] == expected


def test_an_exact_search_goes_on_while_a_longer_translation_could_win() -> None:
    """The first word costs more than ending at once; those after it cost nothing, so the mean rises with length.

    With the present two tokens it is lower than that of the translation that has ended, with the limit of five higher.
    """

    def table(sentence: int, pieces: tuple[int, ...]) -> list[float]:
        values = [-20.0] * len(TOY)
        values[EOS], values[YES] = {0: (0.0, -1.0), 4: (0.0, -20.0)}.get(len(pieces), (-20.0, 0.0))
        return normalised(values)

    limits: dict[str, Any] = {"max_length": 4, "beam_size": 1, "length_penalty": "average"}
    (likely,), (exact,) = (toy_search(table, [[YES]], early_stopping=stop, **limits) for stop in ("likely", "exact"))
    assert likely[0].ids == []
    assert exact[0].ids == [YES] * 4
    assert exact[0].score > likely[0].score


@pytest.mark.extension("terms")
def test_a_sentence_with_phrases_is_not_pruned() -> None:
    wanted = [LexicalConstraints(phrases=[[NO, YES]]), LexicalConstraints()]
    wide: dict[str, Any] = {"beam_size": 20, **SHORT}
    sources = [[YES], [UNK, YES]]
    whole = toy_search(random_table, sources, wanted, **wide)
    pruned = toy_search(random_table, sources, wanted, **wide, prune=0.1)
    assert pruned[0] == whole[0]
    assert pruned[1] == toy_search(random_table, sources[1:], **wide, prune=0.1)[0] != whole[1]


def test_a_beam_that_groups_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="a beam of 5 can't be divided into 2 equal groups"):
        DecodingOptions(beam_size=5, beam_groups=2)


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


@pytest.mark.parametrize("num_pieces", [2, 5, 63, 64, 65, 1000])
@pytest.mark.parametrize("count", [1, 2, 10, 24])
def test_the_best_continuations_are_those_of_a_sort(num_pieces: int, count: int) -> None:
    generator = torch.Generator().manual_seed(num_pieces + count)
    logits = torch.randn(3, 4, num_pieces, generator=generator)
    logits[1, :, ::2] = float("-inf")
    offset = torch.randn(3, 4, generator=generator)
    offset[2, 1:] = float("-inf")
    found, hypothesis, piece = top_continuations(logits.flatten(0, 1), offset, count)
    everything = (logits + offset[:, :, None]).flatten(1).sort(dim=1, descending=True)
    count = min(count, 4 * num_pieces)
    torch.testing.assert_close(found, everything.values[:, :count])
    finite = found.isfinite()
    where = (hypothesis * num_pieces + piece)[finite]
    assert torch.equal(where, everything.indices[:, :count][finite])
    assert piece.max() < num_pieces
    assert hypothesis.max() < 4


def test_the_coverage_of_a_word_that_nobody_looked_at_is_finite() -> None:
    assert log_coverage(torch.zeros(1, 1, 3), torch.ones(1, 3, dtype=torch.bool)).isfinite().all()


@torch.no_grad()
@pytest.mark.parametrize("name", ["bahdanau", "transformer"])
def test_coverage_is_part_of_the_score(name: str) -> None:
    """Against the weights of the forced translation."""
    model, sources = system(name), [[4, 9, 7, 5, 12], [10, 4], [], [9]]
    for parameter in model.parameters():
        parameter.mul_(3)  # so that attention isn't even, and hypotheses look at different words
    options = DecodingOptions(beam_size=4, max_length_ratio=1.0, max_length_extra=6, coverage_penalty=0.4)
    for source, hypotheses in zip(sources, search_all(model, sources, WORDS, options), strict=True):
        for hypothesis in hypotheses:
            batch = make_batch([(source, hypothesis.ids)], WORDS)
            weights_BHTS = model(batch.source_BS, batch.source_length_B, batch.target_input_BT, True).weights_BHTS
            covered_S = weights_BHTS[0, list(model.alignment_heads)].mean(0).sum(0)
            penalty = 0.4 * float(covered_S.clamp(max=1.0).log().sum())
            expected = hypothesis.log_probability / (len(hypothesis.ids) + 1) + penalty
            assert hypothesis.score == pytest.approx(expected, abs=1e-3)


@torch.no_grad()
def test_a_hypothesis_that_has_not_covered_its_source_yet_is_not_pruned() -> None:
    model, sources = system("bahdanau"), [[4, 9, 7, 5, 12, 6, 8], [10, 4], [5, 5, 6, 11]]
    for parameter in model.parameters():
        parameter.mul_(5)
    limits = {"max_length_ratio": 1.0, "max_length_extra": 6}
    options = DecodingOptions(beam_size=4, coverage_penalty=50.0, **limits)
    wide = options.model_copy(update={"prune": 100.0})  # more than any two log-probabilities differ by
    whole, pruned = (search_all(model, sources, WORDS, each) for each in (options, wide))
    assert [[h.ids for h in hypotheses] for hypotheses in pruned] == [[h.ids for h in hs] for hs in whole]


def test_a_model_without_attention_has_no_coverage() -> None:
    with pytest.raises(UserError, match="coverage penalty"):
        search_all(system("vanilla"), [[4, 9]], WORDS, DecodingOptions(coverage_penalty=0.4))


def test_in_bfloat16_weights_are_converted_once() -> None:
    model = system("transformer")
    shape = list(model.decoder.output.weight_VD.shape)
    searcher = ModelSearcher(model, WORDS, precision="bf16")
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as recorded:
        ((best, *_),) = searcher(Query([[4, 9, 7]], DecodingOptions(beam_size=2, max_length=8)))
    assert len(best.ids) > 2
    events = recorded.events() or []
    assert sum(event.name == "aten::_to_copy" and event.input_shapes[0] == shape for event in events) == 1
