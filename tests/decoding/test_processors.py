"""What a logits processor forbids, against a look at every hypothesis by itself; and processors from outside."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import nmt
from nmt.core.errors import UserError
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.decoding.hypotheses import SearchBatch
from nmt.decoding.processors import Bounds, ForbidPhrases, LogitsProcessor, NoRepeatNgram, Spared
from nmt.recipe.schema import DecodingOptions
from nmt.translation.request import Request

SOS, EOS, SIZE = 2, 3, 9
WORDS = WordVocabulary([f"▁{i}" for i in range(4, SIZE)])
BOTH = Vocabularies(WORDS, WORDS)
NO_MODEL: Any = None
TASK = SearchBatch(
    NO_MODEL, torch.zeros(4, 1), torch.ones(4), BOTH, DecodingOptions(), limit_B=torch.zeros(4), numbers=range(4)
)


def allowed(
    processor: LogitsProcessor, hypotheses: list[list[int]], sentences: list[int] | None = None
) -> list[set[int]]:
    """The tokens that may follow each hypothesis."""
    tokens_Nt = torch.tensor([[SOS, *hypothesis] for hypothesis in hypotheses])
    logits_NV = torch.randn(len(hypotheses), SIZE)
    before = logits_NV.clone()
    processor(logits_NV, tokens_Nt, torch.tensor(sentences or range(len(hypotheses))), TASK)
    kept: Tensor = logits_NV.isfinite()
    assert torch.equal(logits_NV[kept], before[kept])
    return [set(row.nonzero()[:, 0].tolist()) for row in kept]


EVERYTHING = set(range(SIZE))
REGULAR = EVERYTHING - {WORDS.pad, WORDS.sos}


def test_only_the_end_is_left_at_the_limit() -> None:
    processor = Bounds([[], [], []], torch.tensor([2, 4, 3]), WORDS)
    assert allowed(processor, [[], []], [0, 1]) == [REGULAR, REGULAR]
    assert allowed(processor, [[5], [5], [6]], [1, 0, 2]) == [REGULAR, {EOS}, REGULAR]
    assert allowed(processor, [[5, 5], [6, 6]], [1, 2]) == [REGULAR, {EOS}]


def test_a_prefix_comes_first_and_then_nothing_is_forced() -> None:
    processor = Bounds([[5, 6], [], [7]], torch.tensor([9, 9, 9]), WORDS)
    assert allowed(processor, [[], [], [], []], [0, 1, 2, 0]) == [{5}, REGULAR, {7}, {5}]
    assert allowed(processor, [[5], [8], [7]]) == [{6}, REGULAR, REGULAR]
    assert allowed(processor, [[5, 6], [8, 8], [7, 7]]) == [REGULAR] * 3


def test_a_prefix_may_have_what_processors_forbid() -> None:
    prefixes, own = [[5, 6, 5], []], NoRepeatNgram(NoRepeatNgram.Options(size=1), BOTH)
    processor = Spared(own, prefixes)
    assert allowed(processor, [[5, 6], [5, 6]]) == [EVERYTHING, EVERYTHING - {5, 6}]
    assert allowed(processor, [[5, 6, 5]], [0]) == [EVERYTHING - {5, 6}]


@pytest.mark.parametrize("search", ["beam", "sample"])
def test_a_translation_begins_with_a_prefix_that_repeats_itself(tiny_model: Path, search: str) -> None:
    request, once = Request(LINE, prefix="the dog the dog"), {"no_repeat_ngram": {"size": 2}}
    [found] = nmt.load(tiny_model, "cpu").translate([request], logits_processors=once, search=search)
    assert found.text.startswith("the dog the dog")


@pytest.mark.parametrize("size", [1, 2, 3])
def test_no_ngram_comes_twice(size: int) -> None:
    draw, processor = random.Random(size), NoRepeatNgram(NoRepeatNgram.Options(size=size), BOTH)
    for length in range(8):
        hypotheses = [draw.choices(range(4, 7), k=length) for _ in range(20)]
        expected = []
        for hypothesis in hypotheses:
            seen = {tuple(hypothesis[i : i + size]) for i in range(length - size + 1)}
            beginning = hypothesis[length - size + 1 :]
            expected.append({piece for piece in EVERYTHING if (*beginning, piece) not in seen or length < size})
        assert allowed(processor, hypotheses) == expected


def test_a_forbidden_phrase_is_stopped_at_its_last_token() -> None:
    processor = ForbidPhrases(ForbidPhrases.Options(phrases=["5 6", "8", "5 6 7 4"]), BOTH)
    hypotheses = [[5, 6, 7], [6, 7, 5], [4, 4, 4]]
    assert allowed(processor, hypotheses) == [EVERYTHING - {8, 4}, EVERYTHING - {8, 6}, EVERYTHING - {8}]
    assert allowed(processor, [[5]]) == [EVERYTHING - {8, 6}]
    assert allowed(processor, [[]]) == [EVERYTHING - {8}]
    of_unknown = ForbidPhrases(ForbidPhrases.Options(phrases=["unknown", "8 unknown"]), BOTH)
    assert allowed(of_unknown, [[8]]) == [EVERYTHING]


LINE = "Heute wartet der Hund auf den Zug."


def test_processors_of_a_call_replace_those_of_the_recipe(tiny_model: Path) -> None:
    translator = nmt.load(tiny_model, "cpu")
    [plain] = translator.translate([LINE])
    chosen = {"forbid_phrases": {"phrases": ["waits"]}}
    [changed] = translator.translate([LINE], logits_processors=chosen)
    assert "waits" in plain.text
    assert "waits" not in changed.text
    decoding = translator.recipe.decoding.model_copy(update={"logits_processors": chosen})
    translator.recipe = translator.recipe.model_copy(update={"decoding": decoding})
    assert translator.translate([LINE]) == [changed]
    assert translator.translate([LINE], logits_processors={}) == [plain]


def test_a_wrong_processor_of_a_call_is_refused(tiny_model: Path) -> None:
    with pytest.raises(UserError, match="no logits processor 'no_repeat_ngrams'"):
        nmt.load(tiny_model, "cpu").translate([LINE], logits_processors={"no_repeat_ngrams": {}})
