"""The model of the other direction: its scores, its tag, and its place in the calibration of another model."""

import json
import re
import shutil
from collections.abc import Callable
from math import exp
from pathlib import Path

import pytest
from fixture_types import RunNmt

import nmt
from nmt.core.errors import UserError
from nmt.extensions.quality.examination import reverse_of
from nmt.extensions.quality.reverse import ReverseModel


def tagged_model(train_tiny: Callable[..., Path], corpus: Path, tags: list[str]) -> nmt.Translator:
    """A hardly trained model of a joint vocabulary, which has these tags."""
    sides = [("de", "en"), ("en", "de"), ("de", "de")]
    corpora = [
        f"{{name: c{number}, source: {corpus}/train.{source}, target: {corpus}/train.{target}, tag: {tag}}}"
        for number, (tag, (source, target)) in enumerate(zip(tags, sides, strict=False))
    ]
    return nmt.load(train_tiny(
        "data.root=null", f"data.corpora=[{', '.join(corpora)}]",
        f"data.valid={{source: {corpus}/val.de, target: {corpus}/val.en}}", "vocabulary.joint=true",
        "training.max_steps=2",
    ), "cpu")  # fmt: skip


def test_the_tag_is_the_one_that_the_source_does_not_have(train_tiny: Callable[..., Path], tiny_corpus: Path) -> None:
    both = tagged_model(train_tiny, tiny_corpus, ["<2en>", "<2de>"])
    assert both.directory is not None
    reverse = ReverseModel.load(both, ".")
    found = list(reverse.scores(["<2en> Der Hund", "<2de> a dog"], ["a dog", "Der Hund"]))
    pairs = [("<2de> a dog", "Der Hund"), ("<2en> Der Hund", "a dog")]
    expected = [each.log_probability / len(each.tokens) for each in both.score(pairs) if each.log_probability]
    assert found == pytest.approx(expected)
    assert (reverse.path, reverse.tag) == (".", None)
    with pytest.raises(UserError, match="which one chooses"):
        list(reverse.scores(["Der Hund"], ["a dog"]))
    with pytest.raises(UserError, match=r"have the tag <2fr>[^\0]*<2de>, <2en>"):
        ReverseModel.load(both, both.directory, "<2fr>")


def test_more_than_two_tags_need_one_that_is_given(train_tiny: Callable[..., Path], tiny_corpus: Path) -> None:
    many = tagged_model(train_tiny, tiny_corpus, ["<2en>", "<2de>", "<2xx>"])
    with pytest.raises(UserError, match=re.escape("--reverse-tag")):
        list(ReverseModel(many, many).scores(["<2en> Der Hund"], ["a dog"]))
    (found,) = ReverseModel(many, many, "<2de>").scores(["<2en> Der Hund"], ["a dog"])
    (expected,) = many.score([("<2de> a dog", "Der Hund")])
    assert expected.log_probability is not None
    assert found == pytest.approx(expected.log_probability / len(expected.tokens))


@pytest.mark.slow
def test_a_calibration_with_the_other_direction(
    tiny_model: Path, train_tiny: Callable[..., Path], mixed_text: tuple[Path, Path], run_nmt: RunNmt, tmp_path: Path
) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "a" / "de-en")
    backward = train_tiny("data.source=en", "data.target=de", shared="reverse_en_de")
    other = shutil.copytree(backward, tmp_path / "en-de")
    first = mixed_text[0].read_text("utf-8").splitlines()[0]
    refused = run_nmt("calibrate", model, *mixed_text, "--reverse-tag", "<2de>")
    assert (refused.returncode, "--reverse" in refused.stderr) == (2, True)
    done = run_nmt("calibrate", model, *mixed_text, "--min-chrf", "90", "--reverse", other)
    assert done.returncode == 0, done.stderr
    assert "area under the ROC curve" in " ".join(done.stderr.split())
    values = json.loads((model / "calibration.json").read_text("utf-8"))
    assert values["reverse"] == "../../en-de"
    assert values["weights"]["reverse_log_probability"] > 0

    lines = f"{first}\nGarten schläft Wasser um Lied Zug Bäcker.\n"
    done = run_nmt("translate", model, "--format", "jsonl", "--confidence", stdin=lines)
    good, bad = (json.loads(line) for line in done.stdout.splitlines()[:2])
    assert good["confidence"] > 0.6 > bad["confidence"]
    reverse = reverse_of(nmt.load(model, "cpu"))
    assert reverse is not None
    (score,) = reverse.scores([first], [good["translation"]])
    assert score is not None
    alone = {**values, "weights": {"reverse_log_probability": 0.5}, "bias": 0.25}
    (model / "calibration.json").write_text(json.dumps(alone), "utf-8")
    done = run_nmt("translate", model, "--format", "jsonl", "--confidence", stdin=lines)
    found = json.loads(done.stdout.splitlines()[0])["confidence"]
    assert found == pytest.approx(1 / (1 + exp(-0.25 - 0.5 * score)), abs=1e-3)

    values["reverse"] = "../../gone"
    (model / "calibration.json").write_text(json.dumps(values), "utf-8")
    done = run_nmt("translate", model, "--abstain", "0.5", stdin=lines)
    assert done.returncode == 2
    assert "needs the model of the other direction" in " ".join(done.stderr.split())
