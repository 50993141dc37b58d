"""Measures what the check and repair of translations do about known damage to good translations.

    python tools/experiments/damage_quality.py runs/de-en ../shared/data/multi30k --part val --picture check.png
    python tools/experiments/damage_quality.py runs/pydocs pydocs --languages es fr ja zh --tag '<2{}>' \\
        --choose valid --part test --same-marks

Good translations are those of the model with a sentence chrF of at least 50 (``--min-chrf``) against the reference,
and the references themselves. Each kind of damage is done once to each of them that it fits. A false alarm is a good
translation with any problem; damage is found if the damaged translation has one. The picture shows the recall of each
kind of damage to the model's translations by the share of false alarms, at all thresholds of the margin of
unsupported words.

A model of several target languages reads a tag before each line; the files of a language are PART.LANGUAGE.en and
PART.LANGUAGE.LANGUAGE. With ``--choose``, the limits of margin and coverage are chosen on another part, so that there
are at most 5 % false alarms there, half of them by coverage.

``--repair`` repairs the damage that was found, and also the model's own translations of sources whose number words are
replaced by random numbers: repaired are those that have no problem any more.
"""

import argparse
import random
import re
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from nmt.data.words import Words
from nmt.extensions.quality import check
from nmt.extensions.quality.examination import QualityExamination
from nmt.metrics.degenerate import loops
from nmt.metrics.table import METRICS
from nmt.plotting.style import style, write_figure
from nmt.translation.examination import Examiner, Window
from nmt.translation.load import load
from nmt.translation.options import TranslationOptions
from nmt.translation.request import UNCONSTRAINED, Request
from nmt.translation.results import Candidate, Translation
from nmt.translation.translator import Translator

Pair = tuple[str, str]
NUM_REPAIRS = 150
"""Translations with each kind of damage that are repaired."""
MAX_ALARMS = 0.05
MARKS = {"numbers", "urls", "tags", "placeholders"}
NUMBERS = {"zwei": "two", "drei": "three", "vier": "four", "fünf": "five", "sechs": "six"}


CJK = "\u3000-\u30ff\u3400-\u9fff\uff00-\uffef"
TAG = re.compile(r"^<2\w+> ")
UNIT = re.compile(rf"[{CJK}]{{1,2}}|[^\s{CJK}]+\s*|\s+")


def units(text: str) -> list[str]:
    """Returns the words with the space after them; in scripts without spaces two characters count as a word."""
    return UNIT.findall(text)


def joined(words: Sequence[str]) -> str:
    return "".join(words).strip()


def drop_word(pair: Pair, pool: Sequence[str], draw: random.Random) -> str | None:
    """Leaves out a word with at least four letters, or two characters of a script without spaces."""
    words = units(pair[1])
    places = [
        at for at, word in enumerate(words) if len(re.sub(r"\W", "", word)) >= (2 if re.match(f"[{CJK}]", word) else 4)
    ]
    if len(words) < 4 or not places:
        return None
    del words[draw.choice(places)]
    return joined(words)


def drop_phrase(pair: Pair, pool: Sequence[str], draw: random.Random) -> str | None:
    """Leaves out two to four words."""
    words, size = units(pair[1]), draw.randint(2, 4)
    if len(words) < 7:
        return None
    at = draw.randrange(len(words) - size)
    return joined(words[:at] + words[at + size :])


def repeat_phrase(pair: Pair, pool: Sequence[str], draw: random.Random) -> str | None:
    """Writes two to four words twice."""
    words, size = units(pair[1]), draw.randint(2, 4)
    if len(words) < 5:
        return None
    at = draw.randrange(len(words) - size)
    return joined(words[: at + size] + words[at:])


def copy_clause(pair: Pair, pool: Sequence[str], draw: random.Random) -> str | None:
    """Writes three to five words of the source in place of as many words at the same place of the translation."""
    source, words, size = [f"{word} " for word in TAG.sub("", pair[0]).split()], units(pair[1]), draw.randint(3, 5)
    if min(len(source), len(words)) <= size:
        return None
    at = draw.randrange(len(words) - size)
    first = min(round(at * len(source) / len(words)), len(source) - size)
    return joined(words[:at] + source[first : first + size] + words[at + size :])


