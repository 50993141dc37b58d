"""Words that the target vocabulary lacks, put in from the source (Luong et al. 2015b; Jean et al. 2015)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from nmt.data.text import read_lines
from nmt.data.vocabulary import SPACE, Piece, Vocabulary
from nmt.errors import UserError


def spell_unknown(ids: Sequence[int], vocabulary: Vocabulary, words: Mapping[int, str]) -> str:
    """Decode with a word of one's own in place of UNK.

    Args:
        ids: of a translation.
        vocabulary: of the target.
        words: for positions in ``ids`` that hold UNK.
    """
    text, start = "", 0
    for position in [*sorted(words), len(ids)]:
        part = ids[start:position]
        if part:
            has_space = bool(text) and vocabulary.token(part[0]).startswith(SPACE)
            text += (" " if has_space else "") + vocabulary.decode(part)
        if position < len(ids):
            text += (" " if text else "") + words[position]
        start = position + 1
    return text


def source_words(line: str, pieces: Sequence[Piece]) -> list[str]:
    """The word of the source line that each of its pieces stands in.

    A piece of letters and digits alone stands in the run of them around it. Any other, as a comma or *E-Mail*, which
    is one token of a word vocabulary, is its own word.
    """
    words = []
    for piece in pieces:
        begin, end = piece.begin, piece.end
        while begin < end and line[begin].isspace():
            begin += 1
        left, right = begin, end
        if line[begin:end].isalnum():
            while left and line[left - 1].isalnum():
                left -= 1
            while right < len(line) and line[right].isalnum():
                right += 1
        words.append(line[left:right])
    return words


def read_lexicon(path: Path) -> dict[str, str]:
    """A word of the source and one of the target a line, with a tab between; of several the first counts.

    Raises:
        UserError: the file can't be read, or a line is something else.
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
