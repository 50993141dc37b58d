"""``nmt clean``: noise goes, good pairs stay, and it is recorded what went and why."""

import json
import random
import sys
import tracemalloc
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import numpy as np
import pytest
import yaml
from fixture_types import RunNmt
from refusals import refused

from nmt.alignment.word_model import WordModel
from nmt.core.errors import UserError
from nmt.core.text import read_lines
from nmt.extensions.cleaning import clean
from nmt.extensions.cleaning.base import Features, FlaggedPairs, PairFilter
from nmt.extensions.cleaning.check import flag, make_filters
from nmt.extensions.cleaning.clean import REPAIRS, CleanSettings
from nmt.extensions.cleaning.statistics import CorpusStatistics, Lines, PairSource, median_and_deviation
from nmt.extensions.cleaning.text import Numbers
from tests.extensions.cleaning.conftest import Pairs, Write
from tests.extensions.windows import silent_window


def records(path: Path) -> dict[int, dict[str, Any]]:
    return {record["line"]: record for record in map(json.loads, read_lines(path))}


def flagged(name: str, pairs: Pairs, names: tuple[str, str] = ("train.en", "train.de"), **options: Any) -> set[int]:
    statistics = CorpusStatistics(PairSource(names, lambda: pairs))
    return {int(i) for _, found in flag(statistics, make_filters({name: options})) for i in found.indices}


def test_noise_goes_and_good_pairs_stay(
    run_nmt: RunNmt, write: Write, sound: Pairs, pairs: Pairs, tmp_path: Path
) -> None:
    noise = {
        100: ("copies", (sound[1][0], sound[1][0])),
        200: ("empty", (sound[2][0], " ")),
        300: ("repeats", (sound[3][0], "der Hund " * 9)),
        400: ("few-letters", ("12 | 3.5 | 17 | 99 | 100", sound[4][1])),
        500: ("duplicate-pairs", sound[5]),
        600: ("invalid-utf8", ("gr\udcfcn is the tree", sound[6][1])),
        700: ("length-ratio", (sound[7][0], "Ja.")),
        800: ("replacement-character", (sound[8][0], sound[8][1].replace("e", "\ufffd"))),
    }
    for index, (_, pair) in noise.items():
        pairs.insert(index, pair)
    spoilt = next(n for n in range(20, 90) if "ä" in sound[n][1])
    pairs[spoilt] = (f"\u200b{sound[spoilt][0]}", sound[spoilt][1].encode().decode("cp1252"))
    output = tmp_path / "clean"
    done = run_nmt("clean", *write(pairs), "-o", output, check=True)
    removed, repaired = records(output / "removed.jsonl"), records(output / "repaired.jsonl")
    for index, (name, _) in noise.items():
        assert name in removed[index + 1]["filters"], (name, removed.get(index + 1))
    assert removed[601]["source"] == "gr\udcfcn is the tree"
    assert removed[701]["filters"]["length-ratio"] > 4
    assert len(removed) - len(noise) <= 0.01 * len(sound)
    assert repaired[spoilt + 1]["target"] == {"before": pairs[spoilt][1], "after": sound[spoilt][1]}
    kept = list(zip(read_lines(output / "train.en"), read_lines(output / "train.de"), strict=True))
    pairs[spoilt] = sound[spoilt]
    assert kept == [pair for number, pair in enumerate(pairs, 1) if number not in removed]
    assert f"{len(kept):,} of {len(pairs):,} pairs are kept, 1 of them repaired" in done.stdout
    page = (output / "report.html").read_text("utf-8")
    assert "der Hund der Hund" in page
    assert "<svg" in page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clean", "train.de", "train.en"]


@pytest.mark.slow
def test_the_report_fits_a_small_screen(
    browser: Any, run_nmt: RunNmt, write: Write, pairs: Pairs, tmp_path: Path
) -> None:
    run_nmt("clean", *write(pairs), "-o", tmp_path / "clean", check=True)
    with silent_window(browser, (tmp_path / "clean/report.html").as_uri(), 320) as window:
        assert window.locator("svg").count()


