"""Log-probabilities that are not finite: every search ends, and the error names the layer or the setting."""

import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from searches import search_all
from small_systems import RECURRENT, small_model
from table_model import TableModel
from torch import Tensor

from nmt.core.errors import BrokenModel
from nmt.data.vocabulary.base import Vocabulary
from nmt.data.vocabulary.files import Vocabularies
from nmt.decoding.beam import beam_search
from nmt.decoding.forced import force_all
from nmt.decoding.hypotheses import SearchBatch
from nmt.decoding.processors import LogitsProcessor
from nmt.decoding.search import ModelSearcher, Query
from nmt.models.build import DECODERS
from nmt.models.contracts import StepOutput
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe.schema import DecodingOptions
from nmt.translation.load import Ensemble

SOURCES = [[4, 9, 7], [10, 4], [8]]
SEARCHES: list[dict[str, Any]] = [
    {"beam_size": 1},
    {"beam_size": 3, "early_stopping": "exact"},
    {"beam_size": 3, "prune": 1.0},
    {"beam_size": 4, "beam_groups": 2},
    {"beam_size": 2, "search": "sample"},
]
MAX_STEPS = 60

SystemMaker = Callable[[str], Seq2Seq]


class Constant(TableModel):
    """``value`` is added to all logits of the third token; tokens other than EOS are likelier."""

    def __init__(self, value: float, vocabulary: Vocabulary) -> None:
        logits = [-30.0 if i == vocabulary.eos else 0.0 for i in range(len(vocabulary))]
        super().__init__(lambda source, tokens: [x + value for x in logits] if len(tokens) == 3 else logits)
        self.num_steps = 0

    def step(self, *arguments: Any, **named: Any) -> StepOutput:
        self.num_steps += 1
        assert self.num_steps < MAX_STEPS, "the search doesn't end"
        return super().step(*arguments, **named)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("options", SEARCHES, ids=str)
def test_a_search_ends_with_an_error(words: Vocabularies, options: dict[str, Any], value: float) -> None:
    model: Any = Constant(value, words.target)
    with pytest.raises(BrokenModel, match="not finite"):
        search_all(model, [[4, 5]], words, DecodingOptions(**options))


@pytest.mark.parametrize("options", SEARCHES[:-1], ids=str)
def test_a_search_whose_hypotheses_never_end_stops_at_the_limit(words: Vocabularies, options: dict[str, Any]) -> None:
    model: Any = Constant(0.0, words.target)
    limit_B, source_B1 = torch.tensor([4, 7]), torch.full((2, 1), words.source.eos)
    settings = DecodingOptions(**options)
    found = beam_search(SearchBatch(model, source_B1, torch.ones(2).long(), words, settings, limit_B, [0, 1]), [])
    assert len(found) == 2
    assert model.num_steps == 7


def broken(model: Seq2Seq, name: str, weight: float = 3e38) -> Seq2Seq:
    """The model with the same large weight everywhere in one module."""
    with torch.no_grad():
        for parameter in model.get_submodule(name).parameters():
            parameter.fill_(weight)
    return model


@pytest.mark.parametrize("decoder", sorted(DECODERS.keys() - {"classifier"}))
def test_the_output_layer_is_named_and_nothing_before_it(decoder: str, words: Vocabularies) -> None:
    model = small_model(RECURRENT, {"type": decoder}, seed=5)
    output = model.decoder.output
    with torch.no_grad():  # whatever the sign of the features, some rows overflow
        output.weight_VD.fill_(3e38)[::2].neg_()
        output.bias_V.fill_(3e38)
    with pytest.raises(BrokenModel, match=r"'linear' in decoder\.output"):
        search_all(model, SOURCES, words, DecodingOptions(beam_size=2))


@pytest.mark.parametrize(
    ("system", "layer", "weight", "message"),
    [
        ("transformer", "encoder.layers.1.feed_forward.out", 3e38, "results of the model"),
        ("transformer", "decoder.layers.0.feed_forward.out", 3e38, "results of the model"),
        ("bahdanau", "decoder.attention", 3e38, "results of the model"),
        ("transformer", "decoder.layers.1.self_attention", math.nan, "weights of the model"),
    ],
)
def test_the_layer_that_is_not_finite_is_named(
    make_system: SystemMaker, words: Vocabularies, system: str, layer: str, weight: float, message: str
) -> None:
    model = broken(make_system(system), layer, weight)
    options, pairs = DecodingOptions(beam_size=3), [([4, 5], [6, 7])]
    for compute in (
        lambda: search_all(model, SOURCES, words, options),
        lambda: search_all(Ensemble([model, model]), SOURCES, words, options),
        lambda: force_all(model, pairs, words, 1),
        lambda: force_all(model, pairs, words, 1, margins_only=True),
    ):
        with pytest.raises(
            BrokenModel, match=rf"The {message} are not finite: .*{re.escape(layer)}.*\n.*learning_rate"
        ):
            compute()


@pytest.mark.parametrize("options", [{"beam_size": 3}, {"beam_size": 2, "search": "sample"}], ids=str)
def test_a_precision_that_is_too_narrow_is_named(
    make_system: SystemMaker, words: Vocabularies, options: dict[str, Any]
) -> None:
    model = broken(make_system("transformer"), "decoder.layers.1.feed_forward.out", 1e6)
    query = Query(SOURCES, DecodingOptions(max_length=5, **options))
    assert ModelSearcher(model, words)(query)
    message = r"works in float32, but not in float16.*decoder\.layers\.1\.feed_forward\.out.*\n.*--precision fp32"
    with pytest.raises(BrokenModel, match=message):
        ModelSearcher(model, words, precision="fp16")(query)


@pytest.mark.parametrize("options", [{"beam_size": 3}, {"beam_size": 2, "search": "sample"}], ids=str)
def test_a_logits_processor_that_spoils_the_scores_is_named(
    make_system: SystemMaker, words: Vocabularies, options: dict[str, Any]
) -> None:
    class Spoiler(LogitsProcessor):
        def __call__(self, logits_NV: Tensor, tokens_Nt: Tensor, sentence_N: Tensor, batch: SearchBatch) -> None:
            if tokens_Nt.shape[1] == 2:
                logits_NV += math.nan

    model, processors = make_system("luong"), [Spoiler(None, words)]
    with pytest.raises(BrokenModel, match="logits processor Spoiler"):
        search_all(model, SOURCES, words, DecodingOptions(max_length=5, **options), processors=processors)


@pytest.mark.extension("classification")
def test_a_classifier_with_such_results_is_an_error(words: Vocabularies) -> None:
    from nmt.extensions.classification.task import Classification

    model = broken(small_model(RECURRENT, {"type": "classifier"}, seed=6), "decoder")
    search = ModelSearcher(model, words, partial(Classification.search, None))  # type: ignore[arg-type]
    with pytest.raises(BrokenModel, match=r"in decoder\."):
        search(Query(SOURCES, DecodingOptions()))


@pytest.mark.parametrize("options", SEARCHES, ids=str)
def test_a_search_can_be_ended_between_two_steps(words: Vocabularies, options: dict[str, Any]) -> None:
    model: Any = Constant(0.0, words.target)

    def stop_at_the_fourth() -> None:
        if model.num_steps == 3:
            raise InterruptedError

    query = Query([[4] * 9, [5]], DecodingOptions(**options), before_step=stop_at_the_fourth)
    with pytest.raises(InterruptedError):
        ModelSearcher(model, words)(query)
    assert model.num_steps == 3
