"""``nmt translate``."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os.path import exists
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmt.cli.common import (
    Device,
    Input,
    Output,
    command,
    command_to_resume,
    components_in,
    is_terminal,
    on_screen,
    refuse_options,
)
from nmt.cli.help import INPUT_AND_OUTPUT, MACHINE, OF_DECODING, SEARCH
from nmt.cli.schema import options_of
from nmt.cli.translation_options import TRANSLATE_OPTIONS, AddedOptions, Resume, TranslateOptions, jsonl
from nmt.core.console import progress_bar, say, warn
from nmt.core.errors import UserError, shortened
from nmt.core.files import check_target
from nmt.core.output import open_output
from nmt.recipe.schema import DecodingOptions

if TYPE_CHECKING:
    from nmt.jobs.run import LineJob, ResumableOutput
    from nmt.translation.inputs import Work
    from nmt.translation.job import TranslationJob

WORTH_A_WARNING = 20
"""Lines from which on degenerate translations are reported: of fewer, the user sees each."""


@dataclass(frozen=True)
class Task:
    """The input, the output and the mode of ``nmt translate``."""

    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="Text or a document to translate, as --input.", show_default=False),
    ] = None
    input: Input = "-"
    output: Output = "-"
    score_only: Annotated[
        tuple[str, str] | None,
        INPUT_AND_OUTPUT.option(
            metavar="SOURCE TARGET",
            help="Instead of translating, score the lines of TARGET as translations of those of SOURCE.",
        ),
    ] = None
    resume: Resume = False
    interactive: Annotated[bool, INPUT_AND_OUTPUT.option(help="Ask for sentences and answer each.")] = False
    workers: Annotated[
        int | None,
        MACHINE.option(
            metavar="N",
            min=1,
            help="Processes that translate a file or the shards of a folder.",
            show_default="one on each core for a file, on a CPU; as many as the machine has room for a folder",
        ),
    ] = None

    def checked(self) -> "Task":
        """Returns the task with ``input`` as the one place that names the input.

        Raises:
            UserError: options exclude each other.
        """
        if " " in (given := self.file or self.input) and not exists(given):  # Path.exists fails for a long sentence
            raise UserError(f"File not found: {shortened(given)}.", "Check the path. Without one, type a sentence.")
        if self.file is not None and (Path(self.file) / "recipe.yaml").is_file():
            raise UserError(f"{self.file} is a model, not text.", "Models that translate together: see --ensemble.")
        if self.file is not None and self.input != "-":
            raise UserError("FILE and --input both name the input.", "Give one of them.")
        task = replace(self, file=None, input=given)
        if task.output != "-" and Path(task.output).is_file():
            check_target(Path(task.output), task.input, *(task.score_only or ()))
        for name, is_given in (("--score-only", self.score_only is not None), ("--interactive", self.interactive)):
            names_files = task.input != "-" or task.resume
            if is_given and (names_files or (task.interactive and (task.output != "-" or task.score_only))):
                raise UserError(f"{name} doesn't go with --input, --resume and the like.", f"Give {name} without them.")
        return task


@command(
    "nmt translate runs/de-en -i test.de -o test.en",
    'echo "Ein Hund schläft." | nmt translate runs/de-en --n-best 3 --scores',
    "nmt translate runs/de-en -i test.de -o test.jsonl --format jsonl",
    "nmt translate runs/de-en page.html -o page.en.html --glossary terms.tsv",
    "nmt translate runs/de-en -i shards.de -o shards.en --workers 4",
    "nmt translate runs/de-en --score-only test.de test.en",
    "nmt translate runs/de-en -i test.de --ensemble runs/other --n-best 3",
    "nmt translate runs/de-en -i test.de --search sample --mbr chrf",
    added=TRANSLATE_OPTIONS,
)
@options_of(DecodingOptions, section=SEARCH, others=OF_DECODING)
def translate(
    options: TranslateOptions,
    task: Task,
    added: tuple[AddedOptions, ...],
    logits_processor: Annotated[
        list[str] | None,
        SEARCH.option(
            metavar="YAML",
            help="A logits processor with its options, such as 'no_repeat_ngram: {size: 3}'; may be repeated.",
            show_default="from the recipe",
        ),
    ] = None,
    device: Device = "auto",
    **decoding: Any,
) -> None:
    """Translate lines of text, or a document.

    A document, such as page.html or messages.po, is recognised by its file extension. Its sentences are translated,
    and its markup is kept. Give --input-format text to translate it line by line.

    N lines of text give N lines, in the same order. An empty line stays empty. A score is a log-probability under the
    length penalty: at most 0 unless a word reward is used.

    Lines that arrive together are translated in batches, and a program that waits for the answer to a line gets it at
    once. The output is named FILE.partial until it is complete; --resume continues a run that was stopped.

    If the input is a folder, each file in it gives a file of the same name in the folder of the output. Several
    processes, or workers on Ray, translate the files, and the same command continues after a stop.
    """
    task = task.checked()
    if logits_processor:
        decoding["logits_processors"] = components_in(
            logits_processor, "--logits-processor", "no_repeat_ngram: {size: 3}"
        )
    options = replace(options, decoding=decoding, added=added)
    for each in added:
        each.refuse(options, task.input)
    if task.score_only:
        _score(options, task.score_only, task.output, device)
    elif any(each.translated(options, task.input, task.output, device, task.workers) for each in added):
        pass
    elif task.interactive:
        options.job(device).converse()
    else:
        _translate_file(options, task, device)


def _translate_file(options: TranslateOptions, task: Task, device: str) -> None:
    """Translates a file, or standard input."""
    from nmt.translation.inputs import format_of

    kind = format_of(task.input, options.input_format)
    kind.check(task.input, options)
    job = options.job(device).in_processes(task.input, task.workers)
    if kind.unit == "lines":
        translate_lines(job, task.input, task.output, task.resume)
    else:
        run_with_bar(kind.open(job, task.input, task.output, options.input_format), task.resume)


def translate_lines(
    job: "TranslationJob | LineJob[Any]",
    input: str,
    output: str,
    resume: bool,
    finish: Callable[[Path], None] | None = None,
) -> None:
    """Runs a job with a progress bar; ``output`` and ``finish`` are the arguments of :class:`ResumableOutput`."""
    from nmt.core.text import count_lines, read_lines
    from nmt.jobs.run import ResumableOutput
    from nmt.translation.inputs import Work

    typed = input == "-" and is_terminal(sys.stdin)
    if typed:
        say("Type a sentence and Enter; Ctrl-D ends.")
    visible = is_terminal(sys.stderr) and not (typed or on_screen(output))
    total = count_lines(input) if visible else None
    run_with_bar(Work(job, read_lines(input), ResumableOutput(output, finish), total), resume, visible)


def run_with_bar(work: "Work", resume: bool, visible: bool = True) -> None:
    """Runs a job with a progress bar, and tells of degenerate translations."""
    from nmt.jobs.run import run
    from nmt.metrics.degenerate import DegenerateCount

    job, target, degenerate = work.job, work.output, DegenerateCount()

    def on_start(num_done: int, num_again: int) -> None:
        degenerate.num_before = num_done
        if num_done:
            say(f"{num_done:,} {work.unit} are in {target.partial} already.")
            bar.advance(num_done - num_again)

    with _work_is_kept(target, work.unit), progress_bar("translating", work.total, visible) as bar:
        for translation in run(job, work.lines, target, resume, on_start, bar.advance):
            if job.reports_degenerate:
                degenerate.add(translation.text, translation.source)
    if degenerate.num_lines >= WORTH_A_WARNING and (summary := degenerate.summary()):
        (warn if degenerate.is_serious else say)(f"{summary}.")


@contextmanager
def _work_is_kept(target: "ResumableOutput", unit: str) -> Iterator[None]:
    """Say where the output of a run is that stops before its end, unless the error does, and how to resume it."""
    try:
        yield
    except BaseException as error:
        if (num_lines := target.num_lines) and str(target.partial) not in str(error):
            again = "When the error is mended, --resume continues after them."  # the same command would fail again
            how = again if isinstance(error, UserError) else f"Resume after them with:\n  {command_to_resume()}"
            say(f"{num_lines:,} {unit} are kept in {target.partial}. {how}")
        raise


def _score(options: TranslateOptions, files: tuple[str, str], output: str, device: str) -> None:
    from nmt.data.sources import FileText

    effective = ("length_penalty", "alpha", "batch_size")
    searched = [name for name, value in options.decoding.items() if value is not None and name not in effective]
    others = (
        "ensemble", "n_best", "scores", "forbid", "replace_unknown", "unknown_lexicon", "glossary", "input_format",
    )  # fmt: skip
    added = [name for each in options.added for name in each.changes()]
    refuse_options("--score-only", options, others, [*searched, *added])
    translator = options.translator(device)
    pairs = FileText(*map(Path, files)).checked()
    with progress_bar("scoring", None, not on_screen(output)) as bar, open_output(output) as file:
        for pair in bar.counted(translator.score(pairs, **options.decoding)):
            score = "nan" if pair.score is None else f"{pair.score:.4f}"
            file.write((jsonl(pair) if options.format == "jsonl" else f"{score}\t{pair.target}") + "\n")
