"""The search of the runtime against that of nmt, over a made-up table of probabilities; without onnxruntime."""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from searches import search_all
from table_model import TableModel

from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.decoding.ranking import LENGTH_PENALTIES
from nmt.extensions.interchange import runtime
from nmt.extensions.interchange.onnx_networks import best_continuations
from nmt.recipe.schema import DecodingOptions

TOY = WordVocabulary(["▁ja", "▁nein"])
SOURCES = [[4, 5], [5], [1, 4, 4, 5], [4, 4, 4, 5, 5, 5]]


def log_probabilities(source: tuple[int, ...], tokens: tuple[int, ...]) -> list[float]:
    """Depends on the source, without EOS and padding, and on every token so far."""
    words = tuple(i for i in source if i not in (TOY.pad, TOY.eos))
    draw = random.Random(f"{words} {tokens}")
    return torch.tensor([draw.gauss(0, 1.5) for _ in range(len(TOY))]).log_softmax(0).tolist()


LogProbabilities = Callable[[tuple[int, ...], tuple[int, ...]], Sequence[float]]


class Stub:
    """What the search reads of :class:`nmt.extensions.interchange.runtime.Model`.

    Args:
        config: of the folder.
        log_p: gives the log-probabilities of the next token for a source and the tokens so far.
        first: a token that the decoder reads before SOS.
    """

    def __init__(self, config: Any, log_p: LogProbabilities = log_probabilities, first: int | None = None) -> None:
        self.config, self._log_p, self._first = config, log_p, [] if first is None else [first]

    def start(self, sources: Sequence[Sequence[int]], num_rows: int) -> tuple[dict[str, Any], dict[str, Any]]:
        memory = np.empty(len(sources), object)
        memory[:] = [tuple(ids) for ids in sources]
        return {"source": memory}, {"tokens": np.array([[self._first] * num_rows] * len(sources), int)}

    def shortlist(self, sources: Sequence[Sequence[int]]) -> dict[str, Any]:
        return {}

    def step(
        self,
        names: Sequence[str],
        token_BK: Any,
        position: int,
        memory: Mapping[str, Any],
        state: Mapping[str, Any],
        score: Any,
        at_limit: Any,
    ) -> Any:
        assert names == runtime.BEST
        tokens_BKt = np.concatenate((state["tokens"], token_BK[:, :, None]), axis=2)
        assert tokens_BKt.shape[2] == position + 1 + len(self._first)
        rows = zip(memory["source"], tokens_BKt.tolist(), strict=True)
        log_p = [[self._log_p(source, tuple(tokens)) for tokens in rows_Kt] for source, rows_Kt in rows]
        log_p_BKV = torch.tensor(np.array(log_p, np.float32))
        best = best_continuations(log_p_BKV, torch.tensor(score), torch.tensor(at_limit), TOY.eos, [TOY.pad, TOY.sos])
        return [part.numpy() for part in (log_p_BKV[:, :, TOY.eos], *best)], {"tokens": tokens_BKt}


def config(num_positions: int) -> dict[str, Any]:
    target = {"sos": TOY.sos, "eos": TOY.eos}
    return {"target": target, "num_positions": num_positions}


@pytest.mark.quick("*-4-*")
@pytest.mark.parametrize("early_stopping", ["first", "likely", "exact"])
@pytest.mark.parametrize(
    ("penalty", "alpha"), [*((name, 1.5) for name in LENGTH_PENALTIES.builtin), ("word_reward", 0.7), ("average", 0.5)]
)
@pytest.mark.parametrize("beam", [1, 2, 4])
@pytest.mark.parametrize("longest", [None, 4])
def test_hypotheses_are_those_of_nmt(
    early_stopping: Any, penalty: str, alpha: float, beam: int, longest: int | None
) -> None:
    options = DecodingOptions(
        beam_size=beam, early_stopping=early_stopping, length_penalty=penalty, alpha=alpha,
        max_length_ratio=1.5, max_length_extra=3, max_length=longest,
    )  # fmt: skip
    expected = search_all(TableModel(log_probabilities), SOURCES, Vocabularies(TOY, TOY), options)
    model: Any = Stub(config(100))
    found = runtime._Beam(model, SOURCES, options.model_dump()).run()
    assert [[h.ids for h in each] for each in found] == [[h.ids for h in each] for each in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert [h.score for h in ours] == pytest.approx([h.score for h in theirs], abs=1e-4)
        assert [h.log_probability for h in ours] == pytest.approx([h.log_probability for h in theirs], abs=1e-4)


def test_no_translation_is_longer_than_the_positions() -> None:
    model: Any = Stub(config(3))
    options = DecodingOptions(beam_size=2, length_penalty="word_reward", alpha=5.0, max_length_extra=20)
    found = runtime._Beam(model, SOURCES, options.model_dump()).run()
    assert max(len(each[0].ids) for each in found) == 2  # and EOS


@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_search_with_numbers_that_are_not_finite_ends_with_an_error(beam: int, value: float) -> None:
    def broken(source: tuple[int, ...], tokens: tuple[int, ...]) -> Any:
        logits = torch.tensor(log_probabilities(source, tokens))
        logits[4] = value if len(tokens) > 2 else 0.0
        return logits.log_softmax(0).tolist()

    model: Any = Stub(config(100), broken)
    with pytest.raises(runtime.FolderError, match="log-probabilities that are not finite"):
        runtime._Beam(model, SOURCES, DecodingOptions(beam_size=beam).model_dump()).run()


@pytest.mark.parametrize("name", ["length_penalty", "early_stopping"])
def test_an_unknown_penalty_is_refused_and_not_taken_for_none(name: str) -> None:
    model = object.__new__(runtime.Model)
    model.config = {"decoding": DecodingOptions().model_dump()}
    with pytest.raises(runtime.FolderError, match=f"{name} is 'mine'; it must be one of"):
        model.search([[4]], **{name: "mine"})
