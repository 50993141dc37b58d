"""Files come back in their language with everything else as it was; dangerous ones are refused."""

import contextlib
import sys
import time
import tomllib
from html import escape
from pathlib import Path

import pytest
from archives import packed, unpacked
from backwards import translate

import nmt
from nmt.core.errors import UserError
from nmt.extensions.documents.formats import report_on, sentences_of_document, translate_document
from tests.extensions.documents.conftest import ODF, W, translated


def test_html() -> None:
    page = '<html lang="de"><body><p>Der <b>Hund</b></p></body></html>'
    assert translated("a.HTML", page) == '<html lang="en"><body><p><b>dog</b> the</p></body></html>'
    equivalent = '<meta http-equiv="Content-Type" content="text/html; charset=latin-1">'
    for head in ('<meta charset="latin-1">', equivalent, f"<html><head>{equivalent}</head><body>"):
        latin = f"{head}<p>Käse</p>".encode("latin-1")
        assert translate_document("a.htm", latin, translate).startswith(latin)
    windows = b'<meta charset="iso-8859-1"><p>Hund\x92s'
    assert sentences_of_document("a.htm", windows) == ["Hund\u2019s"], "browsers read Windows-1252"
    assert translate_document("a.htm", windows, translate).startswith(windows)
    marked = '\ufeff<meta charset="iso-8859-1"><p>Käse'.encode()
    assert sentences_of_document("a.htm", marked) == ["Käse"], "the byte order mark counts more"


@pytest.mark.parametrize(
    ("target", "before", "after"),
    [
        ("zt", 'lang="de-AT" xml:lang="de"', 'lang="zh-Hant" xml:lang="zh-Hant"'),
        ("ar", 'lang="de"', 'lang="ar" dir="rtl"'),
        ("ar", "", ' dir="rtl"'),
        ("en", 'lang="ar" dir="rtl"', 'lang="en" dir="ltr"'),
        ("en", "", ""),
        ("target", 'lang="de"', 'lang="de"'),  # a recipe may name its languages so
    ],
)
def test_a_page_declares_the_language_of_its_translation(target: str, before: str, after: str) -> None:
    page = f"<html {before}><body><p>Hund</p></body></html>"
    result = translate_document("a.html", page.encode(), translate, "de", target).decode()
    assert result == f"<html{after if not before else f' {after}'}><body><p>dog</p></body></html>"


def test_what_is_in_another_language_or_not_translated_keeps_its_language() -> None:
    page = '<html lang="de"><body lang="DE"><p>Hund <i lang="fr">chien</i></p><p translate="no"><b lang="de">Hund</b>'
    result = translated("a.html", page)
    assert result.startswith('<html lang="en"><body lang="en"><p><i lang="fr">chien</i> dog</p>')
    assert '<b lang="de">Hund</b>' in result


def test_what_readers_of_a_page_see_or_hear_of_its_attributes() -> None:
    page = (
        '<p title="{}"><img src="Hund.jpg" alt="{}"> <a aria-label="{}" id="Hund">{}</a></p><input placeholder="{}" '
        'name="Hund"><img alt="hund_1.jpg"><img alt="17"><p translate="no"><img alt="Hund"></p>'
        '<template><img alt="Hund"></template>'
    )
    source, expected = (
        ("Der Hund", "Die &lt;b&gt;", "Hund", "Hund", "Katze"),
        ("dog the", "&lt;b&gt; Die", "dog", "dog", "cat"),
    )
    assert translated("a.html", page.format(*source)) == page.format(*expected)


def test_the_report_names_the_element_of_text_behind_a_comment() -> None:
    report = report_on("a.html", b"<p>Ein Hund</p><pre>laut <!-- oder leise --> Hund</pre>")
    places = [each["where"] for each in report.to_json(report)["left_alone"]]
    assert places == ["line 1, pre"] * 2
    report = report_on("a.md", b"---\na: b\n---\n```\nlaut\n```\nEin Hund\n\n    leise\n\n<p>Hund</p>\n")
    places = [each["where"] for each in report.to_json(report)["left_alone"]]
    assert places == ["line 4, fence", "line 9, code_block", "line 11, html_block"]
    report = report_on("a.po", b'msgid ""\nmsgstr "Language: de\\n"\n\nmsgid "A dog"\nmsgstr "Hund"\n')
    assert [each["where"] for each in report.to_json(report)["left_alone"]] == ["line 4"]
    start = time.process_time()
    report_on("a.md", b"---\n" + b"\n" * 2_000_000 + b"---\n" + b"```\nlaut\n```\n" * 10_000)
    assert time.process_time() - start < 3, "front matter is not read again for each block"


