"""Every system on equal terms, as one table: same data, same vocabulary, same minutes of training.

    python tools/experiments/compare_systems.py FOLDER runs/systems
    python tools/experiments/compare_systems.py FOLDER runs/systems vanilla gru --minutes 5

trains one system after another in runs/systems, translates the test split with each, and writes table.md, table.json
and lengths.png there. What is done stays done, and what was stopped goes on. The systems are vanilla, bahdanau, luong
and transformer_256 of recipes/multi30k and all of recipes/systems. FOLDER holds train.de, train.en, val.de, val.en and
the test split.

Two processes that share the work make two halves of it: one with --share 1/2, one with --share 2/2. The table has
what is there and says what is missing; one more call at the end shows it all.
"""

import argparse
import contextlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runs import exit_codes, train, translate

import nmt
from nmt.core.console import progress_bar, say, show_error
from nmt.core.errors import UserError, nearest
from nmt.core.files import explained
from nmt.core.output import open_output
from nmt.core.text import read_lines
from nmt.data.opening import open_text
from nmt.data.vocabulary.files import Vocabularies, train_vocabularies
from nmt.evaluation.scores import TestSet, read_aligned, score_corpus
from nmt.extensions.comparison.compare import length_scores
from nmt.extensions.comparison.pictures import draw_lengths
from nmt.extensions.comparison.significance import SufficientStatistics
from nmt.metrics.table import Score
from nmt.plotting.history import History, read_history
from nmt.plotting.style import write_figure
from nmt.recipe.load import load_recipe, parse_settings, shipped_recipes
from nmt.recipe.schema import Recipe

BASIC = ("vanilla", "bahdanau", "luong", "transformer_256")
"""Those of recipes/multi30k; they are in every picture."""

TERMS = (
    # A slow system gets fewer updates out of the same minutes than a fast one. A cosine over the epochs of a recipe
    # would be cut off at a high rate for the one and be over too early for the other; the inverse square root needs no
    # end, and the moving average stands in for the low rates at the end of a cosine.
    "training.schedule={type: inverse_sqrt, warmup_steps: 200}",
    "training.ema=0.999",
    "training.max_epochs=null",
    # Subword regularisation and bidirectional training pay in runs of an hour, not of ten minutes.
    "training.techniques={}",
    # The minutes are for training: validation by loss, once an epoch and at the end, takes seconds, while beam search
    # would take some systems minutes.
    "training.metric=loss",
    "training.validate_every=null",
    # log p / length has nothing to tune. The alphas of the recipes are tuned, but not all of them, and for longer runs.
    "decoding.length_penalty=average",
    "decoding.alpha=1",
)
"""What is the same for all systems, beside data, vocabulary and minutes; learning rates are those of the recipes."""


def all_systems() -> dict[str, str]:
    """The recipe of each system by its short name. One that is new in recipes/systems is among them by itself."""
    basic = {name: f"multi30k/{name}" for name in BASIC}
    return basic | {key.partition("/")[2]: key for key in shipped_recipes() if key.startswith("systems/")}


@dataclass(frozen=True)
class Share:
    """Every ``of``-th system, beginning with the one of this ``number``, from 1."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> "Share":
        number, slash, of = text.partition("/")
        if not (slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
            raise argparse.ArgumentTypeError(f"{text!r} is no share such as 1/2 or 2/2")
        return cls(int(number), int(of))


def choose(names: Sequence[str], share: Share) -> list[str]:
    """The systems that are to be run: those named, or all, and of these a share.

    Raises:
        UserError: there is no system of that name, or nothing is left for this share.
    """
    systems = all_systems()
    for name in names:
        if name not in systems:
            raise UserError(f"There is no system {name!r}.", nearest(name, systems))
    wanted = list(dict.fromkeys(names or systems))
    if share.number > len(wanted):
        left = f"Nothing is left for share {share.number}/{share.of} of {', '.join(wanted)}."
        raise UserError(left, "Share the work among fewer processes.")
    return wanted[share.number - 1 :: share.of]


def shared_vocabulary(runs: Path, recipe: Recipe) -> Path:
    """The vocabulary of all systems, made from the training text where it isn't there yet."""
    path = runs / "vocabulary"
    if not path.exists():
        with progress_bar("making the vocabulary", None), tempfile.TemporaryDirectory(dir=runs, prefix=".new-") as new:
            made = Path(new) / "vocabulary"
            made.mkdir()
            train_vocabularies(recipe.vocabulary, open_text(recipe.data, recipe.data.train)).save(made)
            with contextlib.suppress(OSError):  # another process has made the same one meanwhile
                made.rename(path)
    return path


