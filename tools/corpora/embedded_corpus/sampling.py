"""Chooses what the embedded corpus says: nouns, determiners, times and places."""

import random
from dataclasses import replace

from embedded_corpus import lexicon
from embedded_corpus.clauses import Tense
from embedded_corpus.lexicon import Adjective, Determiner, Noun, Verb
from embedded_corpus.phrases import (
    NOTHING,
    Coordination,
    Invariable,
    Nominal,
    NounPhrase,
    Phrase,
    Pronoun,
    ago,
    date,
    pair,
    prepositional,
)

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
    category: [noun for noun in lexicon.COMPOUND_LIST if noun.category == category] for category in lexicon.NOUN_LISTS
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


class PhraseSampler:
    """Draws noun phrases and adverbials. Each method draws one kind from ``rng``; nothing else is random."""

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