def test_subtitles() -> None:
    source = """1
00:00:01,000 --> 00:00:02,500
{\\an8}Der <i>Hund</i>
sieht

7
00:00:03,000 --> 00:00:04,000
- Der Hund?
- Katze!

"""
    expected = source.replace("{\\an8}Der <i>Hund</i>\nsieht", "{\\an8}sees\n<i>dog</i> the")
    assert translated("a.srt", source) == expected.replace("Der Hund?", "dog the?").replace("Katze", "cat")


def test_subtitles_keep_what_is_no_text() -> None:
    source = "\ufeff3\n 0:00:01.0 --> 0:00:02.0  X1:40\nDer Hund\n\n\n4\n00:00:03,000 --> 00:00:04,000\n\n"
    source = source.replace("\n", "\r\n")
    assert translated("a.srt", source) == source.replace("Der Hund", "dog the")
    three = "1\n00:00:01,000 --> 00:00:02,000\nDer Hund\nKatze\nund schnell\n"
    lines = translated("a.srt", three).split("\n")[2:5]
    assert lines == ["quickly", "and cat", "dog the"]
    coloured = '1\n00:00:01,000 --> 00:00:02,000\n<font color="red" size="20">Hund</font>\nKatze\n'
    assert '<font color="red" size="20">dog</font>' in translated("a.srt", coloured)


def test_web_subtitles() -> None:
    source = """WEBVTT - Hund

NOTE Der Hund

erster Hund
00:01.000 --> 00:02.000 align:start
<v Katze>Der Hund
sieht

STYLE
Hund

1:00:03.000 --> 1:00:04.000
Hund <00:03.500>schnell"""
    expected = source.replace("<v Katze>Der Hund\nsieht", "<v Katze>sees\ndog the")
    assert translated("a.vtt", source) == expected.replace("Hund <00:03.500>schnell", "<00:03.500>quickly dog")


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("a.txt", "\ufeffDer Hund sieht.\r\n\r\n  Katze %s \n", "\ufeffsees dog the.\r\n\r\n  %s cat \n"),
        ("a.html", "\ufeff<p>Der Käse</p>", "\ufeff<p>Käse the</p>"),
        ("a.xml", '\ufeff<?xml version="1.0" encoding="latin1"?><r>Der Käse</r>', "<r>Käse the</r>"),
        ("a.html", "<p>der <img> Hund</p>", "<p>dog the <img></p>"),
        ("a.html", "<p>der <b> <img> </b> Hund</p>", "<p>dog the <b><img></b></p>"),
        ("a.html", "<p>der Hund <b> <img> </b> sieht</p>", "<p>sees dog <b><img></b> the</p>"),
        ("a.html", "<p>der <wbr>Hund <b>sieht</b>.</p>", "<p><b>sees</b> <wbr>dog the.</p>"),
        ("a.html", "<video><source><p>der Hund</p></video>", "<video><source><p>der Hund</p></video>"),
        ("a.md", r"\<der\> Hund https://a.b/c_d_", "https://a.b/c_d_ dog \\<der>"),
        ("a.md", "Hund[^1] der\n\n[^1]: https://a.org\n", "the dog[^1]\n\n[^1]: https://a.org\n"),
        ("a.md", "Der\rHund\n\nder Hund\n", "dog the\n\ndog the\n"),
        ("a.md", '!!! note "Der"\n    der Hund\n\n??? der Hund\n', '!!! note "Der"\n    dog the\n\ndog the ???\n'),
        ("a.md", ":::tip Hund\nder Hund\n:::\n\n::: der\n\nHund\n", ":::tip dog\ndog the\n:::\n\n::: der\n\ndog\n"),
        ("a.md", ":::tip der `x` Hund\nder\nHund\n", ":::tip dog `x` the\ndog the\n"),
        ("a.md", "::: {.der}\nHund\n:::\n\n:::{der} Hund\nHund\n", "::: {.der}\ndog\n:::\n\n:::{der} dog\ndog\n"),
        ("a.md", "---\n---\nder Hund\n\n---\n", "---\n---\ndog the\n\n---\n"),
        ("a.md", '+++\r\nHund = "der Hund"\r\n+++\r\nder Hund\r\n', 'Hund = "der Hund"\r\n+++\r\ndog the\r\n'),
        ("a.yaml", "a: |\r\n  der Hund\r\n  sieht\r\nb: Hund\r\n", "a: |\r\n  dog the\r\n  sees\r\nb: dog\r\n"),
        ("a.yaml", 'a: &x "der Hund"\nb: *x\nc: !!str\n  der Hund\n', 'a: &x "dog the"\nb: *x\nc: !!str\n  dog the\n'),
        ("a.yaml", "a: &x |\n\n  der Hund\nb: *x\n", 'a: &x "\\ndog the\\n"\nb: *x\n'),
        ("a.csv", '"x, y,\nz";b\nder Hund;Katze, und\n', '"x, y,\nz";b\ndog the;and Katze,\n'),
        ("a.csv", "sep=|\na;b|c;d\nder Hund|Katze\n", "sep=|\na;b|c;d\ndog the|cat\n"),
        ("a.xml", '<r><s translatable="false">der <b>Hund</b></s></r>', 'translatable="false">der <b>Hund</b></s></r>'),
        ("a.xml", "<r><s>Der &lt;b>Hund&lt;/b></s></r>\n", "<s>&lt;b&gt;dog&lt;/b&gt; the</s></r>\n"),
        ("a.html", "<html><p>der Hund</p></html>\r\n", "<p>dog the</p></body></html>\n"),
        ("a.html", "<script>'<source></source>'</script><p>Hund", "<script>'<source></source>'</script><p>dog</p>"),
        ("a.csv", 'der (5");b\nder Hund;der "Hund" sieht\n', 'der (5");b\ndog the;"sees ""Hund"" the"\n'),
        ("a.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\nHund &amp; Katze &amp;lt;\n00:02.000 --> 00:03.000\nHund",
         "&amp;lt; cat &amp; dog\n00:02.000 --> 00:03.000\ndog"),
    ],
)  # fmt: skip
def test_texts_in_their_places(name: str, source: str, expected: str) -> None:
    assert translated(name, source).endswith(expected)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n{}\n"),
        ("a.json", '{{"a": "{}"}}'),
        ("a.csv", "a\n{}\n"),
        ("a.xml", "<r><s>&lt;br&gt;{}</s></r>"),
    ],
)
def test_entities_of_html_are_read_as_what_they_stand_for(name: str, file: str) -> None:
    texts = ("K&auml;se &lt;3 Hund &amp; Der &amp;lt; &#8594;", "&#8594; &amp;lt; the &amp; dog &lt;3 K&auml;se")
    source, expected = (file.format(escape(text) if name == "a.xml" else text) for text in texts)
    assert sentences_of_document(name, source.encode()) == ["Käse <3 Hund & Der &lt; →"]
    assert translated(name, source).endswith(expected)


