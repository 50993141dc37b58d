"""Where two files of different lengths part."""

from collections.abc import Sequence

WINDOW = 40
"""Lines by which it is told where two files part."""


def where_they_part(sources: Sequence[str], targets: Sequence[str]) -> str:
    """Says where two texts part: after it, the lengths of lines fit better if one line is left out."""
    lengths = [[len(line) for line in lines] for lines in (sources, targets)]
    longer, shorter = sorted(lengths, key=len, reverse=True)

    def misfit(begin: int, end: int, shift: int) -> int:
        pairs = zip(longer[begin + shift : end + shift], shorter[begin:end], strict=False)
        return sum(abs(a - b) > 0.5 * max(a, b, 8) for a, b in pairs)

    for begin in range(0, len(shorter), WINDOW // 4):
        end = begin + WINDOW
        if misfit(begin, end, 1) + WINDOW // 5 < misfit(begin, end, 0):
            line = min(range(begin, end), key=lambda at: misfit(begin, at, 0) + misfit(at, end, 1))
            return f"they seem to part near line {line + 1:,}"
    return f"line {len(shorter) + 1:,} and those after it are alone"
