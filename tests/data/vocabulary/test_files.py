"""Vocabularies of other packages."""

from collections.abc import Callable
from pathlib import Path

import pytest

import nmt
from nmt.core.errors import UserError
from nmt.data.vocabulary.base import SPACE
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.recipe import registry
from nmt.recipe.load import load_recipe


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
