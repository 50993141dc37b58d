"""Dialogues as text and as ids.

As text, a line has the turns of a dialogue, separated by tabs. The last one is the current turn, which is translated
or answered; the others are its context. A turn may be empty. As ids, the source is one sequence in which the
vocabulary's separator token ends each turn except the last, which EOS ends.
"""

from collections.abc import Iterable
from itertools import chain

from nmt.core.errors import UserError
from nmt.data.vocabulary.base import Piece, Vocabulary

TAB = "\t"


def split_turns(line: str, context: int | None = None) -> list[str]:
    """Returns the current turn of a line and at most ``context`` turns before it (None: all)."""
    if context is None:
        return line.split(TAB)
    return line.rsplit(TAB, context + 1)[-(context + 1) :]


def current_turn(line: str) -> str:
    """Returns the last turn of a line."""
    return line.rpartition(TAB)[2]


def turns_of(text: str, positions: Iterable[int]) -> list[int]:
    """Returns the number of the turn of each character position, counted from 0."""
    return [text.count(TAB, 0, position) for position in positions]


def check_separator(vocabulary: Vocabulary) -> None:
    """Raises a UserError if a vocabulary has no separator token."""
    if vocabulary.separator is None:
        raise UserError(
            "data.context is set, but the vocabulary has no token that separates turns.",
            "Have a new vocabulary trained (--set vocabulary.path=null), or don't use context "
            "(--set data.context=null).",
        )


def encode_source(vocabulary: Vocabulary, line: str, context: int | None, limit: int | None = None) -> list[int]:
    """Returns the ids of a source line, or none if its current turn is empty.

    Args:
        vocabulary: of the source; it must have a separator if ``context`` is given.
        line: its turns, if the model reads dialogues.
        context: maximum number of turns before the current one; None for a model without turns, which treats tabs as
            white space.
        limit: maximum number of ids, above which the oldest turns are dropped, but never the current one.
    """
    if context is None:
        return vocabulary.encode(line)
    assert vocabulary.separator is not None
    *previous, current = (vocabulary.encode(turn) for turn in split_turns(line, context))
    turns = [[*ids, vocabulary.separator] for ids in previous] + [current]
    length = sum(map(len, turns))
    while limit is not None and length > limit and len(turns) > 1:
        length -= len(turns.pop(0))
    return list(chain.from_iterable(turns)) if current else []


def source_pieces(vocabulary: Vocabulary, line: str, context: int | None, limit: int | None = None) -> list[Piece]:
    """Returns the ids of :func:`encode_source` with their character positions in the line, more slowly."""
    if context is None:
        return vocabulary.pieces(line)
    assert vocabulary.separator is not None
    pieces: list[Piece] = []
    end = len(line)
    for text in reversed(split_turns(line, context)):
        begin = end - len(text)
        turn = [Piece(i, begin + first, begin + last) for i, first, last in vocabulary.pieces(text)]
        if end < len(line):
            turn.append(Piece(vocabulary.separator, end, end + 1))
        pieces = turn + pieces
        end = begin - 1
    return pieces[len(pieces) - len(encode_source(vocabulary, line, context, limit)) :]
