"""Problems inserted into parallel text are found where they are, and none in sound text."""

import json
import random
import re
import unicodedata
from pathlib import Path

import pytest
from fixture_types import RunNmt
from refusals import refused

from nmt.core.errors import UserError
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.extensions.cleaning import translation
from nmt.extensions.cleaning.base import LineFilter
from nmt.extensions.cleaning.check import (
    DataReport,
    Finding,
    check_pairs,
    make_filters,
    read_vocabularies,
    recipe_pairs,
    shorten,
)
from nmt.extensions.cleaning.statistics import CorpusStatistics, file_pairs
from nmt.extensions.cleaning.table import FILTERS
from nmt.recipe.load import load_recipe
from tests.extensions.cleaning.conftest import Pairs, Write


def check(*files: list[Path], vocabularies: Vocabularies | None = None, max_length: int = 150) -> DataReport:
    """The report of a corpus, perhaps with test text."""
    corpus, *test = (file_pairs(*each) for each in files)
    return check_pairs(corpus, *(test or [None]), vocabularies, max_length)


def found(report: DataReport, check: str) -> list[Finding]:
    return [finding for finding in report.findings if finding.check == check]


def lines_of(finding: Finding) -> list[int]:
    return [example.line for example in finding.examples]


@pytest.mark.slow
def test_sound_text_has_nothing_but_notes(sound: Pairs, write: Write) -> None:
    report = check(write(sound[:1200]), write(sound[1200:], "test"))
    assert [f for f in report.findings if f.severity != "note"] == []
    usual = {"different-targets", "test-targets-in-train", "unlike-the-rest", "length-ratio"}
    assert {f.check for f in report.findings} <= usual
    assert report.is_sound
    assert report.num_pairs == 1200
    english, _ = report.sides
    lengths = sorted(len(source.split()) for source, _ in sound[:1200])
    assert (english.num_words, english.max_words) == (sum(lengths), lengths[-1])
    assert english.mean_words == pytest.approx(sum(lengths) / 1200)


def test_empty_lines(pairs: Pairs, write: Write) -> None:
    pairs[3], pairs[4] = ("", "etwas"), ("  ", "")
    (finding,) = found(check(write(pairs)), "empty")
    assert (finding.count, finding.severity) == (2, "note")
    assert found(check(write([("", "x")] * 3 + pairs[:10])), "empty")[0].severity == "serious"


def test_repeated_pairs_and_different_targets(pairs: Pairs, write: Write) -> None:
    pairs[100], pairs[101] = pairs[7], (pairs[8][0], "Etwas ganz anderes.")
    pairs[102] = (f" {pairs[9][0].replace(' ', '  ')}", pairs[9][1])  # white space makes no other sentence
    report = check(write(pairs[:200]))
    (repeated,) = found(report, "duplicate-pairs")
    assert (repeated.count, lines_of(repeated)) == (2, [101, 103])
    assert found(report, "different-targets")[0].count == 1
    assert found(check(write(pairs[:50] * 3)), "duplicate-pairs")[0].severity == "serious"


def test_test_text_in_the_training_text(pairs: Pairs, write: Write) -> None:
    test = pairs[1200:]
    long = [index for index, (source, _) in enumerate(test) if len(source.split()) > 6]
    short = [index for index, (source, _) in enumerate(test) if len(source.split()) <= 6]
    train = [*pairs[:1200], *(test[index] for index in (*long[:3], short[0])), (test[long[5]][0], "Ganz anders.")]
    report = check(write(train), write(test, "test"))
    (leak,) = found(report, "test-pairs-in-train")
    assert (leak.severity, leak.count, lines_of(leak)) == ("serious", 3, [index + 1 for index in long[:3]])
    assert found(report, "short-test-pairs-in-train")[0].count == 1
    assert lines_of(found(report, "test-sources-in-train")[0]) == [long[5] + 1]
    assert not report.is_sound