def test_the_written_settings_do_the_same_again(run_nmt: RunNmt, write: Write, sound: Pairs, tmp_path: Path) -> None:
    settings = tmp_path / "mine.yaml"
    settings.write_text("repair: [entities]\nfilters:\n  copies: null\n  length-ratio: {limit: 6}\n", "utf-8")
    files = write([*sound, ("This is the same", "This is the same"), ("a&amp;b cÃ¼", "a&b"), ("cÃ¼", "-" * 50)])
    assert run_nmt("clean", *files, "-o", tmp_path / "one", "--filters", settings).returncode == 0
    written = yaml.safe_load((tmp_path / "one" / "filters.yaml").read_text("utf-8"))
    assert written["repair"] == ["entities"]
    assert written["filters"]["copies"] is None
    assert written["filters"]["length-ratio"] == {"limit": 6.0, "factor": 1.5}
    done = run_nmt("clean", *files, "-o", tmp_path / "two", "--filters", tmp_path / "one" / "filters.yaml", "--json")
    counts = json.loads(done.stdout)
    assert counts["num_pairs"] == len(sound) + 3
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name
    removed = records(tmp_path / "one" / "removed.jsonl")
    reasons = [set(record["filters"]) for record in removed.values()]
    for each in counts["removals"]:
        numbers = sum(each["filter"] in why for why in reasons), reasons.count({each["filter"]})
        assert (each["num_pairs"], each["alone"]) == numbers, each["filter"]
    assert any(each["alone"] < each["num_pairs"] for each in counts["removals"])
    assert "copies" not in removed.get(len(sound) + 1, {"filters": {}})["filters"]
    assert removed[len(sound) + 2]["source"] == "a&b cÃ¼"


def test_pairs_of_every_test_set_go(run_nmt: RunNmt, write: Write, sound: Pairs, tmp_path: Path) -> None:
    long = [pair for pair in sound if len(pair[0].split()) > 6]
    tests = [f"--test={source},{target}" for source, target in (write([long[3]], "a"), write([long[5]], "b"))]
    run_nmt("clean", *write(sound), "-o", tmp_path / "clean", *tests, check=True)
    reasons = {line: record["filters"] for line, record in records(tmp_path / "clean" / "removed.jsonl").items()}
    lines = [line for line, filters in reasons.items() if "test-pairs-in-train" in filters]
    assert [sound[line - 1] for line in lines] == sorted([long[3], long[5]], key=sound.index)


def test_a_table_is_cleaned_as_two_files_are(run_nmt: RunNmt, write: Write, pairs: Pairs, tmp_path: Path) -> None:
    pairs[7:7] = [pairs[3], (pairs[4][0], " ")]
    rows = "".join(f"{n},{json.dumps(s)},{json.dumps(t, ensure_ascii=False)}\n" for n, (s, t) in enumerate(pairs))
    (table := tmp_path / "train.csv").write_text(f"id,English,Deutsch\n{rows}", "utf-8")
    columns = ("--set", "data.source=English", "--set", "data.target=Deutsch")
    run_nmt("clean", *write(pairs), "-o", tmp_path / "of_files", check=True)
    run_nmt("clean", table, *columns, "-o", tmp_path / "of_table", check=True)
    for name in ("train.en", "train.de", "removed.jsonl"):
        assert (tmp_path / "of_files" / name).read_text("utf-8") == (tmp_path / "of_table" / name).read_text("utf-8")


def test_a_filter_that_removes_most_pairs_is_told_with_its_remedy(
    run_nmt: RunNmt, write: Write, pairs: Pairs, tmp_path: Path
) -> None:
    files = write([(source, f"{target} gr\udcfcn") for source, target in pairs[:60]] + pairs[60:100])
    done = run_nmt("clean", *files, "-o", tmp_path / "clean")
    assert done.returncode == 0
    assert "Warning: 'invalid-utf8' removes 60 of 100 pairs. Convert the file with `iconv" in done.stderr
    removed = (tmp_path / "clean/removed.jsonl").read_text("utf-8")
    assert removed.count("gr\\udcfcn") == 60, "a byte that isn't UTF-8 is an escape of JSON"


def test_pairs_whose_source_is_in_a_test_set_go(run_nmt: RunNmt, write: Write, sound: Pairs, tmp_path: Path) -> None:
    """Also those of a test pair that the text has as a whole, which are not counted as other pairs."""
    pair = next(pair for pair in sound if len(pair[0].split()) <= 6)
    text, test = write([*sound, (pair[0], "Etwas ganz anderes steht hier.")]), write([pair], "test")
    settings = tmp_path / "filters.yaml"
    settings.write_text("filters: {test-sources-in-train: {}}")
    option = f"--test={test[0]},{test[1]}"
    run_nmt("clean", *text, "-o", tmp_path / "clean", option, "--filters", settings, check=True)
    assert pair[0] not in (tmp_path / "clean" / text[0].name).read_text("utf-8").splitlines()
    assert "test sources" not in run_nmt("check-data", *text, "--test", *test).stdout


