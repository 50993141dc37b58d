"""``nmt align`` with an attribution, as a picture of lines and as a page."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from fixture_types import RunNmt
from refusals import refused

import nmt
from nmt.data.words import Words
from nmt.extensions.lecture.attribution import attribution_shares


def test_links_come_from_an_attribution(run_nmt: RunNmt, own_model: Path, pair: tuple[Path, Path]) -> None:
    # Attention would be read a step after the prediction of a word, and an attribution concerns the prediction itself.
    (own_model / "alignment.json").write_text('{"heads": ["attention"], "attention": "input"}', "utf-8")
    done = run_nmt("align", own_model, *pair, "--attribution", "leave_one_out", "--format", "json", "--limit", 1)
    found = json.loads(done.stdout)
    translator = nmt.load(own_model, "cpu")
    line, reference = (path.read_text("utf-8").splitlines()[0] for path in pair)
    pieces = translator.encode_source(line), translator.encode_target(reference)
    shares_TS = attribution_shares(translator.model, translator.vocabularies, *pieces, "leave_one_out")
    # The weight of a word is the sum over its source pieces, and the mean over its target pieces.
    target_words = Words.split(reference).of_pieces(translator.vocabularies.target.pieces(reference))
    source_words = Words.split(line).of_pieces(translator.vocabularies.source.pieces(line))
    of_words = np.zeros((len(found["target"]), len(found["source"])))
    for t, target in enumerate(target_words):
        for s, source in enumerate(source_words):
            of_words[target, source] += float(shares_TS[t, s]) / target_words.count(target)
    np.testing.assert_allclose(found["weights"], of_words, atol=1e-3)


def test_a_page_holds_words_heads_and_candidates(run_nmt: RunNmt, tiny_model: Path, tmp_path: Path) -> None:
    source, gold = tmp_path / "in.de", tmp_path / "gold"
    source.write_text("Der Hund schläft im Garten.\nDie Katze sieht den Mond.\n", encoding="utf-8")
    gold.write_text("0-0 1-1\n0-0 1?1\n", encoding="utf-8")
    run_nmt("align", tiny_model, source, "-o", tmp_path / "look.html", "--n-best", "2", "--gold", gold, check=True)
    page = (tmp_path / "look.html").read_text("utf-8")
    data = json.loads(re.findall(r'id="data">(.*?)</script>', page, re.DOTALL)[0])
    assert data["heads"] == ["attention, which links come from", "attention"]
    first, second = data["sentences"]
    assert first["source"] == ["Der", "Hund", "schläft", "im", "Garten."]
    assert first["candidates"][0]["target"] == ["The", "dog", "sleeps", "in", "the", "garden."]
    assert all(0 < p <= 1 for p in first["candidates"][0]["probabilities"])
    assert [len(sentence["candidates"]) for sentence in (first, second)] == [2, 2]
    assert second["gold"] == {"sure": [[0, 0]], "possible": [[1, 1]]}
    product = math.prod(first["candidates"][0]["probabilities"])
    assert product == pytest.approx(math.exp(first["candidates"][0]["score"]), rel=0.05)  # but for EOS


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--attribution leave_one_out --heads attention", "replaces the attention heads"),
        ("--attribution leave_one_out --format html", "replaces the attention heads"),
        ("--attribution leave_one_out --grid -o x.png", "replaces the attention heads"),
        ("--n-best 2", "--n-best is for pages"),
    ],
)
def test_what_does_not_go_together(
    run_nmt: RunNmt, tiny_model: Path, pair: tuple[Path, Path], options: str, message: str
) -> None:
    refused(run_nmt("align", tiny_model, *pair, *options.split()), message)
