"""``nmt quickstart``: the embedded corpus, from text to translations, scores and pictures in a few minutes."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nmt.alignment.aer import score_files as score_links
from nmt.alignment.links import WordAlignment, format_pharaoh, write_alignments
from nmt.core import console
from nmt.core.files import check_unused, explained
from nmt.core.jsonlines import parse_object
from nmt.core.model_directory import ModelDirectory
from nmt.core.output import open_output, write_output
from nmt.evaluation.scores import score_corpus
from nmt.plotting.matrix import draw_matrix
from nmt.plotting.style import write_figure
from nmt.quickstart.embedded_corpus import AlignedPair, splits
from nmt.training.resolve import resolve
from nmt.training.run import train
from nmt.translation.load import load

NUM_PLOTS = 6
TRAINED_BLEU = 90.0
"""A model of this score is trained, even if the time limit of the recipe has ended its training."""


def quickstart(output: Path, overrides: Mapping[str, Any] = {}) -> dict[str, Any]:
    """Trains, translates, scores, aligns and plots; returns the figures, which are those in ``quickstart.json``.

    Writes into ``output``: ``data/`` (the corpus, with its true alignments), ``model/`` (a model directory),
    ``test.translated.de``, ``test.links``, ``plots/`` and ``quickstart.json``. Raises UserError if it holds something
    already or can't be written, or an override is wrong.
    """
    started = time.perf_counter()
    overrides = {"data.root": str(output / "data"), **overrides}
    resolve("quickstart", overrides)  # refuses wrong values before anything is written
    check_unused(output)
    corpus = splits()
    _write_corpus(output / "data", corpus)
    console.say(f"wrote {len(corpus['train']):,} English-German pairs of the embedded corpus to {output / 'data'}")
    train("quickstart", output / "model", overrides=overrides)
    training_seconds = time.perf_counter() - started

    translator = load(output / "model")
    test = corpus["test"]
    before = time.perf_counter()
    translations = [t.text for t in translator.translate(pair.source for pair in test)]
    speed = len(test) / (time.perf_counter() - before)
    write_output(output / "test.translated.de", (line + "\n" for line in translations))
    scores = score_corpus(translations, [[pair.target for pair in test]])
    # Forced decoding of the true translations, whose alignments are known.
    tokens = ((" ".join(pair.source_tokens), " ".join(pair.target_tokens)) for pair in test)
    alignments = list(translator.align(tokens, tokenized=True, scores=False))
    with open_output(output / "test.links") as file:
        write_alignments(alignments, "pharaoh", file)
    _plot(output / "plots", alignments, test)
    last_event = parse_object(ModelDirectory(output / "model").metrics.read_text("utf-8").splitlines()[-1])
    figures = {
        "bleu": round(scores["bleu"].score, 2),
        "bleu_signature": scores["bleu"].signature,
        "chrf": round(scores["chrf"].score, 2),
        "chrf_signature": scores["chrf"].signature,
        "aer": round(score_links(output / "test.links", output / "data" / "test.links").aer, 4),
        "num_sentences": len(test),
        "sentences_per_second": round(speed, 1),
        "training_seconds": round(training_seconds, 1),
        "seconds": round(time.perf_counter() - started, 1),
        "training_ended": last_event["reason"],
    }
    write_output(output / "quickstart.json", json.dumps(figures, indent=2) + "\n")
    return figures


def _write_corpus(folder: Path, corpus: dict[str, list[AlignedPair]]) -> None:
    """Text for training; for the test split tokens and true links as well."""
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    columns = {
        f"{split}.{language}": [getattr(pair, side) for pair in pairs]
        for split, pairs in corpus.items()
        for language, side in (("en", "source"), ("de", "target"))
    }
    test = corpus["test"]
    columns["test.tok.en"] = [" ".join(pair.source_tokens) for pair in test]
    columns["test.tok.de"] = [" ".join(pair.target_tokens) for pair in test]
    columns["test.links"] = [format_pharaoh(pair.links) for pair in test]
    for name, lines in columns.items():
        write_output(folder / name, (line + "\n" for line in lines))


def _plot(folder: Path, alignments: Sequence[WordAlignment], pairs: Sequence[AlignedPair]) -> None:
    """Some of the longer test sentences, with their true links; short ones show little."""
    folder.mkdir(exist_ok=True)
    longest = sorted(range(len(pairs)), key=lambda i: -len(pairs[i].target_tokens))
    for number, index in enumerate(longest[: 10 * NUM_PLOTS : 10], start=1):
        links = set(pairs[index].links)
        figure = draw_matrix(alignments[index], gold=(links, links))
        write_figure(figure, folder / f"alignment-{number}.png")


def report(figures: Mapping[str, Any], output: Path) -> bool:
    """Prints the table on standard output and suggests next steps; False if time ended the training too early."""
    rows = [
        ("BLEU", f"{figures['bleu']:.1f}"),
        ("chrF", f"{figures['chrf']:.1f}"),
        ("AER", f"{figures['aer']:.3f}"),
        ("sentences/s (beam 5)", f"{figures['sentences_per_second']:.0f}"),
        ("minutes, training", f"{figures['training_seconds'] / 60:.1f}"),
        ("minutes, all", f"{figures['seconds'] / 60:.1f}"),
    ]
    console.print_table(f"{figures['num_sentences']} unseen test sentences", ("figure", "value"), rows)
    ended = figures["training_ended"]
    model, data = output / "model", output / "data"
    if ended.startswith("training.max_minutes") and figures["bleu"] < TRAINED_BLEU:
        console.warn(
            f"the quickstart did not succeed: training was stopped by its time limit ({ended}), so the "
            "figures above are those of a model that is half trained. The machine is too slow or busy with other work. "
            f"Continue with: nmt train quickstart -o {console.quoted(model)} "
            f"--set {console.quoted(f'data.root={data}')} --set training.max_minutes=20 --resume"
        )
        return False
    console.say(
        f"""The pictures are in {output / "plots"}, the translations in {output / "test.translated.de"}.

Try next:
  echo "The old teacher buys a red book." | nmt translate {console.quoted(model)}
  nmt align {console.quoted(model, data / "test.en", data / "test.de")} -o links.png --limit 5
  nmt train texts.de texts.en --minutes 30 -o runs/de-en    # two files of your own
  nmt recipes                                               # systems to train on real text"""
    )
    return True
