"""Whether inline tags come back around the right words of a translation.

    python tools/experiments/markup_quality.py embedded --model quickstart/model
    python tools/experiments/markup_quality.py ../shared/data/gold --model runs/transformer

Random spans of sentences whose word alignment is known are put between tags, and the reference translation, with links
of one kind or another, stands in for the translation of a model. Right are the words that the words between the tags
are linked to in the known alignment; words that it links to nothing are not counted. `exact` is the share of spans
whose words are right, all of them and no others; `F1` is that of words, over all spans. Of the links, `known` shows
what remains when the alignment is right, `position` links words by their relative position, `model` are those of
`nmt align` (heads and lexicon of the model directory, if it has them), and `attention` those of its attention alone.

At last random documents are translated, in which every element must be in a place that it may be in, each kept text
must occur once, and the text must be that of the translation without tags.
"""

import argparse
import html
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nmt.alignment.aligner import AttentionAligner
from nmt.alignment.links import Link, read_pharaoh
from nmt.core.text import read_lines
from nmt.data.words import Words
from nmt.extensions.documents.elements import translate_page
from nmt.extensions.documents.markup import translate_content
from nmt.extensions.documents.tags import KEPT, Content, Node, text_of
from nmt.extensions.documents.target import diagonal
from nmt.quickstart.embedded_corpus import splits
from nmt.translation.load import load
from nmt.translation.results import Translation

LONGEST_SPAN = 5
"""Words."""


@dataclass(frozen=True)
class Pair:
    """A sentence pair in tokens, with its known links."""

    source: Words
    target: Words
    links: frozenset[Link]


def embedded_pairs() -> list[Pair]:
    """The test split of the embedded corpus."""
    return [
        Pair(Words.detokenise(pair.source_tokens), Words.detokenise(pair.target_tokens), frozenset(pair.links))
        for pair in splits()["test"]
    ]


def gold_pairs(folder: Path, source: str, target: str) -> list[Pair]:
    """The sentence pairs of a folder with ``NAME.sure``, ``NAME.tok.de`` and so on; possible links are left out."""
    (path,) = folder.glob("*.sure")
    texts = [[line.split() for line in read_lines(path.with_suffix(f".tok.{code}"))] for code in (source, target)]
    links = [frozenset(sure) for sure, _ in read_pharaoh(path)]
    return [Pair(Words.detokenise(a), Words.detokenise(b), link) for a, b, link in zip(*texts, links, strict=True)]


LinksOf = Callable[[Pair], Sequence[Link]]
"""Links between the words and punctuation marks of both texts."""


def known_links(pair: Pair) -> list[Link]:
    words = [Words.split_punctuation(side.text) for side in (pair.source, pair.target)]
    at = [_word_of(side, tokens) for side, tokens in zip(words, (pair.source, pair.target), strict=True)]
    return sorted({(at[0][s], at[1][t]) for s, t in pair.links})


def _word_of(words: Words, tokens: Words) -> list[int]:
    return [next(w for w, (b, e) in enumerate(words.spans) if b <= token[0] < e) for token in tokens.spans]


def position_links(pair: Pair) -> list[Link]:
    return diagonal(*(len(Words.split_punctuation(side.text).words) for side in (pair.source, pair.target)))


def model_links(aligner: AttentionAligner, pairs: Sequence[Pair]) -> LinksOf:
    words = [(Words.split_punctuation(pair.source.text), Words.split_punctuation(pair.target.text)) for pair in pairs]
    found = dict(zip(map(id, pairs), (alignment.links for alignment in aligner(words)), strict=True))
    return lambda pair: found[id(pair)]


@dataclass(frozen=True)
class Quality:
    """Of the words that tags came back around."""

    exact: float
    f1: float
    num_spans: int


