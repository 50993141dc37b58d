"""Measures what a glossary changes in translations: terms, BLEU and chrF.

    python tools/experiments/glossary_quality.py runs/pydocs train.es.en train.es.es test.es.en test.es.es --tag '<2es>'

The glossary is made from the training text: source words with the target word that stands in most of their sentences,
where it stands in at least ``--least`` of them. Words of more than one in fifty sentences, words that are translated as
themselves, and words of fewer than four letters are left out. Of the test text, the sentences with a term are
translated without and with the glossary. A term is wanted where the reference has its translation in any form.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import sacrebleu

import nmt
from nmt.data.sources import FileText
from nmt.data.words import Words
from nmt.documents.glossary import Glossary, Search, Term
from nmt.translation.request import Request

LEAST_COUNT = 20
MOST_COMMON = 1 / 50
LEAST_LETTERS = 4


def words_of(text: str) -> set[str]:
    found = (word.lower() for word in Words.split_punctuation(text).words)
    return {word for word in found if word.isalpha() and len(word) >= LEAST_LETTERS}


def terms_of(pairs: Iterable[tuple[str, str]], least: float) -> dict[str, str]:
    """Returns the words with one translation in most of their sentences."""
    words = [(words_of(source), words_of(target)) for source, target in pairs]
    source_count = Counter(word for source, _ in words for word in source)
    target_count = Counter(word for _, target in words for word in target)
    most = MOST_COMMON * len(words)
    chosen = {word for word, count in source_count.items() if LEAST_COUNT <= count <= most}
    together = {word: Counter[str]() for word in chosen}
    for source, target in words:
        for word in source & chosen:
            together[word].update(target)
    terms = {}
    for word, found in together.items():
        # Of words that stand in as many of the sentences, the rarest is the translation.
        best = max(found, key=lambda each: found[each] ** 2 / target_count[each], default=word)
        if best != word and found[best] >= least * source_count[word] and target_count[best] <= most:
            terms[word] = best
    return terms


def terms_found(glossary: Glossary, sources: Sequence[str], texts: Sequence[str]) -> set[tuple[int, Term]]:
    """Returns the terms of the sources that translations have, with the numbers of the sentences."""
    return {
        (number, term)
        for number, (source, text) in enumerate(zip(sources, texts, strict=True))
        for term in set(glossary.terms_in(source)).difference(glossary.missing(source, text))
    }


def rows(
    glossary: Glossary, sources: Sequence[str], references: Sequence[str], search: Search
) -> Iterator[tuple[str, ...]]:
    wanted = terms_found(glossary, sources, references)
    requests = [Request(source) for source in sources]
    free = search(requests)
    # The first search of the glossary is the free one, which is not repeated.
    bound = glossary.translate(requests, lambda asked: free if asked is requests else search(asked))
    for name, found in (("without", free), ("with", [each.translation for each in bound])):
        texts = [each.text for each in found]
        kept = len(wanted & terms_found(glossary, sources, texts))
        bleu = sacrebleu.corpus_bleu(texts, [references]).score
        chrf = sacrebleu.corpus_chrf(texts, [references]).score
        yield name, f"{kept:,} of {len(wanted):,}", f"{kept / max(len(wanted), 1):.1%}", f"{bleu:.2f}", f"{chrf:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    for name in ("train_source", "train_target", "source", "reference"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--tag", default="", help="in front of each sentence")
    parser.add_argument("--least", type=float, default=0.7, help="share of the sentences of a word")
    options = parser.parse_args()
    terms = terms_of(FileText(options.train_source, options.train_target), options.least)
    glossary = Glossary(terms)
    pairs = [pair for pair in FileText(options.source, options.reference) if glossary.terms_in(pair[0])]
    if not pairs:
        parser.error("no sentence has a term: give a lower --least")
    sources = [f"{options.tag} {source}".strip() for source, _ in pairs]
    references = [reference for _, reference in pairs]
    occurrences = sum(len(glossary.terms_in(source)) for source in sources)
    print(f"{len(terms):,} terms, which occur {occurrences:,} times in {len(sources):,} sentences, such as:")
    print(", ".join(f"{source} → {target}" for source, target in list(terms.items())[:10]))
    print("\n| glossary | terms that the reference has | share | BLEU | chrF |\n| --- | --- | --- | --- | --- |")
    for row in rows(glossary, sources, references, nmt.load(options.model).translate):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
