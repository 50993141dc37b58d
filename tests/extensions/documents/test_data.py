"""Values of data files are translated, and all else stays letter by letter."""

import csv
import io
import json
from collections.abc import Sequence

import pytest
import yaml
from backwards import translate
from hypothesis import given
from hypothesis import strategies as st

from nmt.core.errors import UserError
from nmt.extensions.documents.formats import translate_document
from nmt.extensions.documents.selection import reason_to_leave
from tests.extensions.documents.conftest import by, translated


def test_tables() -> None:
    source = (
        '\ufeffName;Der Text;Preis\r\n"Hund ""x""";der Hund, sieht;1,5\r\n;"der\r\nHund";2026-01-01\r\nKatze;SKU-1;=A1'
    )
    expected = source.replace('"Hund ""x"""', '"""x"" dog"').replace("der Hund, sieht", "sees Hund, the")
    assert translated("a.csv", source) == expected.replace('"der\r\nHund"', '"the\r\ndog"').replace("Katze", "cat")
    assert translated("a.csv", "a,b\nHund,Hund\n", "b") == "a,b\nHund,dog\n"
    assert translated("a.csv", '"a, b, c";d\nHund, x;Hund\n') == '"a, b, c";d\nx Hund,;dog\n'
    assert translated("a.csv", "Hund,Hund\nHund,Hund\n", "2") == "Hund,dog\nHund,dog\n"  # without a line of names
    assert translated("a.tsv", 'x\tder Hund\n"Hund sieht\tder Hund\n') == 'x\tder Hund\n"sees ""Hund"\tdog the\n'


def test_json() -> None:
    source = '{"a": {"Hund": "der Hund"},\r\n "b": [1.50, "Katze <b>und</b> {n}", null, '
    source += '"http://a.b/Hund", "c_d"], "x.y": "H\\u00fc und"}'
    whole = source.replace("der Hund", "dog the").replace("Katze <b>und</b> {n}", "{n} <b>and</b> cat")
    assert translated("a.json", source) == whole.replace("H\\u00fc und", "and H\\u00fc")
    selected = source.replace("der Hund", "dog the").replace("H\\u00fc und", "and H\\u00fc")
    assert translated("a.json", source, "a.*", "x.y") == selected
    assert translated("a.json", '"der Hund"') == '"dog the"'


YAML = """# der Hund
de: &x
  plain: der Hund  # Katze
  quoted: "der \\"Hund\\""
  single: 'der ''Hund'''
  number: 5
  word: yes
  literal: |-  # Katze
    der Hund
      sieht

    Katze und
  folded: >
    der Hund
    sieht

  key: {der Hund: [Katze und, *x], ? [der Hund] : !t der Hund}
"""


def test_yaml() -> None:
    expected = (
        YAML.replace("plain: der Hund", "plain: dog the")
        .replace('"der \\"Hund\\""', '"\\"Hund\\" the"')
        .replace("'der ''Hund'''", "'''Hund'' the'")
        .replace("    der Hund\n      sieht\n\n    Katze und", "    dog the\n      sees\n\n    and cat")
        .replace(">\n    der Hund\n    sieht\n", "|\n    sees dog the\n")
        .replace("[Katze und", "[and cat")
    )
    assert translated("a.yaml", YAML) == expected
    assert translated("a.yaml", f"\ufeff{YAML}") == f"\ufeff{expected}"
    assert translated("a.yml", "a: der Hund\n---\nb: der Hund\n", "b") == "a: der Hund\n---\nb: dog the\n"


@given(
    st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1), min_size=1, max_size=5), st.booleans()
)
def test_values_with_any_characters_can_be_read_again(texts: Sequence[str], is_flow: bool) -> None:
    """Whatever a translation is, the file has it."""
    answers = {f"Wort{'x' * (n + 1)}": " ".join(text.split()) or "-" for n, text in enumerate(texts)}

    answer = by(answers.__getitem__)
    for style in (None, "'", '"', "|", ">"):
        source = yaml.dump([*answers], default_style=style, default_flow_style=is_flow)
        found = yaml.safe_load(translate_document("a.yaml", source.encode(), answer))
        assert [str(each).strip() for each in found] == [each.strip() for each in answers.values()]
    table = translate_document("a.csv", "\n".join(["a", *answers]).encode(), answer).decode()
    assert [row[0] for row in csv.reader(io.StringIO(table))] == ["a", *answers.values()]
    assert json.loads(translate_document("a.json", json.dumps([*answers]).encode(), answer)) == [*answers.values()]


