"""Characters that no piece of a vocabulary has are kept, and the rest of a line is translated as without them."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import nmt
from nmt.extensions.documents.unseen import UnseenText, without_unseen
from nmt.translation.request import OutputConstraints, Request
from nmt.translation.results import Candidate

LINE = "Der Hund schläft im Garten."
DECODING = {"max_length": 30, "restore_case": False}


@pytest.fixture(scope="module")
def translator(bytes_model: Path) -> nmt.Translator:
    return nmt.load(bytes_model, "cpu")


@pytest.mark.parametrize(
    ("line", "marked"),
    [
        (LINE, LINE),
        ("Der Hund schläft 😀.", "Der Hund schläft _."),
        ("Der Hund (½) 👨\u200d👩\u200d👧 schläft ❤\ufe0f", "Der Hund ___ _____ schläft __"),
        ("Der Hund😀 → Garten", "Der Hund_ _ Garten"),
        ("Łukasz Hund im (李小龙) Da€an", "______ Hund im _____ _____"),
        ("Der Garten a→b. →b", "Der Garten ___. _b"),
        ("Der Hund—im Garten/Haus", "Der Hund_im Garten_Haus"),
    ],
)
def test_marks_and_words_with_unseen_characters_are_taken_out(
    translator: nmt.Translator, line: str, marked: str
) -> None:
    assert UnseenText(translator).marked(Request(line)).replace("\0", "_") == marked


def test_the_rest_of_a_line_is_translated_as_without_its_unseen_characters(translator: nmt.Translator) -> None:
    clean = translator.translate(LINE, n_best=2, **DECODING)
    found = translator.translate(LINE.replace(".", " 😀."), n_best=2, with_alignment=True, check=True, **DECODING)
    assert found.source == "Der Hund schläft im Garten 😀."
    assert [each.text.replace(" 😀", "").replace("😀", "") for each in found.n_best] == [c.text for c in clean.n_best]
    assert found.text.count("😀") == 1
    assert found.score == pytest.approx(clean.score)
    assert all(s < 6 and t < len(found.text.split()) for s, t in found.alignment or ())
    assert translator.translate(f"{LINE} 😀", **DECODING).text == f"{clean.text} 😀"
    assert translator.translate(f"Łódź: {LINE}", **DECODING).text.startswith("Łódź")


def test_unseen_text_alone_is_its_own_translation(translator: nmt.Translator) -> None:
    texts = ["😀", "Łódź!", "€ – (½)"]
    assert [each.text for each in translator.translate(texts, **DECODING)] == texts


def test_characters_are_replaced_by_seen_ones(translator: nmt.Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UnseenText, "_is_unseen", lambda self, character: character in "’Ü")
    unseen = UnseenText(translator)
    assert unseen.marked(Request("Über Hund’s")) == "über Hund's"
    assert unseen.marked(Request("Über Hund’s", prefix="The")) == "Über Hund’s"
    assert unseen.marked(Request("Über Hund’s", terms={"hund’s": "dog"})) == "über Hund’s"


def test_lines_with_terms_keep_unseen_text_too(translator: nmt.Translator) -> None:
    terms = {"Hund": "Dackel", "im Łódź": "in Lodz", "😀": ":-)"}
    unseen, request = UnseenText(translator), Request(f"{LINE} Im Łódź 😀 李小龙.", terms=terms)
    assert unseen.marked(request).replace("\0", "_") == f"{LINE} _______ _ ___."
    found, bare = (translator.translate(each, **DECODING).text for each in (request, Request(LINE, terms=terms)))
    for text in ("in Lodz", ":-)", "李小龙"):
        assert found.count(text) == 1
        found = found.replace(text, "")
    assert re.findall(r"\w+", found) == re.findall(r"\w+", bare)
    assert translator.translate(Request("Im Łódź 😀!", terms=terms), **DECODING).text == "in Lodz :-)!"


def test_a_model_with_unk_keeps_them_too(train_tiny: Callable[..., Path]) -> None:
    model = train_tiny("training.max_steps=3", "vocabulary={type: unigram, size: 100, joint: true}")
    assert nmt.load(model, "cpu").translate(LINE.replace(".", " 😀."), **DECODING).text.count("😀") == 1


def test_tags_stay_in_front(train_tiny: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    vocabulary = "vocabulary={type: unigram, size: 366, joint: true, byte_fallback: true}"
    corpora = "data.corpora=[{name: de-en, source: train.de, target: train.en, tag: <2en>}]"
    tagged = nmt.load(train_tiny("training.max_steps=3", vocabulary, corpora), "cpu")
    capsys.readouterr()
    assert UnseenText(tagged).marked(Request(f"<2en> {LINE} 😀")) == f"<2en> {LINE} \0"
    assert (
        tagged.translate(f"<2en> {LINE} 😀", **DECODING).text
        == tagged.translate(f"<2en> {LINE}", **DECODING).text + " 😀"
    )
    assert capsys.readouterr().err == ""  # no warning that the line has no tag


def test_a_dash_between_words_leaves_a_space(translator: nmt.Translator) -> None:
    sources = list[str]()

    def search(requests: Sequence[Request]) -> list[list[Candidate]]:
        sources.extend(each.source for each in requests)
        return [[Candidate("The dog", 0.0, [])]]

    [[found]] = without_unseen(translator, search, OutputConstraints())([Request("Der Hund—im Garten")])
    assert sources == ["Der Hund im Garten"]
    assert found.text.count("—") == 1


def test_a_long_line_is_told_of_once(translator: nmt.Translator, capsys: pytest.CaptureFixture[str]) -> None:
    translator.translate([LINE, f"{LINE * 200} 😀"], split_sentences=False, **DECODING)
    assert re.findall(r"line (\d) has", capsys.readouterr().err) == ["2"]


def test_forbidden_characters_are_not_put_back(translator: nmt.Translator) -> None:
    constraints = OutputConstraints(forbid=["😀"])
    assert "😀" not in translator.translate("Der Hund 😀.", constraints=constraints, **DECODING).text


def test_models_that_may_have_learned_bytes_and_those_without_attention_search_as_before(
    translator: nmt.Translator, vanilla_model: Path
) -> None:
    def search() -> list[list[Candidate]]:
        return []

    recipe = translator.recipe
    covered = recipe.model_copy(
        update={"vocabulary": recipe.vocabulary.model_copy(update={"character_coverage": 0.9995})}
    )
    for other in (nmt.load(vanilla_model, "cpu"), translator.replaced(recipe=covered)):
        assert without_unseen(other, search, OutputConstraints()) is search
    assert without_unseen(translator, search, OutputConstraints()) is not search
    given = OutputConstraints(replace_unknown=True, unknown_lexicon={"Łódź": "Lodz"})
    assert without_unseen(translator, search, given) is search
