"""Terms in their places: the translation of a term of the source is replaced by the term's given translation.

A sentence is translated freely, so that the model inflects the terms that it chooses itself. For those that it doesn't
choose, the word alignment tells which words of the translation they replace.

Articles and adjectives should agree with the term. The model inflects them for the word that it would choose, even if
it is made to go on with the term or to search for a translation that has it there. So the sentence is also translated
with another word in place of the term of the source: the one that the lexicon of ``nmt learn-alignment`` has for the
term's translation. Where this gives the same words around the term, but for short ones and the ends of some, it is the
translation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf

from nmt.alignment.aligner import DEFAULT
from nmt.alignment.extract import word_links
from nmt.alignment.lexicon import Lexicon
from nmt.alignment.links import Link, Weights
from nmt.data.words import Words
from nmt.recipe.schema import DecodingOptions
from nmt.translation.glossary import Glossary, forms_in
from nmt.translation.loaded import LoadedModel
from nmt.translation.request import Request
from nmt.translation.results import Candidate
from nmt.translation.scoring import scores

NEAR = 3
"""Words before and behind a term that may agree with it."""
SHORT = 3
"""Most letters of a word, such as an article, that may be another one before a term."""

Span = tuple[int, int]
Line = tuple[Request, int, str]
"""A request, the number of its line, and its translation without regard to terms."""
Search = Callable[[Sequence[Request], Sequence[int], DecodingOptions], list[list[Candidate]]]
"""From requests, the numbers of their lines and options to candidates."""


def place_terms(
    translator: LoadedModel,
    requests: Sequence[Request],
    numbers: Sequence[int],
    found: list[list[Candidate]],
    options: DecodingOptions,
    search: Search,
) -> list[list[Candidate]]:
    """Returns the candidates of each line; one with its terms, where the best lacks some and they could be placed.

    Args:
        found: the candidates of each line without regard to terms, best first.
        search: finds candidates without regard to terms.
    """
    rows = [row for row, each in enumerate(requests) if each.terms and _missing(each, found[row][0].text)]
    if not rows:
        return found
    options = options.model_copy(update={"search": "beam", "beam_groups": 1, "mbr": "none"})
    place = _in_places if translator.has_attention else _anywhere
    lacking = [(requests[row], numbers[row], found[row][0].text) for row in rows]
    placed = dict(zip(rows, place(translator, lacking, options, search), strict=True))
    return [placed.get(row) or candidates for row, candidates in enumerate(found)]


def _anywhere(
    translator: LoadedModel, lacking: Sequence[Line], options: DecodingOptions, search: Search
) -> list[list[Candidate]]:
    """Returns the candidates that have terms wherever search puts them: without attention no place is known."""
    missing = [(request, _missing(request, text)) for request, _, text in lacking]
    bound = [replace(request, must_contain=(*request.must_contain, *terms), terms={}) for request, terms in missing]
    found = search(bound, [number for _, number, _ in lacking], options)
    return [
        [each for each in candidates if len(_missing(request, each.text)) < len(terms)]
        for (request, terms), candidates in zip(missing, found, strict=True)
    ]


def _in_places(
    translator: LoadedModel, lacking: Sequence[Line], options: DecodingOptions, search: Search
) -> list[list[Candidate]]:
    """Returns a candidate with the terms in their places; none where the alignment reaches none of them."""
    requests, numbers, texts = zip(*lacking, strict=True)
    drafts = _drafts(translator, requests, texts)
    replaced = [draft.replaced[0] for draft in drafts]
    if (lexicon := translator.aligner.lexicon) is not None:
        exchanged = {row: source for row, draft in enumerate(drafts) if (source := draft.exchanged(lexicon))}
        others = [replace(requests[row], source=source, terms={}) for row, source in exchanged.items()]
        candidates = search(others, [numbers[row] for row in exchanged], options)
        for row, of_row in zip(exchanged, candidates, strict=True):
            agreeing = (each.text for each in of_row if drafts[row].agrees(each.text))
            replaced[row] = next(agreeing, replaced[row])
    rows = [row for row, draft in enumerate(drafts) if draft.slots]
    pairs = ((requests[row].source, replaced[row]) for row in rows)
    found: list[list[Candidate]] = [[] for _ in drafts]
    for row, pair in zip(rows, scores(translator, pairs, options), strict=True):
        score, log_probability = (-inf if each is None else each for each in (pair.score, pair.log_probability))
        found[row] = [Candidate(pair.target, score, pair.tokens[:-1], log_probability)]
    return found


@dataclass(frozen=True)
class _Slot:
    """A term, and the words that it replaces in a translation."""

    term: str
    """Its translation."""
    source: Span
    """The characters of the source that it translates."""
    target: Span
    """The characters of the translation that it replaces."""


@dataclass(frozen=True)
class _Draft:
    """A translation with the places of terms that it lacks, in their order there, without overlap."""

    source: str
    text: str
    slots: tuple[_Slot, ...]

    @cached_property
    def replaced(self) -> tuple[str, tuple[Span, ...]]:
        """The translation with the terms, and where they stand in it."""
        return _with_parts(self.text, [(slot.target, slot.term) for slot in self.slots])

    def exchanged(self, lexicon: Lexicon) -> str | None:
        """Returns the source with words whose translations are the terms; None where the lexicon has none for one."""
        parts = list[tuple[Span, str]]()
        for slot in self.slots:
            word = self.source[slice(*slot.source)]
            others = [each for each in lexicon.reversed.translations(slot.term, 2) if each != word.lower()]
            if not others:
                return None
            parts.append((slot.source, others[0].capitalize() if word[0].isupper() else others[0]))
        return _with_parts(self.source, sorted(parts))[0] if parts else None

    def agrees(self, text: str) -> bool:
        """Returns whether a text is that of :attr:`replaced` but for words near a term that may agree with it."""
        replaced, spans = self.replaced
        words, others = Words.split_punctuation(replaced), Words.split_punctuation(text).words
        if len(words.words) != len(others):
            return False
        terms = [[w for w, at in enumerate(words.spans) if at[0] < end and at[1] > begin] for begin, end in spans]
        inside = {w for of_term in terms for w in of_term}
        before = {first - back for first, *_ in terms for back in range(1, NEAR + 1)} - inside
        near = before | ({last + ahead for *_, last in terms for ahead in range(1, NEAR + 1)} - inside)
        return all(
            word.lower() == other.lower()
            or (w in near and (forms_in(word, other) or forms_in(other, word)))
            or (w in before and (word + other).isalpha() and max(len(word), len(other)) <= SHORT)
            for w, (word, other) in enumerate(zip(words.words, others, strict=True))
        )


def _drafts(translator: LoadedModel, requests: Sequence[Request], texts: Sequence[str]) -> list[_Draft]:
    aligner, drafts = translator.aligner, []
    options = DEFAULT.resolved(aligner.lexicon is not None)
    split = Words.split_punctuation
    pairs = [(split(request.source), split(text)) for request, text in zip(requests, texts, strict=True)]
    for request, (source, target), (*_, compared_TS) in zip(requests, pairs, aligner.compared(pairs), strict=True):
        glossary, links, slots = Glossary(request.terms), set(word_links(compared_TS, options)), list[_Slot]()
        missing = glossary.missing(request.source, target.text)
        context = len(request.source) - len(translator.task.reader.current(request.source))
        for term, (begin, end) in glossary.occurrences(request.source):
            if begin < context:  # in a turn before
                continue
            words = [s for s, at in enumerate(source.spans) if at[0] < end and at[1] > begin]
            place = _place(words, target, links, compared_TS) if term in missing else None
            if place is not None and place[0] >= len(request.prefix):
                slots.append(_Slot(_cased(term[1], target.text, place), (begin, end), place))
        drafts.append(_Draft(request.source, target.text, _without_overlap(slots)))
    return drafts


def _place(words: Sequence[int], target: Words, links: set[Link], compared_TS: Weights) -> Span | None:
    """Returns the characters of a translation that translate source words; None if the alignment doesn't reach them.

    These are the word with the highest weight and those beside it that are linked, too.
    """
    weights_T = compared_TS[:, words].sum(axis=1)
    weights_T[[not any(map(str.isalnum, word)) for word in target.words]] = 0
    if not weights_T.any():
        return None
    linked = {t for t, weight in enumerate(weights_T) if weight > 0 and any((s, t) in links for s in words)}
    first = last = int(max(linked or range(len(weights_T)), key=lambda t: weights_T[t]))
    while first - 1 in linked:
        first -= 1
    while last + 1 in linked:
        last += 1
    return target.spans[first][0], target.spans[last][1]


def _cased(term: str, text: str, place: Span) -> str:
    """Returns a term with a capital if that of the word that it replaces is due to the beginning of the sentence."""
    is_first = not any(map(str.isalnum, text[: place[0]]))
    return term[:1].upper() + term[1:] if is_first and text[place[0]].isupper() else term


def _without_overlap(slots: Sequence[_Slot]) -> tuple[_Slot, ...]:
    """Returns slots in the order of the translation; terms that replace a word in common replace it together."""
    found: list[_Slot] = []
    for slot in sorted(slots, key=lambda each: (each.target, each.source)):
        if found and slot.target[0] < found[-1].target[1]:
            before = found.pop()
            source = min(before.source[0], slot.source[0]), max(before.source[1], slot.source[1])
            target = before.target[0], max(before.target[1], slot.target[1])
            slot = _Slot(f"{before.term} {slot.term}", source, target)
        found.append(slot)
    return tuple(found)


def _with_parts(text: str, parts: Sequence[tuple[Span, str]]) -> tuple[str, tuple[Span, ...]]:
    """Returns a text with other characters in ascending spans, and where these are in it."""
    result, end, spans = "", 0, list[Span]()
    for (begin, stop), part in parts:
        result += text[end:begin]
        spans.append((len(result), len(result) + len(part)))
        result, end = result + part, stop
    return result + text[end:], tuple(spans)


def _missing(request: Request, text: str) -> list[str]:
    """Returns the translations of the terms of a request that are in a text in no form."""
    return [target for _, target in Glossary(request.terms).missing(request.source, text)]
