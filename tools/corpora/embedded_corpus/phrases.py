"""Builders of aligned English and German words and phrases.

A :class:`Phrase` holds English and German words, each German word naming the English words it translates, so
any order of either side keeps the links right. Builders (:class:`NounPhrase`, :func:`prepositional`, …, and
those of :mod:`embedded_corpus.clauses`) spell one construction each. Conventions of the links:

- A word links to the word it translates, article to article, punctuation to punctuation.
- Has bought / hat gekauft, will buy / wird kaufen: auxiliary to auxiliary, verb to verb. "Is sleeping" has
  one German word, and both link to it. "Does", "did" and the "to" of "wants to" say nothing that German
  says: no link.
- Gets up / steht auf: verb to stem, particle to prefix, both to a joined form (aufsteht). Where English has
  no particle (calls / ruft an) stem and prefix link to the verb.
- One German word for several English ones links to them all: kitchen table / Küchentisch, on the / am,
  of the / des, not a / kein. One English word for several German ones too: cannot / kann nicht.
- A German comma that English lacks has no link, nor has the "of" of a date.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, TypeVar

from embedded_corpus import lexicon, tables
from embedded_corpus.lexicon import Adjective, Determiner, Noun
from embedded_corpus.tables import Agreement, Case, Slot

from nmt.quickstart.embedded_corpus import AlignedPair


@dataclass(slots=True, eq=False)
class SourceWord:
    """An English word; two words are the same only if they are the same object."""

    text: str


@dataclass(slots=True, eq=False)
class TargetWord:
    """A German word and the English words it translates."""

    text: str
    origins: tuple[SourceWord, ...] = ()


WordT = TypeVar("WordT", SourceWord, TargetWord)


@dataclass(slots=True, eq=False)
class Phrase:
    """English and German words, each side in its own order."""

    source: tuple[SourceWord, ...] = ()
    target: tuple[TargetWord, ...] = ()

    def __add__(self, other: "Phrase") -> "Phrase":
        return Phrase(self.source + other.source, self.target + other.target)

    def __bool__(self) -> bool:
        return bool(self.source or self.target)


NOTHING = Phrase()


def words(text: str) -> tuple[SourceWord, ...]:
    return tuple(SourceWord(word) for word in text.split())


def pair(english: str, german: str) -> Phrase:
    """English and German of which at least one is a single word; all link to all."""
    source = words(english)
    return Phrase(source, tuple(TargetWord(word, source) for word in german.split()))


def spell(phrase: Phrase, mark: str) -> AlignedPair:
    """The finished sentence: closing mark, initial capitals, commas settled, links read off."""
    phrase += pair(mark, mark)
    source, target = _settle_commas(phrase.source), _settle_commas(phrase.target)
    source_tokens = [word.text for word in source]
    target_tokens = [word.text for word in target]
    for tokens in (source_tokens, target_tokens):
        tokens[0] = tokens[0][0].upper() + tokens[0][1:]
    position = {id(word): index for index, word in enumerate(source)}
    links = {
        (position[id(origin)], index)
        for index, word in enumerate(target)
        for origin in word.origins
        if id(origin) in position
    }
    return AlignedPair(tuple(source_tokens), tuple(target_tokens), tuple(sorted(links)))


def _settle_commas(sentence: tuple[WordT, ...]) -> list[WordT]:
    """Clauses bring their own commas; one that meets another mark (", der schläft," + ".") goes."""
    settled: list[WordT] = []
    for word, following in pairwise(sentence):
        if word.text != "," or following.text not in ".,?":
            settled.append(word)
    settled.append(sentence[-1])
    return settled


class Nominal(Protocol):
    """Anything that can be a subject or an object; ``slot`` is what a pronoun for it agrees with."""

    @property
    def agreement(self) -> Agreement: ...
    @property
    def slot(self) -> Slot: ...
    @property
    def definite(self) -> bool: ...
    def render(self, case: Case) -> Phrase: ...


@dataclass(slots=True)
class NounPhrase:
    """Determiner, adjective, noun and what follows it ("the old man from Berlin").

    ``of`` marks a genitive, whose "of" merges with the German article; ``post`` is the same in every case.
    """

    noun: Noun
    determiner: Determiner | None = None
    adjective: Adjective | None = None
    plural: bool = False
    post: Phrase | None = None

    @property
    def agreement(self) -> Agreement:
        return "pl" if self.plural else "3sg"

    @property
    def slot(self) -> Slot:
        return "p" if self.plural else self.noun.gender

    @property
    def definite(self) -> bool:
        return self.determiner is not None and self.determiner.definite

    @property
    def takes_kein(self) -> bool:
        """Whether a negated clause says so on this phrase: "not a" and "not" before a bare noun."""
        return self.determiner is None or self.determiner.english == "a"

    def render(self, case: Case) -> Phrase:
        return self._assemble(case, None)

    def render_negated(self, case: Case, not_word: SourceWord) -> Phrase:
        """With "kein", which translates ``not_word`` and the article; see :attr:`takes_kein`."""
        return self._assemble(case, not_word)

    def render_genitive(self) -> Phrase:
        """As a possessor: "of the house" / "des Hauses"."""
        of_word = SourceWord("of")
        phrase = self._assemble("gen", None)
        article = phrase.target[0]
        target = (TargetWord(article.text, (of_word, *article.origins)), *phrase.target[1:])
        return Phrase((of_word, *phrase.source), target)

    def _assemble(self, case: Case, not_word: SourceWord | None) -> Phrase:
        determiner, adjective, noun = self.determiner, self.adjective, self.noun
        inner: list[SourceWord] = []
        target: list[TargetWord] = []
        if adjective:
            inner.append(SourceWord(adjective.english))
        noun_words = words(noun.english_plural if self.plural else noun.english)
        determiner_words: tuple[SourceWord, ...] = ()
        if determiner:
            following = inner[0] if inner else noun_words[0]
            determiner_words = (SourceWord(_english_determiner(determiner, following.text)),)
        if not_word is not None:
            kein = "kein" + lexicon.ending("ein", case, self.slot)
            target.append(TargetWord(kein, (not_word, *determiner_words)))
        elif determiner:
            target.append(TargetWord(determiner.german_form(case, self.slot), determiner_words))
        if adjective:
            paradigm = determiner.adjective_paradigm if determiner else "strong"
            paradigm = "mixed" if not_word is not None else paradigm
            target.append(TargetWord(adjective.german_form(paradigm, case, self.slot), (inner[0],)))
        target.append(TargetWord(noun.german_form(case, self.plural), noun_words))
        phrase = Phrase((*determiner_words, *inner, *noun_words), tuple(target))
        return phrase + self.post if self.post else phrase


def _english_determiner(determiner: Determiner, following: str) -> str:
    vowel = following[0] in "aeiou" or following == "honest"
    return "an" if determiner.english == "a" and vowel else determiner.english


@dataclass(slots=True)
class Pronoun:
    forms: lexicon.Pronoun
    slot: Slot = "p"
    definite: bool = True

    @property
    def agreement(self) -> Agreement:
        return self.forms.agreement

    def render(self, case: Case) -> Phrase:
        if case == "nom":
            return pair(self.forms.subject, self.forms.nominative)
        return pair(self.forms.object, self.forms.accusative if case == "acc" else self.forms.dative)


@dataclass(slots=True)
class Invariable:
    """A name, or a word such as "who" that is spelled out by the caller."""

    english: str
    german: str
    agreement: Agreement = "3sg"
    slot: Slot = "m"
    definite: bool = True

    def render(self, case: Case) -> Phrase:
        return pair(self.english, self.german)


@dataclass(slots=True)
class Coordination:
    """Two joined: "Anna and her brother"."""

    first: Nominal
    second: Nominal
    agreement: Agreement = "pl"
    slot: Slot = "p"
    definite: bool = True

    def render(self, case: Case) -> Phrase:
        return self.first.render(case) + pair("and", "und") + self.second.render(case)


@dataclass(slots=True)
class RelativePronoun:
    """The word "who", "whom" or "which", agreeing with the noun it follows; brings its commas.

    English writes one only where the clause adds to what is known already: "my mother, who is sleeping".
    """

    head: Nominal
    person: bool
    english_comma: bool = False
    definite: bool = True

    @property
    def agreement(self) -> Agreement:
        return self.head.agreement

    @property
    def slot(self) -> Slot:
        return self.head.slot

    def render(self, case: Case) -> Phrase:
        english = ("who" if case == "nom" else "whom") if self.person else "which"
        german = tables.RELATIVE_PRONOUNS[case].split()[tables.SLOTS.index(self.slot)]
        return comma(self.english_comma) + pair(english, german)


def comma(in_english: bool) -> Phrase:
    """A German comma, with its English one or inserted."""
    return pair(",", ",") if in_english else Phrase((), (TargetWord(","),))


# Preposition and definite article in one word: in the garden / im Garten.
CONTRACTIONS = {
    ("in", "dem"): "im", ("in", "das"): "ins", ("zu", "dem"): "zum", ("zu", "der"): "zur",
}  # fmt: skip


def prepositional(english: str, german: str, case: Case, nominal: Nominal) -> Phrase:
    """Preposition and noun phrase, contracted where German does so."""
    preposition = SourceWord(english)
    inner = nominal.render(case)
    article = inner.target[0]
    contracted = CONTRACTIONS.get((german, article.text))
    if contracted:
        target = (TargetWord(contracted, (preposition, *article.origins)), *inner.target[1:])
    else:
        target = (TargetWord(german, (preposition,)), *inner.target)
    return Phrase((preposition, *inner.source), target)


def date(day: int, month: tuple[str, str]) -> Phrase:
    """A date: "on the third of May" / "am dritten Mai"."""
    ordinal, german_ordinal = lexicon.ORDINALS[day]
    month_phrase = pair(*month)
    return pair("on the", "am") + pair(ordinal, german_ordinal) + Phrase(words("of")) + month_phrase


def ago(period: NounPhrase) -> Phrase:
    """Back from now: "two years ago" / "vor zwei Jahren"."""
    inner, last = period.render("dat"), pair("ago", "vor")
    return Phrase(inner.source + last.source, last.target + inner.target)
