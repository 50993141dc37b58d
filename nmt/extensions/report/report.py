"""What a reviewer asks about the scores of a system, on one page.

Among these are questions that papers often leave open (Marie et al. 2021): signatures and the spread over seeds, text
of the test set in the training text, and a search that chose translations by the metric that scores them.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from markupsafe import Markup

from nmt.autotrain.held_out import key_of, near_copies
from nmt.core.console import warn
from nmt.core.errors import UserError
from nmt.core.model_directory import ModelDirectory
from nmt.data.opening import open_text
from nmt.data.sources import FileText
from nmt.evaluation.scores import TestSet, score_corpus
from nmt.extensions.augmentation.robustness import robustness
from nmt.extensions.cards.machine import FILE, MAX_BYTES, describe_machine
from nmt.extensions.comparison.compare import scores_by_length
from nmt.extensions.comparison.report import FigureTable, length_table, word_differences
from nmt.metrics.degenerate import count_degenerate
from nmt.metrics.table import METRICS, Score, Texts, check_metrics, directed_name
from nmt.plotting.curves import draw_runs
from nmt.plotting.history import read_histories, short_names
from nmt.plotting.templates import render
from nmt.recipe.schema import DecodingOptions, Recipe
from nmt.training.data import open_texts
from nmt.translation.languages import name_of
from nmt.translation.load import load

Numbered = tuple[int, tuple[str, str]]
"""The number of a line, and its pair."""
LITTLE_TEXT = 100_000
"""Training pairs below which chrF++ comes before BLEU, which counts whole words only."""
MAX_TRAIN = 1_000_000
"""Training pairs that are compared with the test set."""
NUM_RESAMPLES = 1000
"""Samples of the bootstrap for intervals."""
MAX_COPIES, MAX_NEAR_COPIES, MIN_SENTENCES = 0.01, 0.05, 500
"""Shares of test sentences in the training text above which, and the size of a test set below which, readers are
warned."""

Pairs = Sequence[tuple[str, str]]


def make_report(
    runs: Sequence[Path],
    test: tuple[Path, Path] | None = None,
    metrics: Sequence[str] = (),
    num_sentences: int = 5,
    num_changed: int = 200,
    device: str = "auto",
    on_work: Callable[[str], None] = lambda work: None,
) -> str:
    """Returns the page about a system.

    Args:
        runs: model directories; what isn't a score is measured on the first one.
        test: source and reference of the test set; the validation text of the recipe when None.
        metrics: names of ``METRICS``, the most important one first; chosen by the size of the training text if empty.
        num_sentences: the best and the worst ones that are shown.
        num_changed: sentences that are translated with changed case and noise.
        on_work: called with a description of what is done next.

    Raises:
        UserError: a run can't be loaded or translates no sentences or other languages, or there is no test set.
    """
    translators, names = [load(run, device) for run in runs], short_names(runs)
    first, recipe = translators[0], translators[0].recipe
    first.task.require("robustness")
    if len({(each.recipe.data.source, each.recipe.data.target) for each in translators}) > 1:
        raise UserError("The runs translate different languages.", "Report each system by itself.")
    (test_name, numbered), train = _test_set(recipe, test), _training_text(recipe)
    metrics = metrics or (("chrf++", "bleu", "ter") if len(train) < LITTLE_TEXT else ("bleu", "chrf++", "ter"))
    check_metrics(metrics)
    on_work("translating")
    pairs = [pair for _, pair in numbered]
    (sources, references), start = zip(*pairs, strict=True), time.perf_counter()
    texts = [[each.text for each in translator.translate(sources)] for translator in translators]
    speed = len(pairs) * len(runs) / (time.perf_counter() - start)
    scores = [score_corpus(each, [references], metrics, None, NUM_RESAMPLES, sources) for each in texts]
    lengths = scores_by_length(metrics[0], TestSet({names[0]: texts[0]}, [references], sources))["rows"]
    found, tables = _warnings(recipe, metrics, test is None, len(pairs)), {"lengths": length_table(lengths, metrics[0])}
    tables["scores"] = score_table(names, [each.recipe.seed for each in translators], scores)
    if train:
        tables["overlap"], copies = overlap(pairs, train)
        found += copies
    if num_changed:
        on_work("translating changed text")
        changed = robustness(first, pairs[:num_changed], metrics)
        rows = [[name.replace("_", " "), *(score.figure for score in each.values())] for name, each in changed]
        title = f"The first {min(num_changed, len(pairs)):,} sentences, changed"
        tables["changes"] = FigureTable(title, ["change", *map(directed_name, metrics)], rows)
    found += [f"{summary}."] if (summary := count_degenerate(texts[0], sources, references).summary()) else []
    return render(
        "report.html.j2",
        __file__,
        title=f"{name_of(recipe.data.source)} to {name_of(recipe.data.target)}: {names[0]}",
        test=(test_name, len(pairs)),
        num_train=len(train),
        num_runs=len(runs),
        warnings=found,
        tables=tables,
        signatures={METRICS[key].name: score.signature for key, score in scores[0].items()},
        is_little=metrics[0] == "chrf++" and 0 < len(train) < LITTLE_TEXT,
        ranked=_ranked(metrics[0], numbered, texts[0], num_sentences),
        word_differences=word_differences,
        **_training(runs, recipe, f"{speed:.1f} sentences a second on {describe_machine(first.model.device)}"),
    )


def score_table(names: Sequence[str], seeds: Sequence[int], scores: Sequence[dict[str, Score]]) -> FigureTable:
    """A row for each run and, of several, their mean with the standard deviation, and their range."""

    def cell(score: Score) -> str:
        half_width = (score.confidence or {}).get("half_width", 0.0)
        return f"{score.score:.{score.decimals}f} ± {half_width:.{score.decimals}f}"

    columns = [[each[key] for each in scores] for key in scores[0]]
    cells = [map(cell, column) for column in columns]
    rows = [[name, str(seed), *row] for name, seed, *row in zip(names, seeds, *cells, strict=True)]
    if len(scores) > 1:
        values = [([each.score for each in column], f".{column[0].decimals}f") for column in columns]
        rows.append(["mean ± standard deviation", "", *(f"{fmean(v):{d}} ± {stdev(v):{d}}" for v, d in values)])
        rows.append(["range", "", *(f"{min(v):{d}}–{max(v):{d}}" for v, d in values)])
    title = "Scores of runs ± half of the 95 % interval by bootstrap resampling of the sentences"
    return FigureTable(title, ["run", "seed", *map(directed_name, scores[0])], rows)


def overlap(pairs: Pairs, train: Pairs) -> tuple[FigureTable, list[str]]:
    """Counts test sentences that occur in the training text, and returns a warning if there are many."""
    known = set(train)
    counts = {"pairs": sum(pair in known for pair in pairs)}
    for side, name in enumerate(("sources", "references")):
        tests, trained = [pair[side] for pair in pairs], {pair[side] for pair in train}
        counts[name] = sum(text in trained for text in tests)
        keys = (enumerate(map(key_of, texts)) for texts in (tests, trained))
        counts[f"{name}, nearly"] = len({test for test, _ in near_copies(*keys)})
    rows = [[name, f"{count:,}", f"{count / len(pairs):.1%}"] for name, count in counts.items()]
    limits = {name: MAX_NEAR_COPIES if "nearly" in name else MAX_COPIES for name in counts}
    many = [f"{row[2]} of the {row[0]}" for row in rows if counts[row[0]] > limits[row[0]] * len(pairs)]
    title = f"Test sentences in {len(train):,} training pairs"
    warning = f"The scores may be too high, because the training text has {', '.join(many)}."
    return FigureTable(title, ["", "number", "share"], rows), [warning] if many else []


def _test_set(recipe: Recipe, test: tuple[Path, Path] | None) -> tuple[str, list[Numbered]]:
    """Returns the name and the pairs with text of the test set or, if there is none, of the validation text."""
    data, remedy = recipe.data, "Name a test set: --test SOURCE REFERENCE."
    if test is None and data.valid is None:
        raise UserError("The recipe has no validation text.", remedy)
    text = FileText(*test) if test is not None else open_text(data, data.valid or "")
    lines = list(enumerate(text, start=1))
    if not (pairs := [(line, pair) for line, pair in lines if all(map(str.strip, pair))]):
        raise UserError(f"There are no sentences in {text.name}.", remedy)
    return text.name + (f" (left out, because a side is empty: {n:,})" if (n := len(lines) - len(pairs)) else ""), pairs


def _training_text(recipe: Recipe) -> list[tuple[str, str]]:
    """The first pairs of the training text; none, with a warning, where it can't be read."""
    try:
        return list(islice(chain(*open_texts(recipe.data.model_copy(update={"valid": None}))[0]), MAX_TRAIN))
    except UserError as error:
        warn(f"the training text isn't compared with the test set: {error.message}")
        return []


