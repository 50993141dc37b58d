"""Measures where the terms of a glossary stand in translations, and what becomes of the rest.

    python tools/experiments/glossary_quality.py runs/pydocs test.en test.es

Entries are made of sentences and the words in them that are linked to a single word of their free translations. Every
other one has a compound of two words of translations as the term, which no vocabulary has. In the others the word gives
way to another one that is behind the same word elsewhere, and its own translation is the term: so the reference has the
term, and articles and adjectives that agree with it. A term isn't in the free translation in any form.

A term is in its place if it is there once, and the words that both translations have are on the same side of it as of
the word that it replaces. It is doubled if it is there twice or beside the word that it replaces, and appended if
nothing is behind it, though something was behind that word. ``linked`` is the share of terms that the word alignment
links to their source words. BLEU is that of the rest: terms and what they replace are masked.
"""

import argparse
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import partial
from pathlib import Path

import sacrebleu

import nmt
from nmt.data.sources import FileText
from nmt.data.words import Words
from nmt.translation.glossary import Glossary
from nmt.translation.request import Request
from nmt.translation.results import Translation

LEAST_LETTERS = 4


@dataclass(frozen=True)
class Entry:
    """A sentence with a term."""

    source: str
    word: str
    """The term of the source."""
    term: str
    """Its translation."""
    reference: str
    masked: str
    """The word of the reference in the place of the term, if it has that word."""
    free: str = ""
    """The translation without the glossary."""
    replaced: str = ""
    """The word in it that is linked to the term of the source."""


def words_of(text: str) -> list[str]:
    return list(Words.split_punctuation(text).words)


def single_links(found: Translation) -> Iterator[tuple[str, str]]:
    """Yields the words of the source and the translation that are linked to each other alone, and occur once."""
    sides = words_of(found.source), words_of(found.text)
    links = found.alignment or ()
    counts = [Counter(link[side] for link in links) for side in (0, 1)]
    times = [Counter(map(str.lower, words)) for words in sides]
    for link in links:
        pair = sides[0][link[0]], sides[1][link[1]]
        is_word = all(word.isalpha() and len(word) >= LEAST_LETTERS for word in pair)
        is_single = all(counts[side][link[side]] == times[side][pair[side].lower()] == 1 for side in (0, 1))
        if is_word and is_single and pair[0].lower() != pair[1].lower():
            yield pair


def entries(found: Sequence[Translation], references: Sequence[str], seed: int) -> Iterator[Entry]:
    """Yields an entry of each sentence with a single link, in random order, without the free translation."""
    generator, behind = random.Random(seed), defaultdict[str, set[str]](set)
    pairs = [list(single_links(each)) for each in found]
    for each, of_sentence in zip(found, pairs, strict=True):
        for source, _ in of_sentence:
            behind[word_before(each.source, source)].add(source)
    words = sorted({target for of_sentence in pairs for _, target in of_sentence})
    for number, row in enumerate(generator.sample(range(len(found)), len(found))):
        if not pairs[row]:
            continue
        source, target = generator.choice(pairs[row])
        if number % 2:
            term = generator.choice(words) + generator.choice(words).lower()
            term = term.capitalize() if target.istitle() else term.lower()
            yield Entry(found[row].source, source, term, references[row], target)
            continue
        line, before = found[row].source, word_before(found[row].source, source)
        others = [word for word in sorted(behind[before]) if word.istitle() == source.istitle() and word not in line]
        if others:
            other = generator.choice(others)
            yield Entry(re.sub(rf"\b{source}\b", other, line), other, target, references[row], target)


def with_translations(entries: Sequence[Entry], found: Sequence[Translation]) -> Iterator[Entry]:
    """Yields the entries whose terms are wanted, with the free translations of their sentences."""
    for entry, each in zip(entries, found, strict=True):
        replaced = dict(single_links(each)).get(entry.word)
        if replaced is not None and Glossary({entry.word: entry.term}).missing(each.source, each.text):
            yield replace(entry, free=each.text, replaced=replaced)


def word_before(text: str, word: str) -> str:
    words = ["", *words_of(text)]
    return words[words.index(word) - 1].lower()


def is_in_place(entry: Entry, text: str) -> bool:
    free, words = words_of(entry.free.lower()), words_of(text.lower())
    if words.count(entry.term.lower()) != 1:
        return False
    before, at = free.index(entry.replaced.lower()), words.index(entry.term.lower())
    rest, others = free[:before] + free[before + 1 :], words[:at] + words[at + 1 :]
    matches = SequenceMatcher(None, rest, others, autojunk=False).get_matching_blocks()
    return all((a + i < before) == (b + i < at) for a, b, size in matches for i in range(size))


def is_doubled(entry: Entry, text: str) -> bool:
    words = words_of(text.lower())
    return words.count(entry.term.lower()) > 1 or entry.replaced.lower() in words


def is_appended(entry: Entry, text: str) -> bool:
    return words_of(text.lower())[-1] == entry.term.lower() and words_of(entry.free)[-1] != entry.replaced


def without(text: str, word: str) -> str:
    return " ".join("_" if each.lower() == word.lower() else each for each in words_of(text))


def bleu(entries: Sequence[Entry], texts: Sequence[str], words: Sequence[str]) -> float:
    references = [without(each.reference, each.masked) for each in entries]
    hypotheses = [without(text, word) for text, word in zip(texts, words, strict=True)]
    return sacrebleu.corpus_bleu(hypotheses, [references], tokenize="none", force=True).score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    for name in ("source", "reference"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--tag", default="", help="in front of each sentence")
    parser.add_argument("--entries", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", action="store_true", help="print the translations whose terms aren't in their places")
    options = parser.parse_args()
    model = nmt.load(options.model)
    sources, references = zip(*FileText(options.source, options.reference), strict=True)
    tagged = [f"{options.tag} {source}".strip() for source in sources]
    translate = partial(model.translate, with_alignment="punctuation")
    made = list(entries(translate(tagged), references, options.seed))
    chosen = list(with_translations(made, translate([each.source for each in made])))[: options.entries]
    found = [each.text for each in model.translate([Request(e.source, terms={e.word: e.term}) for e in chosen])]
    aligned = model.align(
        zip((each.source for each in chosen), found, strict=True), split_punctuation=True, scores=False
    )
    linked = [
        any((a.source[s], a.target[t].lower()) == (each.word, each.term.lower()) for s, t in a.links)
        for each, a in zip(chosen, aligned, strict=True)
    ]
    pairs = list(zip(chosen, found, strict=True))
    placed, doubled, appended = ([judge(*pair) for pair in pairs] for judge in (is_in_place, is_doubled, is_appended))
    before = bleu(chosen, [each.free for each in chosen], [each.replaced for each in chosen])
    after = bleu(chosen, found, [each.term for each in chosen])
    shares = " | ".join(f"{sum(each) / max(len(chosen), 1):.1%}" for each in (placed, doubled, appended, linked))
    print("| entries | in place | doubled | appended | linked | BLEU of the rest: free, with terms |")
    print("| --- | --- | --- | --- | --- | --- |")
    print(f"| {len(chosen)} | {shares} | {before:.2f}, {after:.2f} |")
    if options.show:
        for (each, text), is_right in zip(pairs, placed, strict=True):
            if not is_right:
                print(f"{each.word} → {each.term} for {each.replaced}\n  {each.source}\n  {each.free}\n  {text}")


if __name__ == "__main__":
    main()
