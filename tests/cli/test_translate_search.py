"""The options of ``nmt translate`` that say how to search, as a user sees them."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import nmt
from nmt.decoding.request import Request
from nmt.decoding.wording import Wording
from nmt.errors import UserError

RunNmt = Callable[..., "subprocess.CompletedProcess[str]"]
SOURCE = "Der Hund schläft im Garten.\nDie Katze trinkt kaltes Wasser.\n"


def lines(done: "subprocess.CompletedProcess[str]") -> list[str]:
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_samples_depend_on_seed_and_line_alone(run_nmt: RunNmt, tiny_model: Path) -> None:
    options = ("--search", "sample", "--temperature", "3", "--beam-size", "4", "--n-best", "4", "--max-length", "6")
    first = lines(run_nmt("translate", tiny_model, *options, stdin=SOURCE))
    assert first == lines(run_nmt("translate", tiny_model, *options, "--batch-size", "1", stdin=SOURCE))
    assert first[1] == lines(run_nmt("translate", tiny_model, *options, stdin="\n" + SOURCE.splitlines()[1] + "\n"))[1]
    assert first != lines(run_nmt("translate", tiny_model, *options, "--seed", "2", stdin=SOURCE))
    assert len(set(first[0].split("\t"))) > 1


def test_mbr_takes_the_candidate_most_like_the_others(run_nmt: RunNmt, tiny_model: Path) -> None:
    from nmt.decoding.mbr import expected_utilities

    options = ("--search", "sample", "--temperature", "2", "--beam-size", "8", "--n-best", "8")
    plain = lines(run_nmt("translate", tiny_model, *options, stdin=SOURCE))
    chosen = lines(run_nmt("translate", tiny_model, *options, "--mbr", "chrf", stdin=SOURCE))
    for before, after in zip(plain, chosen, strict=True):
        candidates = before.split("\t")
        assert sorted(candidates) == sorted(after.split("\t"))
        utilities = expected_utilities(candidates, "chrf")
        assert utilities[candidates.index(after.split("\t")[0])] == max(utilities)


def test_an_ensemble_of_a_model_with_itself_is_that_model(run_nmt: RunNmt, tiny_model: Path) -> None:
    alone = lines(run_nmt("translate", tiny_model, "--scores", stdin=SOURCE))
    together = lines(run_nmt("translate", tiny_model, "--scores", "--ensemble", tiny_model, stdin=SOURCE))
    assert [line.split("\t")[1] for line in together] == [line.split("\t")[1] for line in alone]


def test_an_ensemble_needs_one_vocabulary(run_nmt: RunNmt, tiny_model: Path, bytes_model: Path) -> None:
    done = run_nmt("translate", tiny_model, "--ensemble", bytes_model, stdin=SOURCE)
    assert done.returncode == 2
    assert "another vocabulary" in done.stderr
    assert "vocabulary.path" in done.stderr


def test_wishes_come_with_the_lines(run_nmt: RunNmt, tiny_model: Path) -> None:
    asked = [
        {"source": "Der Hund schläft im Garten.", "prefix": "Today"},
        {"source": "Die Katze trinkt kaltes Wasser.", "must_contain": ["the moon"]},
        {"source": ""},
        {"source": "Das Kind hört ein altes Lied."},
    ]
    given = "".join(json.dumps(request, ensure_ascii=False) + "\n" for request in asked)
    prefix, phrase, empty, free = lines(run_nmt("translate", tiny_model, "--input-format", "jsonl", stdin=given))
    assert prefix.startswith("Today")
    assert "the moon" in phrase
    assert empty == ""
    assert [free] == lines(run_nmt("translate", tiny_model, stdin="Das Kind hört ein altes Lied.\n"))


@pytest.mark.parametrize(
    "line", ["Der Hund.", '{"text": "x"}', "[1]", '{"source": 1}', '{"source": "", "must_contain": "x"}']
)
def test_a_line_that_is_no_request_is_named(run_nmt: RunNmt, tiny_model: Path, line: str) -> None:
    done = run_nmt("translate", tiny_model, "--input-format", "jsonl", stdin='{"source": "Ja."}\n' + line + "\n")
    assert done.returncode == 2
    assert "line 2" in done.stderr


def test_what_jsonl_wrote_can_be_read_again(run_nmt: RunNmt, tiny_model: Path) -> None:
    written = run_nmt("translate", tiny_model, "--format", "jsonl", stdin=SOURCE)
    again = run_nmt("translate", tiny_model, "--format", "jsonl", "--input-format", "jsonl", stdin=written.stdout)
    assert lines(again) == lines(written)


def test_a_forbidden_phrase_is_not_said(run_nmt: RunNmt, tiny_model: Path) -> None:
    (before,) = lines(run_nmt("translate", tiny_model, stdin="Der Hund schläft im Garten.\n"))
    assert "the garden" in before
    (after,) = lines(run_nmt("translate", tiny_model, "--forbid", "the garden", stdin="Der Hund schläft im Garten.\n"))
    assert "the garden" not in after


def test_a_wish_that_cannot_be_written_is_a_warning(tiny_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    translator = nmt.load(tiny_model, "cpu")
    (found,) = translator.translate([Request("Der Hund schläft.", must_contain=("Zweiundvierzig",))])
    assert found.text
    assert "line 1: 'Zweiundvierzig' could not be made part" in capfd.readouterr().err


def test_unknown_words_come_from_the_source(tiny_model: Path) -> None:
    """The tiny model knows no Fritz; where it says UNK it looks at the word it doesn't know."""
    translator = nmt.load(tiny_model, "cpu")
    unknown = translator.vocabularies.target.unk
    line = "Der Fritz schläft im Garten."
    spelt = translator._attended_words(line, [unknown, unknown, unknown])
    assert set(spelt) <= {"Der", "Fritz", "schläft", "im", "Garten", "."}
    plain = Wording(replace_unknown=True, lexicon={"fritz": "Fred"})
    assert plain.translated("Fritz") == "Fred"
    assert plain.translated("Garten") == "Garten"


