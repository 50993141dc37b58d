"""One translator serves several threads at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import nmt

LINES = ["Der Hund schläft im Garten.", "", "Heute trinkt die Katze kaltes Wasser.", "Mond " * 9, "Das Kind."]


@pytest.mark.quick("fp32")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_threads_get_what_a_single_one_gets(tiny_model: Path, precision: str) -> None:
    translator = nmt.load(tiny_model, "cpu", precision=precision)
    jobs = [(LINES[start:] + LINES[:start], {"beam_size": 1 + start % 3, "batch_size": 2}) for start in range(5)] * 2

    def translate(job: tuple[list[str], dict[str, int]]) -> list[tuple[str, float]]:
        lines, options = job
        found = translator.translate(lines, **options)
        scored = list(translator.score([(t.source, t.text) for t in found]))
        assert [pair.source for pair in scored] == lines
        return [(t.text, t.score) for t in found]

    alone = [translate(job) for job in jobs]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(translate, jobs)) == alone
