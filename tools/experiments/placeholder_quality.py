"""Measures how many placeholders and how much markup of documentation a translation keeps.

    python tools/experiments/placeholder_quality.py ../shared/data/pydocs
    python tools/experiments/placeholder_quality.py ../shared/data/pydocs --model runs/pydocs --tag '<2{}>'

The messages of PART.en-LANGUAGE.tsv.gz are translated as they are, and as a catalogue (``nmt translate messages.po``).
Without a model, human translations are damaged in place of one: each placeholder is lost, changed or doubled with
probability 0.3. A placeholder is kept if the translation has it letter by letter, as many times as the source.
Titles of links and references may be translated; their targets count.
"""

import argparse
import gzip
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import polib
import sacrebleu

import nmt
from nmt.data.words import Words
from nmt.extensions.documents.formats import translate_document
from nmt.translation.results import Translation

LANGUAGES = ("es", "fr", "ja", "pt", "zh")
PLACEHOLDER = re.compile(
    r"``[^`]+``|:[\w:.+-]+:`[^`]+`|`[^`<>]+ <[^`<>]+>`__?|`[^`]+`__?|\|[^|\s`]+\||%\(\w+\)[sdr]|%[sdrifx](?!\w)|\{\w*\}"
)
TITLE = re.compile(r"`[^`<>]+ (<[^`<>]+>)`")
"""The markup that is counted, told apart without the code of nmt."""


def placeholders(text: str) -> Counter[str]:
    return Counter(TITLE.sub(r"`\1`", found) for found in PLACEHOLDER.findall(text))


def damaged(text: str, chosen: random.Random) -> str:
    def damage(match: re.Match[str]) -> str:
        kind = chosen.random()
        if kind > 0.3:
            return match.group()
        return "" if kind < 0.1 else match.group() * 2 if kind < 0.2 else match.group().replace("`", "").upper()

    return PLACEHOLDER.sub(damage, text)


def catalogue(messages: Sequence[str]) -> bytes:
    entries = polib.POFile()
    entries.extend(polib.POEntry(msgid=message) for message in messages)
    return str(entries).encode()


def protected(messages: Sequence[str], translate: Callable[[Sequence[str]], list[Translation]]) -> list[str]:
    result = translate_document("messages.po", catalogue(messages), translate).decode()
    return [entry.msgstr for entry in polib.pofile("\n" + result)]


def by_model(directory: Path, tag: str) -> Callable[[Sequence[str]], list[Translation]]:
    model = nmt.load(directory)
    num_tags = len(Words.split_punctuation(tag).words)

    def translate(sentences: Sequence[str]) -> list[Translation]:
        found = model.stream([f"{tag} {each}".strip() for each in sentences], with_alignment="punctuation")
        return [
            replace(each, source=sentence, alignment=_without_tags(each.alignment, num_tags))
            for sentence, each in zip(sentences, found, strict=True)
        ]

    return translate


def _without_tags(links: tuple[tuple[int, int], ...] | None, num_tags: int) -> tuple[tuple[int, int], ...] | None:
    return None if links is None else tuple((s - num_tags, t) for s, t in links if s >= num_tags)


def by_references(references: Sequence[str]) -> Callable[[Sequence[str]], list[Translation]]:
    """Each call is a message; its first sentence gets the whole translation."""
    remaining = iter(references)

    def translate(sentences: Sequence[str]) -> list[Translation]:
        texts = [next(remaining) if sentences else "", *[""] * (len(sentences) - 1)]
        return [Translation(sentence, text, 0.0, []) for sentence, text in zip(sentences, texts, strict=False)]

    return translate


def shares(sources: Sequence[str], targets: Sequence[str]) -> tuple[int, float, int]:
    """Returns the placeholders of the sources, the share of those kept, and the number of those invented."""
    total, kept, invented = 0, 0, 0
    for source, target in zip(sources, targets, strict=True):
        wanted, found = placeholders(source), placeholders(target)
        total, kept = total + wanted.total(), kept + (wanted & found).total()
        invented += (found - wanted).total()
    return total, kept / max(total, 1), invented


def results(
    data: Path,
    part: str,
    model: Path | None,
    tag: str,
    limit: int,
    max_words: int,
    languages: Sequence[str] = LANGUAGES,
) -> Iterator[tuple[str, ...]]:
    for language in languages:
        with gzip.open(data / f"{part}.en-{language}.tsv.gz", "rt", encoding="utf-8") as file:
            rows = {s: t for _, s, t in (line.rstrip("\n").split("\t") for line in file)}
            rows = {s: t for s, t in rows.items() if placeholders(s) and len(s.split()) <= max_words}
        sources, references = list(rows)[:limit], list(rows.values())[:limit]
        if model is None:
            chosen = random.Random(1)
            plain = [damaged(each, chosen) for each in references]
            kept = [protected([s], by_references([t]))[0] for s, t in zip(sources, plain, strict=True)]
        else:
            translate = by_model(model, tag.format(language))
            plain, kept = [each.text for each in translate(sources)], protected(sources, translate)
        for name, targets in (("plain", plain), ("protected", kept)):
            total, share, invented = shares(sources, targets)
            chrf = sacrebleu.corpus_chrf(targets, [references]).score
            yield language, name, f"{len(sources)}", f"{total}", f"{share:.2%}", f"{invented}", f"{chrf:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", type=Path, help="a model directory; otherwise damaged human translations")
    parser.add_argument("--tag", default="", help="in front of each sentence; {} is the language")
    parser.add_argument("--languages", nargs="+", default=LANGUAGES, metavar="LANGUAGE")
    parser.add_argument("--part", default="test", help="test, valid or train")
    parser.add_argument("--limit", type=int, default=10**9, help="messages of each language")
    parser.add_argument("--max-words", type=int, default=10**9, help="longer messages are left out")
    arguments = parser.parse_args()
    print(
        "| language | | messages | placeholders | kept | invented | chrF |\n| --- | --- | --- | --- | --- | --- | --- |"
    )
    for row in results(
        arguments.data, arguments.part, arguments.model, arguments.tag, arguments.limit, arguments.max_words,
        arguments.languages,
    ):  # fmt: skip
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
