"""Runs a program of the documentation's code on a small scale: ``documented_program.py nmt|python|curl ARGUMENTS``.

- Training makes a few updates of a model a sixteenth as wide, with a small vocabulary; settings of the command hold
  otherwise.
- The embedded corpus has a hundred training pairs.
- ``nmt train`` with text tries two small widths for a few updates.
- ``nmt inspect sentence`` computes a few alternatives and changes of attention.
- ``nmt serve`` takes a free port and goes on in the background, as in a second terminal; ``curl`` asks there.
"""

import json
import os
import runpy
import shutil
import socket
import subprocess
import sys
import time
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

WIDTHS = ("embedding_size", "feed_forward_size", "hidden_size", "size")
WIDEST = 64
"""Wider layers than this are made narrower, all by the same factor."""
PORT_FILE = "port"
FEW_SEARCHES = ("--limit", "2", "--interventions", "4", "--alternatives", "1")
"""Options of ``nmt inspect sentence``, which otherwise makes hundreds of searches for each sentence."""


def small(recipe: Any, overrides: Mapping[str, Any], vocabulary_size: int) -> dict[str, Any]:
    """Overrides under which training takes about a second."""
    from nmt.recipe.load import Recipe, load_recipe

    planned = recipe if isinstance(recipe, Recipe) else load_recipe(recipe, overrides)
    found: dict[str, Any] = {}
    for group in ("", "encoder.", "decoder.", "decoder.attention."):
        settings: Any = planned.model.model_dump()
        for part in group.split(".")[:-1]:
            settings = settings.get(part) or {}
        for name in WIDTHS:
            key = f"model.{group}{name}"
            width = settings.get(name) if isinstance(settings, dict) else None
            if key not in overrides and isinstance(width, int) and width > WIDEST:
                found[key] = width // 16
    if planned.vocabulary.type in ("unigram", "bpe") and not planned.vocabulary.path:
        is_language_model = planned.model.encoder == {"type": "none"}
        found["vocabulary.size"] = vocabulary_size // 2 if is_language_model else vocabulary_size
        if any(corpus.new_pieces for corpus in planned.data.corpora):  # added to those of a model of this size
            found["vocabulary.size"] *= 2
    if planned.data.hub and not planned.data.root and isinstance(planned.data.train, str):
        found["data.root"] = "FOLDER"
    if planned.data.task:
        found |= {"data.task.num_pairs": 40, "data.task.num_valid": 8}
    steps = 3 if planned.training.keep_last > 1 else 2
    return {
        **overrides, **found, "device": "cpu", "training.precision": "fp32", "training.batch_tokens": 256,
        "training.accumulate": 1, "training.max_steps": steps, "training.validate_every": steps,
        "training.validation_size": 2, "training.checkpoint_every": 1, "decoding.max_length": 20,
    }  # fmt: skip


def use_little() -> None:
    """Replace training, and the corpus of the package, in this process."""
    import nmt.autotrain.choice
    import nmt.autotrain.prepared
    import nmt.autotrain.run
    import nmt.quickstart.run
    import nmt.training.run

    train, splits = nmt.training.run.train, nmt.quickstart.run.splits

    def train_little(recipe: Any, output: Any = None, *, overrides: Mapping[str, Any] = {}, **others: Any) -> Path:
        size = 100
        if others.get("pairs"):  # two in the example
            size, few = 30, [*others["pairs"]]
            others["pairs"] = [
                (f"{source}{'.' * n}", f"{target}{'.' * n}") for n in range(20) for source, target in few
            ]
        return train(recipe, output, overrides=small(recipe, overrides, size), **others)

    def few_pairs() -> Any:
        return {name: pairs if name == "train" else pairs[:10] for name, pairs in splits(train=100).items()}

    # nmt.api.run, which wraps the function of nmt.training.run, is imported after this.
    nmt.training.run.train = nmt.quickstart.run.train = nmt.autotrain.run.train = train_little  # type: ignore[assignment]
    nmt.quickstart.run.splits = few_pairs
    nmt.quickstart.run.NUM_PLOTS = 1
    model = nmt.autotrain.choice.Model
    nmt.autotrain.prepared.RECURRENT = model("recurrent", 16), model("recurrent", 32, 10)  # type: ignore[assignment]
    nmt.autotrain.choice.TRIAL_UPDATES = 4


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def go_on_in_the_background(port: int) -> None:
    """Return in another process, and leave this one when that answers at the port."""
    if pid := os.fork():
        with socket.socket() as trial:
            while trial.connect_ex(("127.0.0.1", port)):
                if ended := os.waitpid(pid, os.WNOHANG)[1]:
                    os._exit(os.waitstatus_to_exitcode(ended))
                time.sleep(0.05)
        os._exit(0)
    for stream in range(3):
        os.dup2(os.open(os.devnull, os.O_RDWR), stream)


def run_blocks() -> None:
    """Runs the Python blocks that standard input has, one after another in one session.

    Each is a line of JSON: page, number of its first line, text. A line of standard output answers a block that has
    succeeded; what the blocks print goes to standard error.
    """
    session = types.ModuleType("__main__")
    sys.modules["__main__"] = session
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        page, number, text = json.loads(line)
        exec(compile("\n" * (number - 1) + text, page, "exec"), vars(session))
        print("done", file=answers, flush=True)


def main(program: str, *arguments: str) -> None:
    if program == "curl":
        port = Path(PORT_FILE).read_text()
        real = shutil.which("curl", path=os.environ["PATH"].partition(":")[2])
        sys.exit(subprocess.call([real or "curl", *(a.replace(":5000", f":{port}") for a in arguments)]))
    use_little()
    if program == "python" and arguments == ("-",):
        sys.path.insert(0, "")
        run_blocks()
        return
    if program == "python":
        sys.argv = [*arguments]
        sys.path.insert(0, str(Path(arguments[0]).parent))
        runpy.run_path(arguments[0], run_name="__main__")
        return
    import nmt.__main__

    sys.argv = ["nmt", *arguments]
    if arguments[0] in ("backtranslate", "distill"):
        import nmt.extensions.synthesis.synthesis

        nmt.extensions.synthesis.synthesis.FILTERS = ()  # a model after two updates repeats words in every line
    if arguments[:2] == ("inspect", "sentence"):
        sys.argv += FEW_SEARCHES
    if arguments[0] == "serve":
        port = free_port()
        Path(PORT_FILE).write_text(str(port))
        sys.argv += ["--port", str(port)]
        go_on_in_the_background(port)
    nmt.__main__.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
