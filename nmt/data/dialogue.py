"""Dialogues as text and as ids.

As text, a line holds the turns of a dialogue with tabs between, the current one last: what is translated, or
answered, is the last turn, and those before it are its context. A turn may be empty. As ids, the source is one
sequence in which the vocabulary's separator ends each turn but the last, which EOS ends.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from nmt.data.vocabulary import Piece, Vocabulary
from nmt.errors import UserError

TAB = "\t"

T = TypeVar("T")


def split_turns(line: str, context: int | None = None) -> list[str]:
    """The turns of a line, the current one last.

    Args:
        context: at most so many turns before the current one are kept, the latest; None keeps all.
    """
    if context is None:
        return line.split(TAB)
    return line.rsplit(TAB, context + 1)[-(context + 1) :]


def current_turn(line: str) -> str:
    """The last turn of a line."""
    return line.rpartition(TAB)[2]


def turns_of(text: str, positions: Iterable[int]) -> list[int]:
    """The turn that each character position of a line is in, counted from the first turn of the line, 0."""
    return [text.count(TAB, 0, position) for position in positions]


def check_separator(vocabulary: Vocabulary) -> None:
    """Refuse a vocabulary that can't tell turns apart.

    Raises:
        UserError: it has no separator.
    """
    if vocabulary.separator is None:
        raise UserError(
            "data.context asks for dialogues, but the vocabulary has no piece that separates turns.",
            "Let nmt make the vocabulary (--set vocabulary.path=null), or leave the context out "
            "(--set data.context=null).",
        )


def source_pieces(vocabulary: Vocabulary, line: str, context: int | None, limit: int | None = None) -> list[Piece]:
    """The pieces of a source line, each with its place in the line.

    Args:
        vocabulary: of the source; with a separator, where ``context`` is given.
        line: turns with tabs between, the current one last.
        context: turns before the current one that are read; None for a model without turns, to which a tab is
            white space.
        limit: where the pieces are more than this, turns are left out, the oldest first; the current one stays.

    Returns:
        The pieces; none where the current turn is empty, because then there is nothing to translate.
    """
    if context is None:
        return vocabulary.pieces(line)
    assert vocabulary.separator is not None
    texts = split_turns(line, context)
    turns: list[list[Piece]] = []
    end = len(line)
    for number, text in enumerate(reversed(texts)):
        begin = end - len(text)
        pieces = [Piece(i, begin + first, begin + last) for i, first, last in vocabulary.pieces(text)]
        if number:
            pieces.append(Piece(vocabulary.separator, end, end + 1))
        turns.append(pieces)
        end = begin - 1
    return _joined(turns[::-1], limit) if turns[0] else []


def encode_source(vocabulary: Vocabulary, line: str, context: int | None, limit: int | None = None) -> list[int]:
    """The ids of :func:`source_pieces`, found faster."""
    if context is None:
        return vocabulary.encode(line)
    assert vocabulary.separator is not None
    *previous, current = (vocabulary.encode(turn) for turn in split_turns(line, context))
    return _joined([[*ids, vocabulary.separator] for ids in previous] + [current], limit) if current else []


def _joined(turns: Sequence[Sequence[T]], limit: int | None) -> list[T]:
    """The latest turns that fit, one after another."""
    first, length = len(turns) - 1, len(turns[-1])
    while first and (limit is None or length + len(turns[first - 1]) <= limit):
        first -= 1
        length += len(turns[first])
    return [item for turn in turns[first:] for item in turn]
