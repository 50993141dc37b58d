"""Search among a part of the vocabulary."""

from dataclasses import replace
from itertools import chain
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from searches import search_all
from shouting import LINES, SHOUTED, job
from torch import Tensor

import nmt
from nmt.core.device import autocast
from nmt.core.errors import UserError
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.decoding.constraints import LexicalConstraints
from nmt.decoding.hypotheses import Hypothesis, SearchBatch
from nmt.decoding.processors import LogitsProcessor
from nmt.extensions.shortlist.search import special_ids
from nmt.models.build import build
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe.schema import DecodingOptions, ModelOptions
from nmt.translation.load import Ensemble
from nmt.translation.options import TranslationOptions

WORDS = WordVocabulary([f"▁w{i}" for i in range(12)])
BOTH = Vocabularies(WORDS, WORDS)
SOURCES = [[4, 9, 7], [5], [8, 8, 11, 10, 6], [12]]
ALLOWED = [0, 1, 2, 3, 5, 8, 9, 14]


class Only(LogitsProcessor):
    """Forbids all tokens but some, by the ids of the whole vocabulary."""

    def __init__(self, ids: list[int]) -> None:
        self._others = [i for i in range(len(WORDS)) if i not in ids]

    def __call__(self, logits_NV: Tensor, tokens_Nt: Tensor, sentence_N: Tensor, batch: SearchBatch) -> None:
        assert logits_NV.shape[1] == len(WORDS)
        assert set(tokens_Nt[:, 1:].unique().tolist()).isdisjoint(self._others)
        logits_NV[:, self._others] = -inf


@pytest.fixture(scope="module", params=["transformer", "bahdanau"])
def model(request: pytest.FixtureRequest) -> Seq2Seq:
    torch.manual_seed(3)
    size = {"num_heads": 2, "feed_forward_size": 24} if request.param == "transformer" else {"hidden_size": 16}
    encoder = {"type": "transformer" if request.param == "transformer" else "recurrent", **size}
    options = ModelOptions(encoder=encoder, decoder={"type": request.param, **size}, embedding_size=16)
    return build(options, BOTH).eval()


def search(model: Any, ids: list[int] | None, **arguments: Any) -> list[list[Hypothesis]]:
    options = DecodingOptions(max_length_ratio=1.0, max_length_extra=3, **arguments.pop("options", {}))
    candidates = None if ids is None else lambda batch: ids
    return search_all(model, SOURCES, BOTH, options, candidates=candidates, **arguments)


def ids_of(found: list[list[Hypothesis]]) -> list[list[list[int]]]:
    return [[hypothesis.ids for hypothesis in of_sentence] for of_sentence in found]


def test_special_ids_and_those_before_them_are_in_every_shortlist() -> None:
    assert {WORDS.pad, WORDS.unk, WORDS.sos, WORDS.eos} == set(special_ids(WORDS)) == {0, 1, 2, 3}
    later: Any = SimpleNamespace(pad=4, unk=1, sos=0, eos=2)
    assert list(special_ids(later)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("options", [{}, {"search": "sample"}, {"beam_groups": 5}, {"coverage_penalty": 0.2}])
def test_a_shortlist_of_everything_changes_nothing(model: Seq2Seq, options: dict[str, Any]) -> None:
    whole, listed = (search(model, ids, options=options) for ids in (None, list(range(len(WORDS)))))
    assert ids_of(listed) == ids_of(whole)
    for ours, theirs in zip(chain(*listed), chain(*whole), strict=True):
        assert ours.score == pytest.approx(theirs.score, abs=1e-5)


def test_greedy_search_chooses_as_if_other_tokens_were_forbidden(model: Seq2Seq) -> None:
    one = {"beam_size": 1}
    expected = search(model, None, options=one, processors=[Only(ALLOWED)])
    assert ids_of(search(model, ALLOWED, options=one)) == ids_of(expected)
    # A processor sees the whole vocabulary all the same.
    fewer = [0, 1, 2, 3, 8, 14]
    expected = search(model, None, options=one, processors=[Only(fewer)])
    assert ids_of(search(model, ALLOWED, options=one, processors=[Only(fewer)])) == ids_of(expected)


@pytest.mark.extension("terms")
def test_what_a_translation_must_contain_is_in_the_shortlist(model: Seq2Seq) -> None:
    wanted = [LexicalConstraints(phrases=[[6, 7]]), *[LexicalConstraints(prefix=[13, 4])] * 3]
    found = search(model, ALLOWED, constraints=wanted)
    assert all("6, 7" in str(hypothesis.ids) for hypothesis in found[0])
    assert all(hypothesis.ids[:2] == [13, 4] for of_sentence in found[1:] for hypothesis in of_sentence)


def test_it_works_in_bfloat16_and_in_ensembles_says_why_not(model: Seq2Seq) -> None:
    with autocast(torch.device("cpu"), "bf16"):
        found = search(model, ALLOWED)
    assert {i for of_sentence in ids_of(found) for ids in of_sentence for i in ids} <= set(ALLOWED)
    with pytest.raises(UserError, match="ensemble"):
        search(Ensemble([model, model]), ALLOWED)


@pytest.mark.extension("lexicon")
def test_translator_needs_a_lexicon_and_uses_it(own_model: Path) -> None:
    translator = nmt.load(own_model)
    with pytest.raises(UserError, match="lexicon"):
        translator.translate(["ein Hund"], shortlist=3)
    sources = ["ein Hund läuft", "zwei Männer"]
    translator.learn_alignment([(line, line) for line in sources])
    allowed = translator._shortlist(1).candidates([translator.encode_source(line) for line in sources])
    found = translator.translate(sources, shortlist=1, n_best=3)
    tokens = {token for each in found for candidate in each.n_best for token in candidate.tokens}
    assert tokens <= {translator.vocabularies.target.token(i) for i in allowed}


def test_with_a_shortlist_lines_of_an_earlier_run_need_only_be_similar() -> None:
    options = TranslationOptions(decoding={"shortlist": 10})
    with_shortlist = replace(job(), options=options)
    similar = [f"{line} here" for line in SHOUTED]
    assert with_shortlist.skip(iter(LINES), similar, "out.partial")[0] == len(LINES)
    for own, done in ((job(), similar), (with_shortlist, ["other text"] * len(LINES))):
        with pytest.raises(UserError, match=r"out\.partial comes from another job"):
            own.skip(iter(LINES), done, "out.partial")
