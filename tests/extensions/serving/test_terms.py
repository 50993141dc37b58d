"""Terms of a glossary that translations of the server have, and those that they lack."""

from collections.abc import Sequence

from nmt.extensions.serving.terms import translate_plain, translate_with_terms
from nmt.translation.glossary import Glossary, Term
from nmt.translation.request import Request
from nmt.translation.results import Translation

GLOSSARY = Glossary.parse("# terms\nHund\thound\n\nalte Katze\told cat\r\nKatze\tcat\nUnbekannt\tqwx\n")


def search(requests: Sequence[Request]) -> list[Translation]:
    """Has the terms of the requests, except for one."""
    found = []
    for request in requests:
        free = {"Der Hund läuft.": "The dog runs.", "Zwei Katzen und Katze": "Two cats"}.get(request.source, "Free.")
        phrases = [phrase for phrase in request.terms.values() if phrase not in (free, "qwx")]
        found.append(Translation(request.source, " ".join([*phrases, free]), 0.0, []))
    return found


def test_terms_are_in_the_translations_that_need_them() -> None:
    found = translate_with_terms(GLOSSARY, [Request("Der Hund läuft."), Request("Nichts")], search)
    assert [each.translation.text for each in found] == ["hound The dog runs.", "Free."]
    assert all(not each.missing for each in found)


def test_a_term_that_has_no_place_is_reported() -> None:
    [found] = translate_with_terms(GLOSSARY, [Request("Unbekannt Hund")], search)
    assert found.missing == (("Unbekannt", "qwx"),)
    assert "hound" in found.translation.text
    missing = set[Term]()
    [plain] = translate_plain(["Unbekannt Hund"], GLOSSARY, search, missing)
    assert (plain, missing) == (found.translation, {("Unbekannt", "qwx")})
