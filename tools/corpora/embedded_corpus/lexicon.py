"""The records of the embedded corpus's words, and how German inflects them."""

from dataclasses import dataclass

from embedded_corpus.tables import (
    ADJECTIVES,
    COMPOUNDS,
    DETERMINERS,
    ENDINGS,
    MODALS,
    NOUNS,
    NUMBER_WORDS,
    OPPOSITES,
    PRONOUNS,
    TENS_WORDS,
    VERBS,
    WORDS,
    Agreement,
    Case,
    Slot,
)


@dataclass(frozen=True, slots=True)
class Noun:
    """A noun in both languages; ``english`` is two words for a compound."""

    category: str
    english: str
    english_plural: str
    gender: Slot
    german: str
    genitive: str
    german_plural: str

    @property
    def has_plural(self) -> bool:
        return self.german_plural != "-"

    def german_form(self, case: Case, plural: bool) -> str:
        if plural:
            # The dative plural adds -n where it can be spoken: den Hunden, but den Frauen, den Autos.
            bare = case != "dat" or self.german_plural[-1] in "ns"
            return self.german_plural if bare else self.german_plural + "n"
        weak = self.gender == "m" and self.genitive.endswith("n")
        return self.genitive if case == "gen" or (weak and case != "nom") else self.german


@dataclass(frozen=True, slots=True)
class Adjective:
    english: str
    german: str
    stem: str
    categories: tuple[str, ...]

    def german_form(self, paradigm: str, case: Case, slot: Slot) -> str:
        return self.stem + ending(paradigm, case, slot)


