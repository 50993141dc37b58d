"""Phrases that must appear, and prefixes, for made-up and for real models."""

from collections.abc import Callable
from math import inf
from typing import Any

import pytest
import torch
from searches import search_all

from nmt.core.errors import UserError
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.decoding.constraints import LexicalConstraints
from nmt.decoding.hypotheses import Choice
from nmt.extensions.terms.phrases import BeamAllocation
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe.schema import DecodingOptions

WORDS = WordVocabulary([f"▁wort{i}" for i in range(14)])  # that of make_system
BOTH = Vocabularies(WORDS, WORDS)
SOURCES = [[4, 9, 7], [5], [8, 8, 11, 10, 6], [12]]
WANTED = [
    LexicalConstraints(phrases=[[6, 7], [13]]),
    LexicalConstraints(),
    LexicalConstraints(phrases=[[9]], prefix=[5, 5]),
    LexicalConstraints(phrases=[[4, 4, 4]]),
]


@pytest.fixture(scope="module", params=["transformer", "bahdanau"])
def model(request: pytest.FixtureRequest, make_system: Callable[[str], Seq2Seq]) -> Seq2Seq:
    return make_system(request.param)


def options(**changes: Any) -> DecodingOptions:
    return DecodingOptions(**{"beam_size": 6, "max_length_ratio": 1.0, "max_length_extra": 3, **changes})


def contains(ids: list[int], phrase: Any) -> bool:
    return any(ids[i : i + len(phrase)] == list(phrase) for i in range(len(ids)))


def test_every_translation_says_what_it_must(model: Seq2Seq) -> None:
    free = search_all(model, SOURCES, BOTH, options())
    bound = search_all(model, SOURCES, BOTH, options(), constraints=WANTED)
    for wanted, before, hypotheses in zip(WANTED, free, bound, strict=True):
        assert hypotheses
        for hypothesis in hypotheses:
            assert all(contains(hypothesis.ids, phrase) for phrase in wanted.phrases)
            assert hypothesis.ids[: len(wanted.prefix)] == list(wanted.prefix)
        if wanted == LexicalConstraints():
            assert [h.ids for h in hypotheses] == [h.ids for h in before]
            assert [h.score for h in hypotheses] == pytest.approx([h.score for h in before])
        else:
            assert not all(contains(before[0].ids, phrase) for phrase in (*wanted.phrases, wanted.prefix) if phrase)


def test_a_phrase_that_is_said_anyway_changes_nothing(model: Seq2Seq) -> None:
    (free,) = search_all(model, SOURCES[:1], BOTH, options(beam_size=1, max_length_extra=3 + 2))
    wanted = LexicalConstraints(phrases=[free[0].ids[1:3]])  # for which the translation may be two tokens longer
    (bound,) = search_all(model, SOURCES[:1], BOTH, options(), constraints=[wanted])
    assert max(h.log_probability for h in bound) >= free[0].log_probability - 1e-4


@pytest.mark.extension("search")
@pytest.mark.parametrize("changes", [{"search": "sample"}, {"beam_groups": 2}])
def test_only_a_plain_beam_can_be_bound(model: Seq2Seq, changes: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="plain beam search"):
        search_all(model, SOURCES, BOTH, options(**changes), constraints=WANTED)
    begun = [LexicalConstraints(prefix=[5])]
    (found,) = search_all(model, SOURCES[:1], BOTH, options(**changes), constraints=begun)
    assert found[0].ids[0] == 5


def test_the_beam_is_divided_by_pieces_said_most_first() -> None:
    """Post & Vilar 2018: in turns the best candidate of each bank, the bank with most tokens matched first."""
    candidates = [(-1.0, 0, 9), (-2.0, 0, 8), (-3.0, 1, 6), (-4.0, 2, 7), (-5.0, 1, WORDS.eos), (-6.0, 3, WORDS.eos)]
    histories = [[5], [5], [6], [6, 7]]
    allocate = BeamAllocation([[[6, 7]]], WORDS.eos)._allocate
    for size, kept in ((1, [3]), (2, [3, 2]), (3, [3, 2, 0]), (4, [3, 2, 0, 1])):
        expected = [candidates[i] for i in kept]
        assert allocate(candidates, histories, [(6, 7)], size) == ([candidates[5]], expected)


@pytest.mark.parametrize(("rank", "ends"), [(0, True), (1, True), (2, False), (5, False)])
def test_a_hypothesis_with_all_phrases_ends_only_where_the_end_is_likely(rank: int, ends: bool) -> None:
    """Otherwise a translation would stop right behind its last phrase."""
    likeliest = [8, 10, 11, 12, 13, 14]
    likeliest.insert(rank, WORDS.eos)
    ending, going_on = chosen([[6, 7]], [likeliest], False)
    assert ending == [0] * ends
    assert going_on == [[6, 7, 8]] * (rank > 0)


def chosen(
    histories: list[list[int]], likeliest: list[list[int]], has_finished: bool
) -> tuple[list[int], list[list[int]]]:
    """Returns the hypotheses that end and the others with a new token, of a sentence that must contain 6 and 7.

    Args:
        histories: of equally likely hypotheses.
        likeliest: the possible next tokens of each, best first; all where there is none.
    """
    eos, full_stop = WORDS.eos, 9
    logits_BKV = torch.full((1, len(histories), len(WORDS)), -inf)
    for k, tokens in enumerate(likeliest):
        logits_BKV[0, k, tokens] = -torch.arange(float(len(tokens)))
    tokens_BKt = torch.tensor([[[WORDS.sos, *history] for history in histories]])
    nothing = torch.full((1, len(histories)), -inf), torch.zeros(1, len(histories), dtype=torch.long)
    choice = BeamAllocation([[[6, 7]]], eos, frozenset([full_stop])).choose(
        Choice(*nothing, *nothing, nothing[1]), logits_BKV, torch.zeros(1, len(histories)), tokens_BKt,
        torch.tensor([0]), torch.tensor([has_finished]),
    )  # fmt: skip
    ending = sorted(choice.ending_parent_BK[choice.ending_BK.isfinite()].tolist())
    kept = choice.open_BK[0].isfinite().nonzero()[:, 0].tolist()
    return ending, [[*histories[choice.parent_BK[0, k]], int(choice.token_BK[0, k])] for k in kept]


def test_a_phrase_begins_behind_a_full_stop_only_where_it_can_begin_nowhere_else() -> None:
    ended, other = [5, 9], [5, 4]
    ids = [WORDS.eos, 8, 6]
    assert chosen([ended, other], [ids, [8, 6]], False) == ([], [[5, 4, 6], [5, 4, 8]])
    assert chosen([ended, ended], [ids, [6]], False) == ([], [[5, 9, 6]])
    assert [5, 9, 6] in chosen([ended], [ids], False)[1]
    assert chosen([ended], [ids], True) == ([], [])
    assert [5, 9, 6] in chosen([ended, other], [[8, 6, WORDS.eos], [8]], False)[1]  # another sentence follows
    assert chosen([[9, 6], other], [[WORDS.eos, 7], [8]], False)[1][0] == [9, 6, 7]  # it has begun


def test_a_translation_without_its_phrases_ends_only_where_there_is_no_other() -> None:
    """As it does at the limit, where nothing but the end is possible."""
    limit = [[WORDS.eos]] * 2
    assert chosen([[5, 4], [5, 8]], limit, False) == ([0, 1], [])
    assert chosen([[5, 4], [5, 8]], limit, True) == ([], [])
    assert chosen([[5, 4], [6, 7]], limit, False) == ([1], [])
