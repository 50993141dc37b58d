"""The pictures of README.md and docs/, made anew by nmt's own commands from trained models and real data.

    python tools/figures/readme_pictures.py RUNS DATA
    python tools/figures/readme_pictures.py RUNS DATA --only heads -o elsewhere

RUNS holds model directories:
    vanilla, bahdanau, luong, transformer    recipes multi30k/…; luong after `nmt learn-alignment`
    copy_ntm                                 recipe algorithmic/copy_ntm
    ntm_encoder                              the model of `nmt quickstart` with the encoder of docs/concepts/ntm.md
    dialogue                                 recipe and corpus of test_networks_dialogue.py (hierarchical), 600 steps
    systems                                  what tools/experiments/compare_systems.py made
    rnn                                      recipe multi30k/vanilla with cells rnn_tanh, 256 wide, 3 epochs at 0.001
    clauses                                  the hierarchical attention network of docs/results.md on documents
and translations of the test set by `nmt translate`: vanilla.test.en and so on; and language_bag.predicted, the
languages of DATA/languages by classification/language with `encoder: embedding` and `pooling: mean`.
DATA holds
    multi30k/test_2016_flickr.de, .en, val.de, .en       text
    gold/test_2016_flickr.tok.de, .tok.en, .sure         tokens of its first pairs, and their true links
    languages/test.language                              de, en and fr, as the lines of test_2016_flickr

Each command is printed before it runs. A picture is skipped, with a line that says so, where something it needs is
missing.
"""

import argparse
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from nmt.core.text import read_lines

PAIR = 13
"""Of the gold: a relative clause, whose verb is at its end in German alone."""
TEST_SET = "test_2016_flickr"
QUICKSTART_SENTENCE = "The old teacher buys a red book."
SYSTEMS = ("vanilla", "bahdanau", "luong", "transformer")


class Missing(Exception):
    """Something that a picture needs isn't there."""


@dataclass(frozen=True)
class Folders:
    """Where models and data are, and where a command's input may be written."""

    runs: Path
    data: Path
    scratch: Path

    def run(self, name: str) -> str:
        return _existing(self.runs / name)

    def text(self, name: str) -> str:
        return _existing(self.data / name)

    def run_text(self, name: str, shown_as: str) -> str:
        """A file of a run under the name that a picture is to show."""
        shutil.copy(self.run(name), self.scratch / shown_as)
        return str(self.scratch / shown_as)

    def line(self, name: str, number: int) -> str:
        """A file with one line, counted from 1, of a text."""
        (line,) = islice(read_lines(self.text(name)), number - 1, number)
        return self.written(Path(name).name, line)

    def written(self, name: str, line: str) -> str:
        """A file with this line."""
        (self.scratch / name).write_text(f"{line}\n", encoding="utf-8")
        return str(self.scratch / name)


def _existing(path: Path) -> str:
    if not path.exists():
        raise Missing(path)
    return str(path)


def _gold_pair(model: str, folders: Folders) -> list[str]:
    source, target, gold = (folders.line(f"gold/{TEST_SET}.{end}", PAIR) for end in ("tok.de", "tok.en", "sure"))
    return ["align", folders.run(model), source, target, "--tokenized", "--gold", gold]


def alignment(folders: Folders) -> list[str]:
    return _gold_pair("luong", folders)


def heads(folders: Folders) -> list[str]:
    return [*_gold_pair("transformer", folders), "--grid"]


def _by_length(translations: list[str], folders: Folders) -> list[str]:
    reference, source = (folders.text(f"multi30k/{TEST_SET}.{language}") for language in ("en", "de"))
    return ["inspect", "lengths", *translations, "-r", reference, "-s", source, "--buckets", "5,10,15,20"]


def lengths(folders: Folders) -> list[str]:
    return _by_length([folders.run(f"{name}.test.en") for name in SYSTEMS], folders)


def systems(folders: Folders) -> list[str]:
    names = ("vanilla", "bahdanau", "luong", "transformer_256", "gru", "echo_state")
    return _by_length([folders.run_text(f"systems/{name}/{TEST_SET}.en", f"{name}.en") for name in names], folders)


def memory(folders: Folders) -> list[str]:
    return ["inspect", "memory", folders.run("copy_ntm"), "-i", folders.written("symbols", "a c b d e h g a b b c d")]


def memory_attention(folders: Folders) -> list[str]:
    return ["inspect", "memory", folders.run("ntm_encoder"), "-i", folders.written("sentence", QUICKSTART_SENTENCE)]


def gradients(folders: Folders) -> list[str]:
    models = [folders.run(name) for name in ("rnn", "systems/vanilla", "systems/lstm")]
    return ["inspect", "gradients", *models, "--pairs", *(folders.text(f"multi30k/val.{end}") for end in ("de", "en"))]


def dialogue(folders: Folders) -> list[str]:
    source = folders.written("dialogue.en", "I see the cat.\tYes.\tIs it old?")
    target = folders.written("dialogue.de", "Ist sie alt?")
    return ["align", folders.run("dialogue"), source, target, "--numbers"]


def document(folders: Folders) -> list[str]:
    first, *others = "Tomorrow he will live in this park.", "Has every farmer repaired a door.", "The lady was polite."
    text = "\t".join([first, "A cat which Paul sells is sick.", *others])
    return ["align", folders.run("clauses"), folders.written("document.en", text)]


def confusion(folders: Folders) -> list[str]:
    return ["score", folders.run("language_bag.predicted"), folders.text("languages/test.language")]


def words(folders: Folders) -> list[str]:
    shown = ("Hund", "Frau", "rot", "drei", "Gitarre", "Strand", "Fahrrad")
    return ["inspect", "words", folders.run("vectors.de"), *shown, "--count", "6"]


PICTURES: dict[str, Callable[[Folders], list[str]]] = {
    function.__name__: function
    for function in (
        alignment,
        heads,
        lengths,
        systems,
        memory,
        memory_attention,
        gradients,
        dialogue,
        document,
        confusion,
        words,
    )
}
"""By the name of the file, what `nmt` is called with."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder of model directories")
    parser.add_argument("data", type=Path, help="folder with multi30k/ and gold/")
    images = Path(__file__).resolve().parents[2] / "docs" / "images"
    parser.add_argument("-o", "--output", type=Path, default=images, help="folder to write to (docs/images)")
    parser.add_argument("--only", action="append", choices=PICTURES, help="just this picture; may be repeated")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in arguments.only or PICTURES:
        with TemporaryDirectory() as scratch:
            try:
                command = PICTURES[name](Folders(arguments.runs, arguments.data, Path(scratch)))
            except Missing as missing:
                print(f"skipped {name}.png: there is no {missing}", flush=True)
                continue
            command += ["--confusion" if name == "confusion" else "-o", str(arguments.output / f"{name}.png")]
            print(shlex.join(["nmt", *command]), flush=True)
            code = subprocess.run([sys.executable, "-m", "nmt", *command], check=False).returncode
        if code:
            sys.exit(code)


if __name__ == "__main__":
    main()