def measure(pairs: Sequence[Pair], links_of: LinksOf, num_spans: int, seed: int = 1) -> Quality:
    """Put tags around random words of random pairs, and compare where they come back."""
    draw = random.Random(seed)
    exact = shared = found = wanted = done = 0
    while done < num_spans:
        pair = draw.choice(pairs)
        begin = draw.randrange(len(pair.source.words))
        end = min(begin + draw.randint(1, LONGEST_SPAN), len(pair.source.words))
        right = {t for s, t in pair.links if begin <= s < end}
        if not right:
            continue
        marked = _project(pair, pair.source.spans[begin][0], pair.source.spans[end - 1][1], links_of(pair))
        marked &= {t for _, t in pair.links}
        exact += marked == right
        shared, found, wanted, done = shared + len(marked & right), found + len(marked), wanted + len(right), done + 1
    return Quality(exact / done, 2 * shared / (found + wanted), done)


def _project(pair: Pair, begin: int, end: int, links: Sequence[Link]) -> set[int]:
    """The target tokens between the tags that are around the characters from ``begin`` to ``end`` in the source."""
    text = pair.source.text
    content: Content = [text[:begin], Node("b", [text[begin:end]]), text[end:]]
    translate = partial(_as_reference, pair=pair, links=links)
    (result,) = translate_content([content], translate)
    marked, position = [], 0
    for item in result:
        length = len(item) if isinstance(item, str) else len(text_of(item.content))
        marked += [not isinstance(item, str)] * length
        position += length
    return {t for t, (first, last) in enumerate(pair.target.spans) if all(marked[first:last])}


def _as_reference(sentences: Sequence[str], pair: Pair, links: Sequence[Link]) -> list[Translation]:
    """The reference for a sentence. Text that was divided into several sentences is translated as one by none."""
    if list(sentences) != [pair.source.text]:
        return [Translation(s, s, 0.0, [], alignment=tuple((i, i) for i in range(len(s.split())))) for s in sentences]
    return [Translation(pair.source.text, pair.target.text, 0.0, [], alignment=tuple(links), with_punctuation=True)]


# Random documents

INLINE = ("b", "i", "em", "span", "a", "u", "code")
BLOCKS = ("p", "div", "li", "td", "h1")
THINGS = ("&amp;", "&copy;", "https://example.com/a_b?c=d", "me@example.org", "{name}", "%s", "5 km", "&lt;x&gt;", "🙂")


def random_html(draw: random.Random, words: Sequence[str]) -> str:
    """A document of blocks, with inline elements that may be nested, empty, not closed or closed twice."""

    def inline(depth: int) -> str:
        parts = []
        for _ in range(draw.randint(0, 5)):
            kind = draw.random()
            if kind < 0.25 and depth < 4:
                tag = draw.choice(INLINE)
                end = f"</{tag}>" if draw.random() < 0.97 else draw.choice(("", f"</{tag}></b>"))
                parts.append(f"<{tag}>{inline(depth + 1)}{end}")
            elif kind < 0.35:
                parts.append(draw.choice(("<br>", '<img src="x">', "<!-- x -->", "<b></b>")))
            elif kind < 0.45:
                parts.append(f" {draw.choice(THINGS)} ")
            else:
                parts.append(" ".join(draw.choices(words, k=draw.randint(1, 6))))
        return draw.choice(("", " ")).join(parts) if depth else " ".join(parts)

    blocks = []
    for _ in range(draw.randint(1, 3)):
        tag = draw.choice(BLOCKS)
        blocks.append(f"<{tag}>{inline(0)}.</{tag}>" if draw.random() < 0.8 else inline(0))
    return "\n".join(blocks)


def random_translations(
    sentences: Sequence[str], draw: random.Random, known: dict[str, Translation]
) -> list[Translation]:
    """Words in another order, some left out, doubled or without links; the same for the same sentence."""
    for sentence in sentences:
        words = sentence.split()
        order = [s for s in range(len(words)) for _ in range(draw.choice((0, 1, 1, 1, 1, 2)))] or [0]
        draw.shuffle(order)
        links = tuple((s, t) for t, s in enumerate(order) if draw.random() < 0.9)
        alignment = links if draw.random() < 0.95 else None
        text = " ".join(words[s] for s in order)
        known.setdefault(sentence, Translation(sentence, text, 0.0, [], alignment=alignment))
    return [known[sentence] for sentence in sentences]


