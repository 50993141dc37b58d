"""A conversation with a translator: a line, its translation, the next line."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from nmt.console import warn


def converse(answer: Callable[[str], str], source: str, target: str) -> None:
    """Ask for lines and print what ``answer`` makes of them, until the input ends.

    Args:
        answer: from a line to what is shown for it.
        source, target: names of the languages, for the prompts.
    """
    prompt, reply = f"{source}> ", f"{target}> "
    for line in _typed(prompt):
        if line.strip():
            print(f"{reply}{answer(line)}", flush=True)


def _typed(prompt: str) -> Iterator[str]:
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if on_terminal:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - gives input() a history and keys to edit the line
    while True:
        try:
            if not on_terminal:  # input() would write its prompt among the results
                print(prompt, end="", file=sys.stderr, flush=True)
            yield input(prompt if on_terminal else "")
        except EOFError:
            print(file=sys.stderr)
            return
        except UnicodeDecodeError as error:
            warn(f"that line is not {error.encoding.upper()}.")
