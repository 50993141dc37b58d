"""Catalogues of documentation keep the markup of reStructuredText, whatever the model makes of it."""

import random
from collections.abc import Sequence

import pytest

from nmt.extensions.documents.formats import sentences_of_document, translate_document
from nmt.extensions.documents.markup import Translate
from nmt.extensions.documents.rest import parse_message, write_message
from nmt.translation.results import Translation
from tests.extensions.documents.conftest import by

polib = pytest.importorskip("polib")
MESSAGES = [
    "Return :func:`open` or ``None``\\ s for *path_1*.",
    "Use %(name)s, %s, {0!r}, {} and ${x}: 100%% of |version| [1]_.",
    "See :ref:`genindex`, `Foo bar`_, :class:`~a.b.C` and https://a.b/%20c_d.",
    "The \\*args of <b>all</b> ``a`b``, :pep:`8`, `x`:math: and Python_.",
]


def as_po(messages: Sequence[str]) -> bytes:
    entries = polib.POFile()
    entries.extend(polib.POEntry(msgid=each) for each in messages)
    return str(entries).encode()


def translated(messages: Sequence[str], translate: Translate) -> list[str]:
    result = translate_document("a.po", as_po(messages), translate).decode()
    return [entry.msgstr for entry in polib.pofile("\n" + result)]


def kept(message: str) -> list[str]:
    return sorted(item.tag[0] for item in parse_message(message) if not isinstance(item, str) and item.is_kept)


@pytest.mark.parametrize("message", MESSAGES)
def test_messages_are_written_as_they_were_read(message: str) -> None:
    assert write_message(parse_message(message), parse_message(message)) == message


def test_what_is_kept() -> None:
    assert [kept(message) for message in MESSAGES] == [
        ["*path_1*", ":func:`open`", "``None``\\ s"],
        ["${x}", "%%", "%(name)s", "%s", "[1]_", "{0!r}", "{}", "|version|"],
        [":class:`~a.b.C`", ":ref:`genindex`", "`Foo bar`_", "https://a.b/%20c_d"],
        [":pep:`8`", "Python_", "\\*args", "``a`b``", "`x`:math:"],
    ]
    assert kept("5 * 3 * 2, a|b|c, *.py, x ** 2, 50% of it, l'`, a_b and foo:bar") == []


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_model_writes_markup_is_that_of_the_source(seed: int) -> None:
    """Words are dropped, repeated, mixed and joined; the model invents markup."""
    chosen = random.Random(seed)

    def damage(sentences: Sequence[str]) -> list[Translation]:
        found = []
        for sentence in sentences:
            words = [w for w in sentence.split() for _ in range(chosen.choice([0, 1, 1, 2]))]
            words += chosen.sample([":func:`x`", "``y", "%d", "{z}", "|v|", "*w*", "`q`_", "語", "`"], 4)
            chosen.shuffle(words)
            text = chosen.choice([" ", ""]).join(words)
            links = None if seed % 2 else tuple((0, t) for t in range(len(text.split())))
            found.append(Translation(sentence, text, 0.0, [], alignment=links))
        return found

    for source, target in zip(MESSAGES, translated(MESSAGES, damage), strict=True):
        assert kept(target) == kept(source), target


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("See `the docs <http://a.b/c_d>`_ now.", "SEE `THE DOCS <http://a.b/c_d>`_ NOW."),
        ("See :ref:`the index <gen-index>`.", "SEE :ref:`THE INDEX <gen-index>`."),
        ("See :func:`open() <io.open>`.", "SEE :func:`open() <io.open>`."),
        ("A *very good* *dog*, *not* **so bad**.", "A *VERY GOOD* *dog*, *NOT* **SO BAD**."),
        (">>> print(x)", ">>> print(x)"),
        ("``None``", "``None``"),
        (":func:`a` | :func:`b`", ":func:`a` | :func:`b`"),
    ],
)
def test_text_within_markup_is_translated(message: str, expected: str) -> None:
    assert translated([message], by(str.upper, in_order=True)) == [expected]


def test_markup_has_space_around_it() -> None:
    chinese = by(lambda _: "返回:func:`open`的值。")
    assert translated(["Return the value of :func:`open`."], chinese) == ["返回 :func:`open` 的值。"]


def test_what_is_taken_out_leaves_no_space() -> None:
    invented = by(lambda _: "% the | file % s opens.", links=())
    assert translated(["Open %s.", "  Open %s."], invented) == ["the file %s s opens.", "  the file %s s opens."]


def test_a_link_whose_words_are_lost_keeps_its_text() -> None:
    assert translated(["See `the docs <http://a.b>`_."], by(lambda _: "", links=())) == ["`the docs <http://a.b>`_"]


def test_messages_without_prose_are_not_translated() -> None:
    assert sentences_of_document("a.po", as_po(["``None``", "A dog. A cat.", "$ ls -l"])) == ["A dog.", "A cat."]
