"""``nmt align`` and ``nmt aer`` as a user sees them."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest
from fixture_types import RunNmt
from refusals import refused


@pytest.fixture
def align(run_nmt: RunNmt, tiny_model: Path) -> RunNmt:
    """``nmt align`` with ``tiny_model``."""
    return partial(run_nmt, "align", tiny_model)


def test_tokens_are_linked_apart(align: RunNmt, tmp_path: Path, pair: tuple[Path, Path]) -> None:
    for path in pair:
        text = path.read_text("utf-8").replace(".", " .")
        (tmp_path / f"tok{path.suffix}").write_text(text, encoding="utf-8")
    options = ("--tokenized", "--format", "json", "--symmetrize", "none")
    done = align(tmp_path / "tok.de", tmp_path / "tok.en", *options)
    rows = list(map(json.loads, done.stdout.splitlines()))
    assert rows[0]["target"] == ["The", "dog", "sleeps", "in", "the", "garden", "."]
    assert sorted(j for _, j in rows[0]["links"]) == list(range(7))
    raw = align(*pair, "--format", "json")
    scores = [json.loads(line)["score"] for line in raw.stdout.splitlines()]
    assert [row["score"] for row in rows] == pytest.approx(scores), "the model must have read the same raw text"


def test_json_is_complete_and_has_the_links_of_pharaoh_form(
    align: RunNmt, tmp_path: Path, pair: tuple[Path, Path]
) -> None:
    by_name = tmp_path / "links.json"
    assert align(*pair, "-o", by_name).returncode == 0
    done = align(*pair, "--format", "json")
    assert by_name.read_text("utf-8") == done.stdout, "the suffix of the output chooses the format"
    rows = list(map(json.loads, done.stdout.splitlines()))
    row = rows[0]
    assert set(row) == {"source", "target", "links", "weights", "score"}
    assert len(row["weights"]) == 6
    assert {len(weights) for weights in row["weights"]} == {5}
    assert all(0 <= sum(weights) <= 1.001 for weights in row["weights"])
    assert row["score"] < 0
    pharaoh = align(*pair).stdout
    assert pharaoh == "".join(" ".join(f"{i}-{j}" for i, j in row["links"]) + "\n" for row in rows)


def test_without_a_target_its_own_translation_is_aligned(align: RunNmt, pair: tuple[Path, Path]) -> None:
    own = align(pair[0], "--format", "json").stdout
    assert own == align(*pair, "--format", "json").stdout
    assert align("-", stdin=pair[0].read_bytes()).stdout != ""


def test_no_input_is_written_over(align: RunNmt, pair: tuple[Path, Path]) -> None:
    before = [path.read_bytes() for path in pair]
    for path in pair:
        refused(align(*pair, "-o", path), "it is an input, which would be lost")
    assert [path.read_bytes() for path in pair] == before


def test_a_picture_follows_the_suffix_of_the_output(align: RunNmt, pair: tuple[Path, Path], tmp_path: Path) -> None:
    align(*pair, "-o", tmp_path / "by_name.svg", "--limit", 1)
    assert (tmp_path / "by_name.svg").read_bytes().startswith(b"<?xml")
    align(*pair, "-o", tmp_path / "other.svg", "--format", "png", "--limit", 1)
    assert (tmp_path / "other.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.extension
@pytest.mark.parametrize(
    "work", ["align @", "learn-alignment @", "translate @ --score-only", "score --perplexity @ -s"]
)
def test_text_is_read_to_its_end_before_work(run_nmt: RunNmt, tiny_model: Path, tmp_path: Path, work: str) -> None:
    paths = tmp_path / "a.de", tmp_path / "b.en"
    for path, count in zip(paths, (5000, 4999), strict=True):
        path.write_text("Hund\n" * count)
    assert run_nmt("align", tiny_model, *paths, "--limit", 9).returncode == 0, "the rest is not needed"
    with patch("nmt.data.vocabulary.base.Vocabulary.encode", side_effect=AssertionError):
        done = run_nmt(*work.replace("@", str(tiny_model)).split(), *paths)
    refused(done, f"{paths[0]} has 5,000 lines, but {paths[1]} has 4,999.", "align the files")


def test_aer_of_a_file_against_itself_and_against_gold(run_nmt: RunNmt, tmp_path: Path) -> None:
    found, gold, possible = tmp_path / "found", tmp_path / "gold", tmp_path / "possible"
    found.write_text("0-0 1-1\n0-0 2-1\n")
    gold.write_text("0-0 1-1\n0-0 1?1\n")
    possible.write_text("\n2-1\n")
    same = run_nmt("aer", found, found)
    assert same.stdout.startswith("AER 0.0000  precision 1.0000  recall 1.0000\n")
    figures = json.loads(run_nmt("aer", found, gold, "--json").stdout)
    assert figures["precision"] == 3 / 4
    assert figures["recall"] == 1
    assert figures["aer"] == pytest.approx(1 - 6 / 7)
    assert json.loads(run_nmt("aer", found, gold, "--possible", possible, "--json").stdout)["aer"] == 0


def test_punctuation_marks_can_be_words(align: RunNmt, pair: tuple[Path, Path]) -> None:
    options = ("--split-punctuation", "--format", "json", "--limit", 1)
    row = json.loads(align(*pair, *options).stdout)
    assert row["target"] == ["The", "dog", "sleeps", "in", "the", "garden", "."]


@pytest.mark.extension("lexicon")
def test_what_is_learned_is_used_from_then_on(run_nmt: RunNmt, own_model: Path, tiny_corpus: Path) -> None:
    train = (tiny_corpus / "train.de", tiny_corpus / "train.en")
    before = run_nmt("align", own_model, *train, "--format", "json").stdout
    done = run_nmt("learn-alignment", own_model, *train)
    assert (done.returncode, done.stdout) == (0, "")
    assert "from 40 sentence pairs" in done.stderr
    lexicon = (own_model / "lexicon.tsv").read_text("utf-8").splitlines()
    assert next(line for line in lexicon if line.startswith("hund\t")).startswith("hund\tdog\t")
    after = run_nmt("align", own_model, *train, "--format", "json").stdout
    assert after != before
    weights = [[json.loads(line)["weights"] for line in text.splitlines()] for text in (before, after)]
    assert weights[0] == weights[1], "pictures must go on showing the attention"
    assert run_nmt("align", own_model, *train, "--format", "json", "--no-lexicon").stdout == before
    for options, scale in (((), ">attention<"), (("--lexicon-only",), ">link probability<")):
        run_nmt("align", own_model, *train, *options, "--limit", 1, "-o", own_model / "link.svg")
        assert scale in (own_model / "link.svg").read_text("utf-8")


GRID = ("--grid draws a picture", "Give -o heads.png")
LEXICON_ONLY = ("--lexicon-only uses no attention",)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--grid", GRID),
        ("--grid --format json", GRID),
        ("--grid -o look.html", GRID),
        ("--lexicon-only --no-lexicon", LEXICON_ONLY),
        ("--lexicon-only --grid -o heads.png", LEXICON_ONLY),
        ("--lexicon-only -o look.html", LEXICON_ONLY),
        ("--lexicon-only --heads attention", LEXICON_ONLY),
        ("--gold x.gold", ("--gold is shown in pictures and pages",)),
        ("--numbers -o look.html", ("--numbers is for pictures",)),
        ("-o links.jpg", ("links.jpg would be text", "-o links.png")),
        ("--method threshold --symmetrize union", ("--symmetrize has no effect",)),
        ("--method argmax --threshold 0.2", ("--threshold has no effect",)),
    ],
)
def test_what_does_not_go_together(
    align: RunNmt, pair: tuple[Path, Path], options: str, expected: tuple[str, ...]
) -> None:
    refused(align(*pair, *options.split()), *expected)


@pytest.mark.extension("lexicon")
def test_heads_are_named_and_remembered(run_nmt: RunNmt, own_model: Path, pair: tuple[Path, Path]) -> None:
    plain = run_nmt("align", own_model, *pair).stdout
    read = run_nmt("align", own_model, *pair, "--heads", "attention", "--attention", "input")
    assert (read.returncode, read.stderr) == (0, "")
    assert read.stdout != plain
    run_nmt("learn-alignment", own_model, *pair, "--attention", "input")
    assert json.loads((own_model / "alignment.json").read_text()) == {"heads": ["attention"], "attention": "input"}
    assert run_nmt("align", own_model, *pair, "--no-lexicon").stdout == read.stdout
    refused(run_nmt("align", own_model, *pair, "--heads", "3:1"), "no attention head '3:1'")


@pytest.mark.extension("lexicon")
def test_heads_are_chosen_once(
    run_nmt: RunNmt, train_tiny: Callable[..., Path], tiny_corpus: Path, pair: tuple[Path, Path]
) -> None:
    layers = "{type: transformer, num_layers: 1, num_heads: 4, feed_forward_size: 32}"
    settings = (f"model.encoder={layers}", f"model.decoder={layers}")
    model = train_tiny("training.max_steps=3", *settings)
    done = run_nmt("learn-alignment", model, tiny_corpus / "train.de", tiny_corpus / "train.en", check=True)
    assert "Attention heads" in done.stdout
    chosen = json.loads((model / "alignment.json").read_text())
    assert chosen["attention"] == "output"
    assert set(chosen["heads"]) <= {"1:1", "1:2", "1:3", "1:4"}
    for head in ("1:1", "1:2", "1:3", "1:4"):
        assert f"{head} " in done.stdout
    by_name = run_nmt("align", model, *pair, "--heads", ",".join(chosen["heads"])).stdout
    assert run_nmt("align", model, *pair).stdout == by_name
    (model / "alignment.json").write_text('{"heads": ["1:3"], "attention": "input"}')
    swapped = run_nmt("learn-alignment", model, tiny_corpus / "train.en", tiny_corpus / "train.de")
    refused(swapped, "seems to be en, but the model translates from de to en")
    again = run_nmt("learn-alignment", model, *pair)
    assert (again.returncode, again.stdout) == (0, "")
    assert "alignment from 1:3 and from a lexicon of" in again.stderr


@pytest.mark.extension("lexicon")
def test_learning_needs_attention_and_text(
    run_nmt: RunNmt, vanilla_model: Path, own_model: Path, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    refused(run_nmt("learn-alignment", vanilla_model, *pair), "no attention")
    (tmp_path / "empty").write_text("\n\n")
    done = run_nmt("learn-alignment", own_model, tmp_path / "empty", tmp_path / "empty")
    refused(done, "no sentence pair to learn from")


def test_aer_warns_where_a_file_counts_words_from_one(run_nmt: RunNmt, tmp_path: Path) -> None:
    from_zero, from_one, few = tmp_path / "zero", tmp_path / "one", tmp_path / "few"
    from_zero.write_text("0-0 1-1\n0-1 2-0\n" * 3)
    from_one.write_text("1-1 2-2\n1-2 3-1\n" * 3)
    few.write_text("1-2\n" + "\n" * 5)
    assert run_nmt("aer", from_zero, from_zero, "--possible", few).stderr == ""
    assert run_nmt("aer", from_one, from_one).stderr == "", "whatever they count from, they agree"
    for files in ((from_zero, from_one), (from_one, from_zero), (from_zero, from_zero, "--possible", from_one)):
        done = run_nmt("aer", *files, check=True)
        assert f"{from_one} seems to count words from 1" in done.stderr
