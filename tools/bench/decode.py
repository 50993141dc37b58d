"""Translation speed of a model and of other engines, in turns on this machine, as a table in Markdown.

    python tools/bench/decode.py runs/de-en test.de --reference test.en --modes fp32,bf16 --turns 3 \\
        --peer "CTranslate2=python decode.py ctranslate2"

Each measurement is a process of its own and times the translation of the whole file, without loading the model and
after a warm-up with its first lines. The file is translated ``--passes`` times, and the speed is that of the last
time: on a GPU the first one also records the steps of search that the others repeat. A peer is any command whose output
tells its speed; ``--pattern`` finds the number, by default in "259.1 sentences/s". BLEU and the length of the output
stand below the table, because a search that stops early is fast for no good reason. ``--json`` prints all as one line.

A mode is a precision with keys of decoding, fp32+beam_size=1, and with ``+stepwise`` the search records no steps.
"""

import argparse
import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from turns import in_turns, named_command, peer_speed, run, table

PATTERN = r"([\d.,]+)\s*sentences/s"
WARM_UP = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL_DIR")
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument("--reference", metavar="FILE")
    parser.add_argument(
        "--modes", default="fp32,bf16", help="precisions, each with keys of decoding: fp32,bf16+shortlist=10+prune=1.5"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--beam-size", type=int, default=5, metavar="N")
    parser.add_argument("--batch-size", type=int, default=64, metavar="N")
    parser.add_argument("--threads", type=int, default=2, metavar="N")
    parser.add_argument("--workers", type=int, metavar="N", help="processes of nmt for files of at least 16 batches")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND", type=named_command)
    parser.add_argument("--pattern", default=PATTERN, help="regular expression whose first group is a speed")
    parser.add_argument("--turns", type=int, default=3, metavar="N")
    parser.add_argument("--passes", type=int, default=1, metavar="N", help="times that a process translates the file")
    parser.add_argument("--json", action="store_true", help="print one line of JSON in place of the table")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options)))
        return
    notes: dict[str, dict[str, Any]] = {}
    modes = {f"nmt {mode}": partial(nmt_speed, mode, notes) for mode in options.modes.split(",")}
    peers = {name: partial(peer_speed, name, command, options.pattern) for name, command in options.peer}
    speeds = in_turns(modes | peers, options.turns)
    if options.json:
        print(json.dumps({"device": options.device, "speeds": speeds, "last": notes}))
        return
    print(table(speeds, next(iter(modes)), "sentences/s"))
    for mode, found in notes.items():
        passes = ", ".join(f"{speed:,.0f}" for speed in found["passes"])
        print(f"\nnmt {mode}: {found['pieces']:,} pieces in all, {passes} sentences/s by pass, {found['bleu']}", end="")
    print()


def nmt_speed(mode: str, notes: dict[str, dict[str, Any]]) -> float:
    """Measure in a process of its own, started with the same arguments."""
    found = json.loads(run([sys.executable, __file__, *sys.argv[1:], "--measure", mode], mode).splitlines()[-1])
    notes[mode] = found
    return float(found["passes"][-1])


def measure(options: argparse.Namespace) -> dict[str, object]:
    """Translate, as often as there are passes."""
    import sacrebleu
    import torch

    import nmt
    from nmt.core.device import peak_memory_mb
    from nmt.decoding.search import ModelSearcher
    from nmt.translation.job import TranslationJob
    from nmt.translation.options import TranslationOptions

    torch.set_num_threads(options.threads)
    precision, *keys = options.measure.split("+")
    translator = nmt.load(options.model, options.device, precision)
    if "stepwise" in keys:
        keys.remove("stepwise")
        searcher = ModelSearcher(
            translator.model, translator.vocabularies, translator.task.search, translator.precision
        )
        translator = translator.replaced(searcher=searcher)
    lines = Path(options.source).read_text("utf-8").splitlines()
    search = {"beam_size": options.beam_size, "batch_size": options.batch_size}
    search |= {name: json.loads(value) for name, _, value in (key.partition("=") for key in keys)}
    translator.translate(lines[:WARM_UP], **search)
    job = TranslationJob(translator, str, options=TranslationOptions(decoding=search))
    job = job.in_processes(options.source, options.workers)
    passes = []
    for _ in range(options.passes):
        started = time.perf_counter()
        found = list(job.run(iter(lines)))
        passes.append(len(lines) / (time.perf_counter() - started))
    bleu = ""
    if options.reference:
        references = Path(options.reference).read_text("utf-8").splitlines()
        bleu = str(sacrebleu.corpus_bleu([translation.text for translation in found], [references]))
    pieces = sum(len(translation.tokens) for translation in found)
    memory = peak_memory_mb(translator.model.device)
    return {"passes": passes, "pieces": pieces, "bleu": bleu, "memory_mb": memory, "torch": torch.__version__}


if __name__ == "__main__":
    main()