FILTER_FILES = {
    "filters: {copy: {}}": "there is no filter 'copy'.\nDid you mean 'copies'?",
    "filters: {length-ratio: {limit: -1}}": "limit",
    "filters: {": "line 1",
    "filters: {copies: 3}": "copies",
    "repair: [spelling]": "spelling",
    "filters: {alignment: {model: .}}": "no lexicon.tsv",
}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("train.en", "missing.en"), "File not found"),
        (("train.en",), "comes without its translation"),
        (("train.en", "train.de", "--set", "data.source=en"), "two files are given"),
        (("short.en", "train.de"), "has 2 lines, but"),
        (("empty.en", "empty.en"), "is empty"),
        (("train.en", "train.de", "--test", "a.en"), "SOURCE,TARGET"),
        (("train.en", "train.de", "--test", "short.en,train.de"), "short.en has 2 lines, but train.de has 3"),
        (("train.de", "train.en", "--max-length", "1"), "Every pair would be removed, most of them by 'too-long'"),
        (("train.en", "train.de", "-o", "full"), "exists already"),
        *((("train.en", "train.de", "--filters", text), message) for text, message in FILTER_FILES.items()),
    ],
)
def test_bad_input_is_one_message_and_nothing_is_written(
    run_nmt: RunNmt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {"train.en": "a b\nd e\ng h\n", "train.de": "j\nk\nl\n", "short.en": "a\nb\n", "empty.en": ""}
    for name, content in files.items():
        Path(name).write_text(content, "utf-8")
    Path("full").mkdir()
    Path("filters.yaml").write_text(arguments[-1], "utf-8")
    given = ["filters.yaml" if argument in FILTER_FILES else argument for argument in arguments]
    refused(run_nmt("clean", "-o", "new", *given), expected)
    assert {path.name for path in Path().iterdir()} == {*files, "full", "filters.yaml"}
    assert not list(Path("full").iterdir())


@pytest.mark.quick("killed at the end")
@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files, as a full disk does")
@pytest.mark.parametrize("kind", ["killed among the filters", "killed at the end", "full disk"])
def test_a_stopped_run_goes_on_and_writes_the_same(
    write: Write, sound: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], kind: str,
) -> None:  # fmt: skip
    files, settings = write([*sound[:700], ("a", ""), *sound[:3]]), CleanSettings.read(None)
    monkeypatch.setattr("nmt.extensions.cleaning.statistics.BATCH_SIZE", 100)
    run, judged, read = partial(clean.clean, (files[0], files[1])), list[int](), PairFilter.read

    def counted(self: PairFilter, start: int, lines: Lines) -> Features:
        if kind == "killed among the filters" and len(judged) == 20 and not (tmp_path / "stopped").exists():
            (tmp_path / "stopped").touch()
            raise KeyboardInterrupt
        judged.append(start)
        return read(self, start, lines)

    whole = run(tmp_path / "whole", settings)
    monkeypatch.setattr(PairFilter, "read", counted)
    if kind == "full disk":
        import resource

        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        try:
            with pytest.raises(UserError, match=r"out/train.* can't be written: file too large.*\nFree some space"):
                run(tmp_path / "out", settings)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    else:
        render = Mock(side_effect=KeyboardInterrupt) if kind == "killed at the end" else clean.render
        with patch.object(clean, "render", render), pytest.raises(KeyboardInterrupt):
            run(tmp_path / "out", settings)
    assert not (tmp_path / "out").exists()
    assert ("goes on with the rest" in capsys.readouterr().err) == kind.startswith("killed")
    for name, other in (("max_length", {"max_length": 20}), ("before", {"earlier": (np.ones(1, np.uint64),) * 2})):
        with pytest.raises(UserError, match=rf"out\.partial was begun with another {name}: "):
            run(tmp_path / "out", settings, **other)
    before = len(judged)
    assert run(tmp_path / "out", settings) == whole
    assert sorted(set(judged)) == list(range(0, 704, 100))
    assert len(judged) - before == (before if kind.startswith("killed among") else 0)
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes(), path.name
    assert not (tmp_path / "out.partial").exists()


def test_misaligned_pairs_are_found_by_the_corpus_itself(sound: Pairs, pairs: Pairs) -> None:
    draw = random.Random(1)
    planted = sorted(draw.sample(range(len(pairs)), 60))
    for index in planted:
        pairs[index] = (pairs[index][0], sound[(index + draw.randrange(5, 800)) % len(sound)][1])
    found = flagged("alignment", pairs)
    assert len(found & set(planted)) >= 0.7 * len(planted)
    assert len(found - set(planted)) <= 0.02 * len(pairs)
    answers = [(source, draw.choice(sound)[1]) for source, _ in sound]
    assert flagged("alignment", answers) == set()
    without_words = [(source, "") for source, _ in sound]
    assert flagged("alignment", without_words) == set()


