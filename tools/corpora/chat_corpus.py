"""The dialogues of the WMT20 chat task as text that nmt reads: a turn a line, what was said before it in front.

    python tools/corpora/chat_corpus.py train.json dev.json -o chat

reads the task's files (github.com/Unbabel/BConTrasT) and writes

    chat/train.en  train.de  val.en …  test.en …            every turn, whoever said it, in both languages
    chat/train.speaker  val.speaker  test.speaker           who said it: agent or customer
    chat/test.agent.*  test.customer.*                      those of test by speaker: an agent writes English, a
                                                            customer German
    chat/train.prompt  train.response  val.prompt …         what is said in English, and what the other answers

test is the task's dev.json, and val the last 50 dialogues of train.json, so that a model can be chosen without looking
at what it is tested on.

Line n of one file and line n of its partner are the same turn. Before it stand the turns of the same dialogue that came
before, as many as --context says, in the language of the file and with tabs between. The recipes in recipes/chat read
as many of them as their data.history_turns says; a response has nothing before it.
"""

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from nmt.core.errors import UserError
from nmt.core.output import open_output
from nmt.data.dialogue import TAB

LANGUAGES = {"agent": ("en", "de"), "customer": ("de", "en")}
"""The language that each speaker writes, and that which it is translated to."""

NUM_VALIDATION = 50
"""Dialogues of train.json that are kept for validation, the last ones."""

Lines = dict[str, list[str]]
"""Lines of the files of a split, by suffix."""


class Turn(NamedTuple):
    speaker: str
    text: dict[str, str]
    """By language."""


def read_dialogues(path: Path) -> list[list[Turn]]:
    """The dialogues of a file of the task, each a list of turns.

    Raises:
        UserError: the file can't be read or isn't one of the task's.
    """
    try:
        dialogues = json.loads(path.read_text(encoding="utf-8"))
        return [[_turn(turn) for turn in dialogue] for dialogue in dialogues.values()]
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.", "Check the path.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(
            f"{path} is not a file of the chat task.",
            "It must be a JSON object of dialogues, lists of turns with speaker (agent, customer), source and target.",
        ) from None


def _turn(turn: dict[str, str]) -> Turn:
    written, translated = LANGUAGES[turn["speaker"]]
    # Tabs and line breaks part turns and lines in what is written.
    return Turn(
        turn["speaker"], {written: " ".join(turn["source"].split()), translated: " ".join(turn["target"].split())}
    )


def translation_lines(dialogues: Iterable[list[Turn]], context: int) -> Iterator[tuple[str, Lines]]:
    """For each turn its speaker, and its line in each language."""
    for dialogue in dialogues:
        for end, turn in enumerate(dialogue, start=1):
            seen = dialogue[max(0, end - 1 - context) : end]
            yield turn.speaker, {language: [TAB.join(t.text[language] for t in seen)] for language in ("en", "de")}


def response_lines(dialogues: Iterable[list[Turn]], context: int) -> Iterator[Lines]:
    """Where one speaker answers the other, what was said, in English, and the answer.

    What one speaker says in several turns at a stretch is answered as a whole: each of them is a turn of its own in
    front of the answer, which is the first turn of the other's.
    """
    for dialogue in dialogues:
        for index in range(1, len(dialogue)):
            if dialogue[index].speaker != dialogue[index - 1].speaker:
                seen = dialogue[max(0, index - 1 - context) : index]
                prompt = TAB.join(turn.text["en"] for turn in seen)
                yield {"prompt": [prompt], "response": [dialogue[index].text["en"]]}


def write(folder: Path, split: str, parts: Iterable[Lines]) -> int:
    """Write files SPLIT.SUFFIX; the number of lines in each."""
    lines: Lines = {}
    for part in parts:
        for suffix, some in part.items():
            lines.setdefault(suffix, []).extend(some)
    for suffix, all_lines in lines.items():
        with open_output(folder / f"{split}.{suffix}") as file:
            file.writelines(f"{line}\n" for line in all_lines)
    return max(map(len, lines.values()), default=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path, help="train.json of the task")
    parser.add_argument("dev", type=Path, help="its dev.json")
    parser.add_argument("-o", "--output", type=Path, default=Path("chat"), help="folder to write to")
    parser.add_argument("--context", type=int, default=8, help="turns written before each turn, at most (8)")
    arguments = parser.parse_args()
    try:
        arguments.output.mkdir(parents=True, exist_ok=True)
        dialogues = read_dialogues(arguments.train)
        splits = {
            "train": dialogues[:-NUM_VALIDATION],
            "val": dialogues[-NUM_VALIDATION:],
            "test": read_dialogues(arguments.dev),
        }
        for split, some in splits.items():
            turns = list(translation_lines(some, arguments.context))
            parts = {split: [lines | {"speaker": [speaker]} for speaker, lines in turns]}
            if split == "test":
                parts |= {f"test.{who}": [lines for speaker, lines in turns if speaker == who] for who in LANGUAGES}
            for name, lines in parts.items():
                print(
                    f"{arguments.output / name}.{', .'.join(lines[0])}: {write(arguments.output, name, lines):,} lines"
                )
            answers = write(arguments.output, split, response_lines(some, arguments.context))
            print(f"{arguments.output / split}.prompt, .response: {answers:,} lines")
    except UserError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
