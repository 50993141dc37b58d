"""The generator of the embedded corpus: correct German, true links, and the shipped file byte for byte."""

import sys
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
from embedded_corpus import lexicon, sampling
from embedded_corpus.clauses import Clause, fronted, question, statement, subordinate
from embedded_corpus.phrases import (
    NOTHING,
    Invariable,
    NounPhrase,
    Phrase,
    Pronoun,
    RelativePronoun,
    comma,
    date,
    pair,
    prepositional,
    spell,
)
from make_embedded_corpus import generate, main

from nmt.quickstart.embedded_corpus import PATH, AlignedPair, splits

VERB = lexicon.VERB_BY_ENGLISH
ANNA = Invariable("Anna", "Anna")


@pytest.fixture(scope="module")
def train() -> list[AlignedPair]:
    return splits()["train"]


def person(english: str) -> Pronoun:
    return Pronoun(lexicon.PRONOUN_BY_ENGLISH[english])


def thing(text: str, plural: bool = False) -> NounPhrase:
    """The noun phrase for "the old table"; the noun is given in the singular."""
    determiner_word, *rest = text.split()
    adjective = lexicon.ADJECTIVE_BY_ENGLISH.get(rest[0])
    noun = lexicon.NOUN_BY_ENGLISH[" ".join(rest[1:] if adjective else rest)]
    return NounPhrase(noun, lexicon.DETERMINER_BY_ENGLISH[determiner_word], adjective, plural)


def said(clause: Clause) -> AlignedPair:
    return spell(statement(clause), ".")


def links_of(sentence: AlignedPair) -> str:
    return " ".join(f"{source}-{target}" for source, target in sentence.links)


def clause_of(subject: str, verb: str, **rest: object) -> Clause:
    return Clause(person(subject), VERB[verb], **rest)  # type: ignore[arg-type]


SLEEPING = clause_of("he", "sleep", tense="progressive")
EARLY = pair("early", "früh")
WHO = RelativePronoun(thing("the man"), person=True)
THE_MAN_WHO_SINGS = NounPhrase(
    lexicon.NOUN_BY_ENGLISH["man"],
    sampling.THE,
    post=subordinate(NOTHING, Clause(WHO, VERB["sing"])) + comma(False),
)
THE_PRICE = NounPhrase(lexicon.NOUN_BY_ENGLISH["price"], sampling.THE, post=thing("the house").render_genitive())

