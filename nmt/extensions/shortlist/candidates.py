"""Shortlists of the words that a translation may have, by a learned lexicon (L'Hostis et al. 2016)."""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, islice

from nmt.alignment.lexicon import Lexicon
from nmt.core.errors import UserError
from nmt.data.batch import Ids
from nmt.data.vocabulary.files import Vocabularies
from nmt.extensions.shortlist.search import ShortlistSearch, special_ids

COMMON = 256
"""The most frequent target tokens, which are in every shortlist."""
MULTIPLE = 64
"""The size of a shortlist is one of this number, which search is fastest with."""
KEPT_WORDS = 1 << 17
"""Source words whose candidates are kept."""


class LexicalShortlist:
    """The target tokens that the translations of a batch may have.

    These are the tokens of the likeliest translations of each source word, in lower case and capitalised; those of the
    word itself, because names are copied; and the most frequent ones. For a word that the lexicon doesn't have, the
    translations of all words that contain one of its tokens are counted.

    Args:
        size: translations of a source word.
    """

    def __init__(self, lexicon: Lexicon, vocabularies: Vocabularies, size: int) -> None:
        self._lexicon, self._source, self._target, self._size = lexicon, vocabularies.source, vocabularies.target, size
        self._target_ids = lru_cache(KEPT_WORDS)(self._encode_target)
        self._of_word = lru_cache(KEPT_WORDS)(self._candidates)
        counts: Counter[int] = Counter()
        of_token: dict[int, Counter[str]] = {}
        for source, translations in lexicon.items():
            for token in {i for form in _forms(source) for i in self._source.encode(form)}:
                of_token.setdefault(token, Counter()).update(translations)
            for target, count in translations.items():
                counts.update(dict.fromkeys(self._target_ids(target), count))
        self._of_token = {token: [word for word, _ in found.most_common(size)] for token, found in of_token.items()}
        counted = [token for token, _ in counts.most_common()]
        self._always = {*special_ids(self._target), *counted[:COMMON]}
        self._by_frequency = list(dict.fromkeys(chain(counted, range(len(self._target)))))

    def __call__(self, sources: Sequence[Ids]) -> list[int]:
        """Target ids, ascending, for the encoded source sentences of a batch."""
        found = set(self._always)
        for word in {word for source in sources for word in self._source.decode([*map(int, source)]).split()}:
            found |= self._of_word(word)
        others = (token for token in self._by_frequency if token not in found)
        return sorted([*found, *islice(others, -len(found) % MULTIPLE)])

    def _candidates(self, word: str) -> frozenset[int]:
        """The target tokens that the translations of a source word may have."""
        translations = self._lexicon.translations(word, self._size)
        if not translations:
            translations = [other for token in self._source.encode(word) for other in self._of_token.get(token, ())]
        return frozenset(self._target.encode(word)).union(*map(self._target_ids, translations))

    def _encode_target(self, word: str) -> frozenset[int]:
        return frozenset(i for form in _forms(word) for i in self._target.encode(form) if i != self._target.unk)


def _forms(word: str) -> tuple[str, str]:
    """The lexicon has words in lower case."""
    return word, word.capitalize()


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
