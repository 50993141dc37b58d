"""Put known noise into parallel text, and measure what a filter does about it.

    python tools/experiments/clean_quality.py make multi30k noisy   # noisy/train.{de,en}; French is the third language
    nmt clean noisy/train.de noisy/train.en -o cleaned
    python tools/experiments/clean_quality.py score noisy cleaned

30 % of the lines of ``make`` are noise, in equal parts of six kinds, whose names are in ``noisy/kinds.txt``; all good
pairs of the corpus are there. ``score`` compares texts, so that it serves any program that filters: noise is gone when
it was removed or repaired.
"""

import argparse
import html
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

Pair = tuple[str, str]
SHARE = 0.3


class Corpus:
    """The good pairs, and a third language."""

    def __init__(self, folder: Path, source: str, target: str, third: str) -> None:
        sides = [(folder / f"train.{side}").read_text("utf-8").split("\n")[:-1] for side in (source, target, third)]
        self.pairs: list[Pair] = list(zip(*sides[:2], strict=True))
        self.third = sides[2]


def misaligned(corpus: Corpus, draw: random.Random, index: int) -> Pair:
    return corpus.pairs[index][0], draw.choice(corpus.pairs)[1]


def wrong_language(corpus: Corpus, draw: random.Random, index: int) -> Pair:
    """A target in a third language, a target in the language of the source, or both sides exchanged."""
    source, target = corpus.pairs[index]
    return draw.choice([(source, corpus.third[index]), (source, draw.choice(corpus.pairs)[0]), (target, source)])


def truncated(corpus: Corpus, draw: random.Random, index: int) -> Pair:
    """A side without the last half of its words or more."""
    sides, cut = list(corpus.pairs[index]), draw.randrange(2)
    words = sides[cut].split()
    sides[cut] = " ".join(words[: max(1, int(len(words) * draw.uniform(0.2, 0.5)))])
    return sides[0], sides[1]


def copied(corpus: Corpus, draw: random.Random, index: int) -> Pair:
    """The source on both sides, as it is, in capital letters, or without its punctuation."""
    source = corpus.pairs[index][0]
    return source, draw.choice([source, source.upper(), source.rstrip(".")])


def garbage(corpus: Corpus, draw: random.Random, index: int) -> Pair:
    """Loops, random letters, symbols, tables of numbers and code in place of a side or both."""
    sides = list(corpus.pairs[index])
    words = sides[1].split()
    made: list[Callable[[], str]] = [
        lambda: " ".join([draw.choice(words)] * draw.randint(8, 30)),
        lambda: " ".join(words[:3] * draw.randint(4, 9)),
        lambda: " ".join("".join(draw.choices("bcdfghjklmnpqrstvwxzaeiou", k=draw.randint(3, 12))) for _ in words),
        lambda: "".join(draw.choices("#*_-|/\\~^%$§<>{}[]()=+;:!?. ", k=len(sides[1]))),
        lambda: " ".join(str(draw.randint(0, 9999)) for _ in words),
        lambda: f'<div class="c{draw.randint(1, 99)}"><a href="/p?id={draw.randint(1, 9999)}">{words[0]}</a></div>',
        lambda: f'{{"id": {draw.randint(1, 9999)}, "type": "{words[0]}", "x": [{draw.random():.6f}, null, true]}}',
    ]
    make = draw.choice(made)
    for side in draw.choice([(0,), (1,), (0, 1)]):
        sides[side] = make()
    return sides[0], sides[1]


def mojibake(corpus: Corpus, draw: random.Random, index: int) -> Pair:
    """UTF-8 read as Windows-1252, once or twice, or as ASCII with U+FFFD for all else; in the source."""
    source, target = corpus.pairs[index]
    while source.isascii():
        source, target = draw.choice(corpus.pairs)
    once = source.encode().decode("cp1252", "replace")
    twice = once.encode().decode("cp1252", "replace")
    return draw.choice([once, twice, source.encode().decode("ascii", "replace")]), target


KINDS: dict[str, Callable[[Corpus, random.Random, int], Pair]] = {
    "misaligned": misaligned,
    "wrong language": wrong_language,
    "truncated": truncated,
    "copied": copied,
    "garbage": garbage,
    "mojibake": mojibake,
}


def make(corpus: Corpus, seed: int) -> list[tuple[str, Pair]]:
    """All good pairs and the noise, shuffled, each with its kind."""
    draw = random.Random(seed)
    num_noise = round(len(corpus.pairs) * SHARE / (1 - SHARE))
    rows = [("good", pair) for pair in corpus.pairs]
    names = list(KINDS)
    for number in range(num_noise):
        name = names[number % len(names)]
        rows.append((name, KINDS[name](corpus, draw, draw.randrange(len(corpus.pairs)))))
    draw.shuffle(rows)
    return rows


def write(folder: Path, name: str, pairs: list[Pair], languages: tuple[str, str]) -> None:
    for side, language in enumerate(languages):
        (folder / f"{name}.{language}").write_text("".join(f"{pair[side]}\n" for pair in pairs), "utf-8")


def read(folder: Path, languages: tuple[str, str]) -> list[Pair]:
    sides = [(folder / f"train.{language}").read_text("utf-8").split("\n")[:-1] for language in languages]
    return list(zip(*sides, strict=True))


def same(pair: Pair) -> Pair:
    """A pair whose entities are unescaped: that is a repair, and no loss."""
    return html.unescape(pair[0]), html.unescape(pair[1])


def score(kinds: list[str], given: list[Pair], kept: list[Pair]) -> None:
    """Recall by kind, and the loss of good pairs, by text: a good pair that occurs twice can be kept once."""
    left, good = set(map(same, kept)), {same(pair) for kind, pair in zip(kinds, given, strict=True) if kind == "good"}
    total, gone = Counter(kinds), Counter[str]()
    for kind, pair in zip(kinds, given, strict=True):
        gone[kind] += same(pair) not in left or (kind != "good" and same(pair) in good)
    print(f"{'kind':16} {'pairs':>7} {'gone':>7} {'share':>8}")
    for kind in ("good", *KINDS):
        print(f"{kind:16} {total[kind]:7,} {gone[kind]:7,} {gone[kind] / max(total[kind], 1):8.2%}")
    noise = sum(same(pair) not in good for pair in kept)
    print(f"{len(kept):,} pairs are kept, {noise / len(kept):.2%} of them noise")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("make", "a corpus, and the folder to write"), ("score", "that folder, and the cleaned one")):
        command = commands.add_parser(name)
        command.add_argument("folders", type=Path, nargs=2, help=text)
        command.add_argument("--languages", nargs=3, default=["de", "en", "fr"], metavar="LANGUAGE")
        command.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    (first, second), languages = given.folders, (given.languages[0], given.languages[1])
    if given.command == "make":
        rows = make(Corpus(first, *given.languages), given.seed)
        second.mkdir()
        write(second, "train", [pair for _, pair in rows], languages)
        (second / "kinds.txt").write_text("".join(f"{kind}\n" for kind, _ in rows), "utf-8")
    else:
        kinds = (first / "kinds.txt").read_text("utf-8").splitlines()
        score(kinds, read(first, languages), read(second, languages))


if __name__ == "__main__":
    main()
