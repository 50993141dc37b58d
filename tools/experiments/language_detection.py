"""Measures the identification of languages of one, two and five words: py3langid, the text of models, and both.

    python tools/experiments/language_detection.py ../shared/data --work /tmp/languages --part valid --weights
    python tools/experiments/language_detection.py ../shared/data --work /tmp/languages --part test

The models are those that Multi30k (German, French), the documentation of Python (Spanish, Portuguese, Japanese,
Chinese) and MAFAND (Swahili) would train, each to English: a unigram vocabulary of 8,000 pieces and the counts of the
pieces in 20,000 pairs, as ``nmt train`` writes them; no network is trained. Fragments are drawn from each language of
each corpus, so English is in three domains, and French also in one that no model has seen. Two characters of Japanese
and Chinese count as a word. All methods choose among the same eight languages. Accuracies are means over languages.
"""

import argparse
import gzip
import random
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from nmt.core.model_directory import ModelDirectory
from nmt.data.sources import GivenText
from nmt.data.vocabulary.files import Vocabularies, train_vocabularies
from nmt.extensions.serving import languages
from nmt.extensions.serving.piece_counts import save_counts
from nmt.recipe.schema import VocabularyOptions

CODES = ("de", "en", "es", "fr", "ja", "pt", "sw", "zh")
CORPORA = {
    "de": "multi30k",
    "fr": "multi30k",
    "es": "pydocs",
    "pt": "pydocs",
    "ja": "pydocs",
    "zh": "pydocs",
    "sw": "mafand",
}
PARTS = {
    "multi30k": {"valid": "val", "test": "test_2016_flickr"},
    "pydocs": {"valid": "valid", "test": "test"},
    "mafand": {"valid": "dev", "test": "test"},
}
NUM_PAIRS, SIZES = 20_000, (1, 2, 5)
WEIGHTS = [(0, 1), (1, 0), (0.25, 1.25), (0.5, 1.25), (0.75, 1.25), (1, 1.25), (0.75, 1), (0.75, 1.5), (1.5, 1.25)]
_MARKUP = re.compile(r":[\w:]+:`[^`]*`|``.*?``|`[^`]*`_*|\*\*?|\|[^|]*\||<[^>]*>|\\n")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_IDEOGRAPHS = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]+")
Pair = tuple[str, str]


def read(data: Path, corpus: str, part: str, code: str) -> list[Pair]:
    """Returns the pairs of a language and English; markup is taken out of the documentation."""
    name = PARTS[corpus].get(part, "train")
    if corpus == "pydocs":
        with gzip.open(data / corpus / f"{name}.en-{code}.tsv.gz", "rt", encoding="utf-8") as file:
            rows = [_MARKUP.sub("", line.rstrip("\n")).split("\t") for line in list(file)[1:]]
        return [(row[2], row[1]) for row in rows if len(row) == 3]
    sides = {"sw": "swa"}.get(code, code), "en"
    texts = [(data / corpus / f"{name}.{side}").read_text("utf-8").splitlines() for side in sides]
    return list(zip(*texts, strict=True))


def make_model(data: Path, work: Path, code: str) -> SimpleNamespace:
    """Returns what the detector reads of a translator; it is made in a folder the first time."""
    directory = ModelDirectory(work / f"{code}-en")
    if not directory.file("pieces.tsv").is_file():
        pairs = random.Random(1).sample(read(data, CORPORA[code], "train", code), NUM_PAIRS)
        vocabularies = train_vocabularies(VocabularyOptions(type="unigram", size=8000), GivenText(pairs, code))
        both = vocabularies.source, vocabularies.target
        ids = [
            [i for text in side for i in v.encode(text)] for v, side in zip(both, zip(*pairs, strict=True), strict=True)
        ]
        directory.path.mkdir(parents=True, exist_ok=True)
        vocabularies.save(directory.path)
        save_counts(
            directory.file("pieces.tsv"), [np.bincount(i, minlength=len(v)) for i, v in zip(ids, both, strict=True)]
        )
    recipe = SimpleNamespace(data=SimpleNamespace(source=code, target="en"))
    return SimpleNamespace(directory=directory.path, vocabularies=Vocabularies.load(directory.path), recipe=recipe)