@pytest.mark.parametrize("charset", ["idna", "undefined", "punycode", "utf-16", "rot13", "cp037", "x" * 50, "mbcs"])
def test_encodings_that_html_may_not_name_are_ignored(charset: str) -> None:
    page = f'<meta charset="{charset}"><p>der Käse</p>'
    assert translated("a.html", page) == f'<meta charset="{charset}"><p>Käse the</p>'


def test_catalogue() -> None:
    source = """# comment
msgid ""
msgstr ""
"Language: de\\n"
"Content-Type: text/plain; charset=UTF-8\\n"

#: file.c:1
msgid "Hund %s <b>Katze</b>"
msgstr ""

msgid "Hund"
msgstr "hound"

#, fuzzy
msgid "sieht"
msgstr "doubtful"

msgid "Katze"
msgid_plural "Katze und %d"
msgstr[0] ""
msgstr[1] ""
"""
    expected = (
        source.replace("#: file.c:1\n", "#: file.c:1\n#, fuzzy\n")
        .replace('Katze</b>"\nmsgstr ""', 'Katze</b>"\nmsgstr "<b>cat</b> %s dog"')
        .replace('msgid "Katze"', '#, fuzzy\nmsgid "Katze"')
        .replace('msgstr[0] ""', 'msgstr[0] "cat"')
        .replace('msgstr[1] ""', 'msgstr[1] "%d and cat"')
    )
    assert translated("a.po", source) == expected
    long = "Katze " * 20
    alone = source.replace('msgstr[1] ""\n', "").replace('"hound"', f'"{long}"')
    alone_expected = expected.replace('msgstr[0] "cat"\nmsgstr[1]', "msgstr[0]").replace('"hound"', f'"{long}"')
    assert translated("a.po", alone) == alone_expected  # of a language without plural, in long lines