@dataclass(frozen=True)
class Row:
    """A system in the table."""

    recipe: str
    scores: dict[str, Score]
    parameters: int
    width: int
    """Of the decoder's states."""
    tokens_per_second: float | None
    """Target tokens in training, the median over the lines of the log."""
    updates: int
    epochs: float | None
    """None where not one was finished."""
    minutes: float

    @classmethod
    def of(cls, recipe: str, run: Path, translations: Sequence[str], references: Sequence[str]) -> "Row":
        history, model = read_history(run), load_recipe(run / "recipe.yaml").model
        summary = history.summary()
        return cls(
            recipe,
            score_corpus(translations, [references]),
            nmt.load(run, "cpu").model.num_parameters,
            model.decoder.get("hidden_size", model.embedding_size),
            summary["tokens_per_second"],
            summary["updates"],
            _epochs(history, summary["updates"]),
            summary["minutes"],
        )

    def cells(self) -> list[str]:
        """In the order of the table's columns."""
        return [
            f"`{self.recipe}`",
            f"{self.scores['bleu'].score:.2f}",
            f"{self.scores['chrf'].score:.2f}",
            f"{self.parameters:,}",
            f"{self.width}",
            "–" if self.tokens_per_second is None else f"{self.tokens_per_second:,.0f}",
            f"{self.updates:,}",
            "< 1" if self.epochs is None else f"{self.epochs:.1f}",
            f"{self.minutes:.1f}",
        ]

    def to_json(self) -> dict[str, Any]:
        return vars(self) | {"scores": {key: score.to_json() for key, score in self.scores.items()}}


def _epochs(history: History, updates: int) -> float | None:
    finished = history.events.get("epoch", [])
    return round(updates * finished[-1]["epoch"] / finished[-1]["step"], 2) if finished else None


@dataclass(frozen=True)
class Table:
    """What is known of the systems that are done, the best by BLEU first."""

    title: str
    rows: dict[str, Row]
    lengths: list[dict[str, Any]]
    """BLEU by words of the source."""
    missing: list[str]

    def to_markdown(self) -> str:
        columns = ["recipe", "BLEU", "chrF", "parameters", "width", "target tokens/s", "updates", "epochs", "minutes"]
        buckets = [f"{row['label']} ({row['sentences']:,})" for row in self.lengths]
        by_length = [
            [f"`{row.recipe}`", *(f"{length['scores']['bleu'][name]:.1f}" for length in self.lengths)]
            for name, row in self.rows.items()
        ]
        scores = next(iter(self.rows.values())).scores.values()
        lines = [
            f"{self.title}, the best by BLEU first. Width is that of the decoder's states.",
            "",
            *_markdown(columns, [row.cells() for row in self.rows.values()]),
            "",
            "BLEU by words of the source, with the number of sentences:",
            "",
            *_markdown(["recipe", *buckets], by_length),
            "",
            f"Signatures: {', '.join(f'{score.name} `{score.signature}`' for score in scores)}.",
        ]
        if self.missing:
            lines += ["", f"Not done yet: {', '.join(self.missing)}."]
        return "".join(f"{line}\n" for line in lines)

    def to_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "systems": {name: row.to_json() for name, row in self.rows.items()},
            "lengths": self.lengths,
            "missing": self.missing,
        }


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *rows)]