SENTENCES = {
    "separable verb with particle": (
        said(clause_of("he", "get up", complement=EARLY)),
        "He gets up early.", "Er steht früh auf.", "0-0 1-1 2-3 3-2 4-4",
    ),
    "separable verb without particle, pronoun object": (
        said(clause_of("they", "call", objects=((person("she"), "acc"),))),
        "They call her.", "Sie rufen sie an.", "0-0 1-1 1-3 2-2 3-4",
    ),
    "separable verb joined at the end of a clause": (
        spell(
            statement(clause_of("I", "know"))
            + subordinate(
                comma(False) + pair("that", "dass"), Clause(ANNA, VERB["get up"], complement=EARLY)
            ),
            ".",
        ),
        "I know that Anna gets up early.", "Ich weiß, dass Anna früh aufsteht.",
        "0-0 1-1 2-3 3-4 4-6 5-6 6-5 7-7",
    ),
    "progressive in a clause": (
        spell(
            statement(clause_of("I", "know"))
            + subordinate(comma(False) + pair("that", "dass"), SLEEPING),
            ".",
        ),
        "I know that he is sleeping.", "Ich weiß, dass er schläft.", "0-0 1-1 2-3 3-4 4-5 5-5 6-6",
    ),
    "perfect with haben; compound; mixed adjective": (
        said(Clause(ANNA, VERB["buy"], "perfect", objects=((thing("a new kitchen table"), "acc"),))),
        "Anna has bought a new kitchen table.", "Anna hat einen neuen Küchentisch gekauft.",
        "0-0 1-1 2-5 3-2 4-3 5-4 6-4 7-6",
    ),
    "perfect with sein": (
        said(clause_of("we", "come back", tense="perfect")),
        "We have come back.", "Wir sind zurückgekommen.", "0-0 1-1 2-2 3-2 4-3",
    ),
    "negated indefinite object": (
        said(clause_of("she", "have", negated=True, objects=((thing("a dog"), "acc"),))),
        "She does not have a dog.", "Sie hat keinen Hund.", "0-0 2-2 3-1 4-2 5-3 6-4",
    ),
    "modal with its negation, weak noun": (
        said(
            clause_of(
                "I", "see", tense="modal", modal=lexicon.MODAL_BY_ENGLISH["can"], negated=True,
                objects=((thing("the small boy"), "acc"),),
            )
        ),
        "I cannot see the small boy.", "Ich kann den kleinen Jungen nicht sehen.",
        "0-0 1-1 1-5 2-6 3-2 4-3 5-4 6-7",
    ),
    "fronted time and date": (
        spell(
            fronted(date(3, ("May", "Mai")), Clause(thing("my neighbour"), VERB["arrive"])), "."
        ),
        "On the third of May my neighbour arrives.", "Am dritten Mai kommt mein Nachbar an.",
        "0-0 1-0 2-1 4-2 5-4 6-5 7-3 7-6 8-7",
    ),
    "question with do": (
        spell(question(clause_of("they", "help", objects=((thing("our guest", True), "dat"),))), "?"),
        "Do they help our guests?", "Helfen sie unseren Gästen?", "1-1 2-0 3-2 4-3 5-4",
    ),
    "relative clause, its closing comma kept in the middle": (
        said(Clause(THE_MAN_WHO_SINGS, VERB["be"], complement=pair("tired", "müde"))),
        "The man who sings is tired.", "Der Mann, der singt, ist müde.", "0-0 1-1 2-3 3-4 4-6 5-7 6-8",
    ),
    "relative clause, its closing comma dropped at the end": (
        said(clause_of("we", "thank", objects=((THE_MAN_WHO_SINGS, "dat"),))),
        "We thank the man who sings.", "Wir danken dem Mann, der singt.", "0-0 1-1 2-2 3-3 4-5 5-6 6-7",
    ),
    "genitive": (
        said(clause_of("he", "forget", tense="past", objects=((THE_PRICE, "acc"),))),
        "He forgot the price of the house.", "Er vergaß den Preis des Hauses.",
        "0-0 1-1 2-2 3-3 4-4 5-4 6-5 7-6",
    ),
    "contraction and condition": (
        spell(
            fronted(
                subordinate(
                    pair("if", "wenn"), clause_of("he", "turn on", objects=((thing("the lamp"), "acc"),))
                )
                + pair(",", ","),
                clause_of("we", "go", complement=prepositional("into", "in", "acc", thing("the house"))),
            ),
            ".",
        ),
        "If he turns on the lamp, we go into the house.",
        "Wenn er die Lampe einschaltet, gehen wir ins Haus.",
        "0-0 1-1 2-4 3-4 4-2 5-3 6-5 7-7 8-6 9-8 10-8 11-9 12-10",
    ),
    "age": (
        said(
            clause_of(
                "he", "be",
                complement=pair(*lexicon.NUMBERS[23]) + pair("years", "Jahre") + pair("old", "alt"),
            )
        ),
        "He is twenty-three years old.", "Er ist dreiundzwanzig Jahre alt.", "0-0 1-1 2-2 3-3 4-4 5-5",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("sentence", "source", "target", "links"), SENTENCES.values(), ids=SENTENCES)
def test_construction(sentence: AlignedPair, source: str, target: str, links: str) -> None:
    assert (sentence.source, sentence.target) == (source, target)
    assert links_of(sentence) == links


def test_reordering_keeps_links_on_repeated_words() -> None:
    """Two equal words are told apart by identity, not by spelling."""
    phrase = pair("the", "die") + pair("the", "der")
    crossed = Phrase(phrase.source, phrase.target[::-1])
    assert spell(crossed, ".").links == ((0, 1), (1, 0), (2, 2))


def test_numbers() -> None:
    assert lexicon.NUMBERS[21] == ("twenty-one", "einundzwanzig")
    assert lexicon.NUMBERS[30] == ("thirty", "dreißig")
    assert lexicon.ORDINALS[7] == ("seventh", "siebten")
    assert lexicon.ORDINALS[31] == ("thirty-first", "einunddreißigsten")


@pytest.mark.slow
def test_the_shipped_file_is_generated_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another corpus would change the figures published for quickstart."""
    monkeypatch.setattr(sys, "argv", ["make_embedded_corpus.py", "-o", str(tmp_path / "again")])
    main()
    assert (tmp_path / "again").read_bytes() == PATH.read_bytes()


def test_another_seed_draws_other_sentences() -> None:
    assert list(islice(generate(seed=3), 100)) != list(islice(generate(seed=4), 100))


@pytest.mark.slow
def test_one_translation_per_source() -> None:
    """Each seed draws its own sentences, so short ones come again under another seed."""
    translations: dict[str, str] = {}
    repeated = 0
    for seed in (1, 2, 3):
        for sentence in islice(generate(seed), 5_000):
            repeated += sentence.source in translations
            assert translations.setdefault(sentence.source, sentence.target) == sentence.target
    assert repeated > 100


@pytest.mark.slow
def test_articles_agree_with_their_nouns(train: list[AlignedPair]) -> None:
    """Directly before a noun, "dem", "den", "des" and "das" stand before a form that allows them."""
    allowed: dict[str, set[str]] = {"dem": set(), "den": set(), "des": set(), "das": set()}
    for noun in lexicon.NOUN_BY_ENGLISH.values():
        if noun.gender != "f":
            allowed["dem"].add(noun.german_form("dat", False))
            allowed["des"].add(noun.german_form("gen", False))
        if noun.gender == "m":
            allowed["den"].add(noun.german_form("acc", False))
        if noun.gender == "n":
            allowed["das"].add(noun.german)
        allowed["den"].add(noun.german_form("dat", True))
    nouns = set().union(*allowed.values())
    seen: Counter[str] = Counter()
    for sentence in train:
        tokens = sentence.target_tokens
        for before, article, noun_form in zip(tokens, tokens[1:], tokens[2:], strict=False):
            # After a comma it may be a relative pronoun: "das Mädchen, das Reis isst".
            if article in allowed and noun_form in nouns and before != ",":
                seen[article] += 1
                assert noun_form in allowed[article], sentence.target
    assert min(seen[article] for article in allowed) > 50


@pytest.mark.slow
def test_every_word_is_frequent(train: list[AlignedPair]) -> None:
    count: Counter[str] = Counter()
    particles: Counter[tuple[str, str]] = Counter()
    verbs_with_particle = [verb for verb in VERB.values() if verb.particle]
    for sentence in train:
        tokens = {token.lower() for token in sentence.source_tokens}
        count.update(tokens)
        for verb in verbs_with_particle:
            forms = {verb.base, verb.third, verb.past, verb.participle, verb.progressive}
            particles[verb.base, verb.particle] += verb.particle in tokens and not tokens.isdisjoint(forms)
    items = [
        {noun.english, noun.english_plural} for noun in lexicon.NOUN_BY_ENGLISH.values() if " " not in noun.english
    ]
    items += [{noun.english.split()[0]} for noun in lexicon.COMPOUND_LIST]
    items += [
        {verb.base, verb.third, verb.past, verb.participle, verb.progressive}
        for verb in VERB.values()
        if not verb.particle
    ]
    items += [{english} for table in lexicon.WORD_LISTS.values() for english, _ in table]
    items += [{english} for english, _ in (*lexicon.NUMBERS.values(), *lexicon.ORDINALS.values())]
    items += [{word} for word in (*lexicon.ADJECTIVE_BY_ENGLISH, *lexicon.DETERMINER_BY_ENGLISH)]
    items += [{modal.plain, modal.third} for modal in lexicon.MODAL_BY_ENGLISH.values()]
    rare = {tuple(item): found for item in items if (found := sum(count[word.lower()] for word in item)) < 40}
    assert not rare
    assert not {verb: found for verb, found in particles.items() if found < 40}
