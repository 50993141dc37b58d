"""Characters that no piece of a vocabulary has, such as an emoji: lines are translated without them.

A vocabulary of all characters of its text leaves what the text doesn't have to bytes or UNK, which a model has hardly
read, so that it writes other words in their place. The characters are put back beside the words that their neighbours
are linked to, as other text that is kept.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from unicodedata import category

from nmt.core.text import UNSPACED
from nmt.data.vocabulary.base import BYTE
from nmt.extensions.documents.segmentation import Segment, has_letters
from nmt.extensions.documents.tags import Content, Node, SourceText
from nmt.extensions.documents.target import AlignedTarget
from nmt.translation.glossary import Glossary
from nmt.translation.request import OutputConstraints, Request
from nmt.translation.results import Candidate, Translation
from nmt.translation.translator import Translator

Search = Callable[..., list[list[Candidate]]]

_TAKEN = re.compile(r"\A\0+\s*|\s*\0+(?=[\s.,;:!?…)\]]|\Z)|\0+")
_BETWEEN = re.compile(f"(?<=[^\\W{UNSPACED}])\0+(?=[^\\W{UNSPACED}])")
_UNSPACED, _NEVER = re.compile(f"[{UNSPACED}]"), re.compile("(?!)")
_QUOTES = dict(zip("‘’“”„'\"", '\'\'"""’”', strict=True))
"""Quotation marks and apostrophes that stand for others."""


def without_unseen(translator: Translator, search: Search, constraints: OutputConstraints) -> Search:
    """Returns a search that keeps unseen text; the same one for a model that may have learned bytes or UNK."""
    options, task = translator.recipe.vocabulary, translator.task
    is_fit = translator.has_attention and not (task.has_labels or task.reader.has_turns or constraints.unknown_lexicon)
    if not (is_fit and options.type in ("unigram", "bpe") and options.character_coverage == 1):
        return search
    unseen = translator.attached(UnseenText)

    def found(requests: Sequence[Request], *arguments: object) -> list[list[Candidate]]:
        marked = [unseen.marked(request) for request in requests]
        texts = (_TAKEN.sub("", _BETWEEN.sub(" ", line)) for line in marked)
        bare = [replace(each, source=text) for each, text in zip(requests, texts, strict=True)]
        return [
            constraints.permitted([*unseen.put_back(request, line, own)]) or own if "\0" in line else own
            for request, line, own in zip(requests, marked, search(bare, *arguments), strict=True)
        ]

    return found


class UnseenText:
    """Finds unseen text in lines, and puts it back into their translations."""

    def __init__(self, translator: Translator) -> None:
        self._translator, self._vocabulary = translator, translator.vocabularies.source
        self._seen, self._sign = lru_cache(1 << 14)(self._find_seen), lru_cache(1 << 14)(self._find_sign)

    def marked(self, request: Request) -> str:
        """Returns a line with NUL in place of unseen marks, and of each character of words that have others inside.

        Unseen capitals, quotation marks and apostrophes are replaced by seen characters that stand for them. A term
        stays as it is, or is taken out as a whole.
        """
        if request.prefix or request.must_contain:
            return request.source
        begin = self._vocabulary.after_tags(request.source)
        line = "".join(map(self._seen, request.source[begin:]))
        signs = re.sub("[lmwv]+", _marked, "".join(map(self._sign, line)))
        marked = "".join("\0" if sign == "\0" else character for character, sign in zip(line, signs, strict=True))
        marked = request.source[:begin] + re.sub(r"\(\0+\)", _nul, marked)
        for _, (first, last) in Glossary(request.terms).occurrences(request.source):
            term = "\0" * (last - first) if "\0" in marked[first:last] else request.source[first:last]
            marked = marked[:first] + term + marked[last:]
        return marked

    def _find_seen(self, character: str) -> str:
        """Returns a character itself, or a seen one that stands for it."""
        forms = (character, character.lower()[:1], _QUOTES.get(character, character))
        return next((form for form in forms if not self._is_unseen(form)), character)

    def _find_sign(self, character: str) -> str:
        """Returns l for an unseen letter, NUL for an unseen dash or slash, which divides words, m for another unseen
        character, w for a seen letter or digit, v for what changes the character before it, and a space for others."""
        has_spaces = not _UNSPACED.match(character)  # between words of its script
        if category(character) in ("Mn", "Mc", "Me", "Cf") and has_spaces:
            return "v"
        is_of_word = character.isalnum() and has_spaces
        if self._is_unseen(character):
            return "\0" if character == "/" or category(character) == "Pd" else "l" if is_of_word else "m"
        return "w" if is_of_word else " "

    def _is_unseen(self, character: str) -> bool:
        ids = self._vocabulary.encode(character.strip())
        return any(i == self._vocabulary.unk or BYTE.fullmatch(self._vocabulary.token(i)) for i in ids)

    def put_back(self, request: Request, marked: str, found: Sequence[Candidate]) -> Iterator[Candidate]:
        """Yields the candidates of a line with the text that is marked in it, of which terms are translated."""
        line, terms = request.source, Glossary(request.terms).occurrences(request.source)
        begin, blank = self._vocabulary.after_tags(line), marked.replace("\0", " ")
        content, spelled = Content(), dict[int, str]()
        for run in re.finditer(r"\0+|[^\0]+", marked):
            text = written = line[run.start() : run.end()]
            for (_, term), (first, last) in reversed(terms):
                if run.start() <= first and last <= run.end():
                    written = written[: first - run.start()] + term + written[last - run.start() :]
            content.append(Node(None, [text], is_kept=True) if run[0][0] == "\0" else text)
            spelled[run.start()] = written
        if not has_letters(blank[begin:]):
            yield replace(found[0], text=" ".join("".join(spelled.values())[begin:].split()))
            return
        pairs = [(blank, each.text) for each in found]
        alignments = self._translator.align(pairs, split_punctuation=True, scores=False, warns=False)
        for each, aligned in zip(found, alignments, strict=True):
            bare = Translation(blank, each.text, 0.0, [], alignment=aligned.links, with_punctuation=True)
            target = AlignedTarget(SourceText(content, _NEVER), [Segment(blank, True)], [bare], _NEVER)
            words = (word.gap + (spelled[word.kept.begin] if word.kept else word.text) for word in target.words)
            yield replace(each, text=" ".join(("".join(words) + target.end).split()))


def _nul(found: re.Match[str]) -> str:
    return "\0" * len(found[0])


def _marked(run: re.Match[str]) -> str:
    """Returns the signs of a run of letters and unseen characters with NUL for those that are taken out."""
    is_word = "l" in run[0] or "m" in run[0].strip("mv")
    return re.sub(".+" if is_word else "m[mv]*", _nul, run[0])