def test_plural_forms_of_a_catalogue_are_those_of_its_header() -> None:
    """Form 1 of Arabic is for one thing; what a person has translated stays, and so do line ends."""
    source = """msgid ""
msgstr ""
"Content-Type: text/plain; charset=ISO-8859-1\\n"
"Plural-Forms: nplurals=3; plural=n==0 ? 0 : n==1 ? 1 : 2;\\n"

msgid "Hund"
msgid_plural "Hund und Katze"
msgstr[0] ""
msgstr[1] ""
msgstr[2] "mine"
"""
    forms = 'msgstr[0] "cat and dog"\nmsgstr[1] "dog"'
    expected = source.replace("ISO-8859-1", "UTF-8").replace('msgstr[0] ""\nmsgstr[1] ""', forms)
    expected = expected.replace('msgid "Hund"', '#, fuzzy\nmsgid "Hund"').replace("\n", "\r\n")
    assert translated("a.po", source.replace("\n", "\r\n")) == expected
    for rule in ("EXPRESSION", "n%0"):
        other = source.replace("n==0 ? 0 : n==1 ? 1 : 2", rule)
        assert 'msgstr[0] "dog"\nmsgstr[1] "cat and dog"\nmsgstr[2] "mine"' in translated("a.po", other)


@pytest.mark.parametrize(
    "head",
    [
        "",
        "#: file.c:1\n",
        'msgid ""\nmsgstr "Language: de\\n"\n\n',
        '#\nmsgid ""\nmsgstr "Language: de\\n"\n\n',
        '# a\n#\n# b\nmsgid ""\nmsgstr "Language: de\\n"\n\n',
    ],
)
def test_the_head_of_a_catalogue_stays_as_it_is(head: str) -> None:
    assert translated("a.po", f'{head}msgid "Hund"\nmsgstr ""\n') == f'{head}#, fuzzy\nmsgid "Hund"\nmsgstr "dog"\n'


XLIFF = """<?xml version='1.0' encoding='UTF-8'?>
<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2"><file source-language="de" original="a"><body>
<trans-unit id="1"><source>Der <g id="1">Hund</g> sieht <x id="2"/></source></trans-unit>
<trans-unit id="2"><source>Der <bpt id="1">[</bpt>Hund<ept id="1">]</ept> ROOM</source></trans-unit>
<trans-unit id="3"><source>Hund</source><target>hound</target></trans-unit>
<trans-unit id="4" translate="no"><source>Hund</source></trans-unit>
</body></file></xliff>""".replace("ROOM", '<bx id="2" rid="r"/>sieht<ex id="3" rid="r"/>')


@pytest.mark.quick("1", "2", "3", "4", "5", "6")
@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.srt", "1\n00:00:01,000 --> " + "0" * 200_000),
        ("a.srt", "1\n00:00:01,000 --> 00:00:02,000\nHund\n" + " " * 200_000 + "Hund\n\nHund" * 2),
        ("a.md", "[a]: b\n" * 5_000),
        ("a.md", "*" * 50_000 + "a"),
        ("a.md", "*a **" * 900),
        ("a.txt", "\n" * 2_000_000),
        ("a.txt", "1:" * 30_000 + "\n%" + "0" * 30_000),
        ("a.txt", "1 km, " * 3_000),
        ("a.xliff", XLIFF.replace("ROOM", "").replace("Der <bpt", '<bx id="1"/>a' * 20_000 + "<bpt")),
        ("a.po", 'msgid "' + "`a <" * 20_000 + '"\nmsgstr ""\n'),
        ("a.po", 'msgid "' + ":a:`b` *c d* {e} " * 3_000 + '"\nmsgstr ""\n'),
    ],
    ids=range(11),
)  # fmt: skip
def test_hostile_files_are_read_or_refused(name: str, data: str) -> None:
    """Where the time grows with the square of the size these take so long that .ci/run ends the test."""
    with contextlib.suppress(UserError):
        translate_document(name, data.encode(), translate)


def test_xliff() -> None:
    plural = '<trans-unit id="5"><source>{N, plural, other {Hund}}</source></trans-unit>'
    result = translated("a.xlf", XLIFF.replace("</body>", f"{plural}</body>"))
    assert plural in result
    target = '<target state="needs-review-translation">'
    assert f'{target}sees <g id="1">dog</g> the <x id="2"/></target>' in result
    inner = '<bx id="2" rid="r"/>sees<ex id="3" rid="r"/> <bpt id="1">[</bpt>dog<ept id="1">]</ept> the'
    assert f"{target}{inner}</target>" in result
    assert result.count("<target") == 3
    assert 'target-language="en"' in result