def test_memory_of_a_pair_of_words() -> None:
    source, target = np.random.default_rng(1).integers(1, 30, (2, 500, 20))
    tracemalloc.start()
    WordModel(list(source), list(target), 30)
    assert tracemalloc.get_traced_memory()[1] < 57 * 500 * 20 * 21, "66 bytes before"
    tracemalloc.stop()


def test_third_languages_are_told_by_the_name_of_the_file(pairs: Pairs) -> None:
    pairs[50] = (pairs[50][0], "Trois éléphants marchent dans l'eau avec un groupe de personnes.")
    assert 50 in flagged("language", pairs)
    assert len(flagged("language", pairs)) <= 0.01 * len(pairs)
    assert flagged("language", pairs, source="fr", target="de") <= {50}, "most of a side isn't in another language"
    assert 50 in flagged("language", pairs, names=("train.en.gz", "train.de.gz"))


def test_two_models_judge_pairs(tiny_model: Path, own_model: Path, tiny_pairs: Pairs) -> None:
    """The model of the other direction is the same one with other names: it shows only that both are asked."""
    tiny_pairs[7] = (tiny_pairs[7][0], tiny_pairs[20][1])
    recipe = (own_model / "recipe.yaml").read_text("utf-8").replace("source: de", "source: en")
    (own_model / "recipe.yaml").write_text(recipe.replace("target: en", "target: de"), "utf-8")
    assert flagged("cross-entropy", tiny_pairs, forward=tiny_model, backward=own_model, limit=0.0)
    with pytest.raises(UserError, match="backward de to en"):
        flagged("cross-entropy", tiny_pairs, forward=tiny_model, backward=tiny_model)


def test_the_lexicon_of_a_model_judges_pairs(sound: Pairs, tmp_path: Path) -> None:
    words = {(s, t) for source, target in sound for s in source.lower().split() for t in target.lower().split()}
    (tmp_path / "lexicon.tsv").write_text("".join(f"{s}\t{t}\t0.1\n" for s, t in sorted(words)), "utf-8")
    assert flagged("alignment", [*sound, ("Quux blah blub", "Foo bar baz")], model=tmp_path) >= {len(sound)}


@pytest.mark.parametrize(
    ("name", "source", "target", "is_bad"),
    [
        ("numbers", "Im Jahr 1984 waren es 1.000", "In 1984 it was 1,000", False),
        ("numbers", "Im Jahr 1984", "In 1948", True),
        ("numbers", "zwei 12", "two twelve", False),
        ("numbers", "भारत १९४७ में", "India in 1947", False),
        ("numbers", "120 Leute", "130 people", True),
        ("numbers", "120, 340 und 560", "120, 340 and 56", False),
        ("addresses", "Siehe www.example.org.", "See www.example.org", False),
        ("addresses", "Siehe www.example.org", "See www.example.com", True),
        ("copies", "Ein Mann schläft.", "EIN  Mann schläft", True),
        ("copies", "New York", "New York", False),
        ("copies", "12 3 45 - 6", "12 3 45 - 6", False),
        ("word-length", "a" * 60, "b", True),
        ("word-length", "Donaudampfschifffahrtsgesellschaft", "b", False),
        ("word-length", "见" * 60, "https://example.org/" + "a" * 60, False),
    ],
)
def test_filters_of_pairs(name: str, source: str, target: str, is_bad: bool) -> None:
    assert flagged(name, [(source, target), (target, source)]) == ({0, 1} if is_bad else set())


def test_numbers_are_scored_by_the_share_that_only_one_side_has() -> None:
    score = Numbers(Numbers.Options()).score
    assert score("120, 340, 560", "340, 560, 780") == pytest.approx(2 / 4)
    assert score("120", "120, 340 und 560") == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("own", "next_line", "is_misaligned"),
    [(0.3, 0.9, True), (0.55, 0.7, False), (0.0, 0.4, False)],
    ids=["the next line fits much better", "the next line fits a little better", "no line fits"],
)
def test_files_are_misaligned_where_other_lines_fit_much_better(
    own: float, next_line: float, is_misaligned: bool
) -> None:
    """The logarithms of lengths have about these correlations with those of the own and of the next line."""
    source_N, noise_N = np.random.default_rng(1).normal(size=(2, 504))
    rest = max(0.0, 1 - own**2 - next_line**2) ** 0.5
    target_N = own * source_N + next_line * np.roll(source_N, 1) + rest * noise_N
    lines = [["x" * int(np.exp(4 + 0.4 * value)) for value in values] for values in (source_N, target_N)]
    assert bool(flagged("misaligned", list(zip(*lines, strict=True)))) is is_misaligned


