"""The journal of a document whose translation was stopped."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from nmt.core.errors import UserError
from nmt.extensions.documents.job import DocumentTranslator, _read_record
from nmt.translation.job import TranslationJob


@pytest.mark.parametrize(
    "line",
    [
        '{"source": ' + "[" * 3000 + "]" * 3000 + ', "translation": "a", "alignment": null}',
        '["source"]',
        '{"source": "a", "alignment": null}',
        '{"source": "a", "translation": "b", "alignment": [[1]]}',
    ],
    ids=["nested", "no object", "no translation", "no links"],
)
def test_a_record_of_another_form_is_refused_with_the_remedy(line: str) -> None:
    with pytest.raises(UserError, match=r"is no translation of a sentence.\nDelete the file"):
        _read_record(line)


def test_a_record_is_a_translation() -> None:
    source, found = _read_record('{"source": "a b", "translation": "c", "alignment": [[0, 0], [1, 0]]}')
    assert (source, found.text, found.alignment) == ("a b", "c", ((0, 0), (1, 0)))


def test_a_sentence_is_divided_once(tmp_path: Path) -> None:
    pytest.importorskip("sentencex")
    encode = Mock(side_effect=list)
    vocabulary = SimpleNamespace(after_tags=lambda text: 0, tags_of=lambda text: [])
    model: Any = SimpleNamespace(
        max_pieces=8, encode_source=encode,
        vocabularies=SimpleNamespace(source=vocabulary),
        recipe=SimpleNamespace(data=SimpleNamespace(source="de", target="en")),
    )  # fmt: skip
    path, records, output = tmp_path / "a.txt", tmp_path / "records", tmp_path / "out.txt"
    path.write_text("Ein Hund und ein Hund.\n")
    document = DocumentTranslator(TranslationJob(model, str), path, ".txt")
    num_calls = encode.call_count
    lines = [f'{{"source": "{each}", "translation": "{each}", "alignment": null}}\n' for each in document.sentences]
    records.write_text("".join(lines))
    document.write(output, records)
    assert output.read_text() == path.read_text()
    assert encode.call_count == num_calls > 0