def test_xml() -> None:
    source = (
        '<?xml version="1.0"?>\n<!DOCTYPE r SYSTEM "r.dtd"><!-- der Hund --><r xml:space="preserve"><s name="Hund">'
        'Der <b>Hund</b> sieht</s><i translate="no">der Hund</i><n>12</n><n/><k>a_b</k>'
        '<p title="der Hund">Katze<c/> und</p></r>'
    )
    result = translated("a.xml", source)
    assert '<!DOCTYPE r SYSTEM "r.dtd">' in result
    assert '<s name="Hund">sees <b>dog</b> the</s><i translate="no">der Hund</i><n>12</n><n/><k>a_b</k>' in result
    assert '<p title="der Hund">and cat<c/></p>' in result
    some = translated("a.xml", source, "r/p/@title", "n")
    assert '<p title="dog the">Katze<c/> und</p>' in some
    assert "Der <b>Hund</b> sieht" in some


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (r"Der Hund\'s", r"Hund\'s the"),
        (r"Der Hund\nDer \"X\"", r"dog the\n\"X\" the"),
        (r"\u0044er Hund\?", "dog the?"),  # an escape is needed at the beginning alone
        (r"Der <b>Hund\'s</b> <x translate='no'>d\'</x>", r'<x translate="no">d\'</x> <b>Hund\'s</b> the'),
        (r"<![CDATA[<b>Der</b> \'Hund]]>", r"\'Hund &lt;b&gt;the&lt;/b&gt;"),
        ('"Der Hund"', 'Hund" "Der'),  # which only stand for something around the whole
        (r"\@Hund", r"\@Hund"),
        ("@string/Hund", "@string/Hund"),
    ],
)
def test_escapes_of_android_are_no_text(source: str, expected: str) -> None:
    resources = "<resources><string>{}</string></resources>".format
    assert translated("a.xml", resources(source)).partition("?>\n")[2] == resources(expected)
    other = translated("a.xml", "<a>Der Hund\\'s</a>")
    assert other.endswith("<a>Hund\\'s the</a>"), "they are of Android alone"


@pytest.mark.parametrize(
    ("name", "text", "only", "message"),
    [
        ("a.json", '{"a": 1', [], "not JSON"),
        ("a.json", "[" * 100_000, [], "not JSON"),
        ("a.json", '{"a": "b"}', ["c"], "'c' is not in the document.\nIt has: a"),
        ("a.csv", "a,b\n1,2\n", ["c"], "It has: a, b"),
        ("a.yaml", "a: [", [], "not YAML"),
        ("a.yaml", "[" * 3_000, [], "inside one another|not YAML"),
        ("a.xml", "<a>", [], "not well-formed"),
        ("a.xml", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', [], "document type"),
    ],
)
def test_what_is_refused(name: str, text: str, only: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        translate_document(name, text.encode(), translate, only=only)


@pytest.mark.parametrize(
    ("text", "as_value", "in_prose"),
    [
        ("Der Hund", "", ""), ("E-Mail", "", ""), ("今天是2026年", "", ""), ("z. B. 5 Hunde", "", ""),
        ("1.250,00 €", "number", "number"), ("2026-01-01T10:00:00Z", "date", "date"),
        ("{n}", *["address, placeholder or measure"] * 2), ("true", "identifier", ""),
        ("a_b", "identifier", ""), ("com.example.app", "identifier", ""), ("/usr/bin", "identifier", ""),
        ("{n, plural, one {Hund} other {Hunde}}", "message with plural forms", ""), ("=SUM(A1)", "formula", ""),
    ],
)  # fmt: skip
def test_reasons(text: str, as_value: str, in_prose: str) -> None:
    assert (reason_to_leave(text, is_value=True), reason_to_leave(text)) == (as_value, in_prose)