def add_phrase(pair: Pair, pool: Sequence[str], draw: random.Random) -> str | None:
    """Inserts two to four words of another translation."""
    words, other, size = units(pair[1]), units(draw.choice(pool)), draw.randint(2, 4)
    if len(words) < 4 or len(other) <= size:
        return None
    at, first = draw.randrange(1, len(words)), draw.randrange(len(other) - size)
    return joined(words[:at] + other[first : first + size] + words[at:])


def change_digit(pair: Pair, pool: Sequence[str], draw: random.Random) -> str | None:
    places = [match.start() for match in re.finditer(r"\d", pair[1])]
    if not places:
        return None
    text, at = pair[1], draw.choice(places)
    return f"{text[:at]}{(int(text[at]) + draw.randint(1, 9)) % 10}{text[at + 1 :]}"


DAMAGES: dict[str, Callable[[Pair, Sequence[str], random.Random], str | None]] = {
    "drop word": drop_word,
    "drop phrase": drop_phrase,
    "repeat phrase": repeat_phrase,
    "copy clause": copy_clause,
    "add phrase": add_phrase,
    "change digit": change_digit,
}


def with_digits(pair: Pair) -> Pair:
    """Returns a pair with digits in place of a number word that both sides have."""
    for digit, (word, translation) in enumerate(NUMBERS.items(), start=2):
        patterns = [re.compile(rf"\b{each}\b", re.IGNORECASE) for each in (word, translation)]
        if all(pattern.search(text) for pattern, text in zip(patterns, pair, strict=True)):
            source, target = (pattern.sub(str(digit), text) for pattern, text in zip(patterns, pair, strict=True))
            return source, target
    return pair


