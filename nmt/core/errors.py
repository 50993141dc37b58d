"""The one kind of error that is shown to the user without a traceback."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager


class UserError(Exception):
    """Bad usage or bad input: a description of the error and a remedy.

    The command line prints it as one message and exits with code 2.

    Args:
        message: what is wrong, naming the file, line or key.
        remedy: what the user can do; a full sentence.
        errors: those that this one lists.
    """

    def __init__(self, message: str, remedy: str = "", errors: Iterable["UserError"] = ()) -> None:
        self.errors = tuple(errors)
        self.message, self.remedy = shortened(message, MAX_MESSAGE), shortened(remedy, MAX_MESSAGE)
        super().__init__(f"{self.message}\n{self.remedy}" if remedy else self.message)


@contextmanager
def extra(name: str, end: str = "") -> Iterator[None]:
    """Raises a UserError that names the extra for a package that is missing inside; ``end``: what ends its remedy."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UserError(f"The package {error.name} is not installed.", f'pip install "nmt[{name}]"{end}') from None


SMALLEST_NUMBER, LARGEST_NUMBER = 2.0**-126, (2 - 2.0**-23) * 2.0**127
"""The smallest magnitude but 0 and the largest magnitude of normal numbers in float32."""
NUMBERS = f"between {SMALLEST_NUMBER:.1e} and {LARGEST_NUMBER:.1e} in magnitude, or 0"


def is_possible_number(value: float) -> bool:
    """Returns whether float32 has a number: it is 0, or neither too small nor too large nor NaN."""
    return value == 0 or SMALLEST_NUMBER <= abs(value) <= LARGEST_NUMBER


class BrokenModel(UserError):
    """No input is wrong, but the model, a file beside it or a setting: results are not finite, a memory is damaged."""


class Problems(list[UserError], AbstractContextManager["Problems"]):
    """Collects user errors, so that all of them are reported at once.

    Used as a context, it takes up the UserError that is raised inside; what follows the context is executed.
    """

    def add(self, error: UserError) -> None:
        """Adds an error, or those that it lists, unless there is one with the same message."""
        known = {each.message for each in self}
        self.extend(each for each in error.errors or (error,) if each.message not in known)

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if isinstance(error, UserError):
            self.add(error)
        return isinstance(error, UserError)

    def raise_if_any(self, where: str) -> None:
        """Raises the error of :meth:`together`, if there are any."""
        if self:
            raise self.together(where)

    def together(self, where: str) -> UserError:
        """Returns one error that lists all errors of ``where``, such as ``recipe.yaml``; a single one as it is."""
        if len(self) == 1:
            return self[0]
        texts = (f"{error.message.removeprefix(f'{where}: ').rstrip('.')}. {error.remedy}" for error in self)
        lines = (f"{number}. {text}" for number, text in enumerate(texts, start=1))
        return UserError("\n".join((f"{where} has {len(self)} problems:", *lines)), errors=self)


MAX_MESSAGE = 4000  # characters of a message: it may quote what the user wrote, however long


def shortened(text: str, limit: int = 100) -> str:
    """A text of at most ``limit`` characters, with an ellipsis in place of the middle of a longer one."""
    if len(text) <= limit:
        return text
    return f"{text[: limit - limit // 3 - 1]}…{text[-(limit // 3) :]}"


def nearest(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """A remedy for a misspelt word: the most similar known one, or where none is similar, ``otherwise`` or all."""
    known, word = list(known), str(word)[:100]
    close = difflib.get_close_matches(word, known, n=1) or difflib.get_close_matches(word.lower(), known, n=1)
    return f"Did you mean {close[0]!r}?" if close else otherwise or f"Choose among {', '.join(known)}."
