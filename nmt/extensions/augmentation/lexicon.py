"""Single words of a lexicon as training text."""

from collections.abc import Iterator

from pydantic import Field

from nmt.alignment.lexicon import Lexicon
from nmt.data.sources import OneFile


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
        for source, counts in Lexicon.load(self._path).items():
            total, target = sum(counts.values()), max(counts, key=counts.__getitem__)
            count = counts[target]
            is_frequent = total >= self._least[0] and count >= self._least[1] * total
            if is_frequent and source[0].isalpha() and target[0].isalpha():
                yield source, target

    def fingerprint(self) -> str:
        return f"{super().fingerprint()} lexicon {self._least}"