def _ranked(
    metric: str, numbered: Sequence[Numbered], texts: Texts, num_sentences: int
) -> dict[str, list[dict[str, Any]]]:
    """The best and the worst sentences with their scores."""
    scorer, (sources, references) = METRICS[metric](), zip(*(pair for _, pair in numbered), strict=True)
    scores = scorer.sentence_scores(texts, [references], sources)
    rows = [
        {"title": f"line {line:,}: {scorer.name} {score:.{scorer.decimals}f}", "pair": pair, "translation": text}
        for score, (line, pair), text in zip(scores, numbered, texts, strict=True)
    ]
    ranked = sorted(range(len(rows)), key=scores.__getitem__, reverse=scorer.higher_is_better)
    return {"Best": [rows[n] for n in ranked[:num_sentences]], "Worst": [rows[n] for n in ranked[::-1][:num_sentences]]}


def _training(runs: Sequence[Path], recipe: Recipe, translation: str) -> dict[str, Any]:
    """Facts about the first run and its search, and the curves of all runs; an imported model has no curves."""
    defaults, shown = DecodingOptions().model_dump(), ("search", "beam_size", "length_penalty", "alpha", "mbr")
    used = {k: v for k, v in recipe.decoding.model_dump().items() if k in shown or v != defaults[k]}
    machine = ModelDirectory(runs[0]).file(FILE, MAX_BYTES)
    facts = {
        "Recipe": recipe.description or "without description",
        "Model": f"{recipe.model.encoder['type']} encoder, {recipe.model.decoder['type']} decoder",
        "Search": ", ".join(f"{name}: {value}" for name, value in used.items()),
        "Selected by": f"{recipe.training.metric} on validation text",
        "Trained on": machine.read_text("utf-8", "replace").strip() if machine.is_file() else "not recorded",
        "Translation": translation,
    }
    with suppress(UserError):
        histories = read_histories(runs)
        metric = next((name for each in histories for name in each.metrics), "bleu")
        for run in (each.summary() for each in histories if each.directory == runs[0]):
            facts["Parameters"] = f"{run['parameters'] or 0:,}"
            facts["Training"] = f"{run['updates']:,} updates, whole epochs: {run['epochs']}, {run['minutes']:,} minutes"
            facts["Memory of the training"] = f"at most {run['peak_memory_mb'] or 0:,} MB"
        names = short_names([each.directory for each in histories])
        curves = draw_runs(dict(zip(names, histories, strict=True)), metric=metric)
        return {"facts": facts, "curves": Markup(curves._repr_svg_())}
    return {"facts": facts, "curves": None}


def _warnings(recipe: Recipe, metrics: Sequence[str], is_validation: bool, num_sentences: int) -> list[str]:
    """Sentences about what makes scores look better, or more certain, than they are."""
    found, utility = [], recipe.decoding.mbr
    kinds = {name: getattr(METRICS[name], "kind", name) for name in METRICS}  # chrF and chrF++ are one kind
    if same := [METRICS[name].name for name in metrics if kinds[name] == kinds.get(utility)]:
        found.append(
            f"The search chose translations by {METRICS[utility].name} (decoding.mbr), and {' and '.join(same)} scores "
            "them: the score is higher than the quality. Judge the system by another metric."
        )
    if is_validation:
        found.append("The model was selected by this text, on which its scores are higher than on unseen text.")
    if num_sentences < MIN_SENTENCES:
        found.append(f"The test set has only {num_sentences:,} sentences, so that the intervals are wide.")
    return found
