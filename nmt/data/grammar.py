"""The embedded corpus: English-German sentence pairs, generated with their true word alignments.

Three layers, from the bottom: a :class:`Phrase` holds English and German words, each German word naming the
English words it translates, so any order of either side keeps the links right. Builders
(:class:`NounPhrase`, :class:`Clause`, :func:`statement`, …) spell one construction each. :class:`Sampler`
chooses what to say.

Each English sentence has one German translation. Conventions of the links:

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

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, Protocol, TypeVar

from nmt.data import lexicon
from nmt.data.lexicon import Adjective, Agreement, Case, Determiner, Modal, Noun, Slot, Verb

Tense = Literal["present", "progressive", "past", "perfect", "modal"]


@dataclass(frozen=True, slots=True)
class AlignedPair:
    """One sentence in both languages; ``links`` are sorted (source token, target token) pairs from 0."""

    source_tokens: tuple[str, ...]
    target_tokens: tuple[str, ...]
    links: tuple[tuple[int, int], ...]

    @property
    def source(self) -> str:
        return detokenise(self.source_tokens)

    @property
    def target(self) -> str:
        return detokenise(self.target_tokens)


def detokenise(tokens: tuple[str, ...]) -> str:
    """Raw text: a space before every token but the first and punctuation."""
    return "".join(token if token in ".,?!" else f" {token}" for token in tokens).lstrip()


# --- Words and phrases ------------------------------------------------------------------------------------


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


# --- Noun phrases -----------------------------------------------------------------------------------------


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
        german = lexicon.RELATIVE_PRONOUNS[case].split()[lexicon.SLOTS.index(self.slot)]
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


# --- Clauses ----------------------------------------------------------------------------------------------


NOTHING = Phrase()


@dataclass(slots=True)
class Clause:
    """Who does what; English and German order come from the function that spells it.

    German keeps the objects known to the hearer before time, frequency and "nicht", new ones after.
    """

    subject: Nominal
    verb: Verb
    tense: Tense = "present"
    modal: Modal | None = None
    objects: tuple[tuple[Nominal, Case], ...] = ()
    negated: bool = False
    time: Phrase = NOTHING
    frequency: Phrase = NOTHING
    # Manner, place, or a predicate ("old").
    complement: Phrase = NOTHING


@dataclass(slots=True)
class _VerbWords:
    """The parts of a verb: ``finite`` is what English puts before the subject of a question."""

    finite: tuple[SourceWord, ...]
    rest: tuple[SourceWord, ...]
    target_finite: TargetWord
    target_final: tuple[TargetWord, ...] = ()
    separated: bool = False


@dataclass(slots=True)
class _Layout:
    """A clause in the pieces that the clause types order differently."""

    subject: Phrase
    finite: tuple[SourceWord, ...]
    predicate: tuple[SourceWord, ...]
    target_finite: TargetWord
    target_middle: tuple[TargetWord, ...]
    target_final: tuple[TargetWord, ...]
    separated: bool


def _verb_words(clause: Clause, support: bool) -> _VerbWords:
    """Conjugate; ``support`` asks for "do" where English needs it."""
    verb, agreement, tense = clause.verb, clause.subject.agreement, clause.tense
    base = words(f"{verb.base} {verb.particle}")
    if tense == "modal":
        return _modal_words(clause, base)
    if tense == "perfect":
        finite = SourceWord("has" if agreement == "3sg" else "have")
        rest = words(f"{verb.participle} {verb.particle}")
        auxiliary = lexicon.VERB_BY_ENGLISH["be" if verb.auxiliary == "sein" else "have"]
        target_finite = TargetWord(auxiliary.german_finite(False, agreement), (finite,))
        return _VerbWords((finite,), rest, target_finite, (TargetWord(verb.german_participle, rest),))
    past = tense == "past"
    german = verb.german_finite(past, agreement)
    finite_words: tuple[SourceWord, ...] = ()
    if tense == "progressive":
        finite_words = words(lexicon.VERB_BY_ENGLISH["be"].english_finite(False, agreement))
        rest = words(f"{verb.progressive} {verb.particle}")
        target_finite = TargetWord(german, (*finite_words, rest[0]))
    elif verb.base == "be":
        finite_words, rest = words(verb.english_finite(past, agreement)), ()
        return _VerbWords(finite_words, rest, TargetWord(german, finite_words))
    elif support:
        finite_words = words("did" if past else "does" if agreement == "3sg" else "do")
        rest, target_finite = base, TargetWord(german, base[:1])
    else:
        rest = words(f"{verb.english_finite(past, agreement)} {verb.particle}")
        target_finite = TargetWord(german, rest[:1])
    # Calls / ruft an: without an English particle the prefix comes from the verb.
    final = (TargetWord(verb.prefix, rest[-1:]),) if verb.prefix else ()
    return _VerbWords(finite_words, rest, target_finite, final, separated=bool(final))


def _modal_words(clause: Clause, base: tuple[SourceWord, ...]) -> _VerbWords:
    modal, agreement = clause.modal, clause.subject.agreement
    assert modal is not None, "the modal tense needs a modal"
    english = modal.english_form(agreement)
    finite = SourceWord("cannot" if clause.negated and english == "can" else english)
    rest = (*words("to"), *base) if modal.plain == "want" else base
    target_finite = TargetWord(modal.german_form(agreement), (finite,))
    return _VerbWords((finite,), rest, target_finite, (TargetWord(clause.verb.infinitive, base),))


def _lay_out(clause: Clause, question: bool = False) -> _Layout:
    verb = _verb_words(clause, support=question or clause.negated)
    not_word: SourceWord | None = None
    not_words: tuple[SourceWord, ...] = ()
    if clause.negated:
        # "Cannot" holds its own negation.
        cannot = verb.finite[0].text == "cannot"
        not_word = verb.finite[0] if cannot else SourceWord("not")
        not_words = () if cannot else (not_word,)
    known: list[TargetWord] = []
    new: list[TargetWord] = []
    source_objects: list[SourceWord] = []
    kein = False
    for nominal, case in clause.objects:
        if not_word is not None and isinstance(nominal, NounPhrase) and nominal.takes_kein:
            phrase = nominal.render_negated(case, not_word)
            kein = True
        else:
            phrase = nominal.render(case)
        source_objects += phrase.source
        (known if nominal.definite else new).extend(phrase.target)
    nicht = [TargetWord("nicht", (not_word,))] if not_word is not None and not kein else []
    verb_and_objects = (*verb.rest, *source_objects)
    if clause.verb.particle and clause.objects and isinstance(clause.objects[0][0], Pronoun):
        # "Picks up the child", but "picks her up".
        verb_and_objects = (*verb.rest[:-1], *source_objects, verb.rest[-1])
    predicate = (
        *not_words, *clause.frequency.source, *verb_and_objects, *clause.complement.source,
        *clause.time.source,
    )  # fmt: skip
    middle = (*known, *clause.time.target, *clause.frequency.target, *nicht, *new, *clause.complement.target)
    return _Layout(
        clause.subject.render("nom"), verb.finite, predicate, verb.target_finite, middle, verb.target_final,
        verb.separated,
    )  # fmt: skip


def statement(clause: Clause) -> Phrase:
    """Verb second after the subject: "Er steht früh auf"."""
    parts = _lay_out(clause)
    source = (*parts.subject.source, *parts.finite, *parts.predicate)
    target = (*parts.subject.target, parts.target_finite, *parts.target_middle, *parts.target_final)
    return Phrase(source, target)


def fronted(front: Phrase, clause: Clause) -> Phrase:
    """Verb second after an adverbial, the subject behind it: "Morgen steht er auf"."""
    parts = _lay_out(clause)
    source = (*front.source, *parts.subject.source, *parts.finite, *parts.predicate)
    target = (
        *front.target, parts.target_finite, *parts.subject.target, *parts.target_middle, *parts.target_final,
    )  # fmt: skip
    return Phrase(source, target)


def question(clause: Clause, opener: Phrase = NOTHING) -> Phrase:
    """Verb first, or second after a question word: "Steht er auf", "Wann steht er auf"."""
    parts = _lay_out(clause, question=True)
    source = (*opener.source, *parts.finite, *parts.subject.source, *parts.predicate)
    target = (
        *opener.target, parts.target_finite, *parts.subject.target, *parts.target_middle, *parts.target_final,
    )  # fmt: skip
    return Phrase(source, target)


def subordinate(opener: Phrase, clause: Clause) -> Phrase:
    """Verb last, a separable verb in one word: "wenn er aufsteht"."""
    parts = _lay_out(clause)
    source = (*opener.source, *parts.subject.source, *parts.finite, *parts.predicate)
    finite, final = parts.target_finite, parts.target_final
    if parts.separated:
        prefix = final[0]
        # An origin of both (calls / anruft) counts once.
        added = tuple(origin for origin in prefix.origins if origin not in finite.origins)
        joined = TargetWord(prefix.text + finite.text, finite.origins + added)
        ending_words: tuple[TargetWord, ...] = (joined,)
    else:
        ending_words = (*final, finite)
    return Phrase(source, (*opener.target, *parts.subject.target, *parts.target_middle, *ending_words))


# --- Choosing what to say ---------------------------------------------------------------------------------

DETERMINER = lexicon.DETERMINER_BY_ENGLISH
VERB = lexicon.VERB_BY_ENGLISH
THE, A, EVERY, MANY = DETERMINER["the"], DETERMINER["a"], DETERMINER["every"], DETERMINER["many"]
POSSESSIVES = [DETERMINER[word] for word in ("my", "his", "her", "our", "their")]
NUMBER_DETERMINERS = [Determiner(*forms, "", "strong", "plural") for forms in lexicon.NUMBERS.values()]
NEXT, LAST = Adjective("next", "nächste", "nächst", ()), Adjective("last", "letzte", "letzt", ())
PERSONS = ("person", "relative")
GOODS = ("furniture", "thing", "device", "vehicle", "clothes")
ADJECTIVES_OF = {
    category: [a for a in lexicon.ADJECTIVE_BY_ENGLISH.values() if category in a.categories]
    for category in lexicon.NOUN_LISTS
}
COMPOUNDS_OF = {
    category: [noun for noun in lexicon.COMPOUND_LIST if noun.category == category]
    for category in lexicon.NOUN_LISTS
}
FRAMES = ("intransitive", "transitive", "dative", "ditransitive", "location", "motion")
ACTIONS = [verb for frame in FRAMES for verb in lexicon.VERB_LISTS[frame]]
# Food has few verbs, so these are drawn twice as often.
ACTIONS += [VERB["eat"], VERB["drink"], VERB["order"]]
TRANSITIVES = lexicon.VERB_LISTS["transitive"]
# What an animal does, too.
ANIMAL_ACTIONS = ("sleep", "run", "swim", "wait", "play", "eat", "drink", "see", "hear", "follow", "find")
# What is done together with others.
COMPANIONABLE = ("work", "sing", "dance", "swim", "play", "wait", "cook", "travel")
MODALS = list(lexicon.MODAL_BY_ENGLISH.values())
NEGATABLE_MODALS = [modal for modal in MODALS if modal.plain in ("can", "should", "will")]
ANY_TENSE: tuple[Tense, ...] = (
    *("present",) * 9, *("past",) * 5, *("perfect",) * 4, *("modal",) * 4, "progressive",
)  # fmt: skip
NOW: tuple[Tense, ...] = (*("present",) * 8, *("modal",) * 4, "progressive")
THEN: tuple[Tense, ...] = ("past",)


class Sampler:
    """Draws sentences. Each method draws one kind of phrase from ``rng``; nothing else is random."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self._nouns_of: dict[tuple[str, ...], list[Noun]] = {}

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def word(self, kind: str) -> tuple[str, str]:
        return self.rng.choice(lexicon.WORD_LISTS[kind])

    # Noun phrases

    def noun(self, categories: tuple[str, ...]) -> Noun:
        nouns = self._nouns_of.get(categories)
        if nouns is None:
            nouns = [noun for category in categories for noun in lexicon.NOUN_LISTS[category]]
            self._nouns_of[categories] = nouns
        noun = self.rng.choice(nouns)
        compounds = COMPOUNDS_OF[noun.category]
        # So that each compound comes about a third as often as its head's neighbours.
        share = len(compounds) / (len(compounds) + 3 * len(lexicon.NOUN_LISTS[noun.category]))
        return self.rng.choice(compounds) if compounds and self.chance(share) else noun

    def noun_phrase(self, categories: tuple[str, ...], plain: bool = False, post: bool = True) -> NounPhrase:
        """``plain`` leaves out quantities, which negation would make ambiguous."""
        noun = self.noun(categories)
        seldom_plural = noun.category in ("relative", "room", "place")
        plural = noun.has_plural and self.chance(0.15 if seldom_plural else 0.3)
        phrase = NounPhrase(noun, self.determiner(noun, plural, plain), plural=plural)
        adjectives = ADJECTIVES_OF[noun.category]
        if adjectives and self.chance(0.33):
            phrase.adjective = self.rng.choice(adjectives)
        if post and phrase.determiner in (THE, A) and self.chance(0.13):
            phrase.post = self.postmodifier(phrase)
        return phrase

    def determiner(self, noun: Noun, plural: bool, plain: bool) -> Determiner | None:
        draw = self.rng.random()
        if noun.category == "relative":
            return THE if draw < 0.15 else self.rng.choice(POSSESSIVES)
        if noun.category in lexicon.UNCOUNTABLE:
            return None if draw < 0.5 else THE if draw < 0.8 else self.rng.choice(POSSESSIVES)
        if draw < 0.38:
            return THE
        # "My king" and "our queen" would be odd.
        if draw < 0.52 and noun.category not in ("person", "place"):
            return self.rng.choice(POSSESSIVES)
        if draw < 0.6:
            return DETERMINER["these" if plural else "this"]
        if not plural:
            return EVERY if draw > 0.95 and not plain else A
        if plain or draw < 0.7:
            return None
        if draw < 0.76:
            return MANY
        # Kings seldom come in dozens.
        return self.rng.choice(NUMBER_DETERMINERS[:11] if noun.category == "person" else NUMBER_DETERMINERS)

    def postmodifier(self, head: NounPhrase) -> Phrase | None:
        category = head.noun.category
        if category == "relative" and head.determiner is THE:
            return self.possessor(("person",))
        if category == "opening" and head.determiner is THE:
            return self.possessor(("room", "place"))
        if category == "text":
            about = self.noun_phrase(("person", "animal", "place"), post=False)
            return prepositional("about", "über", "acc", about)
        if category == "person" and self.chance(0.6):
            carried = self.definite_phrase(("clothes", "thing", "animal"))
            return prepositional("with", "mit", "dat", carried)
        if category == "person":
            return pair("from", "aus") + pair(*self.word("city"))
        return None

    def definite_phrase(self, categories: tuple[str, ...]) -> NounPhrase:
        """A noun phrase with some article, and nothing behind it."""
        phrase = self.noun_phrase(categories, plain=True, post=False)
        return replace(phrase, determiner=phrase.determiner or THE)

    def possessor(self, categories: tuple[str, ...]) -> Phrase:
        return self.definite_phrase(categories).render_genitive()

    def subject(self, verb: Verb | None = None, plain: bool = False) -> Nominal:
        draw = self.rng.random()
        if draw < 0.3:
            return self.pronoun()
        if draw < 0.4:
            return Invariable(*self.word("name"))
        if draw < 0.44:
            first: Nominal = Invariable(*self.word("name"))
            return Coordination(first, self.noun_phrase(("relative",), post=False))
        if draw < 0.52 and verb is not None and verb.base in ANIMAL_ACTIONS and not verb.particle:
            return self.noun_phrase(("animal",), plain)
        return self.noun_phrase(PERSONS, plain)

    def pronoun(self) -> Pronoun:
        return Pronoun(self.rng.choice(list(lexicon.PRONOUN_BY_ENGLISH.values())))

    def person_object(self, subject: Nominal, categories: tuple[str, ...], plain: bool) -> Nominal:
        if "person" in categories and self.chance(0.2):
            pronoun = self.pronoun()
            first_persons = ("I", "we")
            both_first = (
                isinstance(subject, Pronoun)
                and subject.forms.subject in first_persons
                and pronoun.forms.subject in first_persons
            )
            if not both_first:
                return pronoun
        return self.noun_phrase(categories, plain)

    # Adverbials

    def period(self) -> Noun:
        return self.rng.choice(lexicon.NOUN_LISTS["period"])

    def time(self, tense: Tense) -> Phrase:
        """A time that suits the tense."""
        draw = self.rng.random()
        if tense == "progressive":
            return pair("now", "jetzt") if draw < 0.5 else pair("today", "heute")
        if tense == "perfect":
            return pair("today", "heute")
        if draw < 0.4:
            day = self.rng.randint(1, 31)
            months = lexicon.WORD_LISTS["month"] if day < 29 else lexicon.LONG_MONTHS
            return date(day, self.rng.choice(months))
        if draw < 0.5:
            return pair("on", "am") + pair(*self.word("weekday"))
        if draw < 0.57:
            return pair("in the", "am") + pair(*self.word("part of day"))
        if draw < 0.66:
            return pair("in", "im") + pair(*self.word("month" if self.chance(0.35) else "season"))
        if draw < 0.72:
            hour = lexicon.NUMBERS[self.rng.randint(2, 12)]
            return pair("at", "um") + pair(*hour) + pair("o'clock", "Uhr")
        return self.relative_time(tense)

    def relative_time(self, tense: Tense) -> Phrase:
        """A time counted from now, or a repeated one."""
        draw = self.rng.random()
        unit = self.noun(("duration",) if self.chance(0.5) else ("period",))
        several = NounPhrase(unit, self.rng.choice(NUMBER_DETERMINERS), plural=True)
        if tense == "past":
            if draw < 0.3:
                return pair("yesterday", "gestern")
            if draw < 0.65:
                return ago(several)
            return NounPhrase(self.period_but_day(), None, LAST).render("acc")
        if tense == "modal":
            if draw < 0.3:
                return pair("tomorrow", "morgen")
            if draw < 0.65:
                return prepositional("in", "in", "dat", several)
            return NounPhrase(self.period_but_day(), None, NEXT).render("acc")
        if draw < 0.5:
            return pair("today", "heute") if draw < 0.3 else pair("now", "jetzt")
        return NounPhrase(self.period(), EVERY).render("acc")

    def period_but_day(self) -> Noun:
        return self.rng.choice(lexicon.NOUN_LISTS["period"][1:])

    def place(self, verb: Verb) -> Phrase:
        """Where, or for a verb of motion where to."""
        motion = verb.frame == "motion"
        draw = self.rng.random()
        if draw < 0.3:
            city = pair(*self.word("city"))
            return (pair("to", "nach") if motion else pair("in", "in")) + city
        far = verb.base in ("drive", "travel") or (not motion and draw < 0.4)
        nominal = self.definite_phrase(("place",) if far else ("room", "place"))
        if motion:
            on_foot = not far and draw > 0.6
            return prepositional(*(("into", "in", "acc") if on_foot else ("to", "zu", "dat")), nominal)
        return prepositional(*(("behind", "hinter") if far else ("in", "in")), "dat", nominal)

    def complement(self, verb: Verb) -> Phrase:
        """Manner, company or place, where the verb wants one."""
        if verb.frame in ("location", "motion"):
            return self.place(verb)
        draw = self.rng.random()
        if verb.prefix and verb.frame != "intransitive":
            return NOTHING
        if verb.frame == "intransitive" and draw < 0.35:
            manner = self.rng.choice(verb.arguments)
            return pair(manner, lexicon.MANNER[manner])
        if verb.base in COMPANIONABLE and draw < 0.55:
            return prepositional("with", "mit", "dat", self.noun_phrase(PERSONS, post=False))
        if verb.base in ("buy", "cook", "order", "write", "repair") and draw < 0.25:
            return prepositional("for", "für", "acc", self.noun_phrase(PERSONS, post=False))
        if verb.base in ("go", "work", "come", "depart") and draw < 0.45:
            return prepositional("without", "ohne", "acc", self.noun_phrase(PERSONS, post=False))
        if draw < (0.6 if verb.frame == "intransitive" and not verb.prefix else 0.12):
            return self.place(verb)
        return NOTHING

    # Clauses

    def tense(self, verb: Verb, subject: Nominal, tenses: tuple[Tense, ...]) -> Tense:
        tense = self.rng.choice(tenses)
        if tense == "progressive" and verb.stative:
            return "present"
        # "They read" and "I put" do not show their tense.
        if tense == "past" and verb.past == verb.base and subject.agreement != "3sg":
            return "perfect" if tenses is ANY_TENSE else "present"
        return tense

    def clause(
        self, tenses: tuple[Tense, ...] = ANY_TENSE, subject: Nominal | None = None, short: bool = False
    ) -> Clause:
        """Somebody does something; ``short`` leaves out what is not needed."""
        if self.chance(0.16):
            return self.description(tenses, subject)
        verb = self.rng.choice(ACTIONS)
        negated = self.chance(0.13)
        subject = subject or self.subject(verb, plain=negated)
        clause = Clause(subject, verb, self.tense(verb, subject, tenses), negated=negated)
        self.set_mood(clause)
        clause.objects = self.objects(verb, subject, clause.negated)
        bulky = any(isinstance(nominal, NounPhrase) and nominal.post for nominal, _ in clause.objects)
        if verb.frame in ("location", "motion") or (not bulky and not short):
            clause.complement = self.complement(verb)
        simple = clause.tense in ("present", "past") and not clause.negated
        if simple and self.chance(0.15):
            clause.frequency = pair(*self.word("frequency"))
        elif not short and not bulky and not self._by_manner(clause) and self.chance(0.42):
            clause.time = self.time(clause.tense)
        return clause

    def set_mood(self, clause: Clause) -> None:
        """Choose the modal; drop a negation that would change its meaning (must not / darf nicht)."""
        if clause.tense == "modal":
            clause.modal = self.rng.choice(NEGATABLE_MODALS if clause.negated else MODALS)
        elif clause.tense == "progressive":
            clause.negated = False

    @staticmethod
    def _by_manner(clause: Clause) -> bool:
        return clause.verb.frame == "intransitive" and bool(clause.complement)

    def objects(self, verb: Verb, subject: Nominal, plain: bool) -> tuple[tuple[Nominal, Case], ...]:
        if verb.frame == "transitive":
            return ((self.person_object(subject, verb.arguments, plain), "acc"),)
        if verb.frame == "dative":
            return ((self.person_object(subject, verb.arguments, plain), "dat"),)
        if verb.frame == "ditransitive":
            receiver = self.person_object(subject, PERSONS, plain=True)
            if isinstance(receiver, NounPhrase):
                # A new receiver before a known thing would change the German order.
                receiver = replace(receiver, post=None)
                if not receiver.definite:
                    receiver.determiner = THE
            return ((receiver, "dat"), (self.noun_phrase(verb.arguments, plain), "acc"))
        return ()

    def description(self, tenses: tuple[Tense, ...], subject: Nominal | None = None) -> Clause:
        """Somebody or something is old, in the garden, or a good teacher."""
        be = VERB["be"]
        # No other tense of "be" is drawn, so another one counts as present.
        tense: Tense = "past" if self.rng.choice(tenses) == "past" else "present"
        negated = self.chance(0.12)
        if subject is None and self.chance(0.2):
            return self.profession(Clause(Invariable("", ""), be, tense, negated=negated))
        if subject is None and self.chance(0.25):
            return self.location(tense)
        if subject is None and self.chance(0.5):
            subject = self.noun_phrase(
                (*GOODS, "text", "room", "place", "opening"), negated
            )  # fmt: skip
        subject = subject or self.subject(plain=negated)
        clause = Clause(subject, be, tense, negated=negated)
        category = subject.noun.category if isinstance(subject, NounPhrase) else "relative"
        if category == "relative" and self.chance(0.15):
            clause.complement = self.place(be)
        else:
            clause.complement = self.predicate(category, subject)
        if self.chance(0.15) and category in ("person", "relative", "animal") and not clause.negated:
            clause.frequency = pair(*self.word("frequency"))
        return clause

    def predicate(self, category: str, subject: Nominal) -> Phrase:
        adjectives = ADJECTIVES_OF.get(category) or ADJECTIVES_OF["relative"]
        # "The old man is old" says nothing, "the old man is young" too much.
        own = subject.adjective if isinstance(subject, NounPhrase) else None
        opposed = lexicon.CONTRASTS.get(own.english, (own.english,)) if own else ()
        adjective = self.rng.choice([choice for choice in adjectives if choice.english not in opposed])
        return pair(adjective.english, adjective.german)

    def profession(self, clause: Clause) -> Clause:
        """A predicate noun, "she is a good doctor": the noun's gender is the subject's."""
        person = self.noun(("person",))
        adjective = self.rng.choice(ADJECTIVES_OF["person"])
        if person.gender == "n" or self.chance(0.3):
            clause.subject = Pronoun(lexicon.PRONOUN_BY_ENGLISH["I"])
        elif self.chance(0.5):
            relatives = [noun for noun in lexicon.NOUN_LISTS["relative"] if noun.gender == person.gender]
            clause.subject = NounPhrase(self.rng.choice(relatives), self.rng.choice(POSSESSIVES))
        else:
            clause.subject = Pronoun(lexicon.PRONOUN_BY_ENGLISH["he" if person.gender == "m" else "she"])
        clause.objects = ((NounPhrase(person, A, adjective), "nom"),)
        return clause

    def location(self, tense: Tense) -> Clause:
        """Where a thing is: "the key lies under the table"."""
        preposition = self.rng.choice([("on", "auf"), ("under", "unter"), ("behind", "hinter")])
        place = self.definite_phrase(("furniture",))
        subject = self.noun_phrase(("thing", "text", "clothes"), post=False)
        return Clause(
            subject, VERB["lie"], tense, complement=prepositional(*preposition, "dat", place)
        )  # fmt: skip

    def measured(self) -> Clause:
        """An age or a price."""
        number = lexicon.NUMBERS[self.rng.randint(13, 49)]
        if self.chance(0.55):
            subject = self.subject(plain=True)
            if self.chance(0.4):
                subject = NounPhrase(lexicon.NOUN_BY_ENGLISH[self.rng.choice(("boy", "girl", "child"))], THE)
                number = lexicon.NUMBERS[self.rng.randint(2, 19)]
            age = pair(*number) + pair("years", "Jahre") + pair("old", "alt")
            return Clause(subject, VERB["be"], "present", complement=age)
        thing = self.noun_phrase(GOODS, plain=True, post=False)
        return Clause(thing, VERB["cost"], "present", complement=pair(*number) + pair("euros", "Euro"))

    def relative_clause(self, head: NounPhrase, known: bool) -> Phrase:
        """A clause such as "who is sleeping" or "whom the king has invited" after ``head``.

        ``known`` as for the comma of :class:`RelativePronoun`.
        """
        category = head.noun.category
        relative = RelativePronoun(head, category in PERSONS, known)
        takers = [verb for verb in TAKERS_OF.get(category, []) if verb.base != "have"]
        if takers and (category not in PERSONS or self.chance(0.4)):
            verb = self.rng.choice(takers)
            subject = self.subject(verb)
            clause = Clause(subject, verb, self.tense(verb, subject, ("present", "past", "perfect")))
            return subordinate(relative.render("dat" if verb.frame == "dative" else "acc"), clause)
        return subordinate(NOTHING, self.clause(subject=relative, short=True))

    def related_phrase(self, categories: tuple[str, ...]) -> NounPhrase:
        """A noun phrase with a relative clause behind it."""
        head = self.noun_phrase(categories, plain=True, post=False)
        if not head.definite and head.plural:
            head.determiner = THE
        known = head.noun.category == "relative" and head.determiner is not THE
        return replace(head, post=self.relative_clause(head, known) + comma(known))

    # Sentences

    def plain(self) -> AlignedPair:
        return spell(statement(self.clause()), ".")

    def fronted(self) -> AlignedPair:
        clause = self.clause()
        clause.time = clause.frequency = NOTHING
        if self.chance(0.25):
            sudden = clause.tense == "past" and clause.verb.base != "be" and not clause.negated
            front = pair("suddenly", "plötzlich") if sudden else pair(*self.word("fronted"))
        elif self.chance(0.15) and not clause.complement and clause.verb.base not in ("be", "lie"):
            front = self.place(clause.verb)
        else:
            # States of things last: "on Monday the bed is big" would be odd.
            front = pair(*self.word("fronted")) if clause.verb.base == "be" else self.time(clause.tense)
        return spell(fronted(front, clause), ".")

    def number(self) -> AlignedPair:
        return spell(statement(self.measured()), ".")

    def yes_no(self) -> AlignedPair:
        # Spoken German asks about the past in the perfect.
        clause = self.clause(("present", "present", "perfect", "perfect", "modal"))
        clause.negated = False
        if clause.modal is not None and clause.modal.plain == "want":
            clause.modal = lexicon.MODAL_BY_ENGLISH["can"]
        return spell(question(clause), "?")

    def wh_question(self) -> AlignedPair:
        draw = self.rng.random()
        if draw < 0.25:
            subject = Invariable("who", "wer")
            clause = self.clause(subject=subject)
            clause.negated = False
            return spell(statement(clause), "?")
        if draw < 0.5:
            return spell(self.object_question(), "?")
        if draw < 0.65:
            measure = self.rng.choice([("old", "alt"), ("big", "groß"), ("expensive", "teuer")])
            categories = PERSONS if measure[0] == "old" else ("furniture", "device", "vehicle", "clothes")
            subject_phrase = self.noun_phrase(categories, plain=True)
            return spell(
                question(Clause(subject_phrase, VERB["be"]), pair("how", "wie") + pair(*measure)), "?"
            )  # fmt: skip
        opener, clause = self.open_clause()
        return spell(question(clause, opener), "?")

    def open_clause(self) -> tuple[Phrase, Clause]:
        """A clause that lacks what its question word (where, when, why) asks for."""
        english, german = self.word("question")
        clause = self.clause(("present", "present", "past", "modal"), short=True)
        clause.negated = False
        clause.time = NOTHING
        # "Where is he a good doctor", "where does he go" and "when is the bed big" are not asked.
        unasked = {"where": clause.verb.frame == "motion" or clause.objects, "when": True, "why": False}[
            english
        ]
        if unasked and (clause.verb.base == "be" or clause.verb.frame == "motion"):
            english, german = "why", "warum"
        elif english == "where" and not clause.objects:
            clause.complement = NOTHING
        if clause.modal is not None and clause.modal.plain == "want":
            clause.modal = lexicon.MODAL_BY_ENGLISH["must"]
        return pair(english, german), clause

    def object_question(self) -> Phrase:
        verb = self.rng.choice([*TRANSITIVES, *lexicon.VERB_LISTS["dative"]])
        personal = "person" in verb.arguments
        subject = self.subject(verb, plain=True)
        clause = Clause(subject, verb, self.tense(verb, subject, ("present", "past", "perfect")))
        if self.chance(0.3):
            clause.time = self.time(clause.tense)
        if not personal:
            return question(clause, pair("what", "was"))
        return question(clause, pair("whom", "wem" if verb.frame == "dative" else "wen"))

    def reported(self) -> AlignedPair:
        """What is known or asked: "I know that …", "he asks whether …", "do you know where …"."""
        verb = self.rng.choice(lexicon.VERB_LISTS["report"])
        tense: Tense = "past" if self.chance(0.25) else "present"
        subject = self.subject(plain=True)
        matrix = Clause(subject, verb, tense)
        inner_tenses = THEN if tense == "past" else ANY_TENSE
        draw = self.rng.random()
        if draw < 0.6:
            inner = subordinate(comma(False) + pair("that", "dass"), self.clause(inner_tenses, short=True))
            return spell(statement(matrix) + inner, ".")
        matrix.verb = VERB["know"] if draw < 0.8 else VERB["ask"]
        matrix.negated = draw < 0.72
        if self.chance(0.5):
            inner = subordinate(comma(False) + pair("whether", "ob"), self.clause(inner_tenses, short=True))
        else:
            opener, clause = self.open_clause()
            inner = subordinate(comma(False) + opener, clause)
        return spell(statement(matrix) + inner, ".")

    def reason(self) -> AlignedPair:
        tenses = THEN if self.chance(0.35) else NOW
        english, german = self.rng.choice([("because", "weil"), ("although", "obwohl"), ("while", "während")])
        opener = comma(in_english=english == "although") + pair(english, german)
        main = self.clause(tenses, short=True)
        inner = self.clause(tenses, short=True)
        return spell(statement(main) + subordinate(opener, inner), ".")

    def condition(self) -> AlignedPair:
        """A clause before the main one takes its first place: "Wenn er kommt, schlafen wir"."""
        inner = subordinate(pair("if", "wenn"), self.clause(("present",), short=True))
        front = inner + pair(",", ",")
        return spell(fronted(front, self.clause(("present", "modal"), short=True)), ".")

    def relative(self) -> AlignedPair:
        if self.chance(0.4):
            related = self.related_phrase(("thing", "clothes", "text", "vehicle", "animal", "furniture"))
            return spell(statement(self.description(ANY_TENSE, subject=related)), ".")
        if self.chance(0.5):
            clause = self.clause(subject=self.related_phrase(PERSONS), short=True)
            # "The man who laughed rarely writes" could be read in two ways.
            clause.frequency = NOTHING
            return spell(statement(clause), ".")
        verb = self.rng.choice(TRANSITIVES)
        subject = self.subject(verb)
        clause = Clause(subject, verb, self.tense(verb, subject, ("present", "past")))
        clause.objects = ((self.related_phrase(verb.arguments), "acc"),)
        return spell(statement(clause), ".")

    def coordinated(self) -> AlignedPair:
        tenses = THEN if self.chance(0.35) else NOW
        joint = pair("and", "und") if self.chance(0.5) else pair(",", ",") + pair("but", "aber")
        first, second = self.clause(tenses, short=True), self.clause(tenses, short=True)
        return spell(statement(first) + joint + statement(second), ".")

    def attribute(self) -> AlignedPair:
        """A property of a thing: "she forgets the price of the lamp" / "Sie vergisst den Preis der Lampe"."""
        verb = VERB[self.rng.choice(("see", "forget", "love"))]
        whole = self.possessor(GOODS)
        what = NounPhrase(self.noun(("attribute",)), THE, post=whole)
        subject = self.subject(verb, plain=True)
        clause = Clause(subject, verb, self.tense(verb, subject, ANY_TENSE), objects=((what, "acc"),))
        self.set_mood(clause)
        return spell(statement(clause), ".")

    def sentence(self) -> AlignedPair:
        method = self.rng.choices(SENTENCES, cum_weights=SENTENCE_WEIGHTS)[0]
        return method(self)


