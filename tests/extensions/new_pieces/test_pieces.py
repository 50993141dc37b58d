"""New pieces of trained vocabularies: the present pieces keep their ids, and further text needs fewer pieces."""

from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_types import RecipeMaker
from saved_weights import weights

from nmt.core.errors import UserError
from nmt.data.vocabulary.files import Vocabularies, train_vocabularies
from nmt.extensions.new_pieces.pieces import extend_vocabularies
from nmt.recipe.schema import VocabularyOptions
from nmt.training.resolve import resolve
from nmt.training.run import train

LINES = [f"{a} {b} {c}" for a in ("der Hund", "die Katze") for b in ("schläft", "rennt") for c in ("heute", "morgen")]
FRENCH = [f"le {a} {b}" for a in ("garçon", "chien", "forêt") for b in ("dort souvent", "court vite")]


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_further_text_adds_pieces_and_symbols(kind: str, tmp_path: Path) -> None:
    options = VocabularyOptions(type=kind, size=28)
    before = train_vocabularies(options, [(line, line) for line in LINES], tags=["<2en>"])
    pairs = [(line, line) for line in FRENCH * 3]
    size = len(before.source) + 45
    after = extend_vocabularies(before, VocabularyOptions(type=kind, size=size), pairs, ["<2fr>", "<2en>"], True)
    after.save(tmp_path)
    old, new = before.source, Vocabularies.load(tmp_path).source
    assert len(old) + 10 < len(new) <= size + 3
    assert list(map(new.token, range(len(old)))) == list(map(old.token, range(len(old))))
    assert [new.token(i) for i in new.encode("<2fr> <2en> der")][:2] == ["<2fr>", "<2en>"]
    assert {"<term>", "</term>"} < {new.token(i) for i in new.encode("Hund <term> dog </term>")}
    for line in FRENCH:
        assert new.decode(new.encode(line)) == line
        assert len(new.encode(line)) < len(old.encode(line))
    unchanged = [line for line in LINES if new.encode(line) == old.encode(line)]
    assert len(unchanged) >= len(LINES) / 2


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_numbers_are_divided_as_the_trained_vocabulary_divides_them(kind: str) -> None:
    old = [(f"der Hund {number}", "die Katze 10 20 30") for number in range(1000, 1100)]
    new = [(f"le chien {year}", f"{year}") for year in range(1990, 2020)] * 3
    for is_split, size in ((True, 27), (False, 45)):
        before = train_vocabularies(VocabularyOptions(type=kind, size=size, split_digits=is_split), old)
        after = extend_vocabularies(before, VocabularyOptions(type=kind, size=90), new).source
        pieces = {after.token(i) for i in range(len(before.source), len(after))}
        assert any(char.isdigit() and len(piece) > 1 for piece in pieces for char in piece) != is_split
        assert ([after.token(i) for i in after.encode("2010")] == ["▁", *"2010"]) == is_split


@pytest.mark.parametrize(
    ("kind", "size", "message"),
    [("character", 99, "of subwords"), ("unigram", 28, "has 28 pieces"), ("unigram", 29, "leaves room for 1 more")],
)
def test_what_cannot_be_extended_is_refused(kind: str, size: int, message: str) -> None:
    before = train_vocabularies(VocabularyOptions(type=kind, size=28), [(line, line) for line in LINES])
    with pytest.raises(UserError, match=message):
        extend_vocabularies(before, VocabularyOptions(type=kind, size=size), [("le chien", "le chien")])


def test_a_vocabulary_is_extended_by_the_pieces_of_a_corpus(
    make_recipe: RecipeMaker, tiny_corpus: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options: dict[str, Any] = {"vocabulary": {"type": "unigram", "size": 60}}
    trained = train(make_recipe("luong", recipe=options, max_steps=20), tmp_path / "trained")
    for side, line in (("source", "Garçon, Forêt"), ("target", "boy zoo")):
        (tmp_path / f"new.{side}").write_text(f"{line}\n" * 50, "utf-8")
    new = {"name": "new", "source": str(tmp_path / "new.source"), "target": str(tmp_path / "new.target")}
    old = {"name": "old", "source": str(tiny_corpus / "train.de"), "target": str(tiny_corpus / "train.en")}
    options = {"vocabulary": {"type": "unigram", "size": 90}, "data": {"corpora": [new | {"new_pieces": True}, old]}}
    recipe = make_recipe("luong", recipe=options, finetune_from=trained, max_steps=1, learning_rate=1e-12)
    tuned = train(recipe, tmp_path / "tuned")
    before, after = Vocabularies.load(trained), Vocabularies.load(tuned)
    added = len(after.source) - len(before.source)
    assert f"added {added} pieces of new to the vocabulary" in capfd.readouterr().err
    for old_side, new_side in ((before.source, after.source), (before.target, after.target)):
        tokens = list(map(new_side.token, range(len(new_side))))
        assert tokens[: len(old_side)] == list(map(old_side.token, range(len(old_side))))
        assert len(old_side) < len(tokens) <= 90
    assert before.source.unk in before.source.encode("Garçon")
    assert after.source.unk not in after.source.encode("Garçon, Forêt")
    # Embeddings of the present pieces are where they were.
    rows, present = (weights(run)["encoder.embedding.table.weight"] for run in (tuned, trained))
    torch.testing.assert_close(rows[: len(before.source)], present, atol=1e-9, rtol=0)
    resumed = recipe.model_copy(update={"training": recipe.training.model_copy(update={"max_steps": 2})})
    train(resumed, tuned, resume=True)
    assert Vocabularies.load(tuned).fingerprint == after.fingerprint


def test_new_pieces_and_a_new_vocabulary_are_refused(make_recipe: RecipeMaker) -> None:
    corpus = {"name": "new", "new_pieces": True, "source": "new.de", "target": "new.en"}
    with pytest.raises(UserError, match="makes another one"):
        resolve(make_recipe("luong", recipe={"data": {"corpora": [corpus]}}, new_vocabulary=True, max_steps=1))
