"""Lines of text as source and target: sentences, or the turns of dialogues.

A line of a dialogue holds its turns, separated by tabs. The last one is the current turn, which is translated or
answered; the others are its context. A turn may be empty. As ids, the source is one sequence in which the vocabulary's
separator token ends each turn except the last, which EOS ends.
"""

from collections.abc import Iterable
from itertools import chain
from typing import TypeVar

from nmt.core.errors import UserError
from nmt.data.vocabulary.base import NEW_VOCABULARY, Piece, Vocabulary

TAB = "\t"

T = TypeVar("T")


def split_turns(line: str, context: int | None = None) -> list[str]:
    """Splits a line into its turns: the current one, and before it at most ``context`` of the latest (None: all)."""
    if context is None:
        return line.split(TAB)
    return line.rsplit(TAB, context + 1)[-(context + 1) :]


def current_turn(line: str) -> str:
    """Returns the last turn of a line."""
    return line.rpartition(TAB)[2]


def turns_of(text: str, positions: Iterable[int]) -> list[int]:
    """Returns the turn of each character position of a line, counted from 0."""
    return [text.count(TAB, 0, position) for position in positions]


class LineReader:
    """Reads lines as sentences, in which tabs are white space, or as dialogues.

    In all methods, ``limit`` is the maximum number of ids above which context is dropped, if there is any.

    Args:
        history_turns: maximum number of turns that are read before the current one; None reads each line as a sentence.
    """

    def __init__(self, history_turns: int | None = None) -> None:
        self.history_turns = history_turns
        self.has_turns = history_turns is not None

    def check(self, vocabulary: Vocabulary) -> None:
        """Raises a UserError if the source vocabulary can't represent the lines."""
        if self.has_turns and vocabulary.separator is None:
            raise UserError(
                "data.history_turns is set, but the vocabulary has no token that separates turns.",
                f"{NEW_VOCABULARY}, or don't use context (--set data.history_turns=null).",
            )

    def turns(self, line: str, context: int | None = None) -> list[str]:
        """Splits a source line into the parts that are read one after another; see :func:`split_turns`."""
        return split_turns(line, context) if self.has_turns else [line]

    def source_text(self, line: str) -> str:
        """Returns the part of a source line that is read."""
        return TAB.join(self.turns(line, self.history_turns))

    def current(self, line: str) -> str:
        """Returns the part of a line, source or target, that is translated."""
        return self.turns(line)[-1]

    def tagged(self, tag: str, line: str) -> str:
        """Puts a tag in front of the part of a source line that is translated."""
        *previous, current = self.turns(line)
        return TAB.join([*previous, f"{tag} {current}"])

    def source_ids(self, vocabulary: Vocabulary, line: str, limit: int | None = None) -> list[int]:
        """Returns the ids of a source line without EOS, or none if it has no translation because it is empty."""
        *previous, current = map(vocabulary.encode, self.turns(line, self.history_turns))
        separator = [] if vocabulary.separator is None else [vocabulary.separator]
        return _latest([*(ids + separator for ids in previous), current], limit)

    def source_pieces(self, vocabulary: Vocabulary, line: str, limit: int | None = None) -> list[Piece]:
        """Returns the ids of :meth:`source_ids` with their character positions in the line, which takes longer."""
        turns, begin = [], len(line) - len(self.source_text(line))
        for text in self.turns(line, self.history_turns):
            turns.append([Piece(i, begin + first, begin + last) for i, first, last in vocabulary.pieces(text)])
            begin += len(text) + len(TAB)
            if vocabulary.separator is not None and begin <= len(line):
                turns[-1].append(Piece(vocabulary.separator, begin - len(TAB), begin))
        return _latest(turns, limit)


def _latest(turns: list[list[T]], limit: int | None) -> list[T]:
    """Joins turns without the oldest ones that are too many; returns nothing if the current one is empty."""
    length = sum(map(len, turns))
    while limit is not None and length > limit and len(turns) > 1:
        length -= len(turns.pop(0))
    return list(chain.from_iterable(turns)) if turns[-1] else []


SENTENCES = LineReader()
