"""Terms of a glossary are in translations, in the form that the model chooses if it does."""

from collections.abc import Sequence

import pytest

from nmt.core.errors import UserError
from nmt.documents.glossary import Glossary
from nmt.translation.request import Request
from nmt.translation.results import Translation

GLOSSARY = Glossary.parse("# terms\nHund\thound\n\nalte Katze\told cat\r\nKatze\tcat\nUnbekannt\tqwx\n")


def search(requests: Sequence[Request]) -> list[Translation]:
    """Has the phrases that are required, except for one that it can't spell."""
    found = []
    for request in requests:
        free = {"Der Hund läuft.": "The dog runs.", "Zwei Katzen und Katze": "Two cats"}.get(request.source, "Free.")
        phrases = [phrase for phrase in request.must_contain if phrase != "qwx"]
        found.append(Translation(request.source, " ".join([*phrases, free]), 0.0, []))
    return found


def test_terms_are_found_as_whole_words_the_longest_first() -> None:
    assert GLOSSARY.terms_in("Die ALTE  Katze, der Hund und der Hund.") == [
        ("alte Katze", "old cat"),
        ("Hund", "hound"),
    ]
    assert GLOSSARY.terms_in("Hundert Katzen") == []
    sack = Glossary({"Katze": "cat", "Katze im Sack": "pig in a poke"})
    assert sack.terms_in("die Katze im Sack, die Katze") == [("Katze im Sack", "pig in a poke"), ("Katze", "cat")]


def test_terms_are_forced_where_the_model_leaves_them_out() -> None:
    found = GLOSSARY.translate([Request("Der Hund läuft.", must_contain=("runs",)), Request("Nichts")], search)
    assert [each.translation.text for each in found] == ["runs hound The dog runs.", "Free."]
    assert all(not each.missing for each in found)


def test_another_form_of_the_term_is_the_term() -> None:
    [found] = GLOSSARY.translate([Request("Zwei Katzen und Katze")], search)
    assert (found.translation.text, found.missing) == ("Two cats", ())
    assert Glossary({"a": "große Katze"}).missing("a", "die großen Katzen") == ()
    assert Glossary({"a": "cat"}).missing("a", "a caterpillar") == (("a", "cat"),)


def test_a_term_that_could_not_be_forced_is_reported() -> None:
    [found] = GLOSSARY.translate([Request("Unbekannt Hund")], search)
    assert found.missing == (("Unbekannt", "qwx"),)
    assert "hound" in found.translation.text


@pytest.mark.parametrize("line", ["Hund", "\thound", "Hund\t", "a\tb\tc"])
def test_other_lines_are_refused(line: str) -> None:
    with pytest.raises(UserError, match="line 2"):
        Glossary.parse(f"a\tb\n{line}\n")
    assert Glossary.parse("").terms_in("a") == []


def test_a_second_search_counts_only_where_it_places_more_terms() -> None:
    def once(requests: Sequence[Request]) -> list[Translation]:
        return [Translation(r.source, "forced" if r.must_contain else "free", 0.0, []) for r in requests]

    [found] = GLOSSARY.translate([Request("Unbekannt")], once)
    assert (found.translation.text, found.missing) == ("free", (("Unbekannt", "qwx"),))