def test_characters_of_text_without_spaces_are_its_words(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sentence was a word: leaks of the test text counted as greetings, and Model 1 read text without bound."""
    train = [("".join(map(chr, range(0x4E00 + n, 0x4E0A + n))), f"Satz {n}.") for n in range(600)]
    files = write(train)
    report = check(files, write([*train[:10], ("他好", "Hallo.")], "test"))
    assert [finding.severity for finding in found(report, "test-pairs-in-train")] == ["serious"]
    learned_from: list[int] = []
    monkeypatch.setattr(translation, "MAX_LINKS", 600 * 10 * 2 / 3)
    monkeypatch.setattr(translation, "_TwoWordModels", lambda pairs: learned_from.append(len(pairs)))
    make_filters({"alignment": {}})["alignment"].prepare(CorpusStatistics(file_pairs(*files)))
    assert learned_from == [200]


def test_lines_in_the_wrong_language(pairs: Pairs, write: Write) -> None:
    planted = sorted(random.Random(1).sample([i for i in range(1, 1300) if len(pairs[i - 1][0]) > 45], 12))
    for index in planted:
        pairs[index] = (pairs[index][0], pairs[index - 1][0])  # English among the German
    (finding,) = found(check(write(pairs)), "wrong-language")
    assert finding.message.startswith("train.de: 12 lines")
    assert {line - 1 for line in lines_of(finding)} <= set(planted)
    assert finding.severity == "warning"


def test_a_third_language_is_unlike_the_rest(pairs: Pairs, write: Write) -> None:
    pairs[700] = (pairs[700][0], "Kolme miestä seisoo sillan vieressä ja katselee jokea yhdessä.")
    finding = next(f for f in found(check(write(pairs)), "unlike-the-rest") if f.message.startswith("train.de"))
    assert 701 in lines_of(finding)


def test_one_language_on_both_sides_is_no_fault(pairs: Pairs, write: Write) -> None:
    """Answers and paraphrases."""
    answers = [(source, pairs[(7 * index + 3) % 1300][0]) for index, (source, _) in enumerate(pairs)]
    report = check(write(answers))
    assert found(report, "wrong-language") == found(report, "misaligned") == []


def test_a_missing_line_is_noticed_and_placed(pairs: Pairs, write: Write) -> None:
    """From line 401 on the target is a line early; a thousand lines later both are in step again."""
    targets = [target for _, target in pairs]
    del targets[400]
    slipped = list(zip([source for source, _ in pairs], targets, strict=False))
    report = check(write(slipped))
    (finding,) = found(report, "misaligned")
    assert finding.severity == "serious"
    assert "Targets 1 line before lines" in finding.message
    numbers = re.findall(r"lines ([\d,]+) to ([\d,]+)", finding.message)[0]
    first, last = (int(number.replace(",", "")) for number in numbers)
    assert first <= 503
    assert last > 1200


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Schöne Grüße, «à bientôt», naïve façade, São Paulo, Ãngstrom", []),
        ("你好，世界 Привет мир", []),
        ("AT&T, R&D; Q&A; 3 < 5 and 7 > 2 <unk>", []),
        ("Schöne GrÃ¼ÃŸe", ["mojibake"]),
        ("itâ€™s", ["mojibake"]),
        ("itâ\x80\x99s", ["control-characters", "mojibake"]),
        ("20Â°C", ["mojibake"]),
        ("ÐŸÑ€Ð¸Ð²ÐµÑ‚", ["mojibake"]),
        ("bro\ufffdken", ["replacement-character"]),
        ("bell\x07 and vertical\x0btab", ["control-characters"]),
        ("a\ttab and a carriage\rreturn", ["control-characters"]),
        ("zero\u200bwidth", ["invisible-characters"]),
        ("Tom &amp; Jerry", ["markup"]),
        ("it&#39;s", ["markup"]),
        ("line<br/>break", ["markup"]),
        ("gr\udcfcn", ["invalid-utf8"]),
    ],
)
def test_encoding_errors_of_a_line(line: str, expected: list[str]) -> None:
    filters = {name: each({}) for name, each in FILTERS.items() if issubclass(each, LineFilter)}
    assert sorted(name for name, each in filters.items() if each.matches(line)) == expected


def test_a_long_line_of_dashes_is_searched_for_addresses_once(write: Write) -> None:
    """From each dash to the end of the line, the search would take minutes."""
    assert found(check(write([("-" * 130_000, "Ein Satz.")])), "word-length")


def test_normal_forms(write: Write) -> None:
    composed, decomposed = "schön", unicodedata.normalize("NFD", "schön")
    lines = [composed, "plain", decomposed, "你好"]
    (finding,) = found(check(write([(line, "x") for line in lines])), "normal-forms")
    assert (finding.severity, finding.count, lines_of(finding)) == ("warning", 1, [3])
    (finding,) = found(check(write([(decomposed, "x")])), "normal-forms")
    assert finding.severity == "note"


def test_examples_are_one_short_line() -> None:
    assert shorten("a\u200bb\rc\xa0d") == "a\\u200bb\\rc\xa0d"
    assert len(shorten("x" * 500)) == 101


def test_unknown_words_and_pairs_that_are_too_long(write: Write) -> None:
    vocabulary = WordVocabulary(["▁a", "▁b"])
    files = write([("a b a", "a b c"), ("a a a a", "a")])
    report = check(files, vocabularies=Vocabularies(vocabulary, vocabulary), max_length=3)
    (unknown,) = found(report, "unknown")
    assert unknown.message.startswith("train.de: 1 of 4 pieces (25 %) becomes UNK")
    assert (unknown.count, lines_of(unknown)) == (1, [1])
    (long,) = found(report, "too-long")
    assert (long.count, lines_of(long), "pieces on a side" in long.message) == (1, [2], True)


def test_bytes_of_a_byte_fallback_vocabulary(bytes_model: Path, write: Write, tiny_corpus: Path) -> None:
    vocabularies, max_length = read_vocabularies(bytes_model)
    assert max_length == 150
    known = (tiny_corpus / "train.en").read_text("utf-8").splitlines()[0]
    report = check(write([(known, known), (known + " 你", known)]), vocabularies=vocabularies)
    (finding,) = found(report, "byte-fallback")
    assert finding.message.startswith("train.en: 3 of ")
    assert lines_of(finding) == [2]


def test_a_recipe_names_training_and_validation_text(tmp_path: Path, tiny_recipe: Path) -> None:
    recipe = load_recipe(tiny_recipe)
    train, valid = recipe_pairs(recipe)
    assert train.names == ("train.de", "train.en")
    assert sum(1 for _ in valid.read()) == 8
    assert check_pairs(train, valid).num_pairs == 40
    corpora = [{"name": name, "tsv": f"{name}.tsv"} for name in "ab"]
    with pytest.raises(UserError, match="checked one by one"):
        recipe_pairs(load_recipe(tiny_recipe, {"data.corpora": corpora}))
    for split in ("train", "val"):  # of a dialogue the current turns are checked
        (tmp_path / f"{split}.de").write_text("Hallo du.\tGuten Tag heute.\n\tHallo du.\n")
        (tmp_path / f"{split}.en").write_text("Good day today.\nHello you.\n")
    train, _ = recipe_pairs(load_recipe(tiny_recipe, {"data.root": tmp_path, "data.history_turns": 1}))
    assert list(train.read()) == [("Guten Tag heute.", "Good day today."), ("Hallo du.", "Hello you.")]


def test_sound_text_ends_with_0(run_nmt: RunNmt, tiny_corpus: Path, tiny_model: Path) -> None:
    files = [tiny_corpus / f"{split}.{side}" for split in ("train", "val") for side in ("de", "en")]
    done = run_nmt("check-data", *files[:2], "--test", *files[2:], "--vocabulary", tiny_model)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].split()[:2] == ["40", "pairs"]
    assert done.stdout.splitlines()[-1].startswith("No serious problem was found: 0 serious")


def test_what_is_serious_ends_with_1_and_says_what_to_do(run_nmt: RunNmt, tiny_corpus: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "train.en"
    spoilt.write_bytes((tiny_corpus / "train.en").read_bytes() + b"gr\xfcn [bold]\n")
    files = [tiny_corpus / "train.de", spoilt]
    done = run_nmt("check-data", *files)
    assert done.returncode == 1
    assert "serious: train.de has 40 lines, train.en has 41: 1 line (2.4 %) lacks a partner." in done.stdout
    assert "serious: train.en: 1 line (2.4 %) contains bytes that are not UTF-8." in done.stdout
    assert "    line 41: gr\\xfcn [bold]" in done.stdout
    assert "  → Convert the file with `iconv" in done.stdout
    assert "Solve the serious problems" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines() if "    line " not in line) <= 80
    done = run_nmt("check-data", *files, "--test", *files, "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["sound"], report["num_pairs"]) == (1, False, 40)
    leak = next(finding for finding in report["findings"] if finding["check"] == "test-pairs-in-train")
    assert leak["severity"] == "serious"
    assert set(leak["examples"][0]) == {"line", "text"}


def test_a_recipe_is_checked_with_its_settings(run_nmt: RunNmt, tiny_recipe: Path) -> None:
    done = run_nmt("check-data", tiny_recipe, "--set", "data.max_length=2")
    assert "40 pairs" in done.stdout
    assert "40 pairs of more than 2 words on a side (100 %) exceed data.max_length" in " ".join(done.stdout.split())
    assert done.returncode == 1


def test_a_table_and_a_folder_are_checked(run_nmt: RunNmt, write: Write, pairs: Pairs, tmp_path: Path) -> None:
    (path := tmp_path / "a.csv").write_text("".join(f"{n};{s};{t}\n" for n, (s, t) in enumerate(pairs[:100])), "utf-8")
    refused(run_nmt("check-data", path), "has the columns a (0), b (")
    done = run_nmt("check-data", path, "--set", "data.source=b", "--set", "data.target=c", "--json")
    assert json.loads(done.stdout)["num_pairs"] == 100
    write(pairs[:100])
    write(pairs[:9], "val")
    report = json.loads(run_nmt("check-data", tmp_path, "--json").stdout)
    assert "test-pairs-in-train" in {finding["check"] for finding in report["findings"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train.de", "missing.en"), "File not found"),
        (("missing.csv",), "File not found"),
        (("empty", "empty"), "is empty"),
        (("train.de", "-"), "- is not a regular file"),
        (("train.de", "train.en", "--vocabulary", "nowhere"), "There is no vocabulary"),
        (("train.de", "train.en", "--set", "seed=1"), "two files"),
        (("multi30k/transfromer",), "transformer"),
        (("empty",), "comes without its translation"),
    ],
)
def test_what_cannot_be_read_ends_with_2(
    run_nmt: RunNmt, tiny_corpus: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "empty").touch()
    files = {"train.de": tiny_corpus / "train.de", "train.en": tiny_corpus / "train.en", "empty": tmp_path / "empty"}
    refused(run_nmt("check-data", *(files.get(argument, argument) for argument in arguments)), message)
