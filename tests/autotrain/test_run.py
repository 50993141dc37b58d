"""``nmt train`` with text files: a tested model, a recipe that repeats it, fine-tuning, and messages."""

import gzip
import json
import re
import shutil
import time
from dataclasses import replace
from itertools import islice, product
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import pytest
from fixture_types import RunNmt
from refusals import refused

import nmt
from nmt.autotrain.choice import Encoded, Model, learn_vocabulary, model_options, num_validations, training_options
from nmt.autotrain.prepared import RECURRENT, TRANSFORMERS, Request, moved, prepare
from nmt.autotrain.run import autotrain
from nmt.autotrain.texts import Texts, line_pairs
from nmt.core.errors import UserError
from nmt.core.model_directory import ModelDirectory
from nmt.core.text import read_lines
from nmt.data.opening import open_corpus
from nmt.data.vocabulary.files import Vocabularies
from nmt.models.weights import read_tensors
from nmt.quickstart.embedded_corpus import splits
from nmt.recipe.load import load_recipe, read_recipe
from nmt.training.data import prepare_data
from nmt.training.resolve import resolve
from nmt.training.run import with_training

TINY = {"model.encoder.num_layers": 1, "model.decoder.num_layers": 1, "model.embedding_size": 32,
        "model.encoder.num_heads": 1, "model.decoder.num_heads": 1}  # fmt: skip


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two files, English and German, of 300 pairs."""
    folder = tmp_path_factory.mktemp("text")
    pairs = splits()["train"][:300]
    for name, lines in (("en", [pair.source for pair in pairs]), ("de", [pair.target for pair in pairs])):
        (folder / f"all.{name}").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return folder / "all.en", folder / "all.de"


def beginning(text: tuple[Path, Path], num_pairs: int, folder: Path, name: str = "begin") -> list[Path]:
    """Two files of the first pairs of the text."""
    files = [folder / f"{name}{path.suffix}" for path in text]
    for path, file in zip(text, files, strict=True):
        file.write_text("".join(f"{line}\n" for line in islice(read_lines(path), num_pairs)), "utf-8")
    return files


def test_the_preparation_of_a_text_is_shown(
    text: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beginning(text, 200, tmp_path, "train")
    beginning(text, 20, tmp_path, "valid")
    with patch("nmt.core.console.Progress") as progress:
        prepare(Request([tmp_path], 1.0), tmp_path / "text")
    assert "preparing the text" in str(progress.mock_calls)
    assert "\nvalidation: 20 pairs\ntest: 10 pairs held out, none like one for training\n" in capsys.readouterr().err


def test_a_run_ends_as_it_should_although_somebody_tried_to_resume_it(text: tuple[Path, Path], tmp_path: Path) -> None:
    tried = []

    def resume(event: object) -> None:
        if not tried:
            tried.append(event)
            with pytest.raises(UserError, match="is being written by another process"):
                autotrain(Request([]), tmp_path / "run", resume=True)

    request = Request(beginning(text, 40, tmp_path), None, TINY | {"training.max_steps": 1})
    autotrain(request, tmp_path / "run", on_event=resume)
    assert tried
    assert (tmp_path / "run" / "curve.png").exists()
    assert not (tmp_path / "run" / ".text-unfinished").exists()


@pytest.mark.slow
def test_two_files_and_minutes_give_a_tested_model_whose_recipe_repeats_it(
    text: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = nmt.train(*text, output=tmp_path / "run", minutes=0.04, overrides=TINY)
    output = capsys.readouterr()
    shown = ["read 300 pairs", "English to German", "test: 15 pairs held out", " a minute)", "reference:"]
    assert [part for part in shown if part not in output.err] == []
    assert "± half of the 95 % interval" in output.out
    assert "BLEU" in output.out
    assert "chrF" in output.out
    parts = [set(read_lines(run / "text" / f"{split}.en")) for split in ("train", "valid", "test")]
    assert all(parts)
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    test = list(read_lines(run / "text" / "test.en"))
    assert [t.text for t in run.model.translate(test)] == list(read_lines(run / "test.translated.de"))
    assert (run / "curve.png").stat().st_size > 1000
    again = nmt.train(run / "recipe.yaml", tmp_path / "again")
    one, other = (read_tensors(folder / "model.safetensors") for folder in (run, again))
    assert all(one[name].equal(other[name]) for name in one)

    with pytest.raises(UserError, match="holds a run already"):
        nmt.train(*text, output=run, minutes=0.1)
    with pytest.raises(UserError, match=r"has had 0\.\d minutes"):
        nmt.train(*text, output=run / ".." / run.name, minutes=0.001, resume=True)
    step = nmt.load_recipe(run / "recipe.yaml").training.max_steps
    assert "run was moved" not in capsys.readouterr().err
    moved = run.rename(tmp_path / "moved")
    moved_run = nmt.train(*text, output=moved, minutes=0.5, resume=True, overrides={"training.clip_norm": 7.0})
    trained = nmt.load_recipe(moved_run / "recipe.yaml").training
    assert trained.expected_score is None
    assert (trained.max_steps or 0) > 3 * (step or 0)  # however much longer than before
    output = capsys.readouterr()
    assert "max_minutes (0.5) reached" in output.err or "fallen to its end" in output.err
    assert "training.clip_norm is 7.0, was " in output.err


def test_a_run_that_was_stopped_keeps_what_is_expected_of_its_minutes_and_its_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").mkdir()
    options = {"data.root": str(tmp_path / "text"), "training.max_minutes": 3, "training.expected_score": 30}
    (tmp_path / "recipe.yaml").write_text(load_recipe("quickstart", options).to_yaml(), "utf-8")
    train = Mock()
    monkeypatch.setattr("nmt.autotrain.run.train", train)
    monkeypatch.setattr("nmt.autotrain.run.report", Mock())
    for minutes, expected in ((3, 30), (None, 30), (6, None)):
        autotrain(Request([], minutes), tmp_path, resume=True)
        assert train.call_args.args[0].training.expected_score == expected
    assert "pairs" not in capsys.readouterr().err
    autotrain(Request([], keep_all=True), tmp_path, resume=True)
    assert "whose pairs were chosen when the run began" in capsys.readouterr().err


def test_a_run_of_a_recipe_is_resumed_by_its_recipe(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(load_recipe("quickstart").to_yaml(), "utf-8")
    with pytest.raises(UserError, match=r"no run of text to resume.*\nIf it is one of a recipe, name .*recipe\.yaml"):
        autotrain(Request([]), tmp_path, resume=True)


def test_the_command_that_a_run_was_started_with_only_tests_its_model_once_it_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text").mkdir()
    own = {"training.max_steps": 7, "training.max_minutes": None}  # as they are when training has ended
    options = {"data.root": str(tmp_path / "text"), **own}
    (tmp_path / "recipe.yaml").write_text(load_recipe("quickstart", options).to_yaml(), "utf-8")
    for name, seconds in (("step-000006", 90), ("step-000007", 170)):
        (folder := tmp_path / "checkpoints" / name).mkdir(parents=True)
        state = {"max_minutes": 3, "progress": {"seconds": seconds}}
        (folder / "state.json").write_text(json.dumps(state), "utf-8")
    train, report = Mock(), Mock()
    monkeypatch.setattr("nmt.autotrain.run.train", train)
    monkeypatch.setattr("nmt.autotrain.run.report", report)
    for minutes, steps in ((3, 7), (None, 7), (6, None)):
        autotrain(Request([], minutes), tmp_path, resume=True)
        assert train.call_args.args[0].training.max_steps == steps
    assert report.call_count == 3


@pytest.fixture(scope="module")
def general(text: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> nmt.Run:
    """A model of the first 200 pairs of the text."""
    folder = tmp_path_factory.mktemp("general")
    return nmt.train(*beginning(text, 200, folder), output=folder / "run", minutes=0.02, overrides=TINY)


def test_a_model_is_fine_tuned_on_none_of_its_test_and_scored_on_none_of_its_text(
    text: tuple[Path, Path], general: nmt.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared = prepare(Request(text, 1.0, start=general), tmp_path / "text")
    assert "pairs like those on which" in capsys.readouterr().err
    before = {split: {*zip(*(read_lines(general / "text" / f"{split}.{side}") for side in ("en", "de")), strict=True)}
              for split in ("train", "test")}  # fmt: skip
    assert len(before["test"]) == 10
    assert not before["test"] & {*prepared.texts.train}
    assert before["train"] <= {*prepared.texts.train}
    assert len(prepared.texts.test) == len(prepared.texts.valid) == 5, "a share of the new pairs"
    assert not before["train"] & {*prepared.texts.test, *prepared.texts.valid}
    renamed = [shutil.copyfile(path, tmp_path / f"text{path.suffix}x") for path in text]
    prepared = prepare(Request(renamed, 1.0, start=general), tmp_path / "renamed")
    assert not before["train"] & {*prepared.texts.test, *prepared.texts.valid}, "its languages have other names"
    average = shutil.copytree(general, tmp_path / "average", ignore=lambda *_: ["text", "checkpoints"])
    assert Request(text, 1.0, start=average).former == Request(text, 1.0, start=general).former, "its text is elsewhere"
    other = {f"model.{key}": 48 for key in ("embedding_size", "encoder.feed_forward_size", "decoder.feed_forward_size")}
    with pytest.raises(UserError, match="no weight matrix in common"):
        nmt.train(*text, output=tmp_path / "other", minutes=0.02, start=general, overrides=other)
    assert not (tmp_path / "other").exists()
    with pytest.raises(UserError, match="only text on which"):
        prepare(Request([general / "text" / f"test.{side}" for side in ("en", "de")], start=general), tmp_path)
    dialogues = shutil.copytree(general, tmp_path / "dialogues")
    recipe = load_recipe(dialogues / "recipe.yaml", {"data.history_turns": 2, "task": "dialogue"})
    (dialogues / "recipe.yaml").write_text(recipe.to_yaml(), "utf-8")
    tuned = prepare(Request(text, 1.0, start=dialogues), tmp_path / "turns").recipe(RECURRENT[0], 10)[0]
    assert (tuned.data.history_turns, tuned.task) == (2, "dialogue"), "it reads as many turns as before"
    capsys.readouterr()
    corpus = {"name": "one", "source": "a", "target": "b", "tag": "<2de>"}
    recipe = load_recipe(general / "recipe.yaml", {"data.corpora": [corpus]})
    (dialogues / "recipe.yaml").write_text(recipe.to_yaml(), "utf-8")
    prepare(Request(text, 1.0, start=dialogues), tmp_path / "tags")
    warnings = " ".join(capsys.readouterr().err.split())
    assert "begin with a tag, as <2de>, and not all source lines" in warnings
    assert "of the pieces of the text" not in warnings
    (tmp_path / "all.el").write_text(text[1].read_text("utf-8").translate({ord("e"): "ε", ord("n"): "ν"}), "utf-8")
    prepare(Request([text[0], tmp_path / "all.el"], 1.0, start=general), tmp_path / "greek")
    assert "% of the pieces of the text, which the model neither" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_a_fine_tuned_model_is_resumed_in_any_folder_and_compared_with_the_one_before(
    text: tuple[Path, Path], general: nmt.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(general.parent)
    nmt.train(*text, output=tmp_path / "tuned", minutes=0.02, start=general.name)
    tuned = load_recipe(tmp_path / "tuned" / "recipe.yaml")
    assert (tuned.training.finetune_from, tuned.model.embedding_size) == (Path(general), 32)
    first = capsys.readouterr()
    assert "before" in first.out
    assert "the test of the model that was fine-tuned" in first.out
    assert first.err.count("starting from") == 1
    monkeypatch.chdir(tmp_path)
    start = Path("..", *general.relative_to(tmp_path.parent).parts)
    read = Mock(wraps=line_pairs)
    monkeypatch.setattr("nmt.autotrain.prepared.line_pairs", read)
    nmt.train(*text, output=tmp_path / "tuned", resume=True, start=start)
    assert {call.args[0].stem for call in read.mock_calls} == {"valid", "test"}, "text for training can be long"
    assert capsys.readouterr().out == first.out
    with pytest.raises(UserError, match="wasn't fine-tuned from"):
        nmt.train(*text, output=tmp_path / "tuned", resume=True, start=tmp_path)


def test_no_text_of_any_model_in_a_chain_of_fine_tunings_is_held_out(tmp_path: Path) -> None:
    recipe, words = read_recipe("quickstart")[1], {"a": "eins\n", "b": "zwei\n", "c": "drei\n"}
    for name, start in (("a", "c"), ("b", "a"), ("c", "b")):  # a was trained anew from the last one
        (text := tmp_path / name / "text").mkdir(parents=True)
        recipe["training"]["finetune_from"] = str(tmp_path / start)
        (tmp_path / name / "recipe.yaml").write_text(json.dumps(recipe), "utf-8")
        for side, split in product((recipe["data"]["source"], recipe["data"]["target"]), ("train", "synthetic")):
            (text / f"{split}.{side}").write_text(f"{split} {words[name]}", "utf-8")
    trained = {source for source, _ in Request([], start=tmp_path / "c").former.train}
    assert trained == {f"{split} {number}" for split in ("train", "synthetic") for number in ("eins", "zwei", "drei")}
    shutil.rmtree(tmp_path / "a")
    assert len(Request([], start=tmp_path / "c").former.train) == 4, "a model that is gone"


@pytest.mark.parametrize("model", [{"encoder": None}, {"decoder": {"type": "classifier"}, "tie": "none"}])
def test_a_model_that_does_not_translate_is_refused_before_anything_is_written(
    text: tuple[Path, Path], tiny_model: Path, tmp_path: Path, model: dict[str, Any]
) -> None:
    (start := tmp_path / "start").mkdir()
    recipe = read_recipe(tiny_model / "recipe.yaml")[1] | {"task": None}
    recipe["model"] |= model
    (start / "recipe.yaml").write_text(json.dumps(recipe), "utf-8")
    with pytest.raises(UserError, match="start does not translate"):
        prepare(Request(text, 1.0, start=start), tmp_path / "text")
    assert not (tmp_path / "text").exists()


def test_few_pairs_are_trained_on_and_it_is_said_what_to_expect(
    text: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nmt.train(*beginning(text, 3, tmp_path), output=tmp_path / "run", minutes=0.02, overrides=TINY)
    errors = capsys.readouterr().err
    assert "3 pairs are few" in errors
    assert "is of text that the model has seen" in errors


def test_a_vocabulary_is_no_larger_than_the_text_gives() -> None:
    vocabularies, options = learn_vocabulary([("der Hund", "the dog")] * 60)
    assert options.type == "unigram"
    assert 8 < options.size == len(vocabularies.source) < 100
    _, options = learn_vocabulary([("狗", "犬")])
    assert options.type in ("unigram", "character")
    pairs = [(f"{pair.source} {pair.target}", pair.target) for pair in splits()["train"][:40]]  # few pieces, and fewer
    vocabularies, options = learn_vocabulary(pairs, {"joint": False})
    assert (options.type, options.joint, vocabularies.joint) == ("unigram", False, False)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [({"size": 30_000}, "gives at most"), ({"size": 20}, "needs"), ({"type": "wordy"}, "no vocabulary 'wordy'")],
)
def test_a_vocabulary_that_is_set_is_not_replaced_by_another(wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        learn_vocabulary([("der Hund schläft", "the dog is asleep")] * 60, wanted)


def test_speed_is_measured_on_pairs_that_have_pieces() -> None:
    pairs = [("der Hund", "the dog")] * 60
    assert Encoded.read([*pairs, ("\u200b", "\u200b")], learn_vocabulary(pairs)[0]).pairs == pairs


def test_speed_is_measured_where_a_length_that_is_set_leaves_out_the_first_pairs(
    text: tuple[Path, Path], tmp_path: Path
) -> None:
    recipe = prepare(Request(text, 0.5, {"data.max_length": 1}), tmp_path).choose()
    assert recipe.data.max_length == 1


def test_a_vocabulary_of_a_long_text_is_learned_from_some_of_it_and_spells_the_rest() -> None:
    pairs = [(f"ein Satz {n % 997} {n % 89}", f"a sentence {n % 83} {n % 991}") for n in range(20_000)]
    vocabularies, options = learn_vocabulary([*pairs, ("Ω", "ω")], {"size": 400}, minutes=0.5)
    assert options.byte_fallback
    assert vocabularies.source.decode(vocabularies.source.encode("ein Ω")) == "ein Ω"
    assert not learn_vocabulary(pairs[:5000], {"size": 400, "split_digits": False})[1].byte_fallback


def test_each_digit_is_a_piece_in_the_vocabulary_of_a_small_text() -> None:
    pairs = [("ein Satz", "a sentence")] * 20_001
    assert [learn_vocabulary(pairs[:n])[1].split_digits for n in (20_000, 20_001)] == [True, False]
    assert not learn_vocabulary(pairs[:9], {"split_digits": False})[1].split_digits


def test_dropout_grows_with_the_epochs_from_none() -> None:
    options = [model_options(RECURRENT[0], epochs)["encoder"] for epochs in (2, 8, 12, 20, 40)]
    assert [encoder["dropout"] for encoder in options] == [0.0, 0.1, 0.1, 0.2, 0.3]


def test_an_epoch_has_the_updates_that_the_longer_side_of_the_pairs_fills() -> None:
    vocabularies, _ = learn_vocabulary([("狗", "犬")])  # of characters, so that an epoch is an update or more
    assert Encoded.read([("狗", "犬")], vocabularies).epoch == 1
    long, short = "狗" * 100, "犬" * 50
    for pair in ((long, short), (short, long)):
        assert Encoded.read([pair] * 2048, vocabularies).epoch == pytest.approx(100, abs=3)


def test_the_epochs_that_are_announced_are_those_of_the_batches_that_little_text_does_not_fill(
    text: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"training.batch_tokens": 500, "training.accumulate": 2}
    prepared = prepare(Request(text, 5.0, options), tmp_path)
    recipe = prepared.choose()
    updates, epochs = re.findall(r"about ([\d,.]+) (?:updates|epochs)", capsys.readouterr().err)
    num_batches = len(prepare_data(resolve(recipe)).batches(500, seed=1))
    assert num_batches / 2 > 1.2 * prepared.encoded.epoch * 2048 / 1000
    assert float(epochs) == pytest.approx(2 * int(updates.replace(",", "")) / num_batches, rel=0.1)


@pytest.mark.parametrize(("seconds", "is_known", "minutes"), [(0.1, True, 1.0), (2.0, False, 1.0), (30.0, False, None)])
def test_nothing_is_expected_of_a_few_updates_and_no_techniques_are_added_to_those_that_are_given(
    text: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    seconds: float, is_known: bool, minutes: float | None,
) -> None:  # fmt: skip
    monkeypatch.setattr("nmt.autotrain.prepared.measure_speed", lambda *_: (seconds, 0.01))
    recipe = prepare(Request(text, minutes, {"training.techniques": {}}), tmp_path).choose()
    assert not recipe.training.techniques
    errors = capsys.readouterr().err
    assert ("expected after" in errors) == (recipe.training.expected_score is not None) == is_known
    assert ("hardly learns anything" in errors) == (not is_known and minutes is not None)


def test_the_speed_is_measured_with_what_extensions_choose(
    text: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured, chosen = (
        Mock(return_value=(0.1, 0.01)),
        lambda recipe, _: (with_training(recipe, ema=0.5), ["a short mean"]),
    )
    monkeypatch.setattr("nmt.autotrain.prepared.measure_speed", measured)
    monkeypatch.setattr("nmt.autotrain.prepared.hooks", lambda name: [chosen] if name == "recipe_chosen" else [])
    recipe = prepare(Request(text, 1.0), tmp_path).choose()
    assert measured.call_args.args[0].training.ema == recipe.training.ema == 0.5
    assert capsys.readouterr().err.count("a short mean") == 1


def test_the_time_that_a_text_takes_to_encode_is_none_to_train_in(
    text: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nmt.autotrain.prepared.measure_speed", lambda *_: (0.1, 0.01))
    prepared = prepare(Request(text, 1.0), tmp_path)
    assert 0 < prepared.encoded.seconds < 60
    replace(prepared, encoded=replace(prepared.encoded, seconds=90.0)).choose()
    errors = capsys.readouterr().err
    assert "about 1 update (" in errors
    assert "give it more minutes, or part of a long text" in errors


def test_a_vocabulary_that_is_named_is_measured_and_used(text: tuple[Path, Path], tmp_path: Path) -> None:
    learn_vocabulary([("der Hund", "the dog")] * 60)[0].save(tmp_path)
    prepared = prepare(Request(text, 1.0, {"vocabulary.path": str(tmp_path)}), tmp_path / "text")
    assert prepared.encoded == Encoded.read(prepared.texts.train, Vocabularies.load(tmp_path))
    learn_vocabulary([("der Hund", "the dog")] * 60, {"joint": False})[0].save(tmp_path)
    prepared = prepare(Request(text, 1.0, {"vocabulary.path": str(tmp_path)}), tmp_path / "text")
    recipe, _ = prepared.recipe(RECURRENT[0], 10)
    assert recipe.model.tie == "target", "all embeddings can't be those of two vocabularies"


def test_an_encoder_that_names_no_dropout_can_be_set(
    text: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"model.encoder": {"type": "recurrent", "hidden_size": 8}, "model.decoder": {"type": "luong"},
                "model.embedding_size": 8, "model.tie": "none"}  # fmt: skip
    prepare(Request(text, 0.5, settings), tmp_path).choose()
    errors = capsys.readouterr().err
    assert "model: recurrent of width 8; there is time for" in errors
    assert "dropout" not in errors
    prepare(Request(text, 1e-3, settings), tmp_path / "short").choose()
    assert "time for about 1 update (" in capsys.readouterr().err


def test_a_width_that_is_set_is_taken_however_little_time_there_is(
    text: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nmt.autotrain.prepared.measure_speed", lambda *_: (1.0, 0.01))
    recipe = prepare(Request(text, 1.0, {"model.embedding_size": 128}), tmp_path).choose()
    assert recipe.model.embedding_size == 128


@pytest.mark.parametrize(
    ("minutes", "settings", "chosen", "measured"),
    [
        (2.0, {}, ("recurrent", 128), 1),
        (40.0, {}, ("recurrent", 128), 2),
        (60.0, {}, ("recurrent", 256), 2),
        (600.0, {}, ("transformer", 256), 3),
        (2.0, {"model.encoder.type": "transformer"}, ("transformer", 64), 1),
        (30.0, {"model.encoder.type": "transformer"}, ("transformer", 128), 2),
        (30.0, {"model.encoder.num_heads": "2"}, ("transformer", 128), 2),
        (600.0, {"model.encoder.hidden_size": "64"}, ("recurrent", 256), 2),  # no Transformer has such an option
        (2.0, {"model.encoder.dropout": "0.3"}, ("recurrent", 128), 1),
    ],
)
def test_the_model_is_chosen_by_the_updates_there_is_time_for(
    text: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: float, settings: dict[str, str],
    chosen: tuple[str, int], measured: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(
        "nmt.autotrain.prepared.measure_speed", lambda recipe, _: (0.4 * recipe.model.embedding_size / 64, 0.01)
    )
    prepared = prepare(Request(text, minutes, settings), tmp_path)
    prepared = replace(prepared, encoded=replace(prepared.encoded, epoch=250.0))
    model = prepared.choose().model
    assert (model.encoder["type"], model.embedding_size) == chosen
    assert len(prepared.models) == measured, "a model for which there can't be time is not measured"


@pytest.mark.parametrize(("epoch", "wide"), [(50, 50_000), (209, 2_862), (250, 2_000), (1_000, 2_000)])
def test_a_larger_model_overtakes_the_recurrent_one_later_on_little_text(epoch: int, wide: int) -> None:
    assert RECURRENT[1].least_over(RECURRENT[0], epoch) == wide
    assert TRANSFORMERS[1].least_over(TRANSFORMERS[0], epoch) == 1_600


def test_a_short_run_is_validated_less_often() -> None:
    assert [num_validations(updates) for updates in (1, 440, 700, 1_200, 20_000)] == [2, 2, 4, 8, 8]
    model = Model("recurrent", 128, update=0.5)
    assert model.num_updates(220) == 440 - 2 * 15
    assert training_options(model, 410, minutes=4)["validate_every"] == 205
    assert training_options(model, 410, minutes=None)["validate_every"] == 51, "which patience is counted by"


def test_blocks_of_muon_are_for_recurrent_models() -> None:
    sizes = [training_options(model, 410, 4)["optimizer"]["block_size"] for model in RECURRENT]
    assert sizes == [128, 128, None]


def test_settings_of_the_vocabulary_are_used(text: tuple[Path, Path], tmp_path: Path) -> None:
    settings = {"vocabulary.type": "bpe", "vocabulary.joint": False, "vocabulary.size": 60}
    prepared = prepare(Request(text, 1.0, settings), tmp_path)
    recipe, vocabularies = prepared.recipe(TRANSFORMERS[0], 100)[0], Vocabularies.load(tmp_path)
    assert (recipe.vocabulary.type, recipe.model.tie) == ("bpe", "target")
    assert len(vocabularies.source) == 60
    assert [vocabularies.source.token(n) for n in range(60)] != [vocabularies.target.token(n) for n in range(60)]


def test_pairs_that_are_no_translations_are_kept_on_request(text: tuple[Path, Path], tmp_path: Path) -> None:
    lines = [[*read_lines(path), ""] for path in text]
    files = [tmp_path / path.name for path in text]
    for path, side in zip(files, lines, strict=True):
        path.write_text("\n".join(side) + "\n", "utf-8")
    numbers = [
        sum(len(part) for part in (texts.train, texts.valid, texts.test))
        for keep_all in (False, True)
        for texts in [prepare(Request(files, 1.0, keep_all=keep_all), tmp_path / str(keep_all)).texts]
    ]
    assert numbers == [300, 301]


@pytest.mark.parametrize(("keep_all", "tuned"), [(False, False), (True, False), (False, True)])
def test_pairs_that_extensions_find_are_trained_on_and_none_is_like_a_held_out_one(
    keep_all: bool, tuned: bool, text: tuple[Path, Path], tmp_path: Path, tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    more = ("a sentence of a line", "ein Satz einer Zeile")

    def found(texts: Texts) -> list[tuple[str, str]]:
        return [more, *((source.upper(), "x") for source, _ in texts.valid + texts.test)]

    monkeypatch.setattr("nmt.autotrain.prepared.hooks", lambda name: [found] if name == "text_divided" else [])
    own = [*zip(*map(read_lines, text), strict=True)]
    request = Request(text, 1.0, keep_all=keep_all, start=tiny_model if tuned else None)
    texts = prepare(request, tmp_path / "text").texts
    expected = () if keep_all or tuned else (more,)
    assert sorted(texts.train + texts.valid + texts.test) == sorted((*own, *expected))
    assert more not in texts.valid + texts.test
    assert ("added 1 pairs of sentences" in capsys.readouterr().err) == bool(expected)
    written = line_pairs(*(tmp_path / "text" / f"train.{language}" for language in ("en", "de")))
    assert [*written] == texts.train


@pytest.mark.extension("corpora")
def test_synthetic_pairs_are_trained_on_and_none_is_held_out(text: tuple[Path, Path], tmp_path: Path) -> None:
    own = list(zip(*map(read_lines, text), strict=True))
    held_out = max(prepare(Request(text, 1.0), tmp_path / "own").texts.test, key=lambda pair: len(pair[1]))
    (tmp_path / "bt").mkdir()
    like_held_out = [(held_out[0], f"{held_out[1].upper()}{more}") for more in ("", " heute")]
    synthetic = [(f"{source} {source}", target) for source, target in (*own[:50], *like_held_out)]
    for at, language in enumerate(("en", "de")):
        (tmp_path / "bt" / f"train.{language}").write_text("".join(f"{pair[at]}\n" for pair in synthetic), "utf-8")
    run = nmt.train(*text, tmp_path / "bt", output=tmp_path / "run", minutes=0.02, overrides=TINY)
    sides = [[*read_lines(run / "text" / f"{split}.de")] for split in ("train", "valid", "test", "synthetic")]
    assert held_out[1] in sides[2]
    assert sides[3] == [target for _, target in synthetic[:-2] if target not in sides[1] + sides[2]]
    assert len(sides[3]) > 30
    real, more = load_recipe(run / "recipe.yaml").data.corpora
    assert (real.weight, real.tag) == (1.0, None)
    assert (more.weight, more.tag) == (round(len(sides[3]) / len(sides[0]), 3), "<bt>"), "each pair is read as often"
    assert set(Vocabularies.load(run).source.tags) == {"<bt>"}


def test_synthetic_pairs_are_read_from_the_run_wherever_it_is_started(
    text: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in text:
        (tmp_path / f"train{path.suffix}").write_bytes(path.read_bytes())
        (tmp_path / "more").mkdir(exist_ok=True)
        (tmp_path / "more" / f"train{path.suffix}.gz").write_bytes(gzip.compress(b"Neu\n"))
    (tmp_path / "more" / "train.scores.gz").write_bytes(gzip.compress(b"0.5\n"))
    files = [tmp_path / f"train{path.suffix}" for path in text]
    prepared = prepare(Request([*files, tmp_path / "more"], 1.0), tmp_path / "run" / "text")
    recipe = prepared.recipe(prepared.candidates[0], 10)[0]
    longer = replace(prepared, texts=replace(prepared.texts, train=prepared.texts.train * 10))
    weights = [each.recipe(prepared.candidates[0], 10)[0].data.corpora[1].weight for each in (prepared, longer)]
    assert weights[1] == pytest.approx(weights[0] / 10, rel=0.01), "few pairs are not read more often, and not never"
    assert len(list(open_corpus(recipe.data, recipe.data.corpora[0]))) == len(prepared.texts.train) < 300
    there = (tmp_path / "run").rename(tmp_path / "moved") / "text"
    assert moved(recipe, there).vocabulary.path == there
    assert list(open_corpus(recipe.data, moved(recipe, there).data.corpora[0])) == prepared.texts.train


def test_a_dry_run_trains_nothing(text: tuple[Path, Path], run_nmt: RunNmt, tmp_path: Path) -> None:
    done = run_nmt("train", *text, "--minutes", "5", "--dry-run", "-o", tmp_path / "run", check=True)
    assert "updates a minute" in done.stdout
    assert not (tmp_path / "run").exists()


def test_the_minutes_of_a_command_include_its_imports(run_nmt: RunNmt, monkeypatch: pytest.MonkeyPatch) -> None:
    importing, given = list[float](), list[Request]()
    monkeypatch.setattr("nmt.recipe.load.is_recipe", lambda _: bool(importing.append(time.monotonic())))
    monkeypatch.setattr("nmt.autotrain.run.autotrain", lambda request, *_: given.append(request))
    run_nmt("train", "a.de", "a.en", "--minutes", "2")
    assert given[0].begun < importing[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["DE"], "aligned line by line, or a file of both languages: .tsv"),
        (["DE", "EN"], "seems to be German"),
        (["EN", "DE", "--minutes", "0"], "--minutes"),
        (["--resume", "-o", "none"], "Name the text, without --resume, or the folder of a run"),
        (["EN", "DE", "--set", "model.width=3", "--minutes", "1", "-o", "run"], "model.width"),
        (["EN", "DE", "--set", "vocabulary.size=[2]", "--minutes", "1", "-o", "run"], "'size' is [2]: input should be"),
        (["EN", "DE", "--set", "vocabulary.size=0", "--minutes", "1", "-o", "run"], "'size' is 0: input should be"),
        (["EN", "DE", "--set", "data.train=all", "-o", "run"], "data.train is chosen by the command"),
        (["--set", "data.valid=null", "--resume", "-o", "x"], "data.valid is chosen by the command"),
        (["EN", "DE", "--set", "data.history_turns=1", "-o", "run"], "data.history_turns is chosen by the command"),
        (["EN", "DE", "--set", "data={train: all}", "-o", "run"], "data is chosen by the command"),
        (["EN", "DE", "--set", "training.max_minutes=9", "-o", "run"], "are given by --minutes and --from"),
        (["EN", "DE", "--set", "training.finetune_from=x", "-o", "run"], "training.finetune_from is chosen by the"),
        (["EN", "DE", "--from", "x", "--set", "training={max_epochs: 2}", "-o", "run"], "training is chosen by the"),
        (["EN", "DE", "--set", "data.source=de", "-o", "run"], "Both sides are called de"),
        (["quickstart", "--minutes", "3"], "are for text files"),
        (["none.tsv", "--minutes", "3"], "File not found: none.tsv"),
        ([], "Name two files or a recipe; with --resume, a run by -o"),
        (["EN", "DE", "--dry-run", "--resume"], "is for a new run"),
        (["EN", "DE", "--from", "x", "-o", "run"], "x is not a model directory"),
        (["EN", "DE", "--from", "x", "--dry-run"], "x is not a model directory"),
        (["multi30k/luong", "runs/luong"], "multi30k/luong is a recipe"),
        (["own.yaml", "EN", "--set", "data.root=x", "-o", "run"], "own.yaml is a recipe"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(
    text: tuple[Path, Path], run_nmt: RunNmt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str],
    message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    names = {"EN": text[0], "DE": text[1]}
    if arguments[:2] == ["DE", "EN"]:  # German under the name of English
        (tmp_path / "swapped.en").write_text(text[1].read_text("utf-8"), "utf-8")
        (tmp_path / "swapped.de").write_text(text[0].read_text("utf-8"), "utf-8")
        names = {"EN": tmp_path / "swapped.de", "DE": tmp_path / "swapped.en"}
    refused(run_nmt("train", *(names.get(argument, argument) for argument in arguments)), message)
    assert not (tmp_path / "run").exists()


def test_a_language_that_is_set_names_the_files_of_the_text(text: tuple[Path, Path], tmp_path: Path) -> None:
    prepare(Request(text, 1.0, {"data.source": "xy"}), tmp_path)
    assert {path.suffix for path in tmp_path.glob("train.*")} == {".xy", ".de"}


def test_columns_that_are_set_are_read_and_not_languages(text: tuple[Path, Path], tmp_path: Path) -> None:
    rows = zip(*map(read_lines, text), strict=True)
    (tmp_path / "a.csv").write_text("no,Text (EN),de/AT\n" + "".join(f'1,"{a}","{b}"\n' for a, b in rows), "utf-8")
    request = Request([tmp_path / "a.csv"], 1.0, {"data.source": "Text (EN)", "data.target": "de/AT"})
    assert request.default_output == Path("runs", "Text (EN)-de-AT")
    recipe, _ = prepare(request, tmp_path / "text").recipe(RECURRENT[0], 10)
    assert (recipe.data.source, recipe.data.target) == ("en", "de")


def test_a_run_does_not_write_over_the_text_that_is_given(
    text: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / "text" / f"train.{path.suffix[1:]}" for path in text]
    files[0].parent.mkdir()
    for path, given in zip(files, text, strict=True):
        path.write_bytes(given.read_bytes())
    with pytest.raises(UserError, match="has the text that was given"):
        nmt.train(tmp_path / "text", output=tmp_path, minutes=0.02)
    with pytest.raises(UserError, match="text exists, and would be written"):
        nmt.train(*text, output=tmp_path, minutes=0.02)
    (tmp_path / "text" / "vocabulary.txt").write_text("own", "utf-8")
    with pytest.raises(UserError, match="text exists"):
        nmt.train(*text, output=tmp_path, minutes=0.02)
    with ModelDirectory(tmp_path / "busy").writing(), pytest.raises(UserError, match="another process"):
        nmt.train(*text, output=tmp_path / "busy", minutes=0.02)
    assert files[0].read_bytes() == text[0].read_bytes()
    (tmp_path / "busy" / "recipe.yaml").touch()
    with pytest.raises(UserError, match=r"put its folder .*text back"):
        nmt.train(*text, output=tmp_path / "busy", resume=True)
    with pytest.raises(UserError, match="minutes is nan"):
        nmt.train(*text, output=tmp_path / "new", minutes=float("nan"))
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="in one process"):
        nmt.train(*text, output=tmp_path / "new", minutes=0.02)


@pytest.mark.parametrize(("line", "is_seen"), [("", False), ("word " * 3000, True)])
def test_validation_text_that_is_unusable_is_replaced(
    text: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, is_seen: bool
) -> None:
    for path in beginning(text, 60, tmp_path, "train"):
        (tmp_path / f"valid{path.suffix}").write_text(f"{line}\n" * 3, "utf-8")
    prepared = prepare(Request([tmp_path], 1.0), tmp_path / "text")
    assert prepared.texts.valid
    assert bool(set(prepared.texts.valid) & set(prepared.texts.train)) == is_seen
    assert ("is of text that the model has seen" in capsys.readouterr().err) == is_seen


def test_text_without_a_pair_that_can_be_trained_on_is_refused(tmp_path: Path) -> None:
    for line, message in (
        (" ", "no pair has 1 to 4,192 bytes on both sides"),
        ("a b c d e f g h " * 900, "no pair has 1 to 4,192 bytes"),
    ):
        for language in ("de", "en"):
            (tmp_path / f"a.{language}").write_text(f"{line}{language}\n" * 3 if line != " " else " \n" * 3, "utf-8")
        with pytest.raises(UserError, match=message):
            prepare(Request([tmp_path / "a.de", tmp_path / "a.en"], 1.0, keep_all=True), tmp_path / "text")
