"""Clauses of aligned English and German: what each language puts where."""

from dataclasses import dataclass
from typing import Literal

from embedded_corpus import lexicon
from embedded_corpus.lexicon import Modal, Verb
from embedded_corpus.phrases import NOTHING, Nominal, NounPhrase, Phrase, Pronoun, SourceWord, TargetWord, words
from embedded_corpus.tables import Case

Tense = Literal["present", "progressive", "past", "perfect", "modal"]


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
