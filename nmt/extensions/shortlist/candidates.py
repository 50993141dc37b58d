"""Shortlists of the tokens that a translation may have, by a learned lexicon (L'Hostis et al. 2016)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial
from itertools import chain, islice

from nmt.alignment.lexicon import Lexicon
from nmt.core.errors import UserError
from nmt.data.batch import Ids
from nmt.data.vocabulary.base import Vocabulary
from nmt.data.vocabulary.files import Vocabularies
from nmt.extensions.shortlist.search import ShortlistSearch, special_ids

COMMON = 256
"""The most frequent target tokens, which are in every shortlist."""
MULTIPLE = 64
"""The size of a shortlist is one of this number, which search is fastest with."""
TOKENS = 4
"""Target tokens of a source token for each translation of a word: a token occurs in several words."""


class LexicalShortlist:
    """The target tokens that the translations of a batch may have.

    For each source token these are the tokens that the translations of the words with this token have most often, in
    lower case and capitalised, and its own text, because names are copied. The most frequent tokens are always there.

    Args:
        size: translations of a source word; see :data:`TOKENS`.

    Attributes:
        always: target ids of every shortlist.
        of_token: returns the other target ids for a source id.
    """

    def __init__(self, lexicon: Lexicon, vocabularies: Vocabularies, size: int) -> None:
        self._source, target, self._size = vocabularies.source, vocabularies.target, size
        self._target_tokens = cache(partial(_tokens_of, vocabulary=target))
        self._translations: defaultdict[int, list[Mapping[str, float]]] = defaultdict(list)
        for word, translations in lexicon.items():
            for token in _tokens_of(word, self._source):
                self._translations[token].append(translations)
        frequent = self._by_frequency(translations for _, translations in lexicon.items())
        self.always = {*special_ids(target), *frequent[:COMMON]}
        self._target_ids = {target.token(i): i for i in range(len(target))}
        self.of_token = cache(self._of_token)

    def __call__(self, sources: Sequence[Ids]) -> list[int]:
        """Target ids, ascending, for the encoded source sentences of a batch."""
        found = self.always.union(*map(self.of_token, {int(token) for source in sources for token in source}))
        others = (token for token in self._target_ids.values() if token not in found)
        return sorted([*found, *islice(others, -len(found) % MULTIPLE)])

    def _by_frequency(self, translations: Iterable[Mapping[str, float]]) -> list[int]:
        """The target tokens of the translations of words, the most frequent ones first."""
        counts: defaultdict[int, float] = defaultdict(float)
        for word, count in chain.from_iterable(found.items() for found in translations):
            for token in self._target_tokens(word):
                counts[token] += count
        return sorted(counts, key=lambda token: -counts[token])

    def _of_token(self, token: int) -> set[int]:
        likeliest = self._by_frequency(self._translations[token])[: TOKENS * self._size]
        own = self._target_ids.get(self._source.token(token))
        return {*likeliest, *([] if own is None else [own])} - self.always


def _tokens_of(word: str, vocabulary: Vocabulary) -> set[int]:
    """The tokens of a word with and without a capital letter, as the lexicon has lower case."""
    return {i for form in (word, word.capitalize()) for i in vocabulary.encode(form)} - {vocabulary.unk}


def shortlist_search(lexicon: Lexicon | None, vocabularies: Vocabularies, size: int) -> ShortlistSearch:
    """Returns the search among the translations of a model's lexicon.

    Raises:
        UserError: it has none.
    """
    if lexicon is None:
        raise UserError(
            "A shortlist needs the lexicon of `nmt learn-alignment`, which the model directory doesn't have.",
            "Run `nmt learn-alignment MODEL_DIR SOURCE TARGET` with the training text, or remove --shortlist.",
        )
    return ShortlistSearch(LexicalShortlist(lexicon, vocabularies, size))
