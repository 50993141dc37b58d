"""What a comparison finds, against counts by hand and sacreBLEU on parts of the text."""

import json
from collections import Counter
from html.parser import HTMLParser

import pytest
import sacrebleu

from nmt.errors import UserError
from nmt.evaluation.analysis import Span, length_buckets, ngram_changes, num_words, word_classes, word_differences
from nmt.evaluation.compare import Comparison, Options, TestSet, compare, labels, read_test_set
from nmt.evaluation.compare_report import to_html, to_json

REFERENCES = ["the dog sees a zebra .", "a cat sleeps .", "the dog runs in the park .", "Tom & <b>Ann</b> eat ."] * 5
OLD = ["the dog sees a horse .", "a cat sleeps .", "the cat runs in park .", "Tom & <i>Ann</i> eat ."] * 5
NEW = ["the dog sees a zebra .", "a dog sleeps .", "the dog runs in the park .", "Tom & <b>Ann</b> eat ."] * 5


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    options = Options(num_samples=100, num_sentences=9, limits=[5])
    return compare(TestSet({"old": OLD, "<new>": NEW}, [REFERENCES], REFERENCES), options)


# lengths


def test_buckets_hold_each_sentence_once_in_order_of_length() -> None:
    lengths = [*range(1, 41), *[12] * 60, 300]
    buckets = length_buckets(lengths)
    assert sorted(i for bucket in buckets for i in bucket.sentences) == list(range(len(lengths)))
    for bucket in buckets:
        assert all(bucket.low <= lengths[i] <= (bucket.high or 300) for i in bucket.sentences)
        assert len(bucket.sentences) >= 10
    assert [bucket.high for bucket in buckets[:-1]] == [bucket.low - 1 for bucket in buckets[1:]]
    assert buckets[-1].high is None
    assert len(buckets) <= 8


def test_given_limits_and_bad_ones() -> None:
    buckets = length_buckets([3, 10, 11, 25], [10, 20])
    assert [(bucket.label, bucket.sentences) for bucket in buckets] == [
        ("up to 10", (0, 1)),
        ("11–20", (2,)),
        ("21+", (3,)),
    ]
    for limits in ([], [0, 5], [5, 5]):
        with pytest.raises(UserError, match="limits"):
            length_buckets([1], limits)
    assert length_buckets([]) == []
    assert [bucket.label for bucket in length_buckets([0, 1, 30])] == ["any"]


def test_words_of_text_without_spaces_are_its_characters() -> None:
    assert num_words("one two  three ") == 3
    assert num_words("他" * 40) == 40
    assert num_words("") == 0


def test_scores_by_length_are_those_of_a_file_of_these_sentences(comparison: Comparison) -> None:
    short, long = comparison.lengths
    assert (short.bucket.label, long.bucket.label) == ("up to 5", "6+")
    chosen = [i for i, line in enumerate(REFERENCES) if len(line.split()) > 5]
    assert list(long.bucket.sentences) == chosen
    for name, lines in (("old", OLD), ("<new>", NEW)):
        expected = sacrebleu.corpus_bleu([lines[i] for i in chosen], [[REFERENCES[i] for i in chosen]]).score
        assert long.scores["bleu"][name] == pytest.approx(expected)


# words


def test_word_classes_by_hand() -> None:
    """rare stands once in the training text, the 30 times, new never."""
    counts = Counter(["rare"] + ["the"] * 30)
    references = [["the", "rare", "new"], ["the", "the"]]
    systems = {"a": [["the", "rare", "rare"], ["the"]], "b": [["the", "new", "odd"], ["the", "the", "the"]]}
    never, once, often = word_classes(systems, references, counts)
    assert [group.label for group in (never, once, often)] == ["0", "1", "10–99"]
    assert [group.num_words for group in (never, once, often)] == [1, 1, 3]
    assert (once.scores["a"].precision, once.scores["a"].recall) == (0.5, 1)
    assert once.scores["a"].f1 == pytest.approx(2 / 3)
    assert (once.scores["b"].precision, once.scores["b"].recall, once.scores["b"].f1) == (None, 0, 0)
    assert (never.scores["b"].precision, never.scores["b"].recall) == (0.5, 1)
    assert (often.scores["a"].precision, often.scores["a"].recall) == (1, pytest.approx(2 / 3))
    assert often.scores["b"].precision == pytest.approx(3 / 4)  # clipped: the reference has two