def test_xliff_of_translation_programs() -> None:
    """Segments, copies of the source in the place of a translation, escaped markup, and lines of indented text."""

    def target_of(unit: str, space: str = "default") -> str:
        head, tail = XLIFF.partition("<trans-unit")[0], "</trans-unit></body></file></xliff>"
        result = translated("a.xlf", f'{head}<trans-unit id="1" xml:space="{space}">{unit}{tail}')
        return result.partition(f'xml:space="{space}">')[2].removesuffix(tail).partition("</source>")[2]

    state = 'target state="needs-review-translation"'
    segments = '<mrk mtype="seg" mid="0">{}</mrk> <mrk mtype="seg" mid="1">{}</mrk>'
    source = f"<source>Hund. Katze.</source><seg-source>{segments.format('Hund', 'Katze')}</seg-source>"
    after = f"</seg-source><{state}>{segments.format('dog', 'cat')}</target>"
    for existing in ("", "<target> </target>", '<target><mrk mtype="seg" mid="0"/></target>'):
        assert target_of(source + existing).endswith(after)
    copy = '<source>Hund</source><target state="{}">Hund</target>'
    assert target_of(copy.format("needs-translation")) == f"<{state}>dog</target>"
    assert target_of(copy.format("final")) == '<target state="final">Hund</target>'
    assert target_of("<source><![CDATA[Der <b>Hund</b>]]></source>") == f"<{state}>&lt;b&gt;dog&lt;/b&gt; the</target>"
    lines = "<source>Der\n  Hund</source>"
    assert target_of(lines) == f"<{state}>dog the</target>"
    assert target_of(lines, "preserve") == f"<{state}>the\n  dog</target>"
    group = f'<g id="1">{segments}</g>'.format
    source = f"<source>Hund Katze</source><seg-source>{group('Der Hund', 'Katze')}</seg-source>"
    assert target_of(source).endswith(f"</seg-source><{state}>{group('dog the', 'cat')}</target>")
    angular = '<x id="START_LINK_1"/>{}<x id="CLOSE_LINK"/>'.format
    assert target_of(f"<source>Der {angular('Hund sieht')}</source>") == f"<{state}>{angular('sees dog')} the</target>"


def test_attributes_of_xliff_are_true_of_the_new_target(capsys: pytest.CaptureFixture[str]) -> None:
    source = XLIFF.partition("<trans-unit")[0].replace(' original="a"', ' original="a" target-language="fr"') + (
        '<trans-unit id="1" approved="yes">\n  <source>Hund</source>\n  <target xml:lang="en" state="new" '
        'state-qualifier="exact-match" resname="a"> </target>\n</trans-unit></body></file></xliff>\n'
    )
    result = translated("a.xlf", source)
    target = '<target xml:lang="en" state="needs-review-translation" resname="a">dog</target>'
    unit = f'<trans-unit id="1">\n  <source>Hund</source>\n  {target}\n</trans-unit>'
    assert result.endswith(f"{unit}</body></file></xliff>\n")
    assert "Warning: The file declares fr as the language of its translations, and now en." in capsys.readouterr().err


def test_xliff_2() -> None:
    source = (
        '<xliff version="2.0" srcLang="de" xmlns="urn:oasis:names:tc:xliff:document:2.0"><file id="f"><unit id="u">'
        '<segment><source>Der <pc id="1">Hund</pc><ph id="2"/></source></segment></unit></file></xliff>'
    )
    result = translated("a.xliff", source)
    assert '<segment state="translated">' in result
    assert '<target><pc id="1">dog</pc> the<ph id="2"/></target>' in result
    assert 'trgLang="en"' in result
    assert 'trgLang="en-GB"' in translated("a.xliff", source.replace("srcLang", 'trgLang="en-GB" srcLang'))
    marked = '<segment state="initial" subState="a:b"><source>Der <sm id="3" translate="no"/>Hund<em startRef="3"/>'
    before = f'{marked}</source><target order="2"/></segment><segment>'
    changed = translated("a.xliff", source.replace("<segment>", before))
    target = '<target order="2"><sm id="3" translate="no"/>Hund<em startRef="3"/> the</target>'
    assert f'<segment state="translated">{marked.partition(">")[2]}</source>{target}' in changed
    kept = translated("a.xliff", source.replace('<unit id="u"', '<unit id="u" translate="no"'))
    assert "<target" not in kept


