"""Classifiers: closed sets of labels, training, prediction and confusion matrices."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from fixture_types import RunNmt, TrainTiny
from refusals import refused
from run_files import read_metrics

import nmt
from nmt.core.errors import UserError
from nmt.data.words import Words
from nmt.recipe.options import validate
from nmt.recipe.schema import Recipe
from nmt.tasks import task_of

LABELS = ["no", "starts with a vowel"]
LINES = [" ".join(line) for line in ("abc", "bca", "cab", "aac", "bba", "cca", "acb", "bab", "cbc", "aab")]
PAIRS = [(line, LABELS[line.startswith("a")]) for line in LINES]
RECIPE: dict[str, Any] = {
    "device": "cpu",
    "data": {"source": "text", "target": "label"},
    "vocabulary": {"type": "word"},
    "model": {
        "embedding_size": 8,
        "encoder": {"type": "recurrent", "hidden_size": 8},
        "decoder": {"type": "classifier", "pooling": "attention", "attention": {"type": "additive", "size": 8}},
    },
    "training": {
        "max_steps": 30, "learning_rate": 0.05, "label_smoothing": 0.0, "precision": "fp32",
        "schedule": {"type": "cosine", "warmup_steps": 5}, "validate_every": 30,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> TrainTiny:
    """Trains the recipe with changes of its keys and other pairs."""

    def run(overrides: Mapping[str, Any] = {}, **pairs: Any) -> Path:
        folder = tmp_path_factory.mktemp("classifier")
        (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
        given = {"pairs": PAIRS, "valid": PAIRS, **pairs}
        return nmt.train(folder / "recipe.yaml", folder / "model", overrides=overrides, **given)

    return run


@pytest.fixture(scope="module")
def classifier(train: TrainTiny) -> Path:
    return train()


def test_a_classifier_learns_and_gives_nothing_but_labels(classifier: Path) -> None:
    translator = nmt.load(classifier)
    found = translator.translate([*LINES, "", "never seen words"], n_best=5)
    assert [t.text for t in found[: len(LINES)]] == [label for _, label in PAIRS]
    assert found[-2].text == ""
    for translation in (*found[:-2], found[-1]):
        assert sorted(c.text for c in translation.n_best) == LABELS  # two candidates, although the beam has five
        assert sum(np.exp(c.score) for c in translation.n_best) == pytest.approx(1)
    (scored,) = translator.score([(LINES[0], found[0].n_best[1].text)])
    assert scored.score == pytest.approx(found[0].n_best[1].score, abs=1e-4)
    assert scored.tokens == [found[0].n_best[1].text]
    forbidden = {"forbid_phrases": {"phrases": [found[0].text]}}
    (other,) = translator.translate(LINES[:1], n_best=5, logits_processors=forbidden)
    assert [c.text for c in other.n_best] == [found[0].n_best[1].text]
    assert other.score == pytest.approx(found[0].n_best[1].score, abs=1e-4)  # the model's own, not renormalised


def test_accuracy_selects_the_best_model_unless_the_recipe_says_otherwise(classifier: Path) -> None:
    assert nmt.load(classifier).recipe.training.metric == "accuracy"
    values = {**RECIPE, "training": {**RECIPE["training"], "metric": "macro_f1"}}
    assert validate(Recipe, values, "test").training.metric == "macro_f1"


def test_the_task_has_labels_of_one_word_and_refuses_other_features() -> None:
    task = task_of(validate(Recipe, RECIPE, "test"))
    assert task.target_words(Words.split(" not bad ")).words == ("not bad",)
    for feature, message in (("serving", "is a classifier"), ("search", "chooses one label")):
        with pytest.raises(UserError, match=message):
            task.require(feature)


def test_a_server_refuses_a_classifier(run_nmt: RunNmt, classifier: Path) -> None:
    pytest.importorskip("nmt.extensions.serving", exc_type=ImportError)
    refused(run_nmt("serve", classifier, "--port", 0), "is a classifier")


def test_the_loss_is_that_of_the_labels_alone(classifier: Path) -> None:
    (valid,) = read_metrics(classifier, "valid")
    assert valid["accuracy"] == 100
    nll = [-(pair.log_probability or 0) for pair in nmt.load(classifier).score(PAIRS)]
    assert valid["loss"] == pytest.approx(np.mean(nll), abs=1e-4)


def test_predictions_and_scores_by_the_commands(run_nmt: RunNmt, classifier: Path, tmp_path: Path) -> None:
    lines = "".join(f"{line} {'c ' * 200}\n" for line in LINES * 2)  # far longer than a label: nothing degenerate
    done = run_nmt("translate", classifier, "--scores", stdin=lines)
    assert (done.returncode, "degenerate" in done.stderr) == (0, False)
    assert {line.partition("\t")[2] for line in done.stdout.splitlines()} <= {*LABELS}
    predicted, reference, picture = tmp_path / "predicted", tmp_path / "test.label", tmp_path / "confusion.svg"
    predicted.write_text("no\nno\nmaybe\n")
    reference.write_text("no\nstarts with a vowel\nmaybe\n")
    done = run_nmt("score", predicted, reference, "--metrics", "accuracy,macro_f1", "--confusion", picture, check=True)
    assert "accuracy = 66.67" in done.stdout
    assert f"macro F1 = {100 * (2 / 3 + 0 + 1) / 3:.2f}" in done.stdout
    assert "starts with a vowel" in picture.read_text()
    done = run_nmt("score", predicted, "-r", reference, "-r", reference, "--confusion", picture)
    refused(done, "one HYPOTHESIS against one REFERENCE")


def test_the_attention_of_a_label_of_several_words_is_one_row(
    run_nmt: RunNmt, classifier: Path, tmp_path: Path
) -> None:
    (alignment,) = nmt.load(classifier).align([("a b c", LABELS[1])])
    assert (alignment.target, alignment.weights.shape) == ((LABELS[1],), (1, 3))
    (tmp_path / "text").write_text("a b c\n")
    run_nmt("align", classifier, tmp_path / "text", "-o", tmp_path / "text.svg", check=True)
    assert LABELS[1] in (tmp_path / "text.svg").read_text()


def test_a_label_outside_the_set_is_named(train: TrainTiny, run_nmt: RunNmt, classifier: Path, tmp_path: Path) -> None:
    message = r"valid, pair 2: 'perhaps' is none of the model's 2 labels.*\nThe labels are no, starts with a vowel\.$"
    with pytest.raises(UserError, match=message):
        train(valid=[*PAIRS[:1], ("a b", "perhaps")])
    (tmp_path / "text").write_text("a b\n")
    (tmp_path / "label").write_text("perhaps\n")
    done = run_nmt("translate", classifier, "--score-only", tmp_path / "text", tmp_path / "label")
    refused(done, "'perhaps' is none of")


@pytest.mark.parametrize(
    ("overrides", "pairs", "message"),
    [
        ({}, [("a", "x")] * 9, "has 1 different lines; a classifier needs 2 to 8,000 labels"),
        ({"vocabulary.size": 8}, [("a", f"x{i}") for i in range(9)], "has 9 different lines"),
        (
            {"training.techniques": {"scheduled_sampling": {"schedule": "constant", "k": 0.5}}},
            PAIRS,
            "doesn't go with the task classification",
        ),
        ({"model.vectors.target": "vectors.txt"}, PAIRS, "has no target embedding"),
        ({"model.encoder": None, "training.metric": "loss"}, PAIRS, "without an encoder"),
    ],
)
def test_what_no_classifier_can_be_trained_with(train: TrainTiny, overrides: Any, pairs: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        train(overrides, pairs=pairs)


def test_labels_and_text_are_different_vocabularies(train: TrainTiny, classifier: Path, tiny_model: Path) -> None:
    with pytest.raises(UserError, match=r"has a target vocabulary of text, but model\.decoder predicts labels"):
        train({"vocabulary.path": str(tiny_model)})
    with pytest.raises(UserError, match=r"has a target vocabulary of labels, but model\.decoder predicts text"):
        train({"vocabulary.path": str(classifier), "model.decoder": {"type": "luong"}})


def test_labels_in_a_table_and_the_model_card(train: TrainTiny, tmp_path: Path) -> None:
    rows = "".join(f"{label}\t{line}\n" for line, label in PAIRS)
    for split in ("train", "val"):
        (tmp_path / f"{split}.tsv").write_text(f"label\ttext\n{rows}")
    model = train({"data.root": str(tmp_path), "training.max_steps": 1}, pairs=None, valid=None)
    assert (model / "vocabulary.target.labels").read_text() == "no\nstarts with a vowel\n"
    card = (model / "README.md").read_text("utf-8")
    assert "pipeline_tag: text-classification" in card
    assert "# Classifier: text to label" in card
    assert "nmt serve" not in card


def test_a_classifier_is_verified_by_its_own_search(run_nmt: RunNmt, classifier: Path, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("".join(f"{line}\n" for line in LINES), encoding="utf-8")
    run_nmt("verify", classifier, tmp_path / "lines", check=True)
