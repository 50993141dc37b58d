"""Vocabularies of other packages, and vocabularies that are extended."""

from collections.abc import Callable
from pathlib import Path

import pytest

import nmt
from nmt.core.errors import UserError
from nmt.data.vocabulary.base import SPACE
from nmt.data.vocabulary.files import Vocabularies, extend_vocabularies, train_vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.recipe import registry
from nmt.recipe.load import load_recipe
from nmt.recipe.schema import VocabularyOptions


class Letters(WordVocabulary):
    """Each character is a word."""

    suffix = ".letters"

    @staticmethod
    def split(text: str) -> list[tuple[str, int, int]]:
        return [
            ((SPACE if not i or text[i - 1].isspace() else "") + letter, i, i + 1)
            for i, letter in enumerate(text)
            if not letter.isspace()
        ]


@pytest.mark.quick("True")
@pytest.mark.parametrize("joint", [False, True])
def test_an_outside_vocabulary_is_learned_saved_and_loaded(
    train_tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, joint: bool
) -> None:
    monkeypatch.setattr(registry, "_added", list(registry._added))
    nmt.add_component("letters", Letters)
    directory = train_tiny("training.max_steps=1", "vocabulary.type=letters", f"vocabulary.joint={joint}")
    found = Vocabularies.load(directory)
    assert isinstance(found.source, Letters)
    assert found.joint == joint
    names = ["vocabulary.letters"] if joint else ["vocabulary.source.letters", "vocabulary.target.letters"]
    assert sorted(path.name for path in directory.glob("vocabulary.*")) == names
    ids = found.source.encode("Der Hund")
    assert [found.source.token(i) for i in ids] == ["▁D", "e", "r", "▁H", "u", "n", "d"]
    assert found.source.decode(ids) == "Der Hund"
    assert load_recipe(directory / "recipe.yaml").plugins == {__name__: ""}  # without it the model can't be loaded


def test_an_unknown_vocabulary_is_refused_before_the_text_is_read(tiny_recipe: Path, tmp_path: Path) -> None:
    overrides = {"vocabulary.type": "unigramm", "data.root": str(tmp_path / "nowhere")}
    with pytest.raises(UserError, match=r"vocabulary\.type: there is no vocabulary 'unigramm'") as caught:
        nmt.train(tiny_recipe, tmp_path / "run", overrides=overrides)
    assert "unigram" in caught.value.remedy


def test_an_empty_file_of_labels_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "vocabulary.target.labels").touch()
    with pytest.raises(UserError, match=r"vocabulary\.target\.labels: The file has no labels"):
        Vocabularies.load(tmp_path / "vocabulary.target.labels")


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


@pytest.mark.parametrize(
    ("kind", "size", "message"),
    [("character", 99, "of subwords"), ("unigram", 28, "has 28 pieces"), ("unigram", 29, "leaves room for 1 more")],
)
def test_what_cannot_be_extended_is_refused(kind: str, size: int, message: str) -> None:
    before = train_vocabularies(VocabularyOptions(type=kind, size=28), [(line, line) for line in LINES])
    with pytest.raises(UserError, match=message):
        extend_vocabularies(before, VocabularyOptions(type=kind, size=size), [("le chien", "le chien")])
