"""The trace of a search: its figures are those of forced decoding, which is then left out."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nmt.alignment import aligner
from nmt.decoding.forced import force_all
from nmt.extensions.quality.trace import SearchTrace, trace_of
from nmt.translation.request import UNCONSTRAINED, OutputConstraints, Request
from nmt.translation.search import LineSearch
from nmt.translation.translator import Translator


@pytest.fixture(scope="module")
def german(tiny_corpus: Path) -> list[str]:
    return (tiny_corpus / "train.de").read_text("utf-8").splitlines()


def traced(translator: Translator, lines: list[str], **decoding: int) -> tuple[SearchTrace, list[list[int]]]:
    """Returns the trace of a search, and the ids of the best hypothesis of each line."""
    requests, options = [Request(line) for line in lines], translator.options(**decoding)  # type: ignore[arg-type]
    search = LineSearch(translator, UNCONSTRAINED, ())
    trace = trace_of(translator, requests, options, ())
    found = search(requests, range(1, len(lines) + 1), options, observer=trace)
    vocabulary = translator.vocabularies.target
    id_of = {vocabulary.token(i): i for i in range(len(vocabulary))}
    return trace, [[id_of[token] for token in candidates[0].tokens] for candidates in found]


@pytest.mark.parametrize("beam_size", [1, 4])
def test_figures_are_those_of_forced_decoding(translator: Translator, german: list[str], beam_size: int) -> None:
    lines = german[:12]
    trace, best = traced(translator, lines, beam_size=beam_size, batch_size=5)
    heads = translator.aligner.heads.heads
    num_compared = 0
    for at, (line, ids) in enumerate(zip(lines, best, strict=True)):
        source = translator.encode_source(line)
        [forced] = force_all(translator.model, [(source, ids)], translator.vocabularies, 1, heads)
        if (known := trace.found[at]) is None:
            continue
        assert known[0] == ids
        num_compared += 1
        torch.testing.assert_close(known[1].log_probability_T, forced.log_probability_T, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(known[1].margin_T, forced.margin_T, atol=1e-4, rtol=1e-4)
        attention_TS, num_read = forced.weights_HTS.mean(0), len(source) + 1  # EOS counted
        torch.testing.assert_close(known[1].weights_HTS[0, :, :num_read], attention_TS, atol=1e-5, rtol=1e-4)
    assert num_compared > 6
    trace, best = traced(translator, german[:5], max_length=2)
    cut = [at for at, ids in enumerate(best) if len(ids) == 2]
    assert cut
    assert not any(trace.found[at] for at in cut), "a translation that the limit cuts has none"


def test_word_links_compute_nothing_again(
    translator: Translator, german: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forced: list[int] = []

    def count(model: object, pairs: list[object], *others: object) -> object:
        forced.append(len(pairs))
        return force_all(model, pairs, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(aligner, "force_all", count)
    checked = translator.translate(german[:20], with_alignment=True)
    assert sum(forced) < 10
    forced.clear()
    monkeypatch.setattr("nmt.translation.search.hooks", lambda name: [])
    again = translator.translate(german[:20], with_alignment=True)
    assert sum(forced) == 20
    assert [t.alignment for t in again] == [t.alignment for t in checked]


@pytest.mark.parametrize("request_", [Request("Hund", prefix="The"), Request("Hund", must_contain=("dog",))])
def test_other_searches_have_none(translator: Translator, request_: Request) -> None:
    def trace(request: Request, *processors: Any, model: Translator = translator, **changes: Any) -> Any:
        return trace_of(model, [request], translator.options(**changes), processors)

    assert trace(request_) is None
    for changes in ({"prune": 1.0}, {"beam_groups": 2, "beam_size": 4}, {"shortlist": 5}):
        assert trace(Request("Hund"), **changes) is None
    assert trace(Request("Hund"), SimpleNamespace(changes_scores=False)) is not None
    assert trace(Request("Hund"), *OutputConstraints(["dog"]).processors(translator.vocabularies)) is None
    assert trace(Request("Hund"), model=translator.replaced(searcher=translator.searcher)) is None
