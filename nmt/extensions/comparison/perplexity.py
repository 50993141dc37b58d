"""Perplexity of texts under a model."""

from collections.abc import Iterable
from math import exp, inf
from pathlib import Path

from nmt.cli.common import show_json
from nmt.core.console import print_table, progress_bar
from nmt.core.errors import UserError
from nmt.core.text import read_lines
from nmt.data.sources import FileText
from nmt.tasks.base import Task
from nmt.translation.load import load
from nmt.translation.results import ScoredPair


def perplexity(pairs: Iterable[ScoredPair], name: str, task: Task) -> dict[str, float | None]:
    """Returns the perplexity of the targets of pairs, exp of the mean of -log p, by two units.

    Perplexities per token of models with different vocabularies can't be compared, those per word (separated by white
    space) can. The end of each sentence, which is predicted too, counts as a token and as a word. Pairs without a score
    are left out. A perplexity is None if no float is so large: of long lines without spaces, per word.

    Args:
        task: of the model: of a dialogue the current turn counts, and a label has no end.

    Raises:
        UserError: no pair has a score.
    """
    log_probability, num_tokens, num_words = 0.0, 0, 0
    for pair in pairs:
        if pair.log_probability is not None:
            log_probability += pair.log_probability
            num_tokens += len(pair.tokens)
            num_words += len(task.reader.current(pair.target).split()) + (not task.has_labels)
    if not num_tokens:
        raise UserError(f"{name} has no text to measure.", "Give a file with a line that isn't too long for the model.")
    numbers = {"per_token": num_tokens, "per_word": num_words}
    means = {key: exp(mean) if (mean := -log_probability / n) < 700 else None for key, n in numbers.items()}
    return {**means, "log_probability": log_probability, "num_tokens": num_tokens, "num_words": num_words}


def score_perplexity(model_dir: Path, files: list[str], source: str | None, device: str, as_json: bool) -> None:
    """Prints the perplexities of texts, as ``nmt score --perplexity`` does."""
    translator = load(model_dir, device)
    if source is None and translator.task.reads_source:
        message = f"{model_dir} translates: a text has a perplexity given its source."
        raise UserError(message, "Give the source text by -s FILE.")
    # A language model ignores the source; the text itself stands in for it.
    texts: dict[str, Iterable[tuple[str, str]]] = {
        name: FileText(Path(source), Path(name)).checked() if source else ((line, line) for line in read_lines(name))
        for name in files
    }
    with progress_bar("scoring", None):
        results = {name: perplexity(translator.score(text), name, translator.task) for name, text in texts.items()}
    if as_json:
        show_json(results[files[0]] if len(files) == 1 else results)
        return
    units = ("token", "word")
    rows = [
        (name, *(f"{p[f'per_{each}'] or inf:.2f}" for each in units), *(f"{p[f'num_{each}s']:,}" for each in units))
        for name, p in results.items()
    ]
    print_table("", ("text", "perplexity per token", "per word", "tokens", "words"), rows)