TAKERS_OF = {
    category: [verb for verb in (*TRANSITIVES, *lexicon.VERB_LISTS["dative"]) if category in verb.arguments]
    for category in lexicon.NOUN_LISTS
}
SENTENCES: list[Callable[[Sampler], AlignedPair]] = [
    Sampler.plain, Sampler.fronted, Sampler.number, Sampler.yes_no, Sampler.wh_question, Sampler.reported,
    Sampler.reason, Sampler.condition, Sampler.relative, Sampler.coordinated, Sampler.attribute,
]  # fmt: skip
# Out of 100, cumulated in the order of SENTENCES.
SENTENCE_WEIGHTS = [26, 46, 55, 63, 71, 78, 83, 87, 93, 98, 100]


def stream(seed: int) -> Iterator[AlignedPair]:
    """Sentences without end, distinct by English text."""
    sampler = Sampler(random.Random(seed))
    seen: set[tuple[str, ...]] = set()
    while True:
        sentence = sampler.sentence()
        if sentence.source_tokens not in seen:
            seen.add(sentence.source_tokens)
            yield sentence


def generate(num_pairs: int, seed: int) -> list[AlignedPair]:
    """``num_pairs`` sentence pairs, distinct by English text, the same for a seed on every machine."""
    sentences = stream(seed)
    return [next(sentences) for _ in range(num_pairs)]


def splits(
    seed: int = 1, train: int = 24_000, valid: int = 500, test: int = 500
) -> dict[str, list[AlignedPair]]:
    """Train, valid and test; no English and no German sentence of valid or test is in another split."""
    sentences = stream(seed)
    held_out: set[tuple[str, ...]] = set()
    result: dict[str, list[AlignedPair]] = {}
    for name, size in (("test", test), ("valid", valid), ("train", train)):
        chosen: list[AlignedPair] = []
        while len(chosen) < size:
            sentence = next(sentences)
            if sentence.target_tokens in held_out:
                continue
            chosen.append(sentence)
            if name != "train":
                held_out.add(sentence.target_tokens)
        result[name] = chosen
    return {name: result[name] for name in ("train", "valid", "test")}
