"""Single words of a lexicon as training text."""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from pydantic import Field

from nmt.data.sources import OneFile, lexicon_rows


class LexiconText(OneFile):
    """Single words with their translation, from ``lexicon.tsv``, which ``nmt learn-alignment`` writes.

    A word without a predominant translation is left out: it is ambiguous, or several words translate it.
    """

    class Options(OneFile.Options):
        min_count: float = Field(3.0, ge=0, description="least expected count of a source word in the training text")
        min_share: float = Field(0.6, gt=0, le=1, description="least probability of its likeliest translation")

    def __init__(self, options: Options, split: str, languages: tuple[str, str]) -> None:
        super().__init__(options, split, languages)
        self._least = options.min_count, options.min_share

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for source, group in groupby(lexicon_rows(self._path), itemgetter(0)):
            targets = list(group)
            total, (_, target, count) = sum(row[2] for row in targets), max(targets, key=itemgetter(2))
            is_frequent = total >= self._least[0] and count >= self._least[1] * total
            if is_frequent and source[0].isalpha() and target[0].isalpha():
                yield source, target

    def fingerprint(self) -> str:
        return f"{super().fingerprint()} lexicon {self._least}"
