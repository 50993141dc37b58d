"""The one kind of error that is shown to the user without a traceback."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad usage or bad input: what is wrong, and what to do about it.

    The command line prints it as one message and exits with code 2.

    Args:
        message: what is wrong, naming the file, line or key.
        remedy: what the user can do; a full sentence.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message}\n{remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy


def nearest(word: str, known: Iterable[str]) -> str:
    """A remedy for a misspelt word: the most similar known one, or all of them where none is similar."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1) or difflib.get_close_matches(word.lower(), known, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Choose among {', '.join(known)}."
