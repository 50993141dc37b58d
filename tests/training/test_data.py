"""The text of a run: what a recipe names, and pairs that a program gives."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from fixture_types import RecipeMaker

import nmt
from nmt.core.errors import UserError
from nmt.recipe.schema import FilePair
from nmt.training.data import MAX_HELD_OUT, open_texts, prepare_data
from nmt.training.events import Event, Validated


def test_pairs_in_memory_train_as_those_of_files(
    make_recipe: RecipeMaker, tiny_pairs: list[tuple[str, str]], tmp_path: Path
) -> None:
    recipe = make_recipe(max_steps=4, recipe={"data": {"valid": "train"}})
    nowhere = {"data.root": str(tmp_path / "nowhere")}
    files = nmt.train(recipe, tmp_path / "files")
    memory = nmt.train(recipe, tmp_path / "memory", overrides=nowhere, pairs=tiny_pairs, valid=tiny_pairs)
    assert (memory / "model.safetensors").read_bytes() == (files / "model.safetensors").read_bytes()
    assert (memory / "vocabulary.txt").read_text("utf-8") == (files / "vocabulary.txt").read_text("utf-8")


def test_without_validation_pairs_some_are_held_out(
    make_recipe: RecipeMaker, tiny_pairs: list[tuple[str, str]], tmp_path: Path
) -> None:
    seen: list[Event] = []
    recipe = make_recipe(max_steps=1, metric="bleu")
    nmt.train(recipe, tmp_path / "run", pairs=tiny_pairs, on_event=seen.append)
    [validated] = [event for event in seen if isinstance(event, Validated)]
    samples = [(sample.source, sample.reference) for sample in validated.samples]
    assert len(samples) == int(MAX_HELD_OUT * len(tiny_pairs))
    assert set(samples) <= set(tiny_pairs)


def test_no_copy_of_a_pair_that_is_held_out_is_trained_on(
    make_recipe: RecipeMaker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither in the same corpus nor in another one, in either direction."""
    lines = [(f"satz nummer {n % 70}", f"sentence number {n % 70}") for n in range(100)]  # 40 of them occur once
    for side, language in enumerate(("de", "en")):
        (tmp_path / f"a.{language}").write_text("".join(pair[side] + "\n" for pair in lines), encoding="utf-8")
    files = [{"name": f"{a}-{b}", "source": f"a.{a}", "target": f"a.{b}"} for a, b in (("de", "en"), ("en", "de"))]
    data = {"root": str(tmp_path), "valid": None, "corpora": files}
    prepared = prepare_data(make_recipe(max_steps=1, recipe={"data": data}))
    held_out = set(zip(prepared.valid.sources, prepared.valid.references, strict=True))
    assert 0 < len(held_out) < 5
    whole, rows = prepared.texts[0][0], prepared.train[0].held_out
    assert [*zip(prepared.valid.sources, prepared.valid.references, strict=True)] == [[*whole][row] for row in rows]
    message = f"of 5 training pairs drawn, the {len(held_out)} that occur once are held out"
    assert message in " ".join(capsys.readouterr().err.split())
    for part, text in zip(prepared.train, prepared.texts[0], strict=True):
        assert part.held_out is not None
        trained = [pair for row, pair in enumerate(text) if row not in part.held_out]
        assert len(trained) == len(part) == 100 - len(held_out)
        assert not {*trained, *(pair[::-1] for pair in trained)} & held_out


def test_a_corpus_whose_pairs_are_all_held_out_is_refused(
    make_recipe: RecipeMaker, tiny_corpus: Path, tmp_path: Path
) -> None:
    data: dict[str, Any] = {"root": str(tmp_path), "valid": None, "hold_out": 1}
    recipe = make_recipe(max_steps=1, recipe={"data": data | {"root": str(tiny_corpus)}})
    held_out = prepare_data(recipe).valid
    for language, [line] in (("de", held_out.sources), ("en", held_out.references)):
        (tmp_path / f"b.{language}").write_text(f"{line}\n", encoding="utf-8")
        shutil.copy(tiny_corpus / f"train.{language}", tmp_path / f"a.{language}")
    data["corpora"] = [{"name": name, "source": f"{name}.de", "target": f"{name}.en"} for name in "ab"]
    with pytest.raises(UserError, match=r"one of the corpora would have none left\.\n.*data\.valid"):
        prepare_data(make_recipe(max_steps=1, recipe={"data": data}))


def test_a_text_of_copies_alone_has_nothing_to_hold_out(make_recipe: RecipeMaker) -> None:
    recipe = make_recipe(max_steps=1, recipe={"data": {"valid": None}})
    with pytest.raises(UserError, match=r"100 sentence pairs are too few, or repeated too often.*\n.*data\.valid"):
        prepare_data(recipe, pairs=[("ein Satz", "a sentence"), ("ein Wort", "a word")] * 50)


def test_pairs_may_be_an_iterator(make_recipe: RecipeMaker, tiny_pairs: list[tuple[str, str]]) -> None:
    given: Any = zip(*zip(*tiny_pairs, strict=True), strict=True)
    train, *_ = open_texts(make_recipe(max_steps=1).data, given, tiny_pairs)
    assert [pair for text in train for pair in text] == tiny_pairs


@pytest.mark.parametrize("wrong", [("one side",), ("one", 2), ("a", "b", "c"), "ab", None, 5])
def test_what_is_no_pair_is_refused(make_recipe: RecipeMaker, wrong: Any) -> None:
    with pytest.raises(UserError, match=r"valid\[1\] is .*\n.*\(source, target\)"):
        open_texts(make_recipe(max_steps=1).data, [("a", "b")], [("a", "b"), wrong])


def test_a_line_break_in_memory_is_a_space_and_changes_the_fingerprint(make_recipe: RecipeMaker) -> None:
    options = make_recipe(max_steps=1).data
    [text], _ = open_texts(options, [("a\nb", "c\r\nd")])
    assert list(text) == [("a b", "c d")]
    assert text.fingerprint() == open_texts(options, [("a b", "c d")])[0][0].fingerprint()
    assert text.fingerprint() != open_texts(options, [("a b", "c"), ("d", "")])[0][0].fingerprint()


def test_files_for_training_are_not_validated_on_a_data_set_of_the_hub(
    make_recipe: RecipeMaker, tiny_corpus: Path
) -> None:
    files = {"source": tiny_corpus / "train.de", "target": tiny_corpus / "train.en"}
    options = make_recipe(max_steps=1, recipe={"data": {"root": None, "hub": "anybody/multi30k", "train": files}}).data
    with pytest.raises(UserError, match=r"'val' of the data set anybody/multi30k.*\n.*data\.valid=null"):
        open_texts(options)
    assert open_texts(options.model_copy(update={"valid": None}))[1] is None


def test_validation_on_the_training_text_is_warned_of(
    make_recipe: RecipeMaker, tiny_corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = {"type": "files", "source": tiny_corpus / "train.de", "target": tiny_corpus / "train.en"}
    recipe = make_recipe(max_steps=1, recipe={"data": {"root": None, "text": text}})
    prepare_data(recipe)
    assert "train.en is validated on and trained on, because data.text has no splits" in capsys.readouterr().err
    other = FilePair(source=tiny_corpus / "val.de", target=tiny_corpus / "val.en")
    for valid in (other, "train"):  # a text of its own, or the same one by name
        prepare_data(recipe.model_copy(update={"data": recipe.data.model_copy(update={"valid": valid})}))
    assert "validated on" not in capsys.readouterr().err
