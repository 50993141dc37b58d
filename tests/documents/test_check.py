"""What a translation loses or adds is found."""

from typing import Any

import pytest

from nmt.documents.check import problems


@pytest.mark.parametrize(
    ("source", "translation", "expected"),
    [
        ("Ein Hund.", "A dog.", {}),
        ("Es kostet 1.234,50 € am 3. Mai.", "It costs €1,234.50 on May 3.", {}),
        ("Es sind 12 Hunde.", "There are 21 dogs.", {"numbers": {"lost": ["12"], "added": ["21"]}}),
        (
            "Siehe https://a.b/c1.",
            "See https://a.b/c.",
            {"urls": {"lost": ["https://a.b/c1"], "added": ["https://a.b/c"]}},
        ),
        ("Hallo {name} %s", "Hello {Name} %s", {"placeholders": {"lost": ["{name}"], "added": ["{Name}"]}}),
        ("<b>Hund</b> 3", "<b>dog</b> 3 3", {"numbers": {"lost": [], "added": ["3"]}}),
        ("<b>Hund</b>", "<b>dog", {"tags": {"lost": ["</b>"], "added": []}}),
        ("Ein Hund", "A brown dоg", {"script": "о"}),
        ("A dog in Tokyo", "東京のイヌ", {}),
        ("Ein Hund", "dog dog dog dog dog dog", {"degenerate": "loop"}),
        ("Der kleine Hund schläft heute", "Der kleine Hund schläft heute", {"degenerate": "copy"}),
    ],
)
def test_problems(source: str, translation: str, expected: dict[str, Any]) -> None:
    assert problems(source, translation) == expected