@dataclass(frozen=True, slots=True)
class Determiner:
    """An article, possessive, demonstrative or quantity; ``paradigm`` "" is a number, which never changes."""

    english: str
    stem: str
    paradigm: str
    adjective_paradigm: str
    number: str

    @property
    def definite(self) -> bool:
        """Whether the noun phrase is known to the hearer, and so comes early in a German clause."""
        return self.adjective_paradigm != "strong" and self.english != "a"

    def german_form(self, case: Case, slot: Slot) -> str:
        return self.stem + (ending(self.paradigm, case, slot) if self.paradigm else "")


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb in both languages; ``particle`` and ``prefix`` may be empty."""

    base: str
    third: str
    past: str
    participle: str
    progressive: str
    particle: str
    prefix: str
    german_stem_infinitive: str
    german_third: str
    german_past: str
    german_stem_participle: str
    auxiliary: str
    stative: bool
    frame: str
    arguments: tuple[str, ...]

    @property
    def infinitive(self) -> str:
        return self.prefix + self.german_stem_infinitive

    @property
    def german_participle(self) -> str:
        return self.prefix + self.german_stem_participle

    def english_finite(self, past: bool, agreement: Agreement) -> str:
        if self.base == "be":
            present = {"1sg": "am", "3sg": "is", "pl": "are"}[agreement]
            return ("were" if agreement == "pl" else "was") if past else present
        if past:
            return self.past
        return self.third if agreement == "3sg" else self.base

    def german_finite(self, past: bool, agreement: Agreement) -> str:
        """The finite form without the separable prefix."""
        if past:
            plural_ending = "n" if self.german_past.endswith("e") else "en"
            return self.german_past + (plural_ending if agreement == "pl" else "")
        if self.base == "be":
            return {"1sg": "bin", "3sg": "ist", "pl": "sind"}[agreement]
        if agreement == "pl":
            return self.german_stem_infinitive
        # wissen is the one verb here whose first person is its third: ich weiß.
        first_is_third = agreement == "3sg" or self.base == "know"
        return self.german_third if first_is_third else self.german_stem_infinitive[:-1]


@dataclass(frozen=True, slots=True)
class Pronoun:
    subject: str
    object: str
    nominative: str
    accusative: str
    dative: str
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class Modal:
    third: str
    plain: str
    german_first: str
    german_third: str
    german_plural: str

    def english_form(self, agreement: Agreement) -> str:
        return self.third if agreement == "3sg" else self.plain

    def german_form(self, agreement: Agreement) -> str:
        return {"1sg": self.german_first, "3sg": self.german_third, "pl": self.german_plural}[agreement]


def ending(paradigm: str, case: Case, slot: Slot) -> str:
    """The ending that ``ENDINGS`` gives; empty where the table has "-"."""
    return _ENDING_OF[paradigm, case, slot]


def _rows(table: str) -> list[list[str]]:
    """The fields of each row; a line that begins with "=" continues the one before."""
    joined = table.replace("|", "\n").split("\n")
    rows: list[list[str]] = []
    for line in (line.strip() for line in joined):
        if line.startswith("="):
            rows[-1] += line.split()
        elif line:
            rows.append(line.split())
    return rows


def _parse_nouns(category: str) -> list[Noun]:
    return [
        Noun(category, english, plural, _SLOT_OF[gender], german, genitive, german_plural)
        for english, plural, gender, german, genitive, german_plural in _rows(NOUNS[category])
    ]


def _parse_compounds() -> list[Noun]:
    heads = {noun.english: noun for nouns in NOUN_LISTS.values() for noun in nouns}
    return [_compound(english, german, heads[head]) for english, german, *words in _rows(COMPOUNDS) for head in words]


def _compound(english: str, german: str, head: Noun) -> Noun:
    def join(form: str) -> str:
        return german + form.lower()

    english_plural, german_plural = "-", "-"
    if head.has_plural:
        english_plural, german_plural = f"{english} {head.english_plural}", join(head.german_plural)
    return Noun(
        head.category, f"{english} {head.english}", english_plural, head.gender, join(head.german),
        join(head.genitive), german_plural,
    )  # fmt: skip


def _parse_adjective(english: str, german: str, *categories: str) -> Adjective:
    predicate, _, stem = german.partition("/")
    return Adjective(english, predicate, stem or predicate, categories)


def _parse_verb(frame: str, fields: list[str]) -> Verb:
    english, german, arguments = (part.split() for part in (" ".join(fields) + " = ").split(" = ")[:3])
    base, third, past, participle, progressive = english[:5]
    infinitive, german_third, german_past, german_participle, auxiliary = german
    prefix, _, stem_infinitive = infinitive.removeprefix("!").rpartition("·")
    return Verb(
        base, third, past, participle, progressive, "".join(english[5:]),
        prefix, stem_infinitive, german_third, german_past, german_participle, auxiliary,
        infinitive.startswith("!"), frame, tuple(arguments),
    )  # fmt: skip


def _parse_pronoun(fields: list[str]) -> Pronoun:
    *forms, agreement = fields
    subject, object_, nominative, accusative, dative = forms
    return Pronoun(subject, object_, nominative, accusative, dative, _AGREEMENT_OF[agreement])


def _german_number(number: int) -> str:
    """2 to 99 as a word: units stand before tens (dreiundzwanzig)."""
    if number < len(_GERMAN_NUMBERS):
        return _GERMAN_NUMBERS[number]
    tens, unit = divmod(number, 10)
    if not unit:
        return _GERMAN_TENS[tens]
    return ("ein" if unit == 1 else _GERMAN_NUMBERS[unit]) + "und" + _GERMAN_TENS[tens]


def _german_ordinal(number: int) -> str:
    """1 to 31 as in a date after "am": dritten, siebten, zwanzigsten."""
    irregular = {1: "ersten", 3: "dritten", 7: "siebten", 8: "achten"}
    return irregular.get(number, _german_number(number) + ("ten" if number < 20 else "sten"))


def _english_number(number: int) -> str:
    tens, unit = divmod(number, 10)
    if number < len(_ENGLISH_NUMBERS):
        return _ENGLISH_NUMBERS[number]
    return _ENGLISH_TENS[tens] + (f"-{_ENGLISH_NUMBERS[unit]}" if unit else "")


def _english_ordinal(number: int) -> str:
    *tens, last = _english_number(number).split("-")
    irregular = {
        "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth",
        "nine": "ninth", "twelve": "twelfth", "twenty": "twentieth", "thirty": "thirtieth",
    }  # fmt: skip
    return "-".join([*tens, irregular.get(last, f"{last}th")])


_SLOT_OF: dict[str, Slot] = {"m": "m", "f": "f", "n": "n", "p": "p"}
_AGREEMENT_OF: dict[str, Agreement] = {"1sg": "1sg", "3sg": "3sg", "pl": "pl"}
_ENDING_OF: dict[tuple[str, Case, Slot], str] = {
    (paradigm, case, slot): form.strip("-")
    for paradigm, cases in ENDINGS.items()
    for case, forms in cases.items()
    for slot, form in zip(_SLOT_OF.values(), forms.split(), strict=True)
}
_ENGLISH_NUMBERS = [english for english, _ in _rows(NUMBER_WORDS)]
_GERMAN_NUMBERS = [german for _, german in _rows(NUMBER_WORDS)]
_ENGLISH_TENS = [english for english, _ in _rows(TENS_WORDS)]
_GERMAN_TENS = [german for _, german in _rows(TENS_WORDS)]

NOUN_LISTS: dict[str, list[Noun]] = {category: _parse_nouns(category) for category in NOUNS}
COMPOUND_LIST = _parse_compounds()
NOUN_BY_ENGLISH = {noun.english: noun for nouns in (*NOUN_LISTS.values(), COMPOUND_LIST) for noun in nouns}
ADJECTIVE_BY_ENGLISH = {fields[0]: _parse_adjective(*fields) for fields in _rows(ADJECTIVES)}
CONTRASTS = {word: tuple(group) for group in _rows(OPPOSITES) for word in group}
VERB_LISTS = {frame: [_parse_verb(frame, row) for row in _rows(table)] for frame, table in VERBS.items()}
VERB_BY_ENGLISH = {f"{verb.base} {verb.particle}".strip(): verb for verbs in VERB_LISTS.values() for verb in verbs}
DETERMINER_BY_ENGLISH = {fields[0]: Determiner(*fields) for fields in _rows(DETERMINERS)}
PRONOUN_BY_ENGLISH = {pronoun.subject: pronoun for pronoun in map(_parse_pronoun, _rows(PRONOUNS))}
MODAL_BY_ENGLISH = {modal.plain: modal for modal in (Modal(*fields) for fields in _rows(MODALS))}
WORD_LISTS: dict[str, list[tuple[str, str]]] = {
    kind: [(english, german) for english, german in _rows(table)] for kind, table in WORDS.items()
}
NUMBERS = {number: (_english_number(number), _german_number(number)) for number in range(2, 50)}
ORDINALS = {number: (_english_ordinal(number), _german_ordinal(number)) for number in range(1, 32)}
MANNER = dict(WORD_LISTS["manner"])
UNCOUNTABLE = ("mass", "drink")
_LONG = ("January", "March", "May", "July", "August", "October", "December")
LONG_MONTHS = [month for month in WORD_LISTS["month"] if month[0] in _LONG]
