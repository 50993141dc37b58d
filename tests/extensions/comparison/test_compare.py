"""What a comparison finds, against counts by hand and sacreBLEU on parts of the text."""

import math
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import length_error
import pytest
import sacrebleu
from fixture_types import RecipeMaker

import nmt
from nmt.core.errors import UserError
from nmt.evaluation.scores import TestSet, read_test_set
from nmt.extensions.comparison.compare import compare, length_scores, ngram_changes, word_classes
from nmt.extensions.comparison.perplexity import perplexity
from nmt.extensions.comparison.report import to_html, word_differences
from nmt.extensions.comparison.significance import SufficientStatistics
from nmt.tasks.base import Task
from nmt.translation.results import ScoredPair

REFERENCES = ["the dog sees a zebra .", "a cat sleeps .", "the dog runs in the park .", "Tom & <b>Ann</b> eat ."] * 5
OLD = ["the dog sees a horse .", "a cat sleeps .", "the cat runs in park .", "Tom & <i>Ann</i> eat ."] * 5
NEW = ["the dog sees a zebra .", "a dog sleeps .", "the dog runs in the park .", "Tom & <b>Ann</b> eat ."] * 5


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    test_set = TestSet({"old": OLD, "<new>": NEW}, [REFERENCES], REFERENCES)
    return compare(test_set, num_samples=100, num_sentences=9, limits=[5])


def test_a_perplexity_per_word_that_no_float_can_hold_is_none(make_recipe: RecipeMaker) -> None:
    pair = ScoredPair("", "这" * 300, ["这"] * 300, [-5.0] * 300, -1500.0, None)
    found = perplexity([pair], "text.zh", Task(make_recipe(max_steps=1)))
    assert (found["per_token"], found["per_word"]) == (pytest.approx(math.exp(5)), None)


def test_buckets_without_sentences_are_left_out() -> None:
    test_set = TestSet({"a": ["x", "他好嗎"]}, [["x", "他好嗎"]])  # of three words, as its characters are
    rows = length_scores(test_set, [SufficientStatistics("chrf", test_set)], [1, 2])
    assert [(row["low"], row["high"], row["sentences"]) for row in rows] == [(1, 1, 1), (3, None, 1)]


def test_the_verdict_on_a_system_that_is_ahead_says_that_its_translations_are_degenerate() -> None:
    loops = [
        "the dog the dog the dog the dog the dog the dog",
        *["a cat sleeps sleeps sleeps sleeps sleeps sleeps"] * 3,
    ] * 5
    test_set = TestSet({"other": ["x y"] * 20, "loops": loops, "sound": NEW}, [REFERENCES])
    verdicts = compare(test_set, metrics=["bleu", "ter"], num_samples=100)["verdicts"]
    assert verdicts["loops"][0].startswith("loops is better by ")
    assert "20 of the 20 translations of loops look degenerate" in verdicts["loops"][0]
    again = [*loops[:-1], REFERENCES[-1]]
    both = compare(TestSet({"loops": loops, "again": again}, [REFERENCES]), num_samples=100)["verdicts"]
    assert "again is ahead by" in both["again"][0]
    assert "However" not in both["again"][0], "as many of the other's are degenerate, and chance may decide"
    assert verdicts["loops"][1].startswith("other is better by ")  # less is better, and the other system is only wrong
    assert not any("degenerate" in verdict for verdict in (verdicts["loops"][1], *verdicts["sound"]))


def test_word_classes_by_hand() -> None:
    """rare stands once in the training text, the 30 times, new never."""
    counts = Counter(["rare"] + ["the"] * 30)
    references = [["the", "rare", "new"], ["the", "the"]]
    systems = {"a": [["the", "rare", "rare"], ["the"]], "b": [["the", "new", "odd"], ["the", "the", "the"]]}
    never, once, often = word_classes(systems, references, counts)
    assert [group["label"] for group in (never, once, often)] == ["0", "1", "10–99"]
    assert [group["num_words"] for group in (never, once, often)] == [1, 1, 3]
    assert once["scores"]["a"] == {"precision": 0.5, "recall": 1, "f1": pytest.approx(2 / 3)}
    assert once["scores"]["b"] == {"precision": None, "recall": 0, "f1": 0}
    assert never["scores"]["b"] == {"precision": 0.5, "recall": 1, "f1": pytest.approx(2 / 3)}
    assert often["scores"]["a"] == {"precision": 1, "recall": pytest.approx(2 / 3), "f1": pytest.approx(4 / 5)}
    assert often["scores"]["b"]["precision"] == pytest.approx(3 / 4)  # clipped: the reference has two


