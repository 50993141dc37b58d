"""The check of an export tells what its users get, and removes what can't be used."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from nmt.core.errors import UserError
from nmt.data.batch import Ids
from nmt.decoding.forced import force_all
from nmt.decoding.search import Query
from nmt.extensions.interchange import argos, huggingface, onnx, run
from nmt.extensions.interchange.check import check, left_out, validation_lines
from nmt.extensions.interchange.targets import with_decoding
from nmt.recipe.schema import DecodingOptions
from nmt.translation.load import load
from nmt.translation.translator import Translator


class InPyTorch:
    """Runs the model itself, with a search of its own and a change of the log-probabilities."""

    def __init__(self, translator: Translator, change: float = 0.0, **decoding: Any) -> None:
        self.translator, self.change, self.decoding = translator, change, decoding

    def translate(self, sources: Sequence[Ids]) -> list[list[int]]:
        found = self.translator.searcher(Query(sources, self.translator.options(**self.decoding)))
        return [list(hypotheses[0].ids) for hypotheses in found]

    def score(self, pairs: Sequence[tuple[Ids, Ids]]) -> list[list[float]]:
        found = force_all(self.translator.model, pairs, self.translator.vocabularies, batch_size=64)
        return [[score + self.change for score in pair.log_probability_T.tolist()] for pair in found]


@pytest.fixture
def translator(tiny_model: Path) -> Translator:
    return load(tiny_model, "cpu")


def test_100_lines_are_translated_as_the_recipe_says_and_as_the_export_searches(
    translator: Translator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = validation_lines(translator)
    assert lines[0].endswith(".")
    same = check(tmp_path, translator, lambda: InPyTorch(translator), lines, exact=True)
    num_equal, rest = same.split(" ", 1)
    assert int(num_equal) > 95, "those in capitals are translated otherwise"
    assert rest.endswith(
        "translations (92 of random pieces) are those of nmt; log-probabilities of tokens differ by 0 at most"
    )
    assert capsys.readouterr().err == ""
    rewarded = with_decoding(translator, length_penalty="word_reward", alpha=5.0)
    other = check(tmp_path, rewarded, lambda: InPyTorch(translator), lines, exact=True)
    num_equal, rest = other.split(" ", 1)
    assert int(num_equal) < 50
    assert f"{100 - int(num_equal)} of 100 translations differ from those of nmt" in capsys.readouterr().err
    assert rest.startswith("of 100 translations (92 of random pieces) are those of nmt; ")


@pytest.mark.parametrize(("change", "exact"), [(0.1, True), (float("nan"), True), (float("nan"), False)])
def test_a_folder_that_computes_something_else_is_removed(
    translator: Translator, tmp_path: Path, change: float, exact: bool
) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="the log-probability of a token differs by"):
        check(tmp_path / "out", translator, lambda: InPyTorch(translator, change), ["Der Hund."], exact)
    assert not (tmp_path / "out").exists()


def test_a_model_whose_numbers_overflow_is_refused(translator: Translator, tmp_path: Path) -> None:
    with torch.no_grad():
        for parameter in translator.model.parameters():
            parameter.fill_(3e38)
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="not finite"):
        check(tmp_path / "out", translator, lambda: InPyTorch(translator), ["Der Hund."], exact=True)
    assert not (tmp_path / "out").exists()


def test_lines_are_those_of_the_validation_text_or_of_the_samples(translator: Translator, tiny_corpus: Path) -> None:
    text = (tiny_corpus / "val.de").read_text("utf-8").splitlines()
    assert validation_lines(translator) == text
    data = translator.recipe.data
    for missing in ({"root": tiny_corpus / "no"}, {"root": None, "hub": "bentrevett/multi30k"}):
        recipe = translator.recipe.model_copy(update={"data": data.model_copy(update=missing)})
        samples = validation_lines(translator.replaced(recipe=recipe))
        assert samples
        assert set(samples) <= set(text)


@pytest.mark.parametrize(
    ("options", "carried", "named"),
    [
        ({"restore_case": False}, onnx.CARRIED, []),
        ({"length_penalty": "none"}, run.CARRIED, ["restore_case: true", "early_stopping: likely", "max_length_ratio"]),
        ({"length_penalty": "gnmt"}, huggingface.CARRIED, ["length_penalty: gnmt", "early_stopping: likely"]),
        ({"coverage_penalty": 0.2, "prune": 3.0}, run.CARRIED, ["coverage_penalty: 0.2", "prune: 3.0"]),
        ({"beam_size": 4, "beam_groups": 2, "shortlist": 9}, onnx.CARRIED, ["beam_groups: 2"]),
        ({"restore_case": False, "shortlist": 9}, argos.CARRIED, ["shortlist: 9"]),
        ({"restore_case": False, "split_sentences": True}, run.CARRIED, ["split_sentences: true"]),
        ({"restore_case": False, "split_sentences": True}, onnx.CARRIED, []),
        ({"logits_processors": {"no_repeat_ngram": {"size": 3}}}, onnx.CARRIED, ["logits_processors: {'no_repeat"]),
    ],
)
def test_what_a_program_has_no_counterpart_of_is_named(
    options: dict[str, Any], carried: dict[str, Any], named: list[str]
) -> None:
    messages = left_out(DecodingOptions(**options), carried, "The program")
    assert bool(messages) == bool(named)
    for name in named:
        assert name in messages[0]
    assert not any("length_penalty: none" in message for message in messages)
