"""What a vocabulary makes of a corpus: unknown words, characters spelt as bytes, and pairs that are too long."""

import re

from nmt.data.check.findings import Example, Finding, Severity, graded, pair_text, per_cent, plural, shorten
from nmt.data.vocabulary import Vocabularies, Vocabulary

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


class PieceCheck:
    """Counts pieces, UNK and bytes on both sides.

    Args:
        vocabularies: of the model; None counts words between white space, of which there are never more than pieces.
        max_length: ``data.max_length`` of the recipe.
    """

    def __init__(self, vocabularies: Vocabularies | None, max_length: int) -> None:
        self._vocabularies, self._max_length = vocabularies, max_length
        self._sides: tuple[Vocabulary, ...] = ()
        if vocabularies is not None:
            self._sides = (vocabularies.source, vocabularies.target)
        self._bytes = [{i for i in range(len(v)) if _BYTE.fullmatch(v.token(i))} for v in self._sides]
        self._num_pieces, self._num_unknown, self._num_bytes = [0, 0], [0, 0], [0, 0]
        self._unknown: list[list[Example]] = [[], []]
        self._num_long = 0
        self._long: list[Example] = []

    def add(self, number: int, pair: tuple[str, str]) -> None:
        """Look at the next pair; ``number`` is its line."""
        longest = 0
        for index, text in enumerate(pair):
            if self._vocabularies is None:
                longest = max(longest, len(text.split()))
                continue
            ids = self._sides[index].encode(text.encode("utf-8", "replace").decode("utf-8"))
            num_unknown = ids.count(self._sides[index].unk)
            num_bytes = sum(i in self._bytes[index] for i in ids) if self._bytes[index] else 0
            self._num_pieces[index] += len(ids)
            self._num_unknown[index] += num_unknown
            self._num_bytes[index] += num_bytes
            if (num_unknown or num_bytes) and len(self._unknown[index]) < 5:
                self._unknown[index].append(Example(number, shorten(text)))
            longest = max(longest, len(ids))
        if longest > self._max_length:
            self._num_long += 1
            if len(self._long) < 5:
                self._long.append(Example(number, pair_text(*pair)))

    def findings(self, names: tuple[str, str], num_pairs: int) -> list[Finding]:
        """What is cut, and what the vocabulary lacks."""
        found = []
        if self._num_long:
            share = self._num_long / num_pairs
            unit = "pieces" if self._vocabularies is not None else "words, and so of pieces,"
            found.append(
                Finding(
                    "too-long",
                    graded(share, 0.01, 0.5),
                    f"{plural(self._num_long, 'pair')} ({per_cent(share)}) with more than {self._max_length} {unit} on "
                    "a side: training drops them (data.max_length).",
                    "Split them into sentences, or raise data.max_length if memory allows.",
                    self._num_long,
                    share,
                    tuple(self._long),
                )
            )
        for index, name in enumerate(names[: len(self._sides)]):
            total = max(self._num_pieces[index], 1)
            for check, count, what, remedy in (
                (
                    "unknown",
                    self._num_unknown[index],
                    "are UNK",
                    "Use subwords with vocabulary.byte_fallback, a larger vocabulary, or text like the training text.",
                ),
                (
                    "byte-fallback",
                    self._num_bytes[index],
                    "are single bytes of characters that the vocabulary lacks",
                    "Make the vocabulary from text that has these characters, or raise character_coverage.",
                ),
            ):
                if count:
                    share = count / total
                    message = f"{name}: {count:,} of {total:,} pieces ({per_cent(share)}) {what}."
                    severity: Severity = graded(share, 0.01, 0.2)
                    examples = tuple(self._unknown[index])
                    found.append(Finding(check, severity, message, remedy, count, share, examples))
        return found
