"""Tags come back around the words that translate those between them, and what is no text stays as it is."""

import random
import re
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import Mock

import markup_quality as tool
import pytest
from backwards import WORDS, translate, translated

from nmt.core.errors import UserError
from nmt.extensions.documents.elements import translate_html
from nmt.extensions.documents.markup import MAX_PART, translate_content
from nmt.extensions.documents.tags import Node
from nmt.translation.results import Translation
from tests.extensions.documents.conftest import by

HEAD = '<!DOCTYPE html>\n<html lang="de"><head><meta charset="utf-8"><title>'


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Der <b>Hund</b> sieht.", "sees <b>dog</b> the."),
        ("<p>Der <i>Hund <b>sieht</b></i> schnell.</p>", "<p>quickly <i><b>sees</b> dog</i> the.</p>"),
        ("<p>Der Hund.</p>\n<p>Katze.</p>", "<p>dog the.</p>\n<p>cat.</p>"),
        ("Hund <br> Katze", "dog <br> cat"),
        ('Der <a href="x">Hund.</a>', '<a href="x">dog</a> the.'),
        ("<ul><li>Hund<li>der Hund</ul>", "<ul><li>dog</li><li>dog the</li></ul>"),
        ("<b>Der Hund. Katze sieht.</b>", "<b>dog the. sees cat.</b>"),
        ('Hund<img src="a"> sieht', 'sees dog<img src="a">'),
        ("<div>Der <span>Hund</span><p>Katze</p>sieht Hund</div>", "<div><span>dog</span> the<p>cat</p>dog sees</div>"),
        ("Der <code>Hund</code> sieht", "sees <code>Hund</code> the"),
        ("5 m<sup>2</sup> und H<sub>2</sub>O", "H<sub>2</sub>O and m<sup>2</sup> 5"),
        ("der <b>H</b>und sieht", "sees <b>dog</b> the"),
        ("der <b>Schm</b><i></i><b>idt</b> sieht", "sees <b>Schmidt</b> the<i></i><b></b>"),
        ("Der <ruby>Hund<rt>und</rt></ruby> sieht", "sees <ruby>dog<rt>und</rt></ruby> the"),
        ('Der <span translate="no">Hund</span> sieht', 'sees <span translate="no">Hund</span> the'),
        ("<script>Hund</script><style>Katze</style>der Hund", "<script>Hund</script><style>Katze</style>dog the"),
        ("Hund &amp; Katze", "cat &amp; dog"),
        ("Hund &copy; Katze&hellip;", "cat &copy; dog&hellip;"),
        ("", ""),
        ("<p></p> <br>", "<p></p> <br>"),
        (
            f"{HEAD}Der Hund</title></head><body>Katze</body></html>",
            f"{HEAD}dog the</title></head><body>cat</body></html>",
        ),
    ],
)
def test_tags_are_around_the_words_that_translate_theirs(source: str, expected: str) -> None:
    assert translate_html(source, translate, "de") == expected


def test_an_element_whose_words_are_apart_is_divided_unless_it_is_a_link() -> None:
    calls_up = by(lambda _: "Er ruft den Hund an", ((0, 0), (1, 1), (1, 4), (2, 3)))
    assert translate_html("He <b>calls</b> Fido", calls_up) == "Er <b>ruft</b> den Hund <b>an</b>"
    assert translate_html("He <w:x>calls</w:x> Fido", calls_up) == "Er <w:x>ruft</w:x> den Hund <w:x>an</w:x>"
    assert translate_html('He <a href="x">calls</a> Fido', calls_up).count("<a") == 1
    assert translate_html('He <b id="x">calls</b> Fido', calls_up).count("<b") == 1


def test_a_word_with_as_many_links_into_an_element_as_out_of_it_goes_with_the_word_before() -> None:
    calls = by(lambda _: "Er ruft an", ((0, 0), (1, 1), (0, 1), (1, 2)))
    assert translate_html("He <b>calls</b>", calls) == "Er ruft <b>an</b>"
    assert translate_html("<b>He</b> calls", calls) == "<b>Er ruft</b> an"


def test_marks_stay_beside_code_of_several_words_that_was_translated() -> None:
    in_capitals = by(str.upper, tuple((i, i) for i in range(7)))
    source = "Use <code>pip install nmt</code>, (<code>go on</code>) dog."
    assert translate_html(source, in_capitals) == source.replace("Use", "USE").replace("dog", "DOG")