def fragments(lines: Sequence[str], code: str, size: int, number: int) -> Iterable[str]:
    """Yields fragments of some words."""
    draw = random.Random(size)
    while number:
        line = draw.choice(lines)
        if code in ("ja", "zh"):
            units, space, length = list(draw.choice(_IDEOGRAPHS.findall(line) or [""])), "", 2 * size
        else:
            units, space, length = _WORD.findall(line), " ", size
        if len(units) >= length:
            at = draw.randrange(len(units) - length + 1)
            text = space.join(units[at : at + length])
            if code in ("ja", "zh") or len(text) >= 2 * size:
                number -= 1
                yield text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with multi30k, pydocs and mafand")
    parser.add_argument("--work", type=Path, required=True, help="folder for vocabularies and counts")
    parser.add_argument("--part", choices=("valid", "test"), default="valid")
    parser.add_argument("--number", type=int, default=300, help="fragments of each size, language and corpus")
    parser.add_argument("--weights", action="store_true", help="compare weights of pieces and py3langid")
    given = parser.parse_args()
    models = [make_model(given.data, given.work, code) for code in CORPORA]
    texts: dict[tuple[str, str], list[str]] = {}
    for code, corpus in {**CORPORA, "fr ": "pydocs"}.items():
        pairs = read(given.data, corpus, given.part, code.strip())
        texts[code.strip(), corpus], texts["en", corpus] = ([pair[side] for pair in pairs] for side in (0, 1))
    cases = [
        (code, corpus, size, text)
        for (code, corpus), lines in sorted(texts.items())
        for size in SIZES
        for text in fragments(lines, code, size, given.number)
    ]
    chosen = (languages.PIECE_WEIGHT, languages.IDENTIFIER_WEIGHT)
    detectors = {"py3langid": ((), chosen), "pieces": (models, (1.0, 0.0)), "both": (models, chosen)}
    if given.weights:
        detectors = {f"{pair[0]} and {pair[1]}": (models, pair) for pair in WEIGHTS}
    header = ["", *(f"{size} word{'s' * (size > 1)}" for size in SIZES), "log loss"]
    print(f"| {' | '.join(header)} |\n|{' --- |' * len(header)}")
    results: dict[str, list[bool]] = {}
    for name, (known, weights) in detectors.items():
        languages.PIECE_WEIGHT, languages.IDENTIFIER_WEIGHT = weights
        detector = languages.Detector(CODES, known)
        ranked = [detector.detect(text) for *_, text in cases]
        right = results[name] = [found[0][0] == case[0] for found, case in zip(ranked, cases, strict=True)]
        cells = []
        for size in SIZES:
            of_code = (
                [r for r, case in zip(right, cases, strict=True) if case[0] == c and case[2] == size] for c in CODES
            )
            cells.append(f"{np.mean([np.mean(each) for each in of_code]):.1%}")
        # Confidences are rounded; a sum of 0 means that py3langid expects another language.
        tables = [dict(found) for found in ranked]
        shares = (t[case[0]] / max(sum(t.values()), 0.1) for t, case in zip(tables, cases, strict=True))
        loss = -np.mean(np.log([max(share, 1e-4) for share in shares]))
        print(f"| {name} | {' | '.join(cells)} | {loss:.3f} |", flush=True)
    print(f"\n| one word | {' | '.join(results)} |\n| --- |{' --- |' * len(results)}")
    for key in sorted(texts):
        rows = [at for at, case in enumerate(cases) if case[:3] == (*key, 1)]
        print(
            f"| {key[0]}, {key[1]} | {' | '.join(f'{np.mean([r[at] for at in rows]):.1%}' for r in results.values())} |"
        )


if __name__ == "__main__":
    main()
