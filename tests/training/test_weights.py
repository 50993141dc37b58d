"""Runs that start from the weights of a trained model, and parts of it that stay as they are."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
from fixture_types import RecipeMaker
from run_files import read_metrics
from saved_weights import changed, spoil, weights
from torch import nn

from nmt.core.errors import UserError
from nmt.data.vocabulary.files import Vocabularies
from nmt.training.run import train
from nmt.training.weights import select


@pytest.fixture
def trained(make_recipe: RecipeMaker, build_once: Callable[..., Path], tmp_path: Path) -> Path:
    built = build_once("trained_luong", lambda path: train(make_recipe("luong", max_steps=30), path))
    return shutil.copytree(built, tmp_path / "trained")


def test_fine_tuning_starts_where_the_other_run_had_its_best(
    make_recipe: RecipeMaker, trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = {line["step"]: line["loss"] for line in read_metrics(trained, "valid")}
    capfd.readouterr()
    tuned = train(make_recipe("luong", finetune_from=trained, max_steps=1, learning_rate=1e-12), tmp_path / "tuned")
    assert f"starting from {trained}: 100% of the weights\n" in capfd.readouterr().err
    torch.testing.assert_close(weights(tuned), weights(trained), atol=1e-9, rtol=0)
    (after,) = read_metrics(tuned, "valid")
    assert after["loss"] == pytest.approx(min(before.values()), abs=1e-5)
    assert after["step"] == 1


def test_what_both_models_have_is_taken_and_the_rest_is_new(
    make_recipe: RecipeMaker, trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = make_recipe("luong with feeding", finetune_from=trained, max_steps=1, learning_rate=1e-12)
    other = weights(train(recipe, tmp_path / "other"))
    message = capfd.readouterr().err
    assert "% of the weights; new: decoder." in message
    assert "100%" not in message
    old = weights(trained)
    same = {name for name in old if name in other and torch.allclose(old[name], other[name], atol=1e-9)}
    assert {name for name in old if name.startswith("encoder.")} <= same
    assert same < set(other)


def test_options_of_the_model_that_change_no_shape_are_warned_of(
    make_recipe: RecipeMaker, trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    change = {"model": {"scale_embeddings": True}}
    for name, recipe, is_warned in (("same", {}, False), ("other", change, True)):
        train(make_recipe("luong", 0.3, recipe, finetune_from=trained, max_steps=1), tmp_path / name)
        message = " ".join(capfd.readouterr().err.split())
        assert "100% of the weights" in message
        assert ("model.scale_embeddings is True, was False" in message) == is_warned
        assert ("Warning: the model differs" in message) == is_warned, "dropout is no difference"
    train(make_recipe("transformer", finetune_from=trained, max_steps=1), tmp_path / "another")
    message = " ".join(capfd.readouterr().err.split())
    assert "type is 'transformer', was 'recurrent'; model.decoder.type is 'transformer', was 'luong'." in message


def test_word_alignment_is_read_where_the_trained_model_has_it(
    make_recipe: RecipeMaker, trained: Path, tmp_path: Path
) -> None:
    options = {"finetune_from": trained, "max_steps": 1}
    for name, written, is_kept in (
        ("tuned", '{"heads": ["attention"], "attention": "input"}\n', True),
        ("no such head", '{"heads": ["2:1"], "attention": "input"}\n', False),
        ("damaged", "{", False),
    ):
        (trained / "alignment.json").write_text(written)
        tuned = train(make_recipe("luong", **options), tmp_path / name)
        assert (tuned / "alignment.json").exists() == is_kept
    chosen = '{"heads": ["attention"], "attention": "output"}\n'
    (tmp_path / "tuned" / "alignment.json").write_text(chosen)
    (trained / "alignment.json").write_text('{"heads": ["attention"], "attention": "input"}\n')
    options |= {"finetune_from": trained / ".." / trained.name, "max_steps": 2}  # the same folder by another name
    train(make_recipe("luong", **options), tmp_path / "tuned", resume=True)
    assert (tmp_path / "tuned" / "alignment.json").read_text() == chosen, "what `nmt learn-alignment` found stays"


def test_the_vocabulary_is_that_of_the_trained_model(
    make_recipe: RecipeMaker, tiny_corpus: Path, trained: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text"
    shutil.copytree(tiny_corpus, text)
    for side in ("de", "en"):
        (text / f"train.{side}").write_text("Unerhörtes\nneu\n" * 40, encoding="utf-8")
    recipe = {"data": {"root": str(text)}}
    tuned = train(make_recipe("luong", recipe=recipe, finetune_from=trained, max_steps=1), tmp_path / "tuned")
    assert Vocabularies.load(tuned).fingerprint == Vocabularies.load(trained).fingerprint


def test_a_model_of_sentences_reads_context_after_fine_tuning_with_a_new_vocabulary(
    make_recipe: RecipeMaker, trained: Path, tmp_path: Path
) -> None:
    recipe: dict[str, Any] = {"data": {"history_turns": 1}}
    options = {"finetune_from": trained, "max_steps": 1}
    with pytest.raises(UserError, match=r"no token that separates turns.*\n.*training\.new_vocabulary to true"):
        train(make_recipe("luong", recipe=recipe, **options), tmp_path / "without")
    tuned = train(make_recipe("luong", recipe=recipe, new_vocabulary=True, **options), tmp_path / "tuned")
    assert Vocabularies.load(tuned).source.separator is not None


@pytest.mark.quick("target")
@pytest.mark.parametrize("tie", ["none", "target"])
def test_a_new_vocabulary_takes_the_rows_of_the_same_pieces(
    make_recipe: RecipeMaker, tiny_corpus: Path, tmp_path: Path, tie: str, capfd: pytest.CaptureFixture[str]
) -> None:
    texts = [(tiny_corpus / f"train.{side}").read_text("utf-8") for side in ("de", "en")]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter("".join(texts).splitlines()), model_prefix=str(tmp_path / "own"), vocab_size=60,
        pad_id=0, unk_id=1, bos_id=2, eos_id=3, pad_piece="[PAD]", unk_piece="[UNK]", bos_piece="[S]", eos_piece="[/S]",
        character_coverage=1.0, minloglevel=2,
    )  # fmt: skip
    recipe: dict[str, Any] = {"vocabulary": {"path": str(tmp_path / "own.model")}, "model": {"tie": tie}}
    trained = train(make_recipe("luong", recipe=recipe, max_steps=20), tmp_path / "trained")
    recipe["vocabulary"] = {"type": "unigram", "size": 85, "joint": True}
    options = {"finetune_from": trained, "new_vocabulary": True, "max_steps": 1, "learning_rate": 1e-12}
    tuned = train(make_recipe("luong", recipe=recipe, **options), tmp_path / "tuned")
    assert "of the source pieces" in capfd.readouterr().err
    old, new = Vocabularies.load(trained), Vocabularies.load(tuned)
    assert len(new.source) == len(new.target) == 85
    assert (new.source.token(new.source.sos), old.source.token(old.source.sos)) == ("<s>", "[S]")
    before, after = weights(trained), weights(tuned)
    num_same = num_spelled = 0
    for name, rows in after.items():
        if len(rows) != 85:
            torch.testing.assert_close(rows, before[name], atol=1e-9, rtol=0)
            continue
        side = "source" if name.startswith("encoder.") else "target"
        mine, theirs = getattr(new, side), getattr(old, side)
        tokens = {theirs.token(i): i for i in range(len(theirs))}
        # The special pieces are the same by what they do, not by their spelling.
        tokens |= {mine.token(getattr(mine, name)): getattr(theirs, name) for name in ("pad", "unk", "sos", "eos")}
        for row in range(85):
            token = mine.token(row)
            if token in tokens:
                expected, num_same = before[name][tokens[token]], num_same + 1
            else:
                parts = theirs.encode(token.replace("▁", " "))
                expected, num_spelled = before[name][parts].mean(dim=0), num_spelled + 1
                assert theirs.unk not in parts
            torch.testing.assert_close(rows[row], expected, atol=1e-8, rtol=0)
    assert num_same > 60
    assert num_spelled > 10


def test_weights_that_are_not_finite_are_not_started_from(
    make_recipe: RecipeMaker, trained: Path, tmp_path: Path
) -> None:
    name = spoil(trained / "model.safetensors")
    with pytest.raises(UserError, match=f"(?s)model.safetensors.*not finite.*{name}"):
        train(make_recipe("luong", finetune_from=trained, max_steps=1), tmp_path / "new")


def test_a_run_whose_average_is_not_finite_is_not_resumed(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    train(make_recipe("luong", ema=0.9, max_steps=1), tmp_path)
    name = spoil(tmp_path / "checkpoints" / "step-000001" / "training.safetensors", "average")
    (tmp_path / "checkpoints" / "step-000001" / "SHA256SUMS").unlink()
    with pytest.raises(UserError, match=f"(?s)training.safetensors.*not finite.*{name}"):
        train(make_recipe("luong", ema=0.9, max_steps=2), tmp_path, resume=True)


def test_what_can_t_be_started_from_is_refused_and_nothing_is_written(
    make_recipe: RecipeMaker, trained: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=rf"not a model directory.*\n.*{trained}"):
        train(make_recipe("luong", finetune_from=tmp_path, max_steps=1), tmp_path / "new")
    assert [path.name for path in (tmp_path / "new").iterdir()] == [".lock"]
    wider = {"model": {"embedding_size": 36, "encoder": {"type": "recurrent", "hidden_size": 20}}}
    wider["model"]["decoder"] = {"type": "luong", "hidden_size": 20, "attention": {"type": "additive", "size": 7}}
    with pytest.raises(UserError, match="no weight matrix in common"):
        train(make_recipe("luong", recipe=wider, finetune_from=trained, max_steps=1), tmp_path / "wider")


def test_frozen_parts_keep_their_weights(make_recipe: RecipeMaker, tmp_path: Path) -> None:
    trained = train(make_recipe("transformer", max_steps=20), tmp_path / "trained")
    frozen = ["encoder", "decoder.embedding", "feed_forward"]
    tuned = train(make_recipe("transformer", finetune_from=trained, freeze=frozen, max_steps=3), tmp_path / "tuned")
    found = changed(weights(trained), weights(tuned))
    assert found
    assert all(name.startswith(("decoder.layers.", "decoder.norm.")) for name in found - {"decoder.output.bias_V"})
    assert not any(".feed_forward." in name for name in found)


def test_parts_are_selected_by_components_of_their_names() -> None:
    model = nn.ModuleDict({"encoder": nn.Linear(2, 2), "encoders": nn.Linear(2, 2)})
    assert select(model, ["encoder"], "key") == {"encoder.weight", "encoder.bias"}
    assert select(model, ["encoder*.bias"], "key") == {"encoder.bias", "encoders.bias"}
    model["encoders"].weight = model["encoder"].weight
    assert select(model, ["encoders"], "key") == {"encoder.weight", "encoders.bias"}  # shared


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"freeze": ["encodr"]}, r"training\.freeze: the model has no part 'encodr'\..*encoder\.layers\.0\.attention"),
        ({"freeze": ["encoder", "decoder"]}, "leaves no weight to train"),
    ],
)
def test_parts_that_are_not_there_are_refused(
    make_recipe: RecipeMaker, tmp_path: Path, training: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=f"(?s){message}"):
        train(make_recipe("transformer", max_steps=1, **training), tmp_path / "run")