def damaged(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    """Returns the pairs with each kind of damage."""
    draw, pool = random.Random(3), [target for _, target in pairs]
    found: dict[str, list[Pair]] = {}
    for name, damage in DAMAGES.items():
        made = [with_digits(pair) if name == "change digit" else pair for pair in pairs]
        texts = [damage(pair, pool, draw) for pair in made]
        found[name] = [(p[0], text) for p, text in zip(made, texts, strict=True) if text not in (None, p[1])]
    return found


def examiner(model: Translator) -> Examiner:
    return Examiner(model, TranslationOptions().changed(check=True))


def examined(model: Translator, pairs: Sequence[Pair]) -> list[Translation]:
    return list(examiner(model)([Translation(source, text, 0.0, []) for source, text in pairs]))


def signals(model: Translator, pairs: Sequence[Pair]) -> np.ndarray:
    """Returns the negative least margin and the negative least coverage of a source word, for each pair. [N, 2]"""
    words = ((Words.split(source), Words.split(target)) for source, target in pairs)
    rows = []
    for alignment, *_ in model.aligner.compared(words, scores=True):
        coverage_S = alignment.weights.sum(axis=0)  # 0 for tags
        is_long = [len(word) >= 4 and word.isalpha() for word in alignment.source]
        coverage = coverage_S[is_long & (coverage_S > 0)].min(initial=1.0)
        rows.append((-min(alignment.margins or (0.0,)), -coverage))
    return np.array(rows)


def draw_curves(model: Translator, good: Sequence[Pair], bad: dict[str, list[Pair]], path: Path) -> None:
    """Draws recall by false alarms for each kind of damage that isn't found by the text alone."""
    before, titles = signals(model, good), ("by the margin", "by coverage")
    with style(DAMAGES):
        figure = Figure(figsize=(7.5, 3.2), layout="constrained")
        for column, axes in enumerate(figure.subplots(1, 2, sharey=True)):
            for name, pairs in bad.items():
                if name == "change digit":
                    continue
                limits = np.sort(before[:, column])[::-1]
                found = np.sort(signals(model, pairs)[:, column])
                recall = 1 - np.searchsorted(found, limits, side="right") / len(found)
                axes.plot(np.arange(len(limits)) / len(limits), recall, label=name)
            axes.set(title=titles[column], xlim=(0, 0.3), ylim=(0, 1.02), xlabel="false alarms")
        figure.axes[0].set_ylabel("recall")
        figure.axes[0].legend(fontsize=8, loc="center right")
        write_figure(figure, path)


def after_repair(model: Translator, pairs: Sequence[Pair], texts: Sequence[str] | None = None) -> list[Translation]:
    """Translates sources, takes other texts in place of the translations if they are given, and repairs them."""
    options, requests = model.options(), [Request(source) for source, _ in pairs]
    search = partial(model.candidates, processors=(), constraints=UNCONSTRAINED)
    numbers = range(1, len(requests) + 1)
    found = search(requests, numbers, options=options)
    given = [of_line[0].text for of_line in found] if texts is None else texts
    first = examined(model, [(request.source, text) for request, text in zip(requests, given, strict=True)])
    pools = [[Candidate(text, 0.0, []), *of_line] for text, of_line in zip(given, found, strict=True)]
    window = Window(requests, numbers, pools, options, search)
    return QualityExamination(check="repair").chosen(window, first, examiner(model))


def print_repair(model: Translator, good: Sequence[Pair], bad: dict[str, list[Pair]], sources: Sequence[str]) -> None:
    print("\n| | tried | repaired | chrF to the undamaged text before | after |\n| --- | --- | --- | --- | --- |")
    originals, chrf = dict(good), METRICS["chrf"]()
    for name, pairs in bad.items():
        detected = [(pair, t) for pair, t in zip(pairs, examined(model, pairs), strict=True) if t.problems]
        detected = detected[:NUM_REPAIRS]
        done = after_repair(model, [pair for pair, _ in detected], [t.text for _, t in detected])
        share = sum(not t.problems for t in done) / max(len(done), 1)
        scores = []
        for texts in ([t.text for _, t in detected], [t.text for t in done]):
            known = [(text, originals[p[0]]) for text, (p, _) in zip(texts, detected, strict=True) if p[0] in originals]
            scores.append(f"{chrf.corpus_score(*split(known)).score:.1f}" if known else "–")
        print(f"| {name} | {len(detected)} | {share:.1%} | {scores[0]} | {scores[1]} |", flush=True)
    draw, numbers = random.Random(4), re.compile(rf"\b(?:{'|'.join(NUMBERS)})\b", re.IGNORECASE)
    changed = [numbers.sub(lambda m: str(draw.randint(11, 99)), source) for source in sources if numbers.search(source)]
    pairs = [(source, "") for source in changed]
    first = examined(model, [(t.source, t.text) for t in model.translate(changed)])
    done = after_repair(model, pairs)
    lost = [at for at, t in enumerate(first) if "numbers" in (t.problems or {})]
    share = sum("numbers" not in (done[at].problems or {}) for at in lost) / max(len(lost), 1)
    clean = sum(not done[at].problems for at in lost) / max(len(lost), 1)
    print(f"\n{len(changed)} sources with random numbers: {len(lost)} translations lose or change them; after repair")
    print(f"{share:.1%} of these have the right numbers, and {clean:.1%} have no problem at all")


def split(pairs: Sequence[Pair]) -> tuple[list[str], list[list[str]]]:
    return [text for text, _ in pairs], [[original for _, original in pairs]]


def good_translations(
    model: Translator, sources: Sequence[str], references: Sequence[str], same_marks: bool, min_chrf: float
) -> list[Pair]:
    """Returns the sources with those translations of the model that are like the references."""
    translations = [translation.text for translation in model.translate(sources)]
    scores = METRICS["chrf"]().sentence_scores(translations, [references], sources)
    return [
        (source, text)
        for source, text, reference, score in zip(sources, translations, references, scores, strict=True)
        if score >= min_chrf and not (same_marks and (loops(text) or MARKS & check.problems(reference, text).keys()))
    ]


def choose_limits(model: Translator, good: Sequence[Pair]) -> tuple[float, float]:
    """Returns limits of margin and coverage with at most the allowed share of false alarms, half of it by coverage."""
    check.LEAST_MARGIN, check.LEAST_COVERAGE = -inf, 0.0
    left = [pair for pair, t in zip(good, examined(model, good), strict=True) if not t.problems]
    if not left:
        return -inf, 0.0
    num_allowed = max(int(MAX_ALARMS * len(good)) - (len(good) - len(left)), 0)
    margins, coverages = (np.sort(-column) for column in signals(model, left).T)
    return float(margins[num_allowed - num_allowed // 2]), float(coverages[num_allowed // 2])


def print_row(model: Translator, name: str, pairs: Sequence[Pair], own: bool) -> None:
    """Prints false alarms and recall; ``own`` translations are made again, to be checked in the search."""
    checked = model.translate([source for source, _ in pairs], check=True) if own else examined(model, pairs)
    alarms = sum(bool(t.problems) for t in checked) / max(len(pairs), 1)
    shares = []
    for bad in damaged(pairs).values():
        found = [bool(t.problems) for t in examined(model, bad)]
        shares.append(f"{sum(found) / len(found):.1%} of {len(found)}" if found else "–")
    print(f"| {name} | {len(pairs)} | {alarms:.1%} | {' | '.join(shares)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_dir", type=Path)
    parser.add_argument("data", type=Path, help="folder with PART.de and PART.en, or PART.LANGUAGE.en and so on")
    parser.add_argument("--part", default="val", help="part that is measured")
    parser.add_argument("--choose", metavar="PART", help="part on which the limits are chosen")
    parser.add_argument("--languages", nargs="+", help="target languages of files PART.LANGUAGE.en")
    parser.add_argument("--tag", default="", help="beginning of each source line, with {} for the language")
    parser.add_argument("--limit", type=int, help="only the first N sentences of each part and language")
    parser.add_argument("--max-words", type=int, default=10_000, help="only sources of at most N words")
    parser.add_argument(
        "--same-marks",
        action="store_true",
        help="good translations have the numbers and placeholders of the reference, and no loop",
    )
    parser.add_argument("--min-chrf", type=float, default=50.0, help="sentence chrF of a good translation")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--repair", action="store_true")
    given = parser.parse_args()
    model = load(given.model_dir, "cpu")

    def read(part: str, language: str | None) -> tuple[list[str], list[str]]:
        data = model.recipe.data
        names = (
            (data.source, data.target) if language is None else (f"{language}.{data.source}", f"{language}.{language}")
        )
        sides = ((given.data / f"{part}.{name}").read_text("utf-8").split("\n")[:-1] for name in names)
        tag = f"{given.tag.format(language)} " if given.tag else ""
        rows = [(tag + source, target) for source, target in zip(*sides, strict=True)]
        rows = [row for row in rows if len(row[0].split()) <= given.max_words][: given.limit]
        return [row[0] for row in rows], [row[1] for row in rows]

    print(f"| good text | pairs | false alarms | {' | '.join(DAMAGES)} |\n| --- |{' --- |' * (2 + len(DAMAGES))}")
    for language in given.languages or [None]:
        sources, references = read(given.part, language)
        own, name = (
            good_translations(model, sources, references, given.same_marks, given.min_chrf),
            f" {language or ''}".rstrip(),
        )
        if given.choose:
            print_row(
                model, f"translations{name}, limits {check.LEAST_MARGIN:.2f}, {check.LEAST_COVERAGE:.3f}", own, True
            )
            usual = check.LEAST_MARGIN, check.LEAST_COVERAGE
            good = good_translations(model, *read(given.choose, language), given.same_marks, given.min_chrf)
            check.LEAST_MARGIN, check.LEAST_COVERAGE = choose_limits(model, good)
        print_row(model, f"translations{name}, limits {check.LEAST_MARGIN:.2f}, {check.LEAST_COVERAGE:.3f}", own, True)
        print_row(model, f"references{name}", list(zip(sources, references, strict=True)), False)
        if given.picture:
            draw_curves(model, own, damaged(own), given.picture)
        if given.repair:
            print_repair(model, own, damaged(own), sources)
        if given.choose:
            check.LEAST_MARGIN, check.LEAST_COVERAGE = usual


if __name__ == "__main__":
    main()
