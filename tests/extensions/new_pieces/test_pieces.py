"""New pieces of trained vocabularies: the present pieces keep their ids, and further text needs fewer pieces."""

from pathlib import Path

import pytest

from nmt.core.errors import UserError
from nmt.data.vocabulary.files import Vocabularies, train_vocabularies
from nmt.extensions.new_pieces.pieces import extend_vocabularies
from nmt.recipe.schema import VocabularyOptions

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