MARKDOWN = """---
title: Hund
---
# Der *Hund*

Der **Hund** sieht
[Katze](https://a.org "T") und `Hund`.\\
Katze <b>sieht</b> ![Hund](x.png) <https://b.org>

> Der Hund
> sieht

* Hund
  1. Katze [sieht][1]

| Hund | *Katze* |
| ---- | :-----: |
| der  | a \\| b  |

    Hund

```
Hund
```

[1]: https://c.org
"""


def test_markdown() -> None:
    expected = (
        MARKDOWN.replace("# Der *Hund*", "# *dog* the")
        .replace(
            'Der **Hund** sieht\n[Katze](https://a.org "T") und `Hund`.\\',
            '`Hund` and [cat](https://a.org "T") sees **dog** the.\\',
        )
        .replace("Katze <b>sieht</b> ![Hund](x.png) <https://b.org>", "<https://b.org> <b>sees</b> ![Hund](x.png) cat")
        .replace("> Der Hund\n> sieht", "> sees dog the")
        .replace("* Hund\n  1. Katze [sieht][1]", "* dog\n  1. [sees][1] cat")
        .replace("| Hund | *Katze* |", "| dog | *cat* |")
        .replace("| der  | a \\| b  |", "| the  | b \\| a  |")
    )
    assert translated("a.md", MARKDOWN) == expected
    assert translated("a.md", "\ufeff# Der Hund\n") == "\ufeff# dog the\n"
    dialects = (
        "- [x] Hund\n\nKatze[^1]\n\n> [!NOTE]\n> Hund\n\n[^1]: Der Hund\n\n1986\\. Hund\n\n|a|\n|-|\n|Hund \\| x|\n"
    )
    expected = dialects.replace("Katze", "cat").replace("Der Hund", "dog the").replace("Hund \\| x", "x \\| dog")
    assert translated("a.md", dialects) == expected.replace("Hund", "dog")


def test_equations_and_line_breaks_of_markdown_stay_as_they_are() -> None:
    source = "> Hund  \n> Katze\\\n> der\n\nHund $\\{a_i\\}_1 * b_2*$ Katze\n\n- Hund\n  $$\n  \\\\ p*_1\n  $$\n\n"
    expected = "> dog  \n> cat\\\n> the\n\ncat $\\{a_i\\}_1 * b_2*$ dog\n\n- $$\n  \\\\ p*_1\n  $$ dog\n\n"
    assert translated("a.md", source) == expected
    assert translated("a.md", "Hund 5$ der 6$ und Katze\n") == "cat and 6$ the 5$ dog\n"  # prices
    assert "cat" in translated("a.md", "Hund $x Katze `$`, der\n")  # a dollar sign in code ends no equation
    assert translated("a.md", "Hund $`Hund_1`$ Katze\n") == "cat $`Hund_1`$ dog\n"


BOLD, LANG = "<w:rPr><w:b/></w:rPr>", '<w:rPr><w:lang w:val="de"/></w:rPr>'
CENTRED = '<w:pPr><w:jc w:val="center"/></w:pPr>'
START, END = '<w:bookmarkStart w:id="1"/>', '<w:bookmarkEnd w:id="1"/>'
TAB, BREAK, NOTE = (f"<w:r><w:{name}/></w:r>" for name in ("tab", "br", 'footnoteReference w:id="2"'))
ABOUT, COMMENT = (
    '<w:commentRangeStart w:id="1"/>',
    '<w:commentRangeEnd w:id="1"/><w:r><w:commentReference w:id="1"/></w:r>',
)


def run(text: str, properties: str = "") -> str:
    return f'<w:r>{properties}<w:t xml:space="preserve">{text}</w:t></w:r>'


def link(text: str) -> str:
    return f'<w:hyperlink w:anchor="x">{run(text)}</w:hyperlink>'


FIELD = (
    '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText>REF</w:instrText></w:r>'
    '<w:r><w:fldChar w:fldCharType="separate"/></w:r>' + run("7") + '<w:r><w:fldChar w:fldCharType="end"/></w:r>'
)


INSERTED = FIELD.replace("<w:r>", "<w:ins><w:r>").replace("</w:r>", "</w:r></w:ins>")  # one for each run
SIMPLE, MOVED = f'<w:fldSimple w:instr="{{}}">{run("7")}</w:fldSimple>', "<w:moveTo>{}</w:moveTo>"


