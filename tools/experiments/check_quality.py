"""Measures what ``nmt translate --check`` finds of known damage to human translations, and its false alarms.

    python tools/experiments/check_quality.py ../shared/data --part test

Each kind of damage is done once to each translation that it fits; it is found if the check names that kind. A false
alarm is a human translation with any problem. The text is that of Multi30k (German to English) and of the messages of
the Python documentation (English to five languages) with at least five words.
"""

import argparse
import gzip
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from nmt.extensions.quality.check import problems

Damage = Callable[[str, str, random.Random], str | None]


def change_digit(source: str, target: str, chosen: random.Random) -> str | None:
    places = [match.start() for match in re.finditer(r"[0-9]", target)]
    if not places:
        return None
    at = chosen.choice(places)
    return f"{target[:at]}{(int(target[at]) + chosen.randint(1, 9)) % 10}{target[at + 1 :]}"


def drop_placeholder(source: str, target: str, chosen: random.Random) -> str | None:
    found = [m for m in re.finditer(r"%[sd](?!\w)|\{\w*\}|https?://[^\s<>`]+", target) if m[0] in source]
    return None if not found else target[: (match := chosen.choice(found)).start()] + target[match.end() :]


def repeat(source: str, target: str, chosen: random.Random) -> str | None:
    words = target.split()
    if len(words) < 4:
        return None
    at = chosen.randrange(len(words) - 1)
    return " ".join(words[:at] + words[at : at + 2] * 4 + words[at + 2 :])


def copy(source: str, target: str, chosen: random.Random) -> str | None:
    return source


def change_script(source: str, target: str, chosen: random.Random) -> str | None:
    places = [at for at, letter in enumerate(target) if letter.isascii() and letter.islower()]
    return None if not places else target[: (at := chosen.choice(places))] + "ж" + target[at + 1 :]


DAMAGES: dict[str, tuple[Damage, set[str]]] = {
    "digit": (change_digit, {"numbers", "urls"}),
    "placeholder": (drop_placeholder, {"placeholders", "urls"}),
    "loop": (repeat, {"degenerate"}),
    "copy": (copy, {"degenerate"}),
    "script": (change_script, {"script"}),
}
"""Kinds of damage, and the problems by which each may be named."""


def corpora(data: Path, part: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    sides = [data / "multi30k" / f"{'test_2016_flickr' if part == 'test' else 'val'}.{side}" for side in ("de", "en")]
    yield "Multi30k", list(zip(*(side.read_text("utf-8").splitlines() for side in sides), strict=True))
    for path in sorted((data / "pydocs").glob(f"{part}.*.tsv.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            rows = [line.rstrip("\n").split("\t")[1:] for line in file]
        yield path.name.split(".")[1], [(s, t) for s, t in rows if len(s.split()) > 4 and not s.startswith(">>>")]


def measure(pairs: list[tuple[str, str]]) -> tuple[float, dict[str, tuple[float, int]]]:
    """Returns the share of false alarms, and for each kind of damage the share that is found, of how many."""
    chosen, found = random.Random(3), {}
    before = [problems(*pair) for pair in pairs]
    for name, (damage, names) in DAMAGES.items():
        hits = []
        for (source, target), other in zip(pairs, before, strict=True):
            if (text := damage(source, target, chosen)) is not None and text != target:
                now = problems(source, text)
                hits.append(any(now.get(kind) != other.get(kind) for kind in names))
        found[name] = sum(hits) / max(len(hits), 1), len(hits)
    return sum(map(bool, before)) / len(pairs), found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--part", default="test", help="test or valid")
    arguments = parser.parse_args()
    print(f"| text | pairs | false alarms | {' | '.join(DAMAGES)} |\n| --- |{' --- |' * (2 + len(DAMAGES))}")
    for name, pairs in corpora(arguments.data, arguments.part):
        alarms, found = measure(pairs)
        shares = (f"{share:.1%} of {count}" if count else "–" for share, count in found.values())
        print(f"| {name} | {len(pairs)} | {alarms:.1%} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