def test_ngrams_gained_and_lost(comparison: Comparison) -> None:
    gained, lost = ngram_changes(*([line.split() for line in text] for text in (OLD, NEW, REFERENCES)))
    assert {change.words for change in lost} >= {"a cat sleeps ."}
    assert "cat" not in {change.words for change in lost}  # the longer one says it
    assert all((change.baseline, change.system, change.reference) == (5, 0, 5) for change in lost)
    assert any("zebra" in change.words for change in gained)
    assert all(change.system > change.baseline and change.system <= change.reference for change in gained)
    assert comparison.changes["<new>"].gained


# sentences


def test_changed_sentences_are_ranked_by_sentence_score(comparison: Comparison) -> None:
    changes = comparison.changes["<new>"]
    assert (changes.num_better, changes.num_worse, changes.num_same) == (15, 5, 0)
    assert (len(changes.better), len(changes.worse)) == (9, 5)
    gain = [
        sacrebleu.sentence_chrf(new, [ref]).score - sacrebleu.sentence_chrf(old, [ref]).score
        for old, new, ref in zip(OLD, NEW, REFERENCES, strict=True)
    ]
    best, worst = changes.better[0], changes.worse[0]
    assert gain[best.line - 1] == max(gain)
    assert best.system_score - best.baseline_score == pytest.approx(max(gain))
    assert gain[worst.line - 1] == min(gain)
    assert (worst.reference, worst.baseline, worst.system) == ("a cat sleeps .", "a cat sleeps .", "a dog sleeps .")


def test_word_differences_keep_the_text() -> None:
    spans = word_differences("A man,  in an orange hat.", "A man in a hat !")
    assert [span.text for span in spans if not span.same] == [",", "an orange", "."]
    assert "".join(span.text for span in spans) == "A man,  in an orange hat."
    assert word_differences("same text", "same text") == [Span("same text", True)]
    assert word_differences("", "x") == []
    assert [s.text for s in word_differences("我很喜欢你", "我喜欢他") if not s.same] == ["很", "你"]


# reports


def test_json_has_every_figure(comparison: Comparison) -> None:
    found = json.loads(json.dumps(to_json(comparison)))
    assert found["baseline"] == "old"
    assert set(found["systems"]) == {"old", "<new>"}
    old, bleu = (found["systems"][name]["scores"]["bleu"] for name in ("old", "<new>"))
    assert bleu["score"] == pytest.approx(sacrebleu.corpus_bleu(NEW, [REFERENCES]).score, abs=1e-4)
    assert bleu["difference"]["value"] == pytest.approx(
        bleu["score"] - found["systems"]["old"]["scores"]["bleu"]["score"], abs=1e-3
    )
    assert bleu["difference"]["significant"] is True
    assert old["difference"] is None
    assert list(found["signatures"]) == ["bleu", "chrf", "ter"]
    assert found["changes"]["<new>"]["worse"][0]["line"] == 2
    assert found["lengths"][1]["scores"]["bleu"]["old"] > 0


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


def test_the_page_is_self_contained_and_escapes_text(comparison: Comparison) -> None:
    text = to_html(comparison)
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


def test_tables_of_the_page_can_be_read_aloud(comparison: Comparison) -> None:
    page = _Page(to_html(comparison))
    assert page.tags.count("table") == page.tags.count("caption") > 5
    assert ("scope", "col") in page.attributes
    assert ("scope", "row") in page.attributes
    assert ("lang", "en") in page.attributes
    assert page.tags.count("h1") == 1


# reading


def test_names_are_what_differs() -> None:
    assert labels(["runs/a.test.en", "runs/b.test.en"]) == ["a", "b"]
    assert labels(["x/a/test.en", "x/b/test.en"]) == ["a", "b"]
    assert labels(["a/one.en", "b/two.en"]) == ["a/one", "b/two"]
    assert labels(["a/one.en"]) == ["one.en"]
    assert labels(["a", "a.en"]) == ["a", "a.en"]
    assert labels([".x.en", ".y.en"]) == [".x", ".y"]
    with pytest.raises(UserError, match="twice"):
        labels(["a", "a"])


def test_too_few_files_are_refused() -> None:
    with pytest.raises(UserError, match="two systems"):
        read_test_set(["a"], ["r"])
    with pytest.raises(UserError, match="No reference"):
        read_test_set(["a", "b"], [])