def check_documents(num: int, seed: int = 1) -> list[str]:
    """The random documents that came back wrong, each with what is wrong."""
    draw, failures = random.Random(seed), []
    words = [word for pair in splits()["test"][:50] for word in pair.source.split()]
    for number in range(num):
        document = random_html(draw, words)
        translations: dict[str, Translation] = {}
        translate = partial(random_translations, draw=draw, known=translations)
        problem = problem_of(document, translate)
        if problem:
            failures.append(f"{number}: {problem}: {document!r}")
    return failures


def _serialised(element: Any) -> str:
    import lxml.html

    return str(lxml.html.tostring(element, encoding="unicode"))


def _may_be_in(tag: Any, outer: str) -> bool:
    return not ((tag in BLOCKS and outer in INLINE) or tag == outer == "a")


def problem_of(document: str, translate: Callable[[Sequence[str]], Sequence[Translation]]) -> str:
    """What is wrong with the translation of a document; empty if nothing is."""
    import lxml.html

    run = partial(translate_content, translate=translate)
    normal = translate_page(document, lambda blocks, kept: list(blocks))
    result = translate_page(document, run)
    trees = [lxml.html.fragment_fromstring(text, create_parent="div") for text in (normal, result)]
    written = html.unescape("".join([trees[1].text or "", *map(_serialised, trees[1])]))
    if written.lstrip() != html.unescape(result).lstrip():
        return f"illegal nesting in {result!r}"
    illegal = [
        {pair for e in tree.iter() for a in e.iterancestors() if not _may_be_in(*(pair := (e.tag, a.tag)))}
        for tree in trees
    ]
    if illegal[1] - illegal[0]:
        return f"illegal nesting in {result!r}"
    if any(len(list(trees[0].iter(tag))) != len(list(trees[1].iter(tag))) for tag in ("a", "img", "code", "br", "p")):
        return f"another number of elements in {result!r}"
    for element in (e for tree in trees for e in tree.iter("br", "code", *BLOCKS)):
        element.text, element.tail = f"\n{element.text or ''}", f"\n{element.tail or ''}"
    source, target = (tree.text_content() for tree in trees)
    for thing in {match.group() for match in KEPT.finditer(source)}:
        if KEPT.findall(target).count(thing) != KEPT.findall(source).count(thing):
            return f"{thing!r} is not kept in {result!r}"
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", help="embedded, or a folder with links: NAME.sure, NAME.tok.de, NAME.tok.en")
    parser.add_argument("--model", type=Path, help="model directory")
    parser.add_argument("--direction", nargs=2, default=("de", "en"), help="of the folder's links")
    parser.add_argument("--spans", type=int, default=2000)
    parser.add_argument("--documents", type=int, default=0, help="how many random documents to check")
    arguments = parser.parse_args()
    pairs = (
        embedded_pairs() if arguments.corpus == "embedded" else gold_pairs(Path(arguments.corpus), *arguments.direction)
    )
    kinds: dict[str, LinksOf] = {"known": known_links, "position": position_links}
    if arguments.model:
        translator = load(arguments.model)
        alone = AttentionAligner(translator.model, translator.vocabularies, translator.max_pieces, translator.task)
        kinds |= {"model": model_links(translator.aligner, pairs), "attention": model_links(alone, pairs)}
    for name, links_of in kinds.items():
        found = measure(pairs, links_of, arguments.spans)
        print(f"{name:10} exact {found.exact:.3f}  F1 {found.f1:.3f}  spans {found.num_spans:,}")
    if arguments.documents:
        failures = check_documents(arguments.documents)
        print(*failures[:5], f"documents {arguments.documents:,}, wrong {len(failures):,}", sep="\n")


if __name__ == "__main__":
    main()