KEPT = [
    "https://example.org/Hund?a=1&b=2", "der@hund.org", "{katze}", "{{ hund }}", "%s", "%(hund)s", "%1$d", "5 km",
    "12,5\u00a0%", "$5.99", "@hund", "#katze", "🐕",
]  # fmt: skip


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("behaviour", ["copied", "lost", "doubled", "garbled", "unlinked"])
def test_what_is_no_text_is_in_the_translation_once(kept: str, behaviour: str) -> None:
    def model(sentences: Sequence[str]) -> list[Translation]:
        [made] = map(translated, sentences)
        new = {"copied": kept, "lost": "", "doubled": f"{kept} {kept}"}.get(behaviour, "gr@bl")
        text = " ".join(" ".join(new if w in kept.split() else w for w in made.text.split()).split())
        links = made.alignment if behaviour == "garbled" and len(kept.split()) == 1 else None
        return [Translation(made.source, text, 0.0, [], alignment=links)]

    [result] = translate_content([[f"der Hund sieht {kept} und Katze."]], model)
    [text] = result
    assert isinstance(text, str)
    assert text.count(kept) == 1
    assert re.sub(r"\s+", " ", text) == text.replace("\u00a0", " ")
    assert "dog" in text
    assert "cat" in text


def test_an_address_keeps_the_elements_within_it() -> None:
    mention = '<a href="https://a.org/b"><span class="invisible">https://</span><span>a.org/b</span></a>'
    assert translate_html(f"<p>Der {mention} Hund</p>", translate) == f"<p>dog {mention} the</p>"


def test_text_does_not_depend_on_tags() -> None:
    draw = random.Random(3)
    words = [*WORDS, "{x}", "5 km", "https://a.org/b", "%s"]
    for _ in range(200):
        chosen = draw.choices(words, k=8)
        begin, end = sorted(draw.sample(range(9), 2))
        marked = [*chosen[:begin], "<b>" + " ".join(chosen[begin:end]) + "</b>", *chosen[end:]]
        with_tags = translate_html(" ".join(marked), translate)
        assert re.sub("<[^<>]*>", "", with_tags) == translate_html(" ".join(chosen), translate)


def test_too_many_placeholders_in_a_paragraph_are_refused() -> None:
    untouched = Mock(return_value=[])
    with pytest.raises(UserError, match=r"The paragraph '\{x\} .* more than 100,000 numbers.*\n.*Split it"):
        translate_content([["{x} " * 100_000, Node("", ["{x}"])]], untouched)
    untouched.assert_not_called()


def test_html_that_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(UserError, match="inside one another"):
        translate_html("<b>" * 5000 + "Hund", translate)
    assert "dog" in translate_html("<b>" * 240 + "Hund", translate)


@pytest.mark.parametrize(
    "text",
    ["\0", "<", "<!--", "<![CDATA[x]]>", "&#0;&#xD800;", "<p\x00>Hund", "\ud800 Hund", "<?php Hund ?>", "a<body>b"],
)
def test_broken_html_is_no_error(text: str) -> None:
    translate_html(text, translate)


@pytest.mark.parametrize(("word", "end"), [("x", ""), ("狗", "。")], ids=["one word", "sentences without space"])
def test_text_without_white_space_is_divided(word: str, end: str) -> None:
    block, lengths = (word * 999 + end) * 100, list[int]()

    def unchanged(sentence: str) -> str:
        lengths.append(len(sentence))
        return sentence

    (content,) = translate_content([[block]], by(unchanged))
    assert "".join(map(str, content)).replace(" ", "") == block
    assert max(lengths) <= 2 * MAX_PART
    assert not end or max(lengths) == 1000  # sentencex divides what is short enough


@pytest.mark.slow
@pytest.mark.parametrize(("corpus", "least"), [("embedded", 0.99), ("gold", 0.97)])
def test_known_links_bring_tags_back(corpus: str, least: float, shared_data: Path) -> None:
    pairs = tool.embedded_pairs() if corpus == "embedded" else tool.gold_pairs(shared_data / "gold", "de", "en")
    known = tool.measure(pairs, tool.known_links, 300)
    assert known.f1 > least
    assert known.f1 > tool.measure(pairs, tool.position_links, 300).f1 + 0.1


@pytest.mark.slow
def test_random_documents_stay_legal() -> None:
    assert tool.check_documents(150) == []