def test_ngrams_gained_and_lost(found: dict[str, Any]) -> None:
    changes = ngram_changes(*([line.split() for line in text] for text in (OLD, NEW, REFERENCES)))
    assert changes["lost"][0] == {"words": "a cat sleeps .", "baseline": 5, "system": 0, "reference": 5}
    assert any("zebra" in change["words"] for change in changes["gained"])
    assert all(change["baseline"] < change["system"] <= change["reference"] for change in changes["gained"])
    assert len(found["changes"]["<new>"]["gained"]) == 10


def test_changed_sentences_are_ranked_by_sentence_score(found: dict[str, Any]) -> None:
    changes = found["changes"]["<new>"]
    assert (changes["num_better"], changes["num_worse"], changes["num_same"]) == (15, 5, 0)
    assert (len(changes["better"]), len(changes["worse"])) == (9, 5)
    gain = [
        sacrebleu.sentence_chrf(new, [ref]).score - sacrebleu.sentence_chrf(old, [ref]).score
        for old, new, ref in zip(OLD, NEW, REFERENCES, strict=True)
    ]
    best, worst = changes["better"][0], changes["worse"][0]
    assert gain[best["line"] - 1] == max(gain)
    assert best["system_score"] - best["baseline_score"] == pytest.approx(max(gain), abs=1e-5)
    assert gain[worst["line"] - 1] == min(gain)
    assert [worst[key] for key in ("reference", "baseline", "system")] == [*["a cat sleeps ."] * 2, "a dog sleeps ."]


def test_word_differences_keep_the_text() -> None:
    parts = word_differences("A man,  in an orange hat.", "A man in a hat !")
    assert [part for part, same in parts if not same] == [",", "an orange", "."]
    assert "".join(part for part, _ in parts) == "A man,  in an orange hat."
    assert word_differences("same text", "same text") == [("same text", True)]
    hindi = word_differences("वह किताब पढ़ता है", "वह कताब पढ़ता है")  # whose vowel signs are no letters
    assert hindi == [("वह ", True), ("किताब", False), (" पढ़ता है", True)]
    assert word_differences("", "x") == []
    assert [part for part, same in word_differences("我很喜欢你", "我喜欢他") if not same] == ["很", "你"]


class _Page(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in {"meta", "link", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_self_contained_escapes_text_and_is_accessible(found: dict[str, Any]) -> None:
    text = to_html(found)
    page = _Page(text)
    assert page.open == []
    links = [value or "" for name, value in page.attributes if name in {"src", "href"}]
    assert all(link.startswith("#") or link == "data:," for link in links)
    assert {link[1:] for link in links if link.startswith("#")} <= {v for name, v in page.attributes if name == "id"}
    assert "url(" not in text
    assert "@import" not in text
    assert not {"script", "b", "i", "new"} & set(page.tags)
    assert "Tom &amp; &lt;b&gt;Ann&lt;/b&gt; eat ." in text
    assert "&lt;new&gt; is better by" in text
    assert "prefers-color-scheme: dark" in text
    assert "a <mark>dog</mark> sleeps" in text
    # Its tables can be read aloud.
    assert page.tags.count("table") == page.tags.count("caption") > 5
    assert ("scope", "col") in page.attributes
    assert ("scope", "row") in page.attributes
    assert ("lang", "en") in page.attributes
    assert page.tags.count("h1") == 1


def test_systems_have_the_names_of_their_files_or_paths(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.en", "b.en", "c/a.en", "test.en", "test.de")]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_text("a line\n")
    a, b, other, reference, source = paths
    test_set = read_test_set([a, b], [reference, reference], source)
    assert (list(test_set.systems), len(test_set.references)) == (["a.en", "b.en"], 2)
    assert (test_set.source, test_set.measured_by) == (["a line"], "source")
    assert list(read_test_set([a, other], [reference]).systems) == [str(a), str(other)]
    with pytest.raises(UserError, match="No metric is named"):
        compare(test_set, metrics=[])


BY_SOURCE = TestSet(length_error.SYSTEMS, [length_error.REFERENCES], length_error.SOURCES)


def test_systems_are_compared_by_a_metric_from_outside_that_needs_the_source() -> None:
    nmt.add_component("length_error", length_error.LengthError)
    found = compare(BY_SOURCE, metrics=["length_error"], sentence_metric="length_error")
    assert found["systems"]["better"]["scores"]["length_error"]["score"] == 0.5
    assert found["verdicts"]["better"][0].startswith("better is better by 1.000 LenErr")
    assert found["changes"]["better"]["num_better"] == 20
    assert "1.500 ± " in to_html(found)
    rows = length_scores(BY_SOURCE, [SufficientStatistics("length_error", BY_SOURCE)], [4])
    assert [row["scores"]["length_error"]["base"] for row in rows] == [1.5]