def test_foreign_scripts_and_near_duplicates() -> None:
    pairs = [(f"sentence {n} is here", f"Satz {n} ist da") for n in range(50)]
    pairs += [
        ("Привет, мир", "Hallo Welt"),
        ("the letter я", "der Buchstabe я"),
        ("Sentence 7 is here!", "Satz 7 ist da."),
    ]
    assert flagged("foreign-script", pairs) == {50}
    assert flagged("near-duplicates", pairs) == {52}
    assert flagged("duplicate-pairs", pairs) == set()
    assert flagged("near-duplicates", [("मैं जाता हूँ।", "I go."), ("मैं जाती हूँ।", "I go.")]) == set()


def test_letters_are_counted_in_words_of_lines_of_ten_characters() -> None:
    lines = ["1234 5678", "1234 56789", "abcd 12345", "abc 123456", "a b c d e f"]
    assert flagged("few-letters", [(line, "x") for line in lines]) == {1, 3, 4}, "60 % themselves are allowed"
    assert flagged("few-letters", [("मैं हर दिन पानी पीता हूँ।", "x"), ("ကျွန်တော် ရေသောက်သည်။", "x")]) == set()


def test_a_ratio_of_lengths_differs_by_deviations_and_by_a_factor() -> None:
    pairs = [("x" * 40, "y" * 40)] * 1000
    assert flagged("length-ratio", [*pairs, ("x" * 40, "y" * 59)]) == set(), "less than 1.5 times the median"
    assert flagged("length-ratio", [*pairs, ("x" * 40, "y" * 61), ("x" * 61, "y" * 40)]) == {1000, 1001}
    assert flagged("length-ratio", [*pairs, ("x" * 40, "y" * 61)], factor=1.6) == set()


def test_the_longest_pairs_that_training_takes_are_kept() -> None:
    assert flagged("too-long", [("a " * 150, "b"), ("a " * 151, "b"), ("a", "b " * 151)]) == {1, 2}


def test_copies_of_a_line_are_not_in_the_wrong_language(pairs: Pairs) -> None:
    long = next(n for n in range(100, 1000) if len(pairs[n][0]) > 45)
    pairs[long] = (pairs[long][0], pairs[long][0])
    assert long not in flagged("wrong-language", pairs)
    assert long in flagged("copies", pairs)


def test_the_worst_come_first_and_the_limit_itself_is_good() -> None:
    scores = np.array([0.5, 0.25, 1.0, 0.75, 9.0])
    found = FlaggedPairs.above(scores, 0.5, judged=np.array([True, True, True, True, False]))
    assert found.indices.tolist() == [2, 3]


def test_the_deviation_is_that_of_a_normal_distribution() -> None:
    values = np.random.default_rng(1).normal(3, 2, 20_000)
    values[:100] = 1e6
    assert median_and_deviation(values) == pytest.approx((3, 2), rel=0.03)


@pytest.mark.parametrize("line", ["Grüße aus Köln", "l’été – déjà", "Привет, мир", "naïve „café“ 20 °C"])
def test_mojibake_is_reverted_and_sound_text_stays(line: str) -> None:
    repaired = REPAIRS["mojibake"]
    assert repaired(line) == line
    once = line.encode().decode("cp1252", "ignore")
    if once.encode("cp1252") == line.encode():
        assert repaired(once) == line
        assert repaired(once.encode().decode("latin-1")) == line
    assert repaired(line.encode().decode("latin-1")) == line
    assert repaired("Straße in MÃ¼nchen") == "Straße in München"


def test_repairs_never_break_lines_and_settle(sound: Pairs) -> None:
    settings = CleanSettings(repair=list(REPAIRS))
    spoilt = ["a&#10;b &nbsp; c", "u\u0308 \x07 \u2028 \u00ad", "AT&T; R&D &copy=1", "Ã¼&amp;\x85"]
    for line in (*spoilt, *(source for source, _ in sound[:50])):
        repaired = settings.repaired(line)
        assert "\n" not in repaired
        assert settings.repaired(repaired) == repaired
    assert settings.repaired("AT&T, R&D and &copy=1") == "AT&T, R&D and &copy=1"
