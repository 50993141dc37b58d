"""Generate the embedded corpus from a grammar.

    python tools/corpora/make_embedded_corpus.py                                # the file of the package, byte for byte
    python tools/corpora/make_embedded_corpus.py -o pairs.tsv.bz2 --pairs 1000000 # any number of pairs

The modules of ``embedded_corpus``, from the lowest layer: ``tables`` lists the words, ``lexicon`` inflects them,
``phrases`` and ``clauses`` build aligned text and link its words, ``sampling`` draws phrases, and ``sentences`` draws
sentences. A change of the grammar changes the corpus and so the figures that are published for it.
"""

import argparse
import bz2
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from embedded_corpus.sentences import Sampler

from nmt.quickstart.embedded_corpus import PATH, AlignedPair


def generate(seed: int) -> Iterator[AlignedPair]:
    """Generate pairs without end; their English sentences are distinct and depend only on the seed."""
    sampler = Sampler(random.Random(seed))
    seen: set[tuple[str, ...]] = set()
    while True:
        pair = sampler.sentence()
        if pair.source_tokens not in seen:
            seen.add(pair.source_tokens)
            yield pair


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=PATH, help="default: the file of the package")
    parser.add_argument("--pairs", type=int, default=25_000, help="default: 25,000")
    parser.add_argument("--seed", type=int, default=1, help="default: 1, the seed of the package's file")
    options = parser.parse_args()
    with bz2.open(options.output, "wt", encoding="utf-8", newline="\n") as file:
        for pair in islice(generate(options.seed), options.pairs):
            links = " ".join(f"{source}-{target}" for source, target in pair.links)
            columns = (" ".join(pair.source_tokens), " ".join(pair.target_tokens), links, pair.construction)
            file.write("\t".join(columns) + "\n")


if __name__ == "__main__":
    main()