def docx(paragraph: str) -> str:
    """The paragraph of a document in the other language."""
    head, tail = f"<w:document {W}><w:body><w:p>", "</w:p></w:body></w:document>"
    source = packed({"word/document.xml": head + paragraph + tail, "word/styles.xml": "<Hund/>"})
    found = unpacked(translate_document("a.docx", source, translate, "de"))
    assert found["word/styles.xml"] == "<Hund/>"
    return found["word/document.xml"].partition("<w:p>")[2].removesuffix(tail)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (run("Der Hund"), run("dog the")),
        (run("Der ", LANG) + run("Hu") + run("nd"), run("dog the", LANG)),
        (run("Der ") + run("Hund", BOLD) + run(" sieht."), run("sees ") + run("dog", BOLD) + run(" the.")),
        (CENTRED + START + link("Hund") + END + run(" sieht"), CENTRED + run("sees ") + START + link("dog") + END),
        (
            START + run("Der Hund ") + FIELD + END + run(" sieht"),
            run("sees ") + START + FIELD + run(" dog the") + END,
        ),
        (ABOUT + run("Der Hund") + COMMENT + run(" sieht"), run("sees ") + ABOUT + run("dog the") + COMMENT),
        (END + START + run("Der Hund"), START + run("dog the") + END),
        (
            run("Der Hund") + TAB + run("Katze") + BREAK + run("und"),
            run("dog the") + TAB + run("cat") + BREAK + run("and"),
        ),
        (run("Der Hund") + NOTE + run(" sieht"), run("sees dog") + NOTE + run(" the")),
        (run("Der") + TAB.replace("tab", "ptab") + run("Hund"), run("the") + TAB.replace("tab", "ptab") + run("dog")),
        (run("Der ") + FIELD, FIELD + run(" the")),
        (run("Der ") + INSERTED, INSERTED + run(" the")),
        (run("Der ") + SIMPLE.format(" REF x"), SIMPLE.format(" REF x") + run(" the")),
        (SIMPLE.format("HYPERLINK x").replace("7", "Hund") + run(" sieht"),
         run("sees ") + SIMPLE.format("HYPERLINK x").replace("7", "dog")),
        (run("Der ") + MOVED.format(run("Hund")), MOVED.format(run("dog")) + run(" the")),
    ],
    ids=["plain", "divided", "bold", "link", "range", "comment", "not a range", "space", "footnote", "tab", "field",
         "inserted", "simple", "address", "moved"],
)  # fmt: skip
def test_word(source: str, expected: str) -> None:
    assert docx(source) == expected


ODT = (
    f"<office:document-content {ODF}><text:h>Hund</text:h>"
    '<text:p text:style-name="P1">Der <text:span text:style-name="B">Hund</text:span> sieht<text:line-break/>Katze'
    "<text:note><text:note-body><text:p>und Hund</text:p></text:note-body></text:note></text:p>"
    "</office:document-content>"
)
ARCHIVE = packed({"content.xml": ODT})


def test_open_document() -> None:
    source = packed({"mimetype": "application/vnd.oasis", "content.xml": ODT})
    found = unpacked(translate_document("a.odt", source, translate, "de"))
    result = found["content.xml"]
    assert "<text:h>dog</text:h>" in result
    assert 'sees <text:span text:style-name="B">dog</text:span> the<text:line-break/>cat<text:note>' in result
    assert "<text:p>dog and</text:p>" in result
    assert next(iter(found)) == "mimetype"


