"""The perplexity of an n-gram model, which a neural language model should be below.

    python tools/experiments/ngram_perplexity.py runs/lm multi30k/train.en multi30k/test_2016_flickr.en --order 5

Counts the tokens of the training text by the vocabulary of a model directory, so that perplexities per token can be
compared with those that ``nmt score --perplexity`` prints for that model. A row for each order up to the highest.

Kneser-Ney smoothing, interpolated, with one discount for each order (Kneser & Ney 1995; Chen & Goodman 1999, section
4.1.6). Sentences begin with SOS, and EOS is predicted.
"""

import argparse
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from runs import exit_codes

from nmt.core.console import print_table, progress_bar
from nmt.core.text import read_lines
from nmt.data.vocabulary.base import Vocabulary
from nmt.data.vocabulary.files import Vocabularies

Gram = tuple[int, ...]

UNSEEN_DISCOUNT = 0.5
"""The discount of an order in which no n-gram occurs once."""


class KneserNey:
    """A model of the sentences, of tokens below ``size`` and of this order.

    ``counts`` of the highest order are those of the text. Those of an n-gram of a lower order are the number of
    different tokens that it follows, unless it begins a sentence, where nothing can.
    """

    def __init__(self, sentences: Iterable[Sequence[int]], order: int, size: int, sos: int) -> None:
        self.order, self.size, self.sos = order, size, sos
        grams = Counter(gram for sentence in sentences for gram in self.grams(sentence))
        self.discounts: dict[int, float] = {}
        self.counts: Counter[Gram] = Counter()
        for length in range(order, 0, -1):
            found = {gram: count for gram, count in grams.items() if len(gram) == length}
            once, twice = (sum(count == n for count in found.values()) for n in (1, 2))
            # Without n-grams that occur once, the estimate is 0, and n-grams that were never seen would be impossible.
            self.discounts[length] = once / (once + 2 * twice) if once else UNSEEN_DISCOUNT
            self.counts.update(found)
            grams.update(gram[1:] for gram in found if length > 1)
        self.totals: Counter[Gram] = Counter()
        self.types: Counter[Gram] = Counter()
        for gram, count in self.counts.items():
            self.totals[gram[:-1]] += count
            self.types[gram[:-1]] += 1

    def grams(self, sentence: Sequence[int]) -> list[Gram]:
        """The n-gram that ends with each token, shorter only at the beginning of the sentence."""
        tokens = (self.sos, *sentence)
        return [tokens[max(0, end - self.order) : end] for end in range(2, len(tokens) + 1)]

    def probability(self, gram: Gram) -> float:
        """Of the last token after the others."""
        lower = self.probability(gram[1:]) if len(gram) > 1 else 1 / self.size
        context = gram[:-1]
        if not self.totals[context]:
            return lower
        discount = self.discounts[len(gram)]
        own = max(self.counts[gram] - discount, 0) + discount * self.types[context] * lower
        return own / self.totals[context]

    def log_probability(self, sentence: Sequence[int]) -> float:
        return sum(math.log(self.probability(gram)) for gram in self.grams(sentence))


def encoded(path: Path, vocabulary: Vocabulary) -> list[list[int]]:
    """The tokens of each line, and EOS."""
    return [[*vocabulary.encode(line), vocabulary.eos] for line in read_lines(path)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="model directory whose target vocabulary is used")
    parser.add_argument("train", type=Path, help="text to count")
    parser.add_argument("test", type=Path, help="text whose perplexity is printed")
    parser.add_argument("--order", type=int, default=5, metavar="N", help="highest order (5)")
    given = parser.parse_args()
    with exit_codes(), progress_bar("counting", given.order) as bar:
        vocabulary, rows = Vocabularies.load(given.model).target, []
        train, test = encoded(given.train, vocabulary), encoded(given.test, vocabulary)
        num_tokens = sum(map(len, test))
        num_words = sum(len(line.split()) + 1 for line in read_lines(given.test))
        for order in bar.counted(range(1, given.order + 1)):
            model = KneserNey(train, order, len(vocabulary), vocabulary.sos)
            nll = -sum(map(model.log_probability, test))
            rows.append((str(order), f"{math.exp(nll / num_tokens):.2f}", f"{math.exp(nll / num_words):.2f}"))
    print_table("", ("order", "perplexity per token", "per word"), rows)


if __name__ == "__main__":
    main()
