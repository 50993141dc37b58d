"""Requests: constraints on the translation of one line, and on those of all lines of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from unicodedata import normalize

from pydantic import TypeAdapter, ValidationError

from nmt.core.console import warn
from nmt.core.errors import UserError
from nmt.core.text import INVISIBLE, read_lines
from nmt.data.vocabulary.base import SPACE, Vocabulary
from nmt.data.vocabulary.files import Vocabularies
from nmt.decoding.constraints import LexicalConstraints
from nmt.decoding.processors import ForbidPhrases, LogitsProcessor
from nmt.translation.results import Candidate

FULL_STOPS = frozenset((".", "!", "?", "…", "...", "。", "！", "？", "।", "؟", "።", "։"))
"""Punctuation marks that end sentences."""


@dataclass(frozen=True)
class Request:
    """A source line with constraints on its translation."""

    source: str
    prefix: str = ""
    """The translation begins with this text."""
    must_contain: tuple[str, ...] = ()
    """Phrases that the translation contains, word for word, in a place that the search chooses."""
    terms: Mapping[str, str] = field(default_factory=dict)
    """Translations of terms of the source, which stand in their places: see :mod:`nmt.translation.glossary`."""

    def __post_init__(self) -> None:
        """Takes out characters that only tell where a line may be broken."""
        object.__setattr__(self, "source", self.source.translate(INVISIBLE))

    @classmethod
    def from_text(cls, line: str, number: int) -> "Request":
        """A line that is the source itself."""
        return cls(line)

    @classmethod
    def from_json(cls, line: str, number: int) -> "Request":
        """A line ``{"source": …, "prefix": …, "must_contain": […], "terms": {…}}``; only the source is needed.

        The output of ``nmt translate --format jsonl`` may be read again: other keys are ignored.

        Args:
            line: an empty one is an empty source.

        Raises:
            UserError: the line is not such an object.
        """
        try:
            return _request.validate_json(line) if line.strip() else cls("")
        except ValidationError as error:
            problem = error.errors()[0]
            where = ", ".join([f"line {number} of the input", *map(str, problem["loc"])])
            raise UserError(
                f"{where}: {problem['msg']}.",
                'Write {"source": "…", "prefix": "…", "must_contain": ["…"], "terms": {"…": "…"}}, of which only the '
                "source is needed, or leave out --input-format jsonl.",
            ) from None

    def constraints(self, vocabulary: Vocabulary) -> LexicalConstraints:
        """Returns the ids that the translation must contain."""
        phrases = [vocabulary.encode(phrase) for phrase in self.must_contain]
        prefix = vocabulary.encode(self.prefix) if self.prefix else []
        phrases = [ids for ids in phrases if ids and vocabulary.unk not in ids]
        return LexicalConstraints(prefix, phrases, full_stops=_full_stops(vocabulary) if phrases else frozenset())

    def check(self, number: int, text: str) -> None:
        """Warn of phrases that are not in the translation: the vocabulary may have no tokens for them."""
        begin, own = ("".join(normalize("NFKC", each).casefold().split()) for each in (self.prefix, text))
        if not own.startswith(begin):
            warn(f"line {number}: the translation does not begin with {self.prefix!r}.")
        for phrase in self.must_contain:
            if " ".join(normalize("NFKC", phrase).split()) not in normalize("NFKC", text):
                warn(f"line {number}: {phrase!r} could not be made part of the translation.")


_request = TypeAdapter(Request)


@lru_cache(16)
def _full_stops(vocabulary: Vocabulary) -> frozenset[int]:
    """Returns the tokens that end sentences."""
    return frozenset(i for i in range(len(vocabulary)) if vocabulary.token(i).strip(SPACE) in FULL_STOPS)


@dataclass(frozen=True)
class OutputConstraints:
    """Constraints on all translations of a run."""

    forbid: Sequence[str] = ()
    """Phrases that no translation contains, letter by letter."""
    replace_unknown: bool = False
    """Replace an unknown word by the source word with the highest attention weight."""
    unknown_lexicon: Mapping[str, str] = field(default_factory=dict)
    """Translations of these source words; others are copied."""

    def __post_init__(self) -> None:
        if not all(phrase.strip() for phrase in self.forbid):
            raise UserError("A forbidden phrase is empty.", "Leave it out.")

    def processors(self, vocabularies: Vocabularies) -> list[LogitsProcessor]:
        """The logits processors that keep search from the forbidden phrases, as far as tokens can tell."""
        return [ForbidPhrases(ForbidPhrases.Options(phrases=list(self.forbid)), vocabularies)] if self.forbid else []

    def permitted(self, candidates: list[Candidate]) -> list[Candidate]:
        """The candidates without forbidden phrases."""
        return [c for c in candidates if not any(phrase in c.text for phrase in self.forbid)]

    def allowed(self, number: int, candidates: list[Candidate]) -> list[Candidate]:
        """The candidates without forbidden phrases; all, with a warning, where none would be left.

        Search forbids a phrase in the tokens that the vocabulary divides it into; this finds it in others, too.
        """
        kept = self.permitted(candidates)
        if candidates and not kept:
            warn(f"line {number}: every candidate contains a forbidden phrase; a wider beam has more candidates.")
        return kept or candidates

    def translated(self, word: str) -> str:
        """The replacement of an unknown word, from the source word."""
        return self.unknown_lexicon.get(word) or self.unknown_lexicon.get(word.lower()) or word


UNCONSTRAINED = OutputConstraints()


def read_unknown_lexicon(path: Path) -> dict[str, str]:
    """Lines of a source word, a tab and a target word; of several lines with a source word the first counts.

    Raises:
        UserError: the file can't be read, or a line has another form.
    """
    lexicon: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), start=1):
        source, tab, target = line.partition("\t")
        if not line.strip():
            continue
        if not tab or not source.strip() or not target.strip():
            raise UserError(f"{path}, line {number}: not a word and its translation.", "Write them with a tab between.")
        lexicon.setdefault(source.strip(), target.partition("\t")[0].strip())
    return lexicon
