"""Chooses the sentences of the embedded corpus: which constructions, and how often."""

from collections.abc import Callable
from dataclasses import replace

from embedded_corpus import lexicon
from embedded_corpus.clauses import Clause, Tense, fronted, question, statement, subordinate
from embedded_corpus.lexicon import Verb
from embedded_corpus.phrases import (
    NOTHING,
    Invariable,
    Nominal,
    NounPhrase,
    Phrase,
    Pronoun,
    RelativePronoun,
    comma,
    pair,
    prepositional,
    spell,
)
from embedded_corpus.sampling import (
    ACTIONS,
    ADJECTIVES_OF,
    ANY_TENSE,
    GOODS,
    MODALS,
    NEGATABLE_MODALS,
    NOW,
    PERSONS,
    POSSESSIVES,
    THE,
    THEN,
    TRANSITIVES,
    VERB,
    A,
    PhraseSampler,
)
from embedded_corpus.tables import Case

from nmt.quickstart.embedded_corpus import AlignedPair


class Sampler(PhraseSampler):
    """Draws clauses and sentences."""

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
        unasked = {"where": clause.verb.frame == "motion" or clause.objects, "when": True, "why": False}[english]
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
        return replace(method(self), construction=method.__name__)


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
