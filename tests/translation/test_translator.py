"""The translator: text in, text out, whatever the text is."""

import pickle
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.core.errors import UserError
from nmt.translation.load import load
from nmt.translation.translator import Translator

LINES = st.lists(st.text(st.characters(exclude_characters="\n"), max_size=40), max_size=6)  # lone surrogates, too


@pytest.fixture(scope="module")
def translator(tiny_model: Path) -> Translator:
    return load(tiny_model, "cpu")


@pytest.fixture(scope="module")
def of_bytes(bytes_model: Path) -> Translator:
    return load(bytes_model, "cpu")


@settings(max_examples=6)
@given(lines=LINES)
def test_any_pair_is_scored(translator: Translator, of_bytes: Translator, lines: list[str]) -> None:
    pairs = list(zip(lines, reversed(lines), strict=True))
    for each in (translator, of_bytes):
        found = list(each.score(pairs, batch_size=2))
        assert [(pair.source, pair.target) for pair in found] == pairs
        assert all(pair.score is not None and pair.score <= 0 for pair in found)


@pytest.mark.parametrize("with_alignment", [True, "punctuation"])
def test_the_alignment_of_a_stream_is_that_of_align(
    translator: Translator, with_alignment: bool | Literal["punctuation"]
) -> None:
    lines = ["Der Hund schläft im Garten.", "", "Heute trinkt die Katze kaltes Wasser.", "Hund"] * 3
    found = list(translator.stream(lines, with_alignment=with_alignment, batch_size=2))
    pairs = [(translation.source, translation.text) for translation in found]
    expected = translator.align(pairs, split_punctuation=with_alignment == "punctuation")
    assert {translation.with_punctuation for translation in found} == {with_alignment == "punctuation"}
    assert [translation.alignment for translation in found] == [alignment.links for alignment in expected]
    assert all(translation.alignment is None for translation in translator.translate(lines))


def test_a_stream_reads_no_further_than_it_must(translator: Translator) -> None:
    numbers = count()

    def endless() -> Iterator[str]:
        for _ in numbers:
            yield "Der Hund schläft im Garten."

    first = list(islice(translator.stream(endless(), beam_size=1, batch_size=1), 2))
    assert [translation.text for translation in first] == ["The dog sleeps in the garden."] * 2
    assert next(numbers) <= 100


def test_a_long_line_is_cut_where_the_model_has_never_been(
    translator: Translator, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["Der Hund schläft im Garten.", "Hund " * 1000]
    found = translator.translate(lines, beam_size=1)
    assert found[0].text == "The dog sleeps in the garden."
    [alone] = translator.translate(["Hund " * translator.max_pieces], beam_size=1)
    assert found[1].text == alone.text
    messages = " ".join(capsys.readouterr().err.split())
    assert messages.count("Warning") == 1
    assert "line 2 has 1,000 pieces: only the first 300 are translated." in messages


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_best": 6}, "6 candidates can't come from 5 hypotheses"),
        ({"n_best": 0}, "n_best is 0"),
        ({"beam_size": 0}, "'beam_size' is 0"),
        ({"beam_sise": 3}, "unknown key 'beam_sise'"),
        ({"length_penalty": "much"}, "decoding.length_penalty: there is no length penalty 'much'"),
    ],
)
def test_wrong_options(translator: Translator, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        translator.translate(["Der Hund."], **options)  # type: ignore[arg-type]


def test_a_text_is_one_line_and_what_is_no_text_is_named(translator: Translator) -> None:
    assert [each.source for each in translator.stream("Der Hund.")] == ["Der Hund."]
    wrong: Any = ["Der Hund.", None]
    with pytest.raises(UserError, match="Line 2 is None"):
        translator.translate(wrong)


def test_only_the_candidates_that_are_wanted_become_text(
    translator: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = translator.vocabularies.target
    decoded, decode = list[object](), target.decode

    def noted(ids: Sequence[int]) -> str:
        decoded.append(ids)
        return decode(ids)

    monkeypatch.setattr(target, "decode", noted)
    for wanted, options in ((1, {}), (2, {"n_best": 2})):
        decoded.clear()
        translator.translate("der Hund", beam_size=4, **options)
        assert len(decoded) == wanted


@pytest.mark.quick("fp32")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_threads_get_what_a_single_one_gets(tiny_model: Path, precision: str) -> None:
    translator = load(tiny_model, "cpu", precision=precision)
    given = ["Der Hund schläft im Garten.", "", "Heute trinkt die Katze kaltes Wasser.", "Mond " * 9, "Das Kind."]
    jobs = [(given[start:] + given[:start], {"beam_size": 1 + start % 3, "batch_size": 2}) for start in range(5)] * 2

    def translate(job: tuple[list[str], dict[str, int]]) -> list[tuple[str, float]]:
        lines, options = job
        found = translator.translate(lines, **options)
        scored = list(translator.score([(t.source, t.text) for t in found]))
        assert [pair.source for pair in scored] == lines
        return [(t.text, t.score) for t in found]

    alone = [translate(job) for job in jobs]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(translate, jobs)) == alone


def test_another_process_can_have_the_translator(translator: Translator) -> None:
    lines = ["DER HUND SCHLÄFT IM GARTEN.", "Heute trinkt die Katze kaltes Wasser."]
    found = translator.translate(lines, beam_size=2)  # and what extensions keep for it
    assert translator.align([(lines[1], found[1].text)])
    assert pickle.loads(pickle.dumps(translator)).translate(lines, beam_size=2) == found