def test_unknown_words_need_attention(run_nmt: RunNmt, vanilla_model: Path) -> None:
    done = run_nmt("translate", vanilla_model, "--replace-unknown", stdin=SOURCE)
    assert done.returncode == 2
    assert "without attention" in done.stderr


def test_limits_and_repetition(run_nmt: RunNmt, tiny_model: Path) -> None:
    short = lines(run_nmt("translate", tiny_model, "--max-length", "2", stdin=SOURCE))
    assert all(len(line.split()) <= 2 for line in short)
    once = lines(run_nmt("translate", tiny_model, "--no-repeat-ngram", "1", stdin=SOURCE))
    assert all(len(set(line.split())) == len(line.split()) for line in once)


def test_groups_must_divide_the_beam(run_nmt: RunNmt, tiny_model: Path) -> None:
    done = run_nmt("translate", tiny_model, "--beam-size", "5", "--beam-groups", "2", stdin=SOURCE)
    assert done.returncode == 2
    assert "can't be divided into 2 equal groups" in done.stderr


@pytest.mark.parametrize("name", ["first", "likely", "exact"])
def test_every_way_to_stop_translates(run_nmt: RunNmt, tiny_model: Path, name: str) -> None:
    assert (
        lines(run_nmt("translate", tiny_model, "--early-stopping", name, stdin=SOURCE))[0]
        == "The dog sleeps in the garden."
    )


def test_a_lexicon_must_be_pairs(tmp_path: Path) -> None:
    from nmt.decoding.unknown import read_lexicon

    (tmp_path / "lexicon").write_text("Haus\thouse\nHund dog\n", encoding="utf-8")
    with pytest.raises(UserError, match="line 2"):
        read_lexicon(tmp_path / "lexicon")