ENTITIES = (
    '<!DOCTYPE x [<!ENTITY a "Hund"><!ENTITY b SYSTEM "file:///etc/passwd">]><xliff version="1.2"><x>&b;</x></xliff>'
)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("../a.txt", b"", "plain file name"),
        ("a\\b.txt", b"", "plain file name"),
        ("a\0.txt", b"", "plain file name"),
        (".txt", b"", "plain file name"),
        ("a.exe", b"", "can't be translated"),
        ("a", b"", "can't be translated"),
        ("a.txt", b"\xff", "not UTF-8"),
        ("a.srt", b"1\nHund", "not a SubRip file"),
        ("a.vtt", b"1\nHund", "not a WebVTT file"),
        ("a.po", __file__.encode(), "not a PO file"),  # and never a path
        ("a.xliff", b"<xliff", "not well-formed XML"),
        ("a.xliff", b"<a/>", "not XLIFF"),
        ("a.xliff", ENTITIES.encode(), "document type"),
        ("a.docx", b"PK", "not a Word document"),
        ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "has a password"),
        ("a.odt", packed({"content.xml": b"\0", "META-INF/manifest.xml": "<m:encryption-data/>"}), "has a password"),
        ("a.docx", packed({"other.xml": "<a/>"}), "no text part"),
        ("a.docx", packed({"word/document.xml": ENTITIES}), "document type"),
        ("a.docx", packed({"word/document.xml": '<a xmlns="http://purl.oclc.org/ooxml/w"/>'}), "Strict Open XML"),
        ("a.xlsx", packed({"word/document.xml": "<a/>"}), "no text part"),
        ("a.epub", packed({"1.xhtml": ENTITIES}), "document type"),
        ("a.pptx", packed({"ppt/a.xml": "<!DOCTYPE a><a/>"}), "document type"),
        ("a.odt", packed({"content.xml": "<a"}), "not well-formed"),
        ("a.ods", packed({"content.xml": b"\x00"}), "not well-formed"),
        ("a.odt", packed({"content.xml": ODT, "../x": ""}), "contains the path"),
        ("a.odt", packed({"/x": ""}), "contains the path"),
        ("a.odt", ARCHIVE[:41] + b"\xff" * 20 + ARCHIVE[61:], "not an OpenDocument"),  # damaged behind its head
        ("a.odt", packed({"content.xml": ODT, "content.x__": ODT}).replace(b"x__", b"xml"), "'content.xml' 2 times"),
    ],
)
def test_dangerous_and_damaged_files_are_refused(name: str, data: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        translate_document(name, data, translate)


BOMB = packed({"content.xml": ODT, "big": " " * (1 << 20)})


@pytest.mark.parametrize(
    ("limit", "value", "name", "data", "message"),
    [
        ("xml.MAX_UNPACKED", 1 << 18, "a.odt", BOMB, "when unpacked"),
        ("xml.MAX_MEMBERS", 1, "a.odt", BOMB, "contains 2 files"),
        ("formats.MAX_BYTES", 100, "a.odt", BOMB, "bytes, more than"),
        ("formats.MAX_TEXTS", 2, "a.odt", ARCHIVE, "more than 2 paragraphs"),
        ("formats.MAX_TEXTS", 2, "a.txt", b"Eins.\n\nZwei.\n\nDrei.\n", "more than 2 paragraphs"),
    ],
)
def test_large_files_are_refused(
    limit: str, value: int, name: str, data: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"nmt.extensions.documents.{limit}", value)
    with pytest.raises(UserError, match=message):
        translate_document(name, data, translate)


def test_html_with_many_attributes_is_refused() -> None:
    def page(count: int) -> bytes:
        attributes = " ".join(f"data-{n}='{n}>'" for n in range(count))
        return f"<p {attributes}>Ein <b class=x>Satz</b> mit = und d='1'.</p>".encode()

    assert b"data-999" in translate_document("a.html", page(1000), translate)
    with pytest.raises(UserError, match="more than 1,000 attributes"):
        translate_document("a.html", page(1001), translate)


def test_tags_that_are_nested_deeply_are_kept() -> None:
    nested = "<b>" * 3000 + "Hund" + "</b>" * 3000
    source = f'msgid ""\nmsgstr "Language: de"\n\nmsgid "{nested}"\nmsgstr ""\n'
    result = translated("a.po", source)
    assert "dog" in result
    assert result.count("<b>") == 6000


@pytest.mark.parametrize("name", ["a.md", "a.html", "a.txt"])
def test_any_text_is_a_document(name: str) -> None:
    for text in ("", "\n", "[", "**Hund", "| a |\n|-|\n| b", "> \n>\n", "---\n", "<b>*Hund</b>*", "- \n\n  Hund\\"):
        translated(name, text)
    assert [translated("a.srt", text) for text in ("", "\n \n")] == ["", "\n \n"]


@pytest.mark.parametrize(
    ("package", "name", "data"),
    [
        ("lxml", "page.html", b"<p>a</p>"),
        ("lxml", "a.xlf", b"<xliff/>"),
        ("polib", "a.po", b'msgid "a"'),
        ("markdown_it", "a.md", b"a"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    package: str, name: str, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [module for module in sys.modules if module.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"(?s){package}.* is not installed.*nmt\[documents\]"):
        sentences_of_document(name, data)
    extras = tomllib.loads((Path(nmt.__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    required = " ".join(extras["optional-dependencies"]["documents"]).replace("-", "_")
    assert package in required
