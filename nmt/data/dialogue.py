"""Lines of text as source and target: sentences, or the turns of dialogues.

A line of a dialogue holds its turns, separated by tabs. The last one is the current turn, which is translated or
answered; the others are its context. A turn may be empty. As ids, the source is one sequence in which the vocabulary's
separator token ends each turn except the last, which EOS ends.
"""

from collections.abc import Iterable
from itertools import chain

from nmt.core.errors import UserError
from nmt.data.vocabulary.base import Piece, Vocabulary
from nmt.recipe.data_options import DataOptions

TAB = "\t"


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
    """Reads a line as one sentence; tabs count as white space.

    In all methods, ``limit`` is the maximum number of ids above which context is dropped, if there is any.
    """

    has_turns = False

    def fingerprint(self) -> str:
        """Identifies how lines are read."""
        return "sentences"

    def check(self, vocabulary: Vocabulary) -> None:
        """Raises a UserError if the source vocabulary can't represent the lines."""

    def turns(self, line: str) -> list[str]:
        """Splits a source line into the parts that are read one after another."""
        return [line]

    def source_text(self, line: str) -> str:
        """Returns the part of a source line that is read."""
        return line

    def current(self, line: str) -> str:
        """Returns the part of a line, source or target, that is translated."""
        return line

    def tagged(self, tag: str, line: str) -> str:
        """Puts a tag in front of the part of a source line that is translated."""
        return f"{tag} {line}"

    def source_ids(self, vocabulary: Vocabulary, line: str, limit: int | None = None) -> list[int]:
        """Returns the ids of a source line without EOS, or none if it has no translation because it is empty."""
        return vocabulary.encode(line)

    def source_pieces(self, vocabulary: Vocabulary, line: str, limit: int | None = None) -> list[Piece]:
        """Returns the ids of :meth:`source_ids` with their character positions in the line, which takes longer."""
        return vocabulary.pieces(line)


class DialogueReader(LineReader):
    """Reads a line as a dialogue.

    Args:
        history_turns: maximum number of turns that are read before the current one.
    """

    has_turns = True

    def __init__(self, history_turns: int) -> None:
        self.history_turns = history_turns

    def fingerprint(self) -> str:
        return f"history_turns {self.history_turns}"

    def check(self, vocabulary: Vocabulary) -> None:
        if vocabulary.separator is None:
            raise UserError(
                "data.history_turns is set, but the vocabulary has no token that separates turns.",
                "Have a new vocabulary trained (--set vocabulary.path=null), or don't use context "
                "(--set data.history_turns=null).",
            )

    def turns(self, line: str) -> list[str]:
        return split_turns(line)

    def source_text(self, line: str) -> str:
        return TAB.join(split_turns(line, self.history_turns))

    def current(self, line: str) -> str:
        return current_turn(line)

    def tagged(self, tag: str, line: str) -> str:
        *previous, current = line.split(TAB)
        return TAB.join([*previous, f"{tag} {current}"])

    def source_ids(self, vocabulary: Vocabulary, line: str, limit: int | None = None) -> list[int]:
        assert vocabulary.separator is not None
        *previous, current = (vocabulary.encode(turn) for turn in split_turns(line, self.history_turns))
        turns = [[*ids, vocabulary.separator] for ids in previous] + [current]
        length = sum(map(len, turns))
        while limit is not None and length > limit and len(turns) > 1:  # the oldest turns are dropped first
            length -= len(turns.pop(0))
        return list(chain.from_iterable(turns)) if current else []

    def source_pieces(self, vocabulary: Vocabulary, line: str, limit: int | None = None) -> list[Piece]:
        assert vocabulary.separator is not None
        pieces: list[Piece] = []
        end = len(line)
        for text in reversed(split_turns(line, self.history_turns)):
            begin = end - len(text)
            turn = [Piece(i, begin + first, begin + last) for i, first, last in vocabulary.pieces(text)]
            if end < len(line):
                turn.append(Piece(vocabulary.separator, end, end + 1))
            pieces = turn + pieces
            end = begin - 1
        return pieces[len(pieces) - len(self.source_ids(vocabulary, line, limit)) :]


SENTENCES = LineReader()


def line_reader(options: DataOptions) -> LineReader:
    """Returns the reader of the lines that ``data`` describes."""
    return SENTENCES if options.history_turns is None else DialogueReader(options.history_turns)