def make_table(runs: Path, test_set: TestSet, title: str) -> Table:
    """The table of the systems that the test set has translations of; the others are missing."""
    systems, (references,) = all_systems(), test_set.references
    with progress_bar("scoring", len(test_set.systems)) as bar:
        rows = {}
        for name, translations in test_set.systems.items():
            rows[name] = Row.of(systems[name], runs / name, translations, references)
            bar.advance()
    best_first = sorted(rows, key=lambda name: -rows[name].scores["bleu"].score)
    lengths = length_scores(test_set, [SufficientStatistics("bleu", test_set)])
    return Table(title, {name: rows[name] for name in best_first}, lengths, [s for s in systems if s not in rows])


def draw(test_set: TestSet, names: Sequence[str], path: Path) -> None:
    """BLEU by length as ``nmt inspect lengths`` draws it, of some systems; of all where none of them is done."""
    shown = {name: test_set.systems[name] for name in dict.fromkeys(names) if name in test_set.systems}
    few = replace(test_set, systems=shown or test_set.systems)
    statistics = SufficientStatistics("bleu", few)
    rows = length_scores(few, [statistics])
    write_figure(draw_lengths(rows, "bleu", few.measured_by, statistics.metric.signature), path)


def compare(arguments: argparse.Namespace) -> None:
    """Run what is to be run, and write down what is known then."""
    systems, chosen = all_systems(), choose(arguments.systems, arguments.share)
    runs: Path = arguments.runs.resolve()  # names the vocabulary in recipes: wherever the next call starts, it is there
    settings = [f"data.root={arguments.folder.resolve()}", f"training.max_minutes={arguments.minutes}", *TERMS]
    settings += arguments.settings
    recipe = load_recipe(systems[BASIC[0]], parse_settings(settings))
    test, source, target = arguments.test, recipe.data.source, recipe.data.target
    sources, references = read_aligned([arguments.folder / f"{test}.{language}" for language in (source, target)])
    with explained(str(runs)):
        runs.mkdir(parents=True, exist_ok=True)
    vocabulary = arguments.vocabulary.resolve() if arguments.vocabulary else shared_vocabulary(runs, recipe)
    Vocabularies.load(vocabulary)  # if it can't be read, that is said once
    settings.append(f"vocabulary.path={vocabulary}")
    outputs = {name: runs / name / f"{test}.{target}" for name in systems}
    failed = []
    for number, name in enumerate(chosen, start=1):
        say(f"{name} ({number} of {len(chosen)})")
        try:
            train(systems[name], runs / name, settings)
            translate(runs / name, sources, outputs[name])
        except UserError as error:  # such as a loss that is not finite: the others needn't suffer for it
            show_error(error)
            failed.append(name)
    done = {name: list(read_lines(output)) for name, output in outputs.items() if output.exists()}
    if not done:
        raise UserError("There is no table, because no system is done.", "The messages above say what to mend.")
    test_set = TestSet(done, [references], sources)
    table = make_table(runs, test_set, f"{test}, {source} → {target}")
    with open_output(runs / "table.md") as file:
        file.write(table.to_markdown())
    with open_output(runs / "table.json") as file:
        json.dump(table.to_json(), file, ensure_ascii=False, indent=1)
    draw(test_set, [*BASIC, *arguments.systems], runs / "lengths.png")
    print(table.to_markdown(), end="")
    say(f"wrote table.md, table.json and lengths.png in {runs}")
    if failed:
        raise UserError(f"Failed: {', '.join(failed)}.", "The messages above say why; the same command tries again.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the text: train, val and the test split")
    parser.add_argument("runs", type=Path, help="folder for the model directories and the table")
    parser.add_argument("systems", nargs="*", metavar="SYSTEM", help="run these alone; the picture has them too")
    parser.add_argument("--minutes", type=float, default=10, metavar="N", help="of training, for each system (10)")
    parser.add_argument("--share", type=Share.parse, default=Share(1, 1), metavar="K/N", help="run every N-th, from K")
    parser.add_argument("--vocabulary", type=Path, metavar="PATH", help="use this one, not a new one of 8,000 pieces")
    parser.add_argument("--test", default="test_2016_flickr", metavar="NAME", help="test split (test_2016_flickr)")
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="a key for all recipes"
    )
    with exit_codes():
        compare(parser.parse_intermixed_args())  # systems may stand after an option


if __name__ == "__main__":
    main()
